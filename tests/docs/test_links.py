"""Every link of every page leads to a file that exists, and every anchor to a heading."""

from __future__ import annotations

import re
from typing import Iterator, Tuple

import pytest

from .pages import PAGES, ROOT, anchors, links


def internal_links() -> Iterator[Tuple[str, str]]:
    for page, text in PAGES.items():
        for link in links(text):
            if not re.match(r"[a-z]+:", link):
                yield page, link


def test_there_are_links_to_look_at() -> None:
    assert len(list(internal_links())) > 50


@pytest.mark.parametrize(("page", "link"), list(dict.fromkeys(internal_links())))
def test_a_link_leads_somewhere(page: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists(), f"{page}: no {link}"
    if anchor:
        text = PAGES[str(target.resolve().relative_to(ROOT))]
        assert anchor in anchors(text), f"{page}: no heading {link}"


def test_every_page_of_docs_is_in_the_navigation() -> None:
    named = set(re.findall(r'= "([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8")))
    assert named == {page[len("docs/") :] for page in PAGES if page.startswith("docs/")}


def test_a_page_begins_with_its_one_title() -> None:
    for page, text in PAGES.items():
        assert text.startswith("# "), page
        assert len(re.findall(r"^# ", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)) == 1, page
