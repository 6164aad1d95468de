from markupsafe import Markup

from simam_deploy.report.page.html import joined, name, tag, text, wrapped


def test_what_is_not_markup_is_text():
    assert tag("p", "<b>", class_="x") == '<p class="x">&lt;b&gt;</p>'
    assert tag("p", Markup("<b>")) == "<p><b></p>"
    assert tag("p", tag("b", "&")) == "<p><b>&amp;</b></p>"


def test_attributes_cannot_be_left():
    assert tag("i", title='"><script>') == '<i title="&#34;&gt;&lt;script&gt;"></i>'
    assert tag("rect", stroke_width=3, rx=None) == '<rect stroke-width="3"/>'


def test_nothing_turns_the_direction_of_writing():
    assert text("a\u202eb\x1b\x00\n") == "a\\u202eb\\x1b\\x00\\n"


def test_children_are_flattened_and_none_is_nothing():
    assert joined(["a", None, ["b", (tag("br") for _ in range(2))]]) == "ab<br><br>"


def test_long_names_may_be_broken_and_short_ones_not():
    assert 'class="mono"' in name("a" * 32)
    assert 'class="mono long"' in name("a" * 33)
    assert 'class="text"' in wrapped("a" * 33)
