"""Configurations as text: what is read of them, and that none can run, hang or crash."""

import resource
import time

import pytest

from simam_deploy.source.stated.python_text import read_python
from simam_deploy.source.stated.text import LARGEST, read_text

CONFIG = """
# a comment
import os
_base_ = ['../_base_/models/retinanet.py']
norm = dict(mean=[123.675, 116.28, -1.5], std=(58.395, 57.12, 57.375), to_rgb=True)
side = 64 * 20
scale: float = 1 / 255
model = dict(
    type='FasterRCNN',
    backbone=dict(type='ResNetAM', depth=50, attention_param=0.0001, init=os.environ['HOME']),
    anchors=[8, pick(), None], normal=norm, size=(side, side // 2))
"""


def test_python_is_read_as_literals():
    assert read_text(CONFIG) == {
        "_base_": ["../_base_/models/retinanet.py"],
        "norm": {"mean": [123.675, 116.28, -1.5], "std": [58.395, 57.12, 57.375], "to_rgb": True},
        "side": 1280,
        "scale": 1 / 255,
        "model": {
            "type": "FasterRCNN",
            "backbone": {"type": "ResNetAM", "depth": 50, "attention_param": 0.0001},
            "anchors": [8, None, None],
            "normal": {
                "mean": [123.675, 116.28, -1.5], "std": [58.395, 57.12, 57.375], "to_rgb": True
            },
            "size": [1280, 640],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 1, 'b': [0.5, True]}", {"a": 1, "b": [0.5, True]}),
        ("{0: 'person', 1: 'car'}", {0: "person", 1: "car"}),
        ("['a', 'b']", ["a", "b"]),
        ("Namespace(lr=0.1, attention_param=1e-05, names=('a',))",
         {"lr": 0.1, "attention_param": 1e-05, "names": ["a"]}),
        ("argparse.Namespace(lr=-0.1)", {"lr": -0.1}),
        ('{"a": true, "b": null, "c": 1e-4}', {"a": True, "b": None, "c": 1e-4}),
        ("lr: 0.1\nmodel:\n  e_lambda: 1e-4\n  names: [a, b]\n",
         {"lr": "0.1", "model": {"e_lambda": "1e-4", "names": ["a", "b"]}}),
        ("a: 1\nb: 2", {"a": "1", "b": "2"}),
        ("base: &b {x: 1}\nmodel:\n  <<: *b\n  y: 2",
         {"base": {"x": "1"}, "model": {"<<": {"x": "1"}, "y": "2"}}),
        ("a = 1\na = f()", None),
        ("a = dict(x=1)\na['x'] = 2\nb = 3", {"b": 3}),
        ("a = dict(x=1)\nfor i in range(3):\n    a.update(x=i)\nb = 3", {"b": 3}),
        ("a = [1]\na += [2]\nb = 3", {"b": 3}),
        ("a = 1\ndel a\nb = 3", {"b": 3}),
        ("a = b = 1\nc = 3", {"c": 3}),
        ("a = 1 / 0\nb = 3", {"b": 3}),
        ("a = 2 ** 9\nb = 3", {"b": 3}),
        ("a = dict(**c, x=1)", {"a": {"x": 1}}),
        ("a = dict([('x', 1)])\nb = 3", {"b": 3}),
        ("a = 1e999\nb = 3", {"b": 3}),
        ("", None),
        ("train.py --e-lambda 0.1 --cos --lr=-0.5 --names a 'b c' --end",
         {"e_lambda": "0.1", "cos": True, "lr": "-0.5", "names": "a", "end": True}),
        ("it's -- what", None),
        ("a word", None),
    ],
)  # fmt: skip
def test_a_text_of_any_kind(text, value):
    assert read_text(text) == value


def test_numbers_that_double_are_let_go_of():
    lines = ["a0 = 3"] + [f"a{i + 1} = a{i} * a{i}" for i in range(10_000)]
    assert list(read_python("\n".join(lines))) == [f"a{i}" for i in range(6)]


N = LARGEST - 40
HOSTILE = {
    "brackets": "[" * N,
    "parentheses": "(" * 150 + ")" * 150,
    "minus": "-" * N + "1",
    "sums": "1+" * (N // 2) + "1",
    "a sum in a config": f"a = {'1+' * 900}1",
    "attributes": "a" + ".a" * (N // 2),
    "calls": "a" + "()" * (N // 2),
    "powers": "9**" * (N // 3) + "9",
    "lambdas": "lambda:" * (N // 7) + "1",
    "targets": "a=" * (N // 2) + "1",
    "digits": "9" * N,
    "hexadecimal": "0x" + "f" * N,
    "lists in JSON": "[" * 5000 + "]" * 5000,
    "a null byte": "a = 1\0",
    "half a surrogate": "a = '\ud800'",
    "indents": "\n".join(" " * i + "if a:" for i in range(99)),
    "formats": "f'{" * 1000,
    "code": "__import__('os').system('touch /tmp/ran') or open('ran', 'w')",
    "aliases": "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(500)),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"b{i}: &b{i} {{<<: [*{'a' if not i else f'b{i - 1}'}, *a]}}\n" for i in range(99)),
    "YAML in depth": "- " * (1 << 14),
    "YAML's flow": "a: " + "[" * (1 << 14),
    "a tag": "!!python/object/apply:os.system ['touch ran']",
    "a broken tag": "!!int x\n---\n!!bool 7",
    "beyond Unicode": 'a: "\\UFFFFFFFF"',
    "keys that are lists": "? [a, b]\n: 1",
    "escapes": "\x1b]0;owned\x07: \x1b[2J",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_bounded(kind, tmp_path, monkeypatch):
    """Measured: 0.4 s of processor time, 110 MB; a text that is refused is None."""
    monkeypatch.chdir(tmp_path)
    start, most = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_text(HOSTILE[kind])
    assert time.process_time() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 400_000
    assert list(tmp_path.iterdir()) == []


def test_a_text_too_large_is_left_unread():
    assert read_text("a = 1" + " " * LARGEST) is None
    assert read_text("a: 1" + "\n#" * (1 << 15)) is None
