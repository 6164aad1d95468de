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
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any, NamedTuple

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.claims import MAX_PICKLE_BYTES, Claims, NeedsCodeError
from simam_deploy.source.checkpoint.content import ADVICE, damaged, reason
from simam_deploy.source.checkpoint.machine import STEPS, Machine

_LEGACY_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"
_LEGACY_HEAD = 32
"""The magic number is all that the first pickle holds: 15 bytes in protocol 2, 26 in 4."""
_LEGACY_PICKLES = ("magic number", "version", "platform", "object", "storages' keys")
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
    machine = Machine(Claims(size, records))
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
    machines, ends = [Machine(claims) for _ in _LEGACY_PICKLES], [0]
    for machine in machines:
        _walk(stream, machine)
        ends.append(stream.tell())
    if machines[-1].result != sorted(claims.storages):
        raise CheckpointError("lists other storages than its tensors use: copy it again")
    end = stream.tell() + sum(_SIZE_FIELD + nbytes for nbytes in claims.storages.values())
    if end > size:
        raise CheckpointError(f"is cut off: {end - size:,} bytes are missing; copy it again")
    return _verdict(machines, tuple(head[start:end] for start, end in pairwise(ends)))


def _verdict(machines: Sequence[Machine], pickles: tuple[bytes, ...]) -> Screened:
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


def _walk(stream: IO[bytes], machine: Machine) -> None:
    """Walk one pickle."""
    for opcode, argument, place in _opcodes(stream):
        step = STEPS.get(opcode.name)
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
