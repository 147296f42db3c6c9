"""What became of every event, in numbers that add up at any moment."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Dict, List, Mapping, Optional, Sequence


@dataclass(frozen=True)
class Totals:
    """What has become of a number of events; those neither delivered nor dead nor dropped are pending."""

    accepted: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return self.accepted - self.delivered - self.dead - sum(self.dropped.values())

    def plus(self, other: Totals) -> Totals:
        dropped = dict(self.dropped)
        for reason, events in other.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + events
        return Totals(self.accepted + other.accepted, self.delivered + other.delivered, self.dead + other.dead, dropped)

    def with_pending_dropped(self, reason: str) -> Totals:
        """These totals with the pending events dropped for `reason`."""
        return self.plus(Totals(dropped={reason: self.pending})) if self.pending else self

    def as_items(self) -> Dict[str, int]:
        """One number a name, zeros left out, for storing; `of_items` reads it back."""
        items = {"accepted": self.accepted, "delivered": self.delivered, "dead": self.dead}
        items.update({f"dropped.{reason}": events for reason, events in self.dropped.items()})
        return {name: events for name, events in items.items() if events}

    @classmethod
    def of_items(cls, items: Mapping[str, int]) -> Totals:
        dropped = {n.partition(".")[2]: events for n, events in items.items() if n.startswith("dropped.")}
        return cls(items.get("accepted", 0), items.get("delivered", 0), items.get("dead", 0), dropped)


@dataclass(frozen=True)
class Stats:
    """A snapshot of one process's events: `accepted == delivered + pending + dead + sum(dropped.values())`.

    * `accepted`: events this process took in: its own calls' and those of dead processes it adopted.
    * `delivered`: the server has confirmed them.
    * `pending`: still to be delivered, in memory or on disk; `committed` is how many accepted ones have reached
      the disk.
    * `dead`: refused by the server for good and moved to the dead letters.
    * `dropped`: will not be delivered, by reason.
    * `adopted`: how many of the accepted ones were left by dead processes.
    * `in_flight`: calls that began and have no event yet; not part of the sum.
    * `sampled`: calls that ended well and have no event, because their session is not in the sample
      (`sample_rate`); neither accepted nor part of the sum.
    * `withheld`: events without content, because a `redact` function raised or did not return; each is
      counted above as well.
    * `locked`: events that dead processes left, encrypted with a key that this process does not have (`spool_key`);
      neither accepted nor part of the sum.
    * `last_error`: the newest delivery trouble, in words, None after a success.
    * `unrouted`: calls that match no destination's rule and are not recorded (`default_destination="none"`);
      not part of the sum.
    * `destinations`: the same numbers for each destination, with the main project as `default`; empty without
      destinations. A destination that a later `init` removed keeps its numbers.
    """

    accepted: int = 0
    committed: int = 0
    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: Dict[str, int] = field(default_factory=dict)
    adopted: int = 0
    in_flight: int = 0
    sampled: int = 0
    withheld: int = 0
    last_error: Optional[str] = None
    locked: int = 0
    unrouted: int = 0
    destinations: Dict[str, Stats] = field(default_factory=dict)

    def without_locked(self) -> Stats:
        """The same numbers, with nothing locked."""
        parts = {name: part.without_locked() for name, part in self.destinations.items()}
        return replace(self, locked=0, destinations=parts)


def sum_of(snapshots: Sequence[Stats]) -> Stats:
    """Several runtimes' numbers as one."""
    dropped: Dict[str, int] = {}
    by_destination: Dict[str, List[Stats]] = {}
    for snapshot in snapshots:
        for reason, events in snapshot.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + events
        for name, numbers in snapshot.destinations.items():
            by_destination.setdefault(name, []).append(numbers)
    return Stats(
        accepted=sum(s.accepted for s in snapshots),
        committed=sum(s.committed for s in snapshots),
        delivered=sum(s.delivered for s in snapshots),
        pending=sum(s.pending for s in snapshots),
        dead=sum(s.dead for s in snapshots),
        dropped=dropped,
        adopted=sum(s.adopted for s in snapshots),
        in_flight=sum(s.in_flight for s in snapshots),
        sampled=sum(s.sampled for s in snapshots),
        withheld=sum(s.withheld for s in snapshots),
        last_error=next((s.last_error for s in snapshots if s.last_error), None),
        locked=sum(s.locked for s in snapshots),
        unrouted=sum(s.unrouted for s in snapshots),
        destinations={name: sum_of(numbers) for name, numbers in by_destination.items()},
    )


class Counters:
    """The moving numbers behind `Stats`. Each change is one event's step from one state to the next."""

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._accepted = 0
        self._committed = 0
        self._delivered = 0
        self._dead = 0
        self._adopted = 0
        self._dropped: Dict[str, int] = {}
        self._lost: Dict[str, int] = {}
        self.last_error: Optional[str] = None
        self.locked = 0
        """Events that were found on disk and cannot be decrypted here."""

    def accept(self, events: int) -> None:
        with self._lock:
            self._accepted += events

    def commit(self, events: int) -> None:
        with self._lock:
            self._committed += events

    def adopt(self, events: int) -> None:
        """Count events that were found on disk: accepted and committed at once."""
        with self._lock:
            self._accepted += events
            self._committed += events
            self._adopted += events

    def deliver(self, events: int) -> None:
        with self._lock:
            self._delivered += events
            self._lock.notify_all()

    def dead_letter(self, events: int) -> None:
        with self._lock:
            self._dead += events
            self._lock.notify_all()

    def drop(self, reason: str, events: int) -> None:
        if events:
            with self._lock:
                self._dropped[reason] = self._dropped.get(reason, 0) + events
                self._lock.notify_all()

    def lose(self, reason: str, events: int) -> None:
        """Drop events that are in no segment, so that no segment's totals count them."""
        if events:
            with self._lock:
                self._lost[reason] = self._lost.get(reason, 0) + events
            self.drop(reason, events)

    def lost(self) -> Totals:
        """The events that `lose` counted."""
        with self._lock:
            return Totals(sum(self._lost.values()), dropped=dict(self._lost))

    def _settled(self) -> int:
        return self._delivered + self._dead + sum(self._dropped.values())

    def wait_until_settled(self, timeout_s: float) -> bool:
        """Wait until as many events are settled as are accepted now; False if the time was up first."""
        with self._lock:
            goal = self._accepted
            return self._lock.wait_for(lambda: self._settled() >= goal, timeout_s)

    def snapshot(self, in_flight: int = 0, sampled: int = 0, withheld: int = 0) -> Stats:
        """All numbers as of one instant."""
        with self._lock:
            return Stats(
                accepted=self._accepted,
                committed=self._committed,
                delivered=self._delivered,
                pending=self._accepted - self._settled(),
                dead=self._dead,
                dropped=dict(self._dropped),
                adopted=self._adopted,
                in_flight=in_flight,
                sampled=sampled,
                withheld=withheld,
                last_error=self.last_error,
                locked=self.locked,
            )
