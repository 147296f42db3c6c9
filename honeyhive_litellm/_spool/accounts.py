"""What became of events whose file is gone, or that never had one: kept in the ledger, in memory where it fails."""

from __future__ import annotations

from pathlib import Path

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn
from honeyhive_litellm._stats import Totals

from .lease import state_path
from .ledger import Ledger
from .process_state import LOST, published_by, withdraw
from .segment import Segment


class Accounts:
    """The accounts that one spool closes. Belongs to a loop. Nothing here raises.

    `unspooled` are the events that neither a segment's file nor the ledger tells of.
    """

    def __init__(self, folder: Path) -> None:
        self.unspooled = Totals()
        self._folder = folder
        self._ledger = Ledger(folder)

    async def close(self, segment: Segment, reason: str) -> None:
        """Write down what became of the events of a segment that is about to go; what is pending, as dropped."""
        totals = segment.totals().giving_up(reason)
        if totals.accepted and isinstance(segment.path, Path):
            try:
                await self._ledger.close_account(segment.path.name, totals)
            except SpoolError as error:
                warn("ledger", "honeyhive: the totals of a spool segment cannot be written down: %s", error)
            else:
                return
        self.unspooled = self.unspooled.plus(totals)

    async def correct(self, segment: Segment, change: Totals) -> None:
        """Add `change`, which may be negative, to the account of a segment that was closed."""
        if isinstance(segment.path, Path):
            try:
                await self._ledger.correct(change)
            except SpoolError:
                pass  # the folder is in trouble, which has been told
            else:
                return
        self.unspooled = self.unspooled.plus(change)

    async def inherit(self, owner: str) -> None:
        """What a dead owner had in memory alone is lost, and counted as such."""
        published = published_by(self._folder, owner)
        await self.withdraw(owner, Totals() if published is None else published.unspooled)

    async def withdraw(self, owner: str, unspooled: Totals) -> None:
        """Remove what `owner` published; of the events that are in no file those are lost that are pending."""
        try:
            if unspooled.accepted:
                name = state_path(self._folder, owner).name
                await self._ledger.close_account(name, unspooled.giving_up(LOST))
        except SpoolError:
            pass  # it stays for the next process that looks
        else:
            withdraw(self._folder, owner)
