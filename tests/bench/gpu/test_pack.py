"""What is carried in pieces comes out as it was, or not at all."""

import hashlib
import io
import json
import sys
import tarfile

import gpu_all
import pytest
from gpu import pack as packing
from gpu.pack import INDEX, unpack, write_pieces

from simam_deploy.errors import InputError
from simam_deploy.op.find import LIBRARIES, PLUGIN_VARIABLE

SIZE = 4000
RANDOM = hashlib.shake_128(b"seed").digest(3 * SIZE)


@pytest.fixture
def work(tmp_path):
    """Two folders of what is packed, and one that is not."""
    for name in ("site/library.so", "plans/rtx/a.engine", "compiled/kernel.so"):
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode() + RANDOM)
    return tmp_path / "work"


@pytest.fixture
def pieces(work, tmp_path):
    write_pieces(work, tmp_path / "pieces", SIZE)
    return tmp_path / "pieces"


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_pieces_are_of_the_size_asked_for_and_come_out_as_they_were(work, pieces, tmp_path):
    sizes = [path.stat().st_size for path in sorted(pieces.glob("*.part"))]
    assert len(sizes) == 4 and set(sizes[:-1]) == {SIZE} and 0 < sizes[-1] <= SIZE
    told = unpack(pieces, tmp_path / "there")
    want = {k: v for k, v in files(work).items() if not k.startswith("compiled")}
    found = files(tmp_path / "there")
    assert found.pop(INDEX) == (pieces / INDEX).read_bytes()
    assert found == want
    assert told == [f"{tmp_path / 'there' / name}: 1 files" for name in ("site", "plans")]


def test_what_was_unpacked_before_goes_and_what_was_compiled_stays(pieces, tmp_path):
    there = tmp_path / "there"
    for name in ("plans/old.engine", "compiled/kernel.so"):
        (there / name).parent.mkdir(parents=True)
        (there / name).write_text("old")
    unpack(pieces, there)
    assert sorted(files(there)) == [
        "compiled/kernel.so",
        INDEX,
        "plans/rtx/a.engine",
        "site/library.so",
    ]


def test_packing_again_leaves_no_piece_of_before(work, pieces):
    (work / "site/library.so").write_bytes(b"small")
    (work / "plans/rtx/a.engine").write_bytes(b"small")
    write_pieces(work, pieces, SIZE)
    assert sorted(p.name for p in pieces.iterdir()) == ["pack.000.part", INDEX]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


BROKEN = {
    "changed": (flip, "pack.001.part is not what was packed: its hash differs"),
    "cut": (cut, f"pack.001.part has {SIZE - 1} bytes, {SIZE} are wanted: it was cut on its way"),
    "missing": (lambda path: path.unlink(), "pack.001.part is missing: carry it as well"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_piece_is_named_and_nothing_is_made(how, pieces, tmp_path, capsys, monkeypatch):
    spoil, message = BROKEN[how]
    spoil(pieces / "pack.001.part")
    monkeypatch.setattr(gpu_all, "WORK", tmp_path / "there")
    assert gpu_all.main(["--unpack", str(pieces)]) == 2
    assert capsys.readouterr().err == f"gpu_all: {pieces}/{message}\n"
    assert not (tmp_path / "there").exists()


def index(pieces, change):
    document = json.loads((pieces / INDEX).read_text())
    (pieces / INDEX).write_text(json.dumps(change(document)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"pieces": d["pieces"][::-1]}, "names 'pack.003.part' for pack.000.part"),
        (lambda d: {"pieces": [{"name": "../../etc"}]}, "names '../../etc' for pack.000.part"),
        (lambda d: {"pieces": []}, "is no index of pieces"),
        (lambda d: {"pieces": {"name": 1}}, "is no index of pieces"),
        (lambda d: {"pieces": [1]}, "is no index of pieces"),
        (lambda d: [], "is no index of pieces"),
        (lambda d: {"pieces": d["pieces"][:2]}, "are no archive of gpu_all"),
    ],
)
def test_an_index_that_is_none_is_refused(change, message, pieces, tmp_path):
    index(pieces, change)
    with pytest.raises(InputError, match=message):
        unpack(pieces, tmp_path / "there")
    assert not list((tmp_path / "there").glob("*"))


def test_without_an_index_or_with_junk(pieces, tmp_path):
    (pieces / INDEX).write_bytes(b"\xff{")
    with pytest.raises(InputError, match="is no index of pieces"):
        unpack(pieces, tmp_path / "there")
    (pieces / INDEX).unlink()
    with pytest.raises(InputError, match="cannot read .*pack.json: No such file"):
        unpack(pieces, tmp_path / "there")


def test_nothing_is_written_beside_the_folder(tmp_path):
    """An archive whose index fits, and whose names lead out."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:xz") as archive:
        entry = tarfile.TarInfo("site/../../outside")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    (tmp_path / "pieces").mkdir()
    content = whole.getvalue()
    (tmp_path / "pieces" / "pack.000.part").write_bytes(content)
    piece = {
        "name": "pack.000.part",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (tmp_path / "pieces" / INDEX).write_text(json.dumps({"pieces": [piece]}))
    with pytest.raises(InputError, match="are no archive of gpu_all"):
        unpack(tmp_path / "pieces", tmp_path / "a" / "there")
    assert not list(tmp_path.rglob("outside"))


def test_packages_are_copied_as_they_are_installed(tmp_path, monkeypatch):
    """Of this Python; what has code for one alone comes from pip for another."""
    monkeypatch.setattr(packing, "PACKED", ("markupsafe",))
    this = ".".join(map(str, sys.version_info[:2]))
    packing.fill_site(tmp_path / "site", this)
    made = {path.name for path in (tmp_path / "site" / "markupsafe").iterdir()}
    assert "__init__.py" in made and any(name.endswith(".so") for name in made)
    assert not list((tmp_path / "site").rglob("*.pyc"))
    asked = []
    monkeypatch.setattr(packing, "_install", lambda *words: asked.append(words[0]))
    packing.fill_site(tmp_path / "site", "3.99")
    assert [word.partition("==")[0] for word in asked] == ["markupsafe"]
    monkeypatch.setattr(packing, "PACKED", ("no-such-package",))
    with pytest.raises(InputError, match="no-such-package is not installed"):
        packing.fill_site(tmp_path / "site", this)


def test_the_plugin_goes_along_where_it_is_built(tmp_path, monkeypatch):
    built = tmp_path / "built"
    built.mkdir()
    for name in LIBRARIES.values():
        (built / name).write_text(name)
    monkeypatch.setenv(PLUGIN_VARIABLE, str(built))
    work = tmp_path / "work"
    assert packing.keep_plugin(work / "plugin")
    write_pieces(work, tmp_path / "pieces", SIZE)
    unpack(tmp_path / "pieces", tmp_path / "there")
    assert sorted(p.name for p in (tmp_path / "there/plugin").iterdir()) == sorted(
        LIBRARIES.values()
    )
    monkeypatch.setattr(packing, "find_plugin", lambda flavour: None)
    assert not packing.keep_plugin(work / "plugin")
    assert not (work / "plugin").exists()
