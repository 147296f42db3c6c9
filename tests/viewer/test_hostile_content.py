"""Model output is hostile: nothing in an event runs, loads, leads away or changes the page, wherever it stands."""

from __future__ import annotations

import sys
import uuid
from contextlib import closing
from typing import Any, Dict, Iterator, List

import pytest

from honeyhive_litellm.collector.viewer.markdown import is_safe_link, markdown
from honeyhive_litellm.testing import Collector

from .conftest import OpenTab, client, post
from .payloads import ELSEWHERE, PAYLOADS

SESSION = str(uuid.uuid5(uuid.NAMESPACE_URL, "hostile"))


def hostile(number: int, payload: str) -> Dict[str, Any]:
    """An event with the payload in every field that may have a text, and in the names of some."""
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"hostile {number}")),
        "session_id": SESSION,
        "event_type": "model",
        "event_name": payload,
        "source": payload,
        "project_id": payload,
        "children_ids": [payload],
        "config": {"model": payload, "provider": payload, payload: payload, "deep": {payload: [payload]}},
        "inputs": {
            "chat_history": [
                {"role": "system", "content": payload * 20},
                {"role": payload, "content": payload},
                {"role": "user", "content": [{"type": "text", "text": payload}, {"type": payload, payload: payload}]},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": payload}}]},
                {"role": "user", "content": [{"i": {"sha256": payload, "mime_type": payload, "bytes": payload}}]},
                {
                    "role": "assistant",
                    "content": payload,
                    "tool_calls": [{"id": "c", "function": {"name": payload, "arguments": payload}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": payload},
                {"role": "tool", "tool_call_id": payload, "name": payload, "content": payload},
            ],
            "functions": [{"type": "function", "function": {"name": payload, "description": payload}}],
            payload: payload,
        },
        "outputs": {
            "role": "assistant",
            "content": payload,
            "reasoning_content": payload,
            "refusal": payload,
            "finish_reason": payload,
            payload: payload,
        },
        "error": payload,
        "metadata": {
            "status": payload,
            "project": payload,
            "call_type": payload,
            "trace_id": SESSION,
            "last_seen": payload,
            "tags": [payload],
            "router": {"deployment_id": payload, "attempt": 1},
            payload: {payload: payload},
        },
        "feedback": {payload: payload},
        "metrics": {payload: 1},
        "user_properties": {"user_id": payload, payload: payload},
        "start_time": 1_700_000_000_000.0 + number * 1000,
        "duration": 10.0,
    }


TAGS = ("script", "style", "img", "iframe", "object", "embed", "link", "base", "video", "audio", "[style]")
STRANGE = ", ".join(f"main {tag}" for tag in TAGS)
HANDLERS = """[...document.querySelectorAll('*')]
    .filter(element => [...element.attributes].some(attribute => attribute.name.startsWith('on'))).length"""
SCHEMES = """[...document.querySelectorAll('main a[href]')]
    .map(link => new URL(link.getAttribute('href'), location).protocol)"""
EVENTS = [hostile(number, payload) for number, payload in enumerate(PAYLOADS)]


@pytest.fixture(scope="module")
def attacked() -> Iterator[Collector]:
    with Collector(pages=True) as collector:
        post(collector, *EVENTS)
        yield collector


def test_there_are_enough_of_them() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


def test_nothing_in_any_field_runs_or_loads(attacked: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(attacked)
    tab.page.add_init_script("window.pwned = () => { window.isPwned = true; console.error('pwned'); };")
    ids = [str(event["event_id"]) for event in EVENTS]
    paths = [
        "/",
        "/overview",
        "/delivery",
        f"/traces/{SESSION}",
        f"/sessions/{SESSION}",
        f"/sessions/{SESSION}?turn=50",
    ]
    paths += [f"/compare?a={ids[0]}&b={ids[1]}", f"/compare?a={ids[2]}"]
    for path in [*paths, *(f"/events/{id_}" for id_ in ids)]:
        page = tab.open(path)
        assert page.evaluate("window.isPwned") is None, path
        assert page.url == attacked.url + path
        assert page.locator(STRANGE).count() == 0, path
        assert page.evaluate(HANDLERS) == 0, path
        schemes: List[str] = page.evaluate(SCHEMES)
        assert set(schemes) <= {"http:", "https:", "mailto:"}, path


def test_a_live_row_is_as_harmless(attacked: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(attacked)
    tab.page.add_init_script("window.pwned = () => { window.isPwned = true; };")
    page = tab.open("/")
    page.wait_for_selector(".is-live")
    fresh = [{**event, "event_id": str(uuid.uuid4()), "start_time": 1_800_000_000_000.0} for event in EVENTS]
    post(attacked, *fresh)
    page.wait_for_selector(f"a[href='/events/{fresh[-1]['event_id']}']")
    assert page.evaluate("window.isPwned") is None
    assert page.locator("main img, main script, main iframe").count() == 0


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_writes_no_tag_of_its_source(payload: str) -> None:
    html = str(markdown(payload)).lower()
    for tag in (
        "<script",
        "<img",
        "<svg",
        "<iframe",
        "<style",
        "<object",
        "<embed",
        "<form",
        "<input",
        "<meta",
        "<base",
    ):
        assert tag not in html
    assert 'href="javascript' not in html and 'href="data' not in html and 'href="vbscript' not in html
    assert " style=" not in html.split("&lt;")[0]


def test_an_image_is_an_address_that_nobody_asks(attacked: Collector) -> None:
    html = str(markdown(f"see ![the chart]({ELSEWHERE}/?q=secret) and [this]({ELSEWHERE}/page)"))
    assert "<img" not in html and "image, not loaded: the chart" in html and f"({ELSEWHERE}/?q=secret)" in html
    assert f'<a href="{ELSEWHERE}/page" rel="noopener noreferrer"' in html
    assert f'<span class="address">({ELSEWHERE}/page)</span>' in html


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [
        ("https://example.com/a", True),
        ("http://example.com", True),
        ("mailto:a@example.com", True),
        ("HTTPS://EXAMPLE.COM", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("//example.com", False),
        ("/clear", False),
        ("vbscript:x", False),
        ("http:", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_a_link_leads_to_the_web_or_to_mail(address: str, is_safe: bool) -> None:
    assert is_safe_link(address) is is_safe


def test_long_and_deep_content_is_shown_in_time(collector: Collector) -> None:
    deep: Any = "core"
    for _ in range(200 if sys.version_info >= (3, 9) else 100):  # orjson for Python 3.8 takes fewer levels
        deep = {"in": deep}
    long = "word " * 200_000
    post(collector, {**EVENTS[0], "inputs": {"chat_history": [{"role": "user", "content": long}], "deep": deep}})
    nested = "> " * 5000 + "x\n" + "[" * 5000 + "](" * 5000 + "*" * 5000 + "`" * 4999
    post(collector, {**EVENTS[1], "outputs": {"role": "assistant", "content": nested}})
    with closing(client(collector)) as connected:
        for event in EVENTS[:2]:
            answer = connected.get(f"/events/{event['event_id']}")
            assert answer.status_code == 200
            assert answer.elapsed.total_seconds() < 10
