"""The live list in a real browser: what arrives is seen at once, and nothing moves under a hand."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from typing import Any, Dict, List

from honeyhive_litellm.testing import Collector

from .conftest import OpenTab, post


def event(question: str, status: str = "success") -> Dict[str, Any]:
    return {
        "event_type": "model",
        "event_id": str(uuid.uuid4()),
        "event_name": "completion",
        "inputs": {"chat_history": [{"role": "user", "content": question}]},
        "metadata": {"status": status},
        "start_time": time.time() * 1000,
    }


def questions(page: Any) -> List[str]:
    found: List[str] = page.locator(".question").all_inner_texts()
    return found


def test_an_event_is_seen_within_a_second_without_a_reload(collector: Collector, open_tab: OpenTab) -> None:
    post(collector, event("first"))
    page = open_tab(collector).open("/")
    page.wait_for_selector(".is-live")
    page.evaluate("window.isTheSamePage = true")
    post(collector, event("second"))
    began = time.monotonic()
    page.wait_for_selector("text=second")
    took = time.monotonic() - began
    assert questions(page) == ["second", "first"]
    assert page.inner_text("[data-total]") == "2" and page.evaluate("window.isTheSamePage")
    assert took < 1.0


def test_a_paused_list_keeps_still_and_goes_on(collector: Collector, open_tab: OpenTab) -> None:
    post(collector, event("first"))
    page = open_tab(collector).open("/")
    page.wait_for_selector(".is-live")
    page.keyboard.press("p")
    post(collector, event("second"), event("third"))
    page.wait_for_selector("text=2 new")
    assert questions(page) == ["first"]
    page.keyboard.press("p")
    page.wait_for_selector("text=third")
    assert questions(page) == ["third", "second", "first"]


def test_rows_under_the_pointer_do_not_move(collector: Collector, open_tab: OpenTab) -> None:
    post(collector, event("first"))
    page = open_tab(collector).open("/")
    page.wait_for_selector(".is-live")
    page.hover(".events tbody tr:first-child a.row-link")
    before = page.locator(".events tbody tr:first-child").bounding_box()
    post(collector, event("second"))
    page.wait_for_selector("text=1 new")
    assert page.locator(".events tbody tr:first-child").bounding_box() == before
    page.click("[data-news]")
    page.wait_for_selector("text=second")


def test_a_filtered_list_gets_what_matches(collector: Collector, open_tab: OpenTab) -> None:
    post(collector, event("first failed", "failure"), event("first worked"))
    tab = open_tab(collector)
    page = tab.open("/?status=failure&q=failed")
    page.wait_for_selector(".is-live")
    post(collector, event("second worked"), event("second failed", "failure"), event("other", "failure"))
    page.wait_for_selector("text=second failed")
    assert questions(page) == ["second failed", "first failed"]


def test_what_came_while_the_connection_was_lost_is_caught_up(collector: Collector, open_tab: OpenTab) -> None:
    post(collector, event("first"))
    tab = open_tab(collector)
    page = tab.open("/")
    page.wait_for_selector(".is-live")
    collector.down()
    page.wait_for_selector(".is-lost")
    collector.up()
    post(collector, event("second"))
    page.wait_for_selector("text=second")
    post(collector, event("third"))
    page.wait_for_selector("text=third")
    assert questions(page) == ["third", "second", "first"]
    lost = [
        complaint
        for complaint in tab.complaints
        if "ERR_CONNECTION" in complaint or "ERR_INCOMPLETE" in complaint or "ERR_EMPTY" in complaint
    ]
    assert lost
    tab.complaints = [complaint for complaint in tab.complaints if complaint not in lost]


def test_only_so_many_browsers_are_served_live(collector: Collector) -> None:
    from honeyhive_litellm.collector.viewer.live import MOST_CONNECTIONS

    from .conftest import client

    post(collector, event("first"))
    with closing(client(collector)) as connected:
        streams = [connected.stream("GET", "/live", timeout=10) for _ in range(MOST_CONNECTIONS)]
        for stream in streams:
            assert stream.__enter__().status_code == 200
        refused = connected.get("/live")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        for stream in streams:
            stream.__exit__(None, None, None)
        assert connected.get("/").status_code == 200
