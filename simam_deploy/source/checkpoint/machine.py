"""The unpickler's stack, and what each opcode does to it where nothing is made and nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simam_deploy.source.checkpoint.calls import NAMESPACE, call, named
from simam_deploy.source.checkpoint.claims import Claims
from simam_deploy.source.checkpoint.stack import Container, Global, Inert, Namespace

_EMPTY_SET = 2
"""What a set is charged: its one byte calls for an object of 216."""


class Machine:
    """The unpickler's stack, marks and memo. `Any`: a wrong type raises, and that is refused."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.newer = False
        self.result: object = None

    def push(self, value: object) -> None:
        """Put what an opcode stands for on the stack."""
        self.stack.append(value)

    def pass_over(self, _: object) -> None:
        """PROTO and FRAME change nothing."""

    def stop(self, _: object) -> None:
        """End the pickle: what is left is its value."""
        (self.result,) = self.take(1)

    def look_up(self, name: str) -> None:
        """Name a class or function by "module name"."""
        self.push(named(self.claims, name))

    def look_up_stacked(self, _: object) -> None:
        """Name one by two texts on the stack."""
        module, name = self.take(2)
        if type(module) is not str or type(name) is not str or " " in module:
            raise ValueError("a class is named by what is no text")
        self.push(named(self.claims, f"{module} {name}"))

    def remember(self, index: int) -> None:
        """Give the value on top a number."""
        self.memo[index] = self.stack[-1]

    def remember_next(self, _: object) -> None:
        """Give the value on top the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Push the value of a number."""
        self.push(self.memo[index])

    def mark(self, _: object) -> None:
        """Begin a group of values."""
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """End a group, and give its values."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def take(self, count: int) -> list[Any]:
        """Take values off the stack, the deepest first."""
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def extend(self, items: list[Any]) -> None:
        """Add to a list."""
        target: list[Any] = self.stack[-1]
        target.extend(items)

    def empty_set(self, _: object) -> None:
        """Begin a set."""
        self.claims.charge(_EMPTY_SET)
        self.push(Container())

    def fill(self, items: list[Any]) -> None:
        """Add keys and values to a dict."""
        self.claims.fill(self.stack[-1], items[::2])

    def fill_set(self, items: list[Any]) -> None:
        """Add to a set."""
        self.claims.fill(self.stack[-1], items)

    def freeze(self, _: object) -> None:
        """Make a frozenset of a group."""
        self.push(self.claims.frozen(self.pop_mark()))

    def persistent(self, _: object) -> None:
        """Ask for what lies outside of the pickle."""
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
        """Call a function."""
        function, arguments = self.take(2)
        self.push(call(self.claims, function, arguments))

    def new_object(self, _: object) -> None:
        """Make an object of a class."""
        self._make(*self.take(2))

    def new_object_by_name(self, _: object) -> None:
        """Make one with arguments by name."""
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
        """Give an object its state."""
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


def _constant(make: Callable[[], object]) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    return lambda machine, _: machine.push(tuple(machine.take(count)))


def _newer(step: Callable[[Machine, Any], None]) -> Callable[[Machine, Any], None]:
    def noted(machine: Machine, argument: Any) -> None:
        machine.newer = True
        step(machine, argument)

    return noted


_ARGUMENTS = "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINSTRING"
_NEWER_ARGUMENTS = "BINBYTES SHORT_BINBYTES BINBYTES8 SHORT_BINUNICODE BINUNICODE8"
_NEWER_ARGUMENTS += " BYTEARRAY8 BINSTRING"
"""Without LONG4: an integer over 2,040 bits takes a key's hash, a shape's product and a message's
digits more time than its bytes are worth."""
STEPS: Mapping[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(_ARGUMENTS.split(), Machine.push),
    "PROTO": Machine.pass_over,
    "STOP": Machine.stop,
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_TUPLE": _constant(tuple),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(Container),
    "EMPTY_SET": Machine.empty_set,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.fill(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.fill(machine.pop_mark()),
    "MARK": Machine.mark,
    "BINPUT": Machine.remember,
    "LONG_BINPUT": Machine.remember,
    "BINGET": Machine.recall,
    "LONG_BINGET": Machine.recall,
    "GLOBAL": Machine.look_up,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "BUILD": Machine.build,
    "BINPERSID": Machine.persistent,
    **dict.fromkeys(_NEWER_ARGUMENTS.split(), _newer(Machine.push)),
    "FRAME": _newer(Machine.pass_over),
    "MEMOIZE": _newer(Machine.remember_next),
    "STACK_GLOBAL": _newer(Machine.look_up_stacked),
    "NEWOBJ_EX": _newer(Machine.new_object_by_name),
    "ADDITEMS": _newer(lambda machine, _: machine.fill_set(machine.pop_mark())),
    "FROZENSET": _newer(Machine.freeze),
}
"""By the opcode's name; what is not here is refused."""
