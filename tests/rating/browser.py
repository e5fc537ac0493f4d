"""The system's Chromium, driven by Playwright; as a command it photographs a page: `python -m tests.rating.browser
rating.html OUT.png`, which made lessons/rating.png."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 800}


def executable() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator:
    """A headless browser, for as long as it lasts."""
    from playwright.sync_api import sync_playwright

    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium refuses its sandbox to root
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=executable(), args=["--no-sandbox"] if as_root else [])
        yield found
        found.close()


def main(page: Path, out: Path, item: int = 1) -> None:
    """The page as it is when a rater has judged an item, and prefers the left answer."""
    with browser() as found:
        context = found.new_context(viewport={"width": 1100, "height": 1270}, reduced_motion="reduce")
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        for _ in range(item - 1):
            tab.get_by_role("button", name="Next").click()
        for group, grade in zip(tab.locator("#answers fieldset").all(), "555243", strict=True):
            group.get_by_label(grade, exact=True).check()
        tab.locator("#choice input").first.check()
        tab.evaluate("scrollTo(0, 0)")
        tab.screenshot(path=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
