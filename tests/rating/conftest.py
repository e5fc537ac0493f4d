"""A real browser: the system's Chromium, driven by Playwright. Tests that need it are skipped where there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minigpt.rating.key import Key
from minigpt.rating.page import page_html
from tests.rating.browser import NAMES, WIDE, browser, executable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))  # one browser for all of them


@pytest.fixture(scope="package")
def chromium() -> Iterator:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if executable() is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with browser() as found:
        yield found


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
        page.set_default_timeout(20_000)  # a busy machine is slow, not wrong
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
