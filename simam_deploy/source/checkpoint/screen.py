"""Read a pickle without running it: refuse code, and every size that the file cannot hold.

`torch.load(weights_only=True)` runs no code, but it believes sizes. Measured with torch 2.13, also
under FakeTensorMode: 350 bytes that call `bytearray(2**33)` take 8.5 GB, 24 nested
`_codecs.encode(.., "hex")` 2.3 GB, and a dict key of a million nested tuples ends the process by a
segmentation fault. So the opcodes are walked here first: a container is only counted, a call is
only a look at its arguments. What passes costs torch.load the storages, which fit into the file,
and a multiple of the pickle's length. 90,000 opcodes (3,000 tensors) take 0.15 s.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any, NamedTuple

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.calls import NAMESPACE, call, named
from simam_deploy.source.checkpoint.claims import MAX_PICKLE_BYTES, Claims, NeedsCodeError
from simam_deploy.source.checkpoint.content import ADVICE, damaged, reason
from simam_deploy.source.checkpoint.stack import Container, Global, Inert, Namespace

_LEGACY_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"
_LEGACY_HEAD = 32
"""The magic number is all that the first pickle holds: 15 bytes in protocol 2, 26 in 4."""
_LEGACY_PICKLES = ("magic number", "version", "platform", "object", "storages' keys")
_EMPTY_SET = 2
"""What a set is charged: its one byte calls for an object of 216."""
_SIZE_FIELD = 8
"""Each storage of a legacy file is led by its number of items, a 64-bit integer."""


class Screened(NamedTuple):
    """What a file's pickles ask for that torch.load(weights_only=True) does not give.

    Attributes:
        foreign: Classes and functions that are not known here, as Python spells them.
        newer: Whether they use opcodes of protocol 3 and up.
        pickles: Their bytes, in the file's order.
    """

    foreign: tuple[str, ...]
    newer: bool
    pickles: tuple[bytes, ...]

    @property
    def needs_inert(self) -> bool:
        """Whether only the unpickler that makes `Inert` objects can read them."""
        return bool(self.foreign) or self.newer


def screen_archive(pickle: bytes, records: Mapping[str, int], size: int) -> Screened:
    """Judge the pickle of a zip checkpoint.

    Args:
        pickle: The record data.pkl.
        records: Bytes of each storage's record, by key.
        size: Bytes of the file.

    Raises:
        NeedsCodeError: Only the full unpickler can read it.
        CheckpointError: It claims more than the file holds.
    """
    machine = _Machine(Claims(size, records))
    _walk(io.BytesIO(pickle), machine)
    return _verdict([machine], (pickle,))


def screen_legacy(file: IO[bytes], size: int) -> Screened:
    """Judge a file of the format before PyTorch 1.6; arguments and errors as `screen_archive`.

    It is five pickles (magic number, version, platform, the object, the storages' keys), then each
    storage in the order of the keys.
    """
    head = file.read(MAX_PICKLE_BYTES)
    if _LEGACY_MAGIC not in head[:_LEGACY_HEAD]:
        raise CheckpointError(f"is a plain pickle that torch.save did not write: {ADVICE}")
    stream, claims = io.BytesIO(head), Claims(size)
    machines, ends = [_Machine(claims) for _ in _LEGACY_PICKLES], [0]
    for machine in machines:
        _walk(stream, machine)
        ends.append(stream.tell())
    if machines[-1].result != sorted(claims.storages):
        raise CheckpointError("lists other storages than its tensors use: copy it again")
    end = stream.tell() + sum(_SIZE_FIELD + nbytes for nbytes in claims.storages.values())
    if end > size:
        raise CheckpointError(f"is cut off: {end - size:,} bytes are missing; copy it again")
    return _verdict(machines, tuple(head[start:end] for start, end in pairwise(ends)))


def _verdict(machines: Sequence[_Machine], pickles: tuple[bytes, ...]) -> Screened:
    """Say what it takes to read what was walked.

    Raises:
        CheckpointError: A value's number is beyond its pickle's length, and the unpickler that
            has to read it would make a table of that size.
    """
    foreign = tuple(machines[0].claims.foreign.values())
    found = Screened(foreign, any(machine.newer for machine in machines), pickles)
    beyond = [max(m.memo, default=0) > len(p) for m, p in zip(machines, pickles, strict=True)]
    if found.needs_inert and any(beyond):
        raise CheckpointError(
            "holds a pickle that torch.save did not write (a value's number is beyond its "
            f"length): {ADVICE}"
        )
    return found


def _walk(stream: IO[bytes], machine: _Machine) -> None:
    """Walk one pickle."""
    for opcode, argument, place in _opcodes(stream):
        step = _STEPS.get(opcode.name)
        if step is None:
            raise NeedsCodeError(
                f"its pickle uses {opcode.name}, which the safe reader does not know: save it with "
                "torch.save's default protocol, or trust it if you trust whoever made it",
                options=("trust_pickle",),
            )
        try:
            if opcode.name == "GLOBAL" and stream.tell() - (place or 0) != len(argument) + 2:
                raise ValueError("a class is named with escapes, which only pickletools reads")
            step(machine, argument)
        except CheckpointError:
            raise
        except Exception as error:  # opcodes in no sensible order raise whatever Python has
            raise CheckpointError(
                f"holds a pickle that torch.save did not write ({opcode.name} at byte {place}, "
                f"{type(error).__name__}: {reason(error)}): {ADVICE}"
            ) from None


def _opcodes(stream: IO[bytes]) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    """Read opcodes; that they break off is what only a copy of the file can mend."""
    try:
        yield from pickletools.genops(stream)
    except Exception as error:  # pickletools raises all kinds at what is no pickle any more
        raise damaged(error) from None


class _Machine:
    """The unpickler's stack, marks and memo. `Any`: a wrong type raises, and that is refused."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.newer = False
        self.result: object = None

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pass_over(self, _: object) -> None:
        """PROTO and FRAME change nothing."""

    def stop(self, _: object) -> None:
        (self.result,) = self.take(1)

    def look_up(self, name: str) -> None:
        self.push(named(self.claims, name))

    def look_up_stacked(self, _: object) -> None:
        module, name = self.take(2)
        if type(module) is not str or type(name) is not str or " " in module:
            raise ValueError("a class is named by what is no text")
        self.push(named(self.claims, f"{module} {name}"))

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def remember_next(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.push(self.memo[index])

    def mark(self, _: object) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def extend(self, items: list[Any]) -> None:
        target: list[Any] = self.stack[-1]
        target.extend(items)

    def empty_set(self, _: object) -> None:
        self.claims.charge(_EMPTY_SET)
        self.push(Container())

    def fill(self, items: list[Any]) -> None:
        self.claims.fill(self.stack[-1], items[::2])

    def fill_set(self, items: list[Any]) -> None:
        self.claims.fill(self.stack[-1], items)

    def freeze(self, _: object) -> None:
        self.push(self.claims.frozen(self.pop_mark()))

    def persistent(self, _: object) -> None:
        (request,) = self.take(1)
        if request[0] == "module":  # a legacy file's way to name a network's class, with its text
            self.push(self._module(request[1]))
        else:
            self.push(self.claims.storage(request))

    def _module(self, made: Global) -> Global:
        self.claims.charge_tensor()
        if made.name not in self.claims.foreign:
            raise ValueError("a network's class is none")
        return made

    def reduce(self, _: object) -> None:
        function, arguments = self.take(2)
        self.push(call(self.claims, function, arguments))

    def new_object(self, _: object) -> None:
        self._make(*self.take(2))

    def new_object_by_name(self, _: object) -> None:
        made, arguments, _named = self.take(3)
        self._make(made, arguments)

    def _make(self, made: object, arguments: object) -> None:
        if isinstance(made, Global) and made.name in self.claims.foreign:
            self.push(Inert())
        elif [made, arguments] == [Global(NAMESPACE), ()]:
            self.push(Namespace())
        else:
            raise ValueError("only an argparse.Namespace is made anew")

    def build(self, _: object) -> None:
        (state,) = self.take(1)
        target: Container = self.stack[-1]  # a tensor has no size: torch would call its set_
        states = state if isinstance(target, Inert) and isinstance(state, tuple) else (state,)
        self.claims.charge(len(states))
        for part in states:
            if isinstance(part, Container) or not isinstance(target, Inert):
                self._give(target, part)

    def _give(self, target: Container, state: Container) -> None:
        copied = self.claims.copy(state)
        if copied.hides and not isinstance(target, (Inert, Namespace)):
            raise ValueError("an attribute hides a method")
        target.hides |= copied.hides
        target.size += state.size


def _constant(make: Callable[[], object]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(tuple(machine.take(count)))


def _newer(step: Callable[[_Machine, Any], None]) -> Callable[[_Machine, Any], None]:
    def noted(machine: _Machine, argument: Any) -> None:
        machine.newer = True
        step(machine, argument)

    return noted


_ARGUMENTS = "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINSTRING"
_NEWER_ARGUMENTS = "BINBYTES SHORT_BINBYTES BINBYTES8 SHORT_BINUNICODE BINUNICODE8"
_NEWER_ARGUMENTS += " BYTEARRAY8 BINSTRING"
"""Without LONG4: an integer over 2,040 bits takes a key's hash, a shape's product and a message's
digits more time than its bytes are worth."""
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_ARGUMENTS.split(), _Machine.push),
    "PROTO": _Machine.pass_over,
    "STOP": _Machine.stop,
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_TUPLE": _constant(tuple),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(Container),
    "EMPTY_SET": _Machine.empty_set,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.fill(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.fill(machine.pop_mark()),
    "MARK": _Machine.mark,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.look_up,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
    **dict.fromkeys(_NEWER_ARGUMENTS.split(), _newer(_Machine.push)),
    "FRAME": _newer(_Machine.pass_over),
    "MEMOIZE": _newer(_Machine.remember_next),
    "STACK_GLOBAL": _newer(_Machine.look_up_stacked),
    "NEWOBJ_EX": _newer(_Machine.new_object_by_name),
    "ADDITEMS": _newer(lambda machine, _: machine.fill_set(machine.pop_mark())),
    "FROZENSET": _newer(_Machine.freeze),
}
