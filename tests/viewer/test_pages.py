"""Every page in a real browser: dark and light, wide and narrow, with and without scripts, by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm.testing import Collector

from .conftest import SAMPLES, OpenTab, client

axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

ROWS = "table.events tbody tr"
IDS = SAMPLES["Shop"](0.0)
CHAT, ROUTER = IDS.id("chat 17"), IDS.id("router 3")
EVENTS: Dict[str, str] = {
    name: IDS.id(f"event {number}") for name, number in (("tools", 2), ("image", 4), ("failed", 6))
}
PAGES = {
    "list": "/",
    "filtered": "/?status=failure&model=gpt-4o&q=rate",
    "nothing": "/?model=nobody",
    "event": f"/events/{EVENTS['tools']}",
    "image": f"/events/{EVENTS['image']}",
    "failed": f"/events/{EVENTS['failed']}",
    "trace": f"/traces/{ROUTER}",
    "session": f"/sessions/{CHAT}",
    "compare": f"/compare?a={EVENTS['tools']}&b={EVENTS['image']}",
    "candidates": f"/compare?a={EVENTS['tools']}",
    "overview": "/overview",
    "delivery": "/delivery",
    "help": "/help",
    "clear": "/clear",
}


def violations(page: Any) -> List[str]:
    """What axe finds, each with the first place."""
    found = axe_module.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')}" for one in found
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(shop: Collector, open_tab: OpenTab, theme: str) -> None:
    tab = open_tab(shop, color_scheme=theme)
    for name, path in PAGES.items():
        page = tab.open(path)
        page.set_viewport_size({"width": 1360, "height": 900})
        assert violations(page) == [], f"{name} in {theme}"
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, f"{name} is too wide"
        if name in ("list", "event", "trace", "overview"):
            assert violations(page) == [], f"{name} in {theme}, narrow"


def test_an_empty_database_says_how_to_begin_and_shows_the_first_call(collector: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(collector)
    page = tab.open("/")
    assert f'api_url="{collector.url}"' in page.inner_text("#snippet")
    assert violations(page) == []
    SAMPLES["send"](collector.url, SAMPLES["sample_events"]()[:1])
    page.wait_for_selector(ROWS)


def test_a_page_is_read_without_javascript(shop: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(shop, java_script_enabled=False)
    for path, words in (
        ("/", "What does a smoker do to the bees?"),
        (PAGES["event"], "look_up_stock"),
        (PAGES["trace"], "RateLimitError"),
        (PAGES["session"], "capped brood"),
        (PAGES["overview"], "By model"),
    ):
        assert words in tab.open(path).inner_text("main")
    page = tab.open("/")
    page.check("input[name=status][value=failure]")
    page.click("text=Apply")
    assert page.locator(ROWS).count() == 2
    assert "status=failure" in page.url


def test_the_filter_is_the_url_and_back_and_forward_work(shop: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(shop)
    page = tab.open("/")
    everything = page.locator(ROWS).count()
    page.check("input[name=status][value=failure]")
    page.wait_for_url(re.compile(r"\?status=failure$"))
    assert page.locator(ROWS).count() == 2
    page.click(".events tbody tr:first-child a.row-link")
    page.wait_for_url(re.compile(r"/events/"))
    page.go_back()
    assert page.locator(ROWS).count() == 2 and page.is_checked("input[name=status][value=failure]")
    page.go_back()
    assert page.locator(ROWS).count() == everything
    page.go_forward()
    assert page.locator(ROWS).count() == 2
    page.click("a.chip")
    page.wait_for_url(f"{shop.url}/")


def test_the_keyboard_is_enough(shop: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(shop)
    page = tab.open("/")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert page.locator("tr.is-chosen").count() == 1
    href = page.get_attribute("tr.is-chosen a.row-link", "href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.url}{href}")
    page.keyboard.press("]")
    page.wait_for_url(re.compile(r"/events/(?!" + str(href).rpartition("/")[2] + ")"))
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(f"{shop.url}/overview")
    page.keyboard.press("?")
    assert page.is_visible("dialog#keys")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("pheromone")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.url}/?q=pheromone")
    assert page.locator(ROWS).count() == 1


def test_theme_and_raw_text_are_remembered(shop: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(shop, color_scheme="light")
    page = tab.open(PAGES["event"])
    assert page.locator(".answer .rendered table").is_visible()
    page.click("[data-raw-switch]")
    page.click("[data-theme-switch]")
    page = tab.open(PAGES["image"])
    assert page.get_attribute("html", "data-theme") == "dark"
    assert (
        page.locator(".answer pre.raw").first.is_visible() and not page.locator(".answer .rendered").first.is_visible()
    )


def test_a_conversation_is_shown_as_people_read_it(shop: Collector, open_tab: OpenTab) -> None:
    tab = open_tab(shop)
    page = tab.open(PAGES["event"])
    assert not page.locator("details[data-remember=system]").evaluate("fold => fold.open")
    calls = page.locator("section.call")
    assert calls.count() == 2 and "Zander 10" in calls.nth(1).inner_text()  # each with its result
    assert page.locator("article.role-tool").count() == 0
    assert page.locator(".answer table tr").count() == 3
    page = tab.open(PAGES["image"])
    assert "image/jpeg" in page.inner_text(".media") and "242.3 KiB" in page.inner_text(".media")
    assert page.locator("main img").count() == 0


def test_a_session_shows_of_each_turn_what_is_new(shop: Collector, open_tab: OpenTab) -> None:
    page = open_tab(shop).open(PAGES["session"])
    assert page.inner_text("h1") == "first hive"
    turns = page.locator("li.turn")
    assert turns.count() == 4
    assert page.locator(".rendered", has_text="I want to start with one colony.").count() == 1
    assert "When can I open it" in turns.nth(2).inner_text() and "one colony" not in turns.nth(2).inner_text()


def test_a_trace_says_which_deployment_failed_and_why(shop: Collector, open_tab: OpenTab) -> None:
    page = open_tab(shop).open(PAGES["trace"])
    rows = page.locator("table.waterfall tbody tr")
    assert rows.count() == 4
    assert [rows.nth(at).locator(".status").inner_text() for at in range(4)] == [
        "success",
        "failure",
        "failure",
        "success",
    ]
    assert "openai-us" in rows.nth(1).inner_text() and "RateLimitError" in rows.nth(1).inner_text()
    boxes = [rows.nth(at).locator("rect").nth(1).bounding_box() for at in range(1, 4)]
    assert all(one and other and one["x"] + one["width"] <= other["x"] + 1 for one, other in zip(boxes, boxes[1:]))


def test_a_column_of_a_chart_leads_to_its_events(shop: Collector, open_tab: OpenTab) -> None:
    page = open_tab(shop).open("/overview")
    link = page.locator("figure").first.locator("a:has(rect.not-successful)").first
    wanted = re.search(r"(\d+) successful, (\d+) not successful", str(link.get_attribute("aria-label")))
    assert wanted is not None
    page.goto(shop.url + str(link.get_attribute("href")))
    chains = page.locator(ROWS, has_text="served by").count()
    assert page.locator(ROWS).count() - chains == int(wanted[1]) + int(wanted[2])


def test_everything_is_cleared_after_a_confirmation_alone(collector: Collector, open_tab: OpenTab) -> None:
    SAMPLES["send"](collector.url, SAMPLES["sample_events"]())
    page = open_tab(collector).open("/clear")
    assert len(collector.events) == 17
    page.click("text=Delete all events")
    page.wait_for_selector("text=Waiting for the first call")
    assert collector.events == [] and not collector.receipts
    SAMPLES["send"](collector.url, SAMPLES["sample_events"]())
    page.wait_for_selector(ROWS)


def test_a_permalink_survives_a_restart(tmp_path: Path) -> None:
    with Collector(db=tmp_path / "local.db", pages=True) as first:
        SAMPLES["send"](first.url, SAMPLES["sample_events"]())
        port = int(first.url.rpartition(":")[2])
    with Collector(db=tmp_path / "local.db", pages=True, port=port) as again:
        for path in (PAGES["event"], PAGES["trace"], PAGES["session"], "/?status=failure"):
            assert client(again).get(path).status_code == 200
