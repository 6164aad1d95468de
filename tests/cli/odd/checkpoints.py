"""Odd checkpoints, each made of a sound one by what its number draws."""

import argparse
import enum
import pathlib
import random
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

Tree = dict[str, object]
ODD_KEYS = ("", ".", "..", "a" * 5000, "\x1b[31mred", "ключ", "line\nbreak", "\u202eback", "fc..w")
ODD_VALUES = (
    None, 0, -1.5, float("nan"), True, "text", b"bytes", (), [], {}, set(), 2**70, 1j,
    pathlib.PureWindowsPath("C:/runs"), pathlib.PurePosixPath("/runs"), Counter("aab"),
    argparse.Namespace(e_lambda="much", lr=0.1), defaultdict(int), slice(1, 2), range(3),
    torch.Size([1, 2]), torch.float16, torch.device("cpu"), enum.Flag,
)  # fmt: skip
ODD_TENSORS = (
    lambda: torch.zeros(0), lambda: torch.tensor(1.0), lambda: torch.full((4, 4), float("nan")),
    lambda: torch.full((4,), float("inf")), lambda: torch.zeros(3, dtype=torch.complex64),
    lambda: torch.zeros(3, dtype=torch.bool), lambda: torch.zeros(2, 2, dtype=torch.float64),
    lambda: torch.zeros(5, dtype=torch.uint8), lambda: torch.zeros(1).expand(1000, 1000),
    lambda: torch.eye(3).to_sparse(), lambda: torch.zeros(8, dtype=torch.bfloat16)[::2],
    lambda: torch.zeros(8, dtype=torch.float8_e4m3fn),
)  # fmt: skip


def _replace_value(draw: random.Random, tree: Tree) -> Tree:
    return {**tree, draw.choice(list(tree)): draw.choice(ODD_VALUES)}


def _replace_tensor(draw: random.Random, tree: Tree) -> Tree:
    return {**tree, draw.choice(list(tree)): draw.choice(ODD_TENSORS)()}


def _reshape(draw: random.Random, tree: Tree) -> Tree:
    key = draw.choice([key for key, value in tree.items() if torch.is_tensor(value)] or list(tree))
    value = tree[key]
    return {**tree, key: value[None] if torch.is_tensor(value) else value}


def _drop(draw: random.Random, tree: Tree) -> Tree:
    dropped = draw.sample(list(tree), draw.randint(1, len(tree)))
    return {key: value for key, value in tree.items() if key not in dropped}


def _rename(draw: random.Random, tree: Tree) -> Tree:
    old, new = draw.choice(list(tree)), draw.choice((*ODD_KEYS, *tree))
    return {new if key == old else key: value for key, value in tree.items()}


def _prefix(draw: random.Random, tree: Tree) -> Tree:
    prefix = draw.choice(("module.", "model.", "_orig_mod.", "module.module.", "x.", "\0."))
    return {prefix + key: value for key, value in tree.items()}


def _add(draw: random.Random, tree: Tree) -> Tree:
    return {**tree, draw.choice(ODD_KEYS): draw.choice((*ODD_VALUES, *(t() for t in ODD_TENSORS)))}


def _odd_keys(draw: random.Random, tree: Tree) -> Tree:
    some = draw.choice((3, None, (1, 2), 1.5, b"key", frozenset({1})))
    return {**tree, some: torch.ones(2)}  # type: ignore[dict-item]


def _of_another_type(draw: random.Random, tree: Tree) -> object:
    makes: tuple[Callable[[Tree], object], ...] = (
        lambda t: list(t.values()), lambda t: tuple(t.items()), lambda t: torch.ones(3),
        lambda t: OrderedDict(t), lambda t: argparse.Namespace(**{"state_dict": t}),
        lambda t: [t, t], lambda t: {"state_dict": t, "model": t}, lambda t: {"state_dict": {}},
        lambda t: {"model": {"model": {"model": {"model": t}}}}, lambda t: "text", lambda t: None,
        lambda t: {"epoch": 3}, lambda t: {"state_dict": [t]}, lambda t: {"args": t},
    )  # fmt: skip
    return draw.choice(makes)(tree)


def _beside(draw: random.Random, tree: Tree) -> Tree:
    name = draw.choice(("args", "epoch", "config", "hyper_parameters", "e_lambda", "optimizer"))
    return {"state_dict": tree, name: draw.choice(ODD_VALUES)}


def _lambdas(draw: random.Random, tree: Tree) -> Tree:
    said = draw.choice((-1, float("nan"), "0.1", "much", [0.1], True, 10**400, {"e_lambda": 4}))
    return {"state_dict": tree, "args": {"e_lambda": said}}


CHANGES = (
    _replace_value, _replace_tensor, _reshape, _drop, _rename, _prefix, _add, _odd_keys,
    _of_another_type, _beside, _lambdas,
)  # fmt: skip


def make(number: int, sound: Tree, folder: Path) -> Path:
    """Write odd checkpoint `number`: its values are odd, its bytes, or both."""
    draw = random.Random(number)
    tree: object = dict(sound)
    for _ in range(draw.randint(0 if number % 3 == 0 else 1, 2)):
        tree = draw.choice(CHANGES)(draw, tree) if isinstance(tree, dict) and tree else tree
    path = _save(draw, tree, folder)
    if number % 3 == 0:
        path.write_bytes(_odd_bytes(draw, path.read_bytes()))
    return path


def _save(draw: random.Random, tree: object, folder: Path) -> Path:
    flat = isinstance(tree, dict) and all(torch.is_tensor(value) for value in tree.values())
    if flat and draw.random() < 0.3:
        path = folder / "odd.safetensors"
        try:
            save_file({str(k): v.contiguous().clone() for k, v in tree.items()}, path)
        except Exception:  # what it does not write, torch does
            path.unlink(missing_ok=True)
        else:
            return path
    path = folder / "odd.pth"
    torch.save(tree, path, _use_new_zipfile_serialization=draw.random() < 0.6)
    return path


def _odd_bytes(draw: random.Random, raw: bytes) -> bytes:
    """Change bytes anywhere, half of the time near one end, where the structure lies."""
    kind, at = draw.randrange(5), draw.randrange(len(raw))
    near = draw.choice((at, min(at, 2000), max(0, len(raw) - 2000 + at % 2000)))
    match kind:
        case 0:
            return raw[:near]
        case 1:
            return raw[:near] + draw.randbytes(draw.choice((1, 7, 300))) + raw[near:]
        case 2:
            return raw[:near] + raw[near + draw.choice((1, 8, 500)) :]
        case 3:
            return raw[near:]
    changed = bytearray(raw)
    for _ in range(draw.choice((1, 3, 50))):
        changed[draw.choice((near, draw.randrange(len(raw))))] = draw.randrange(256)
    return bytes(changed)
