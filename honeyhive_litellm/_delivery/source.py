"""What delivery needs of the place that events come from: the `Source` protocol.

The spool of this machine is one kind, a stream of a broker the other. The flusher takes batches from a source, gives
them to a sink, and reports to the source what became of them.
"""

from __future__ import annotations

from typing import Optional, Protocol, Tuple, TypeVar

from honeyhive_litellm._spool.record import Row

B = TypeVar("B", bound="Batch")


class Batch(Protocol):
    """Events that are sent together: a NamedTuple, to which a source adds fields of its own.

    `rows` are the events still to be sent. `ambiguous_since` is the Unix time of an earlier attempt whose outcome is
    unknown, None if there was none.
    """

    @property
    def rows(self) -> Tuple[Row, ...]: ...

    @property
    def ambiguous_since(self) -> Optional[float]: ...

    def _replace(self: B, *, rows: Tuple[Row, ...] = ..., ambiguous_since: Optional[float] = ...) -> B: ...


class Source(Protocol[B]):
    """Where events wait until a sink has them. Lives on one event loop.

    No method raises for trouble with a disk or a network. A batch that was taken is settled, becomes dead letters, or
    stays: whoever takes over after this process gets it again.
    """

    @property
    def name(self) -> str:
        """What log lines call the place: "the spool"."""

    @property
    def dead_letters_command(self) -> str:
        """The command that lists the source's dead letters, for log lines."""

    @property
    def pending(self) -> int:
        """How many events are here and not settled."""

    async def next_batch(self) -> Optional[B]:
        """Take the next events, marked as being sent; None if there are none now. `Flusher.wake` announces more."""

    async def mark(self, batch: B) -> None:
        """Mark `batch` as being sent from now on, for an attempt after the first."""

    async def unmark(self, batch: B) -> None:
        """Note that the sink certainly did not store `batch`: after a crash it need not be looked up."""

    async def split(self, batch: B) -> Tuple[B, B]:
        """Halve a batch of at least two events."""

    async def settle(self, batch: B) -> None:
        """Note that the sink has all events of `batch`."""

    async def add_dead_letter(self, batch: B, status: Optional[int], reason: str) -> bool:
        """Move the events of `batch` to the dead letters; False if they could not be written there."""
