"""A real browser: the system's Chromium, driven by Playwright. Tests that need it are skipped where there is none."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minigpt.rating.key import Key
from minigpt.rating.page import page_html

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 800}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))  # one browser for all of them


@pytest.fixture(scope="package")
def chromium() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium refuses its sandbox to root
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox"] if as_root else [],
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # it names files in the system's encoding
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path: Path) -> Iterator[Callable]:
    """visit(key, ...) opens the key's page as its file. A `context` is what the tabs of one person share. At the end
    no page may have asked for anything but its file, reported an error, or shown a dialog that no test waited for."""
    contexts, seen = [], []

    def visit(key: Key, context=None, script: str | None = None, **options):
        if context is None:
            context = chromium.new_context(**{"viewport": WIDE, "locale": "en-US", **options})
            contexts.append(context)
        file = tmp_path / f"{key.page}.html"
        file.write_text(page_html(key), encoding="utf-8")
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("request", lambda request: None if request.url == file.as_uri() else seen.append(request.url))
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.expected_dialogs = []

        def dialog(box) -> None:
            page.expected_dialogs.pop() if box.type in page.expected_dialogs else seen.append(box.message)
            box.accept()

        page.on("dialog", dialog)
        if script:
            page.add_init_script(script)
        page.goto(file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert seen == []
