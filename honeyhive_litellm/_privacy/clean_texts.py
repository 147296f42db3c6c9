"""A bounded memory of texts that hold no credential, so that what a chat repeats is searched once."""

from __future__ import annotations

from typing import List, Sequence, Set

_ENTRY_CHARS = 100
"""What an entry takes in memory beside its characters, in characters."""


class CleanTexts:
    """Texts that were searched and hold no credential: a system prompt recurs with each call, a message with each turn.

    Keeps at most `max_chars` characters, in two generations. A text that recurs moves to the younger one; when that is
    full, the older one is forgotten. A forgotten text is searched again, nothing more. The same happens at worst if two
    threads use the object at once.
    """

    def __init__(self, max_chars: int) -> None:
        self._generation_chars = max_chars // 2
        self._young: Set[str] = set()
        self._old: Set[str] = set()
        self._young_chars = 0

    def unsearched(self, texts: Sequence[str]) -> List[str]:
        """Those of `texts` that are not known to be clean."""
        young, old = self._young, self._old
        found = []
        for text in texts:
            if text not in young:
                if text in old:
                    self.add((text,))
                else:
                    found.append(text)
        return found

    def add(self, texts: Sequence[str]) -> None:
        """Remember that these hold no credential."""
        chars = sum(map(len, texts)) + _ENTRY_CHARS * len(texts)
        if chars > self._generation_chars:
            return
        self._young_chars += chars
        if self._young_chars > self._generation_chars:
            self._old, self._young = self._young, set()
            self._young_chars = chars
        self._young.update(texts)
