"""What became of events whose file was removed or that never had one: in the ledger, or in memory if that fails."""

from __future__ import annotations

from pathlib import Path

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Totals

from .layout import state_path
from .ledger import Ledger
from .process_state import LOST, read_state, remove_state
from .segment import Segment
from .segment_files import MEMORY


class Accounts:
    """The accounts that one spool closes. Belongs to a loop. Nothing here raises.

    `unspooled` counts the events of this process that are neither in a segment's file nor in the ledger.
    """

    def __init__(self, folder: Path) -> None:
        self.unspooled = Totals()
        self._folder = folder
        self._ledger = Ledger(folder)

    async def close(self, segment: Segment, reason: str) -> None:
        """Write down the totals of a segment that is about to be removed; pending events as dropped for `reason`."""
        totals = segment.totals().with_pending_dropped(reason)
        if totals.accepted and isinstance(segment.path, Path):
            try:
                await self._ledger.close_account(segment.path.name, totals)
            except SpoolError as error:
                warn(
                    LogCode.LEDGER_UNWRITABLE,
                    "honeyhive: the ledger cannot be written. No event is lost, but `honeyhive-litellm status` lacks "
                    "the totals of removed files. Check the spool folder's free space and permissions: %s",
                    error,
                )
            else:
                return
        self.unspooled = self.unspooled.plus(totals)

    async def correct(self, segment: Segment, change: Totals) -> None:
        """Add `change`, which may be negative, to the totals of a segment whose account is closed."""
        if isinstance(segment.path, Path):
            try:
                await self._ledger.correct(change)
            except SpoolError:
                pass  # `close` has logged it
            else:
                return
        self.unspooled = self.unspooled.plus(change)

    async def close_dead_owner(self, owner: str) -> None:
        """Count as lost what a dead owner had in memory alone."""
        state = read_state(self._folder, owner)
        await self.close_owner(owner, Totals() if state is None else state.unspooled)

    async def close_owner(self, owner: str, unspooled: Totals) -> None:
        """Write down an owner's events that are in no file, the pending ones as lost, and remove its state file."""
        try:
            if unspooled.accepted and self._folder != Path(MEMORY):
                name = state_path(self._folder, owner).name
                await self._ledger.close_account(name, unspooled.with_pending_dropped(LOST))
        except SpoolError:
            pass  # the state file stays, for the next adopter
        else:
            remove_state(self._folder, owner)
