"""A collector with pages, and a real browser that watches itself: a page that complains or calls elsewhere fails."""

from __future__ import annotations

import runpy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List

import httpx
import pytest

from honeyhive_litellm.testing import Collector

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SAMPLES: Dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "sample_events.py"))
NO_BROWSER = "no chromium on this machine: the pages are NOT tested in a browser (apt-get install chromium)"


@pytest.fixture()
def collector() -> Iterator[Collector]:
    with Collector(pages=True) as running:
        yield running


@pytest.fixture(scope="module")
def shop() -> Iterator[Collector]:
    """A collector with the sample events, which no test changes."""
    with Collector(pages=True) as running:
        SAMPLES["send"](running.url, SAMPLES["sample_events"]())
        yield running


def client(collector: Collector) -> httpx.Client:
    """A client that has the cookie."""
    connected = httpx.Client(base_url=collector.url, trust_env=False, timeout=20)
    assert connected.get(collector.page_link).status_code == 303
    return connected


def post(collector: Collector, *events: Dict[str, Any]) -> None:
    headers = {"Authorization": "Bearer k"}
    answer = httpx.post(f"{collector.url}/v1/events/batch", json={"events": events}, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file.

    Playwright keeps an event loop running on this thread until it is closed: no async test may run meanwhile.
    """
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        )
        yield launched
        launched.close()


@dataclass
class Tab:
    """A page of a browser, with all that it complained about and every address that it requested."""

    page: Page
    url: str
    complaints: List[str] = field(default_factory=list)
    requested: List[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Go there and wait until it is at rest."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("load")
        return self.page

    def check(self) -> None:
        """Fail if anything was complained about, or requested of anybody else."""
        assert self.complaints == []
        elsewhere = [url for url in self.requested if not url.startswith((self.url + "/", "data:"))]
        assert elsewhere == []


OpenTab = Callable[..., Tab]


def watch(tab: Tab) -> None:
    """Note what the page complains about, and which addresses it requests."""

    def note_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            tab.complaints.append(message.text)

    def note_dialog(dialog: Dialog) -> None:
        tab.complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def note_error(error: object) -> None:
        tab.complaints.append(str(error))

    def note_request(request: Request) -> None:
        tab.requested.append(request.url)

    tab.page.on("console", note_console)
    tab.page.on("dialog", note_dialog)
    tab.page.on("pageerror", note_error)
    tab.page.on("request", note_request)


@pytest.fixture()
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Open tabs on a collector, each as a browser of its own with the cookie; they are checked at the end."""
    tabs: List[Tab] = []

    def opened(collector: Collector, **options: Any) -> Tab:
        options.setdefault("viewport", {"width": 1360, "height": 900})
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        tab = Tab(context.new_page(), collector.url)
        watch(tab)
        tab.page.goto(collector.page_link)
        tabs.append(tab)
        return tab

    yield opened
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        tab.check()
