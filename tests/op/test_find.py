import pytest

from simam_deploy.errors import InputError
from simam_deploy.op import find
from simam_deploy.op.find import KERNELS, LIBRARIES, find_kernels, find_plugin

FLAVOURS = list(LIBRARIES)


@pytest.fixture(autouse=True)
def nothing_built(tmp_path, monkeypatch):
    monkeypatch.delenv("SIMAM_PLUGIN", raising=False)
    monkeypatch.setattr(find, "_BUILT", tmp_path / "built")


def libraries(folder):
    folder.mkdir()
    for name in LIBRARIES.values():
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_none_is_built(flavour):
    assert find_plugin(flavour) is None


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_checkout_built_is_found(flavour, tmp_path):
    built = libraries(tmp_path / "built")
    assert find_plugin(flavour) == built / LIBRARIES[flavour]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_variable_goes_first(flavour, tmp_path, monkeypatch):
    libraries(tmp_path / "built")
    other = libraries(tmp_path / "other")
    monkeypatch.setenv("SIMAM_PLUGIN", str(other))
    assert find_plugin(flavour) == other / LIBRARIES[flavour]
    monkeypatch.setenv("SIMAM_PLUGIN", str(other / LIBRARIES[flavour]))
    assert find_plugin(flavour) == other / LIBRARIES[flavour]


def test_the_kernels_are_found_beside_the_libraries(tmp_path, monkeypatch):
    built = libraries(tmp_path / "built")
    assert find_kernels() is None
    (built / KERNELS).touch()
    assert find_kernels() == built / KERNELS
    monkeypatch.setenv("SIMAM_PLUGIN", str(libraries(tmp_path / "other")))
    assert find_kernels() is None


def test_a_library_of_another_name_serves(tmp_path, monkeypatch):
    (tmp_path / "mine.so").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMAM_PLUGIN", "mine.so")
    assert find_plugin("tensorrt") == tmp_path / "mine.so"


def test_the_other_flavours_library_is_refused(tmp_path, monkeypatch):
    folder = libraries(tmp_path / "both")
    monkeypatch.setenv("SIMAM_PLUGIN", str(folder / LIBRARIES["tensorrt"]))
    with pytest.raises(InputError, match=r"other flavour: name libsimam_tensorrt_rtx\.so"):
        find_plugin("tensorrt_rtx")


@pytest.mark.parametrize("place", ["missing.so", "empty"])
def test_a_variable_that_names_nothing_is_an_error(place, tmp_path, monkeypatch):
    libraries(tmp_path / "built")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SIMAM_PLUGIN", str(tmp_path / place))
    with pytest.raises(InputError, match="scripts/build_plugin"):
        find_plugin("tensorrt")
