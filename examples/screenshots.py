"""The pictures of the documentation: the collector's pages with the sample events, by the chromium of this machine.

make screenshots
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sample_events import Shop, sample_events, send

from honeyhive_litellm.testing import Collector

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = (
    ("viewer-events.png", "/", "light"),
    ("viewer-event.png", "/events/{event}", "dark"),
    ("viewer-trace.png", "/traces/{trace}", "light"),
)


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("needs chromium: apt-get install chromium", file=sys.stderr)
        return 1
    from playwright.sync_api import ViewportSize, sync_playwright

    shop = Shop(0.0)
    with Collector(pages=True) as collector, sync_playwright() as driver:
        send(collector.url, sample_events())
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, path, theme in PICTURES:
            size = ViewportSize(width=1360, height=620 if "trace" in name else 850)
            context = browser.new_context(viewport=size, color_scheme="dark" if theme == "dark" else "light")
            page = context.new_page()
            page.goto(collector.page_link)
            page.goto(collector.url + path.format(event=shop.id("event 2"), trace=shop.id("router 3")))
            page.wait_for_load_state("load")
            page.wait_for_timeout(300)  # the live list says that it is live
            page.screenshot(path=IMAGES / name)
            print(IMAGES / name)
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
