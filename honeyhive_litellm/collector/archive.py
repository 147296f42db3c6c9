"""The events of a `--db` file for programs at the command line, whether a collector has it open or not."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Iterable, Iterator, List, Optional, Tuple, Type, Union

from . import _queries as queries
from ._filter import Filter, read_filter
from ._index import Index
from ._store import Store
from .viewer.downloads import Downloads

_POLL_S = 0.3
_AT_ONCE = 500


class Archive:
    """One database file, as a context manager. Raise ConfigError when it is none of a collector's."""

    def __init__(self, path: Union[str, Path]) -> None:
        self._store = Store(path)
        self._index = Index(self._store.database)
        self._downloads = Downloads(self._store.database, self._index)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._store.close()

    def events(self, query: Iterable[Tuple[str, str]], form: str, limit: Optional[int] = None) -> Iterator[bytes]:
        """The events of a filter, given as names and values of a URL's query; see `Downloads.events` for *form*."""
        meant = _read(query)
        self._index.catch_up()
        return self._downloads.events(meant, form, limit)

    def event(self, event_id: str, form: str) -> Optional[bytes]:
        """One event as json or md; None if there is none."""
        return self._downloads.event(event_id, form)

    def follow(self, query: Iterable[Tuple[str, str]], form: str) -> Iterator[str]:
        """The events that arrive from now on, each in a form of lines, for as long as anybody asks."""
        meant = _read(query)
        self._index.catch_up()
        since = self._last()
        while True:
            self._index.catch_up()
            through = self._last()
            if through < since:  # everything was cleared
                since = 0
            for row in self._arrived(meant, since) if through > since else ():
                since = row.seq
                yield self._downloads.line(row, form)
            since = max(since, through)
            time.sleep(_POLL_S)

    def _arrived(self, meant: Filter, since: int) -> List[queries.Row]:
        search = queries.search_for(meant, time.time() * 1000.0, self._index.has_full_text)
        with self._store.database.read() as connection:
            return queries.arrived_since(connection, search, since, _AT_ONCE)

    def _last(self) -> int:
        with self._store.database.read() as connection:
            return queries.last_seq(connection)


def _read(query: Iterable[Tuple[str, str]]) -> Filter:
    """The filter. Raise ValueError with one sentence for each part that makes no sense."""
    meant, problems = read_filter(query)
    if problems:
        raise ValueError("; ".join(problems))
    return meant
