"""Everybody can use the page: axe-core finds nothing serious in it."""

from importlib.resources import files

import pytest

from tests.rating.browser import NARROW, WIDE
from tests.rating.pages import fixed_key

FOUND = """async () => (await axe.run()).violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => [id, nodes.map(({html}) => html)])"""


@pytest.fixture(scope="module")
def axe() -> str:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8") + ";null"


@pytest.mark.parametrize("answers", [("4",), ("line\n" * 500, "\u202e")], ids=["one answer", "two answers"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "vi"])
def test_axe_finds_nothing_serious(visit, axe: str, language, scheme: str, answers: tuple) -> None:
    """With everything open that may be: the instruction, each message, a chosen grade, focus in a group."""
    refuse = "Storage.prototype.setItem = () => {throw new DOMException('full', 'QuotaExceededError')}"
    size = NARROW if scheme == "dark" else WIDE
    key = fixed_key([("What is 2 + 2?", answers)], language)
    page = visit(key, script=refuse, color_scheme=scheme, viewport=size)
    page.evaluate("go(1); document.querySelector('details').open = true")
    page.get_by_role("button", name={"en": "Save", "vi": "Lưu"}[language]).click()
    page.locator("summary").focus()
    page.keyboard.press("5")
    assert page.get_by_role("alert").is_visible()
    assert page.get_by_role("status").inner_text()
    page.evaluate(axe)
    assert page.evaluate(FOUND) == []


def test_axe_would_find_something(visit, axe: str) -> None:
    page = visit(fixed_key())
    page.evaluate("document.querySelector('label.name').replaceWith(byId('name'))")
    page.evaluate(axe)
    assert [rule for rule, _ in page.evaluate(FOUND)] == ["label-title-only", "label"]


def test_progress_and_grades_are_seen_in_colors_that_the_system_forces(visit) -> None:
    page = visit(fixed_key([("2 + 2?", ("4",))] * 2), forced_colors="active")

    def looks(where) -> bytes:
        return where.screenshot(animations="disabled")

    bar, grade = page.get_by_role("progressbar"), page.locator(".option").nth(2)
    before = looks(bar), looks(grade)
    for digit in "333":
        page.keyboard.press(digit)
    page.evaluate("document.activeElement.blur()")
    assert looks(bar) != before[0]
    assert looks(grade) != before[1]


def test_the_page_says_in_its_language_that_it_needs_javascript(visit) -> None:
    page = visit(fixed_key(language="vi"), java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    assert page.locator("noscript").inner_text().startswith("Trang này cần JavaScript.")
    assert not page.get_by_role("button").first.is_visible()
