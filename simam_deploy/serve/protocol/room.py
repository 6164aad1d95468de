"""How much memory the requests of all clients may hold together."""

from __future__ import annotations

from simam_deploy.serve.protocol.refusals import Busy, TooLarge


class Room:
    """Counts what requests hold: their bodies, as they come in, and answers until they are sent.

    Args:
        limit: Bytes of all of them together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def check(self, size: int) -> None:
        """See whether there is room for so many bytes more, without taking it.

        Raises:
            Busy: There is not.
        """
        if self.held + size > self.limit:
            raise Busy(
                f"the requests being served hold {self.held} bytes, {self.limit} is the limit"
            )


class Share:
    """What one request holds of the room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._size = 0

    def take(self, size: int, what: str, instead_of: int = 0) -> None:
        """Take room for so many bytes more.

        Args:
            size: How many.
            what: That they are, for the message.
            instead_of: How many of them were taken before.

        Raises:
            TooLarge: There is never so much, for one request.
            Busy: There is not now.
        """
        if size > self.room.limit:
            raise TooLarge(f"{what} of {size} bytes, {self.room.limit} is the limit")
        more = size - instead_of
        self.room.check(more)
        self.room.held += more
        self._size += more

    def give_back(self) -> None:
        """Give all of it back."""
        self.room.held -= self._size
        self._size = 0
