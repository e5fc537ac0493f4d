"""Nothing that a rater said is lost: the page is closed, opened twice, forbidden to store, or finds nonsense stored."""

import json

import pytest

from tests.rating.pages import fixed_key

KEY = fixed_key()
STORED = f"minigpt ratings {KEY.page}"
REFUSED = "This browser does not let the page keep your ratings."
FORBIDDEN = {
    "storage": "Object.defineProperty(window, 'localStorage', {get() {throw new DOMException('no', 'SecurityError')}})",
    "quota": "Storage.prototype.setItem = () => {throw new DOMException('full', 'QuotaExceededError')}",
}


def chosen(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('input:checked')].map(({value}) => value)")


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def save(page) -> dict:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    return json.loads(download.value.path().read_text(encoding="utf-8"))


def warns_when_it_is_closed(page) -> bool:
    """Whether the browser asks. The answer is yes."""
    page.expected_dialogs.append("beforeunload")
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    return not page.expected_dialogs


def test_a_closed_tab_goes_on_where_it_was_and_as_the_same_rater(visit) -> None:
    page = visit(KEY)
    press(page, "Enter", "5", "4")
    page.get_by_label("Remark").fill("half a rem")
    page.get_by_label("Your name").fill("Anna")
    rater = page.evaluate("state.rater")
    page.close()  # as when a browser is killed: nothing is asked
    again = visit(KEY, page.context)
    assert again.locator("#heading").text_content() == "Item 2 of 3"
    assert chosen(again) == ["5", "4"]
    assert again.get_by_label("Remark").input_value() == "half a rem"
    saved = save(again)
    assert saved["rater"] == rater == {"id": rater["id"], "name": "Anna"}
    assert {*saved["items"]} == {"item-1"}


def test_another_page_and_another_person_begin_with_nothing(visit) -> None:
    page = visit(KEY)
    press(page, "5")
    other = visit(fixed_key(language="vi"), page.context)
    assert chosen(other) == []
    first = page.evaluate("state.rater.id")
    assert other.evaluate("state.rater.id") != first
    press(page, "4")
    page.expected_dialogs.append("confirm")
    page.get_by_role("button", name="Another person").click()
    assert page.expected_dialogs == []
    assert chosen(page) == []
    assert page.evaluate("state.rater.id") != first
    assert page.evaluate("state.items") == {}


def test_another_person_is_asked_about_and_may_be_refused(visit) -> None:
    page = visit(KEY, script="window.confirm = (text) => {window.asked = text; return false}")
    press(page, "5")
    page.get_by_role("button", name="Another person").click()
    assert "will be lost" in page.evaluate("asked")
    assert chosen(page) == ["5"]
    page.get_by_label("Your name").fill("Anna")
    save(page)
    page.get_by_role("button", name="Another person").click()
    assert "The file that you saved stays." in page.evaluate("asked")
    assert chosen(page) == ["5"]


def test_closing_warns_while_something_is_not_in_a_file(visit) -> None:
    page = visit(KEY)
    context = page.context
    press(page, "Enter")
    assert not page.get_by_text("Not saved to a file yet").is_visible()
    assert not warns_when_it_is_closed(page)
    page = visit(KEY, context)
    press(page, "5")
    assert page.get_by_text("Not saved to a file yet").is_visible()
    assert warns_when_it_is_closed(page)
    page = visit(KEY, context)  # it is still in no file
    page.get_by_label("Your name").fill("Anna")
    save(page)
    assert not page.get_by_text("Not saved to a file yet").is_visible()
    assert not warns_when_it_is_closed(page)
    page = visit(KEY, context)
    page.get_by_label("Remark").fill("!")
    assert warns_when_it_is_closed(page)


@pytest.mark.parametrize("what", [*FORBIDDEN])
def test_without_storage_the_page_says_so_and_works(visit, what: str) -> None:
    page = visit(KEY, script=FORBIDDEN[what])
    assert page.get_by_role("alert").inner_text().startswith(REFUSED)
    press(page, "5", "4", "3", "2", "1", "0", "ArrowRight", "Enter", "1")
    page.get_by_label("Your name").fill("Anna")
    entry = save(page)["items"]["item-0"]
    assert entry["preference"] == "01"
    assert [*entry["ratings"]["00"].values()] == [5, 4, 3]
    press(page, "Shift+Tab", "Shift+Tab")
    assert page.get_by_role("alert").is_visible()
    assert not warns_when_it_is_closed(page)


def test_storage_that_fails_later_loses_nothing(visit) -> None:
    page = visit(KEY)
    press(page, "5")
    assert page.get_by_role("alert").count() == 0
    page.evaluate(f"window.set = Storage.prototype.setItem; {FORBIDDEN['quota']}; null")
    press(page, "4", "3")
    assert page.get_by_role("alert").is_visible()
    page.evaluate("Storage.prototype.setItem = set; null")
    press(page, "2")
    assert page.get_by_role("alert").count() == 0
    assert chosen(page) == ["5", "4", "3", "2"]


GOOD = {"rater": {"id": "0" * 32, "name": "Anna"}, "items": {}, "at": 1, "unsaved": False}
SAID = {
    "preference": "00",
    "ratings": {"00": {"accuracy": 6, "naturalness": "5", "reasoning": 3}, "xx": 1},
    "remark": 5,
}


DAMAGED = [  # what is stored, the item that the page begins with, what is chosen there
    ("{", 1, []),
    ("null", 1, []),
    ("[[]]", 1, []),
    (json.dumps({**GOOD, "rater": {"id": ["0" * 32]}}), 1, []),
    (json.dumps({**GOOD, "rater": {"id": "0" * 32, "name": {}}, "at": "length"}), 1, []),
    (json.dumps({**GOOD, "at": -1, "items": {"item-0": "?", "other": SAID}}), 1, []),
    (json.dumps({**GOOD, "at": 0.5, "items": {"item-0": SAID}}), 1, ["3", "00"]),
    (json.dumps({**GOOD, "items": {"item-1": {"ratings": [], "preference": "00"}}}), 2, []),
]


def test_of_what_is_stored_only_what_the_page_could_have_written_counts(visit) -> None:
    page = visit(KEY)
    for stored, at, expected in DAMAGED:
        page.evaluate("([name, text]) => localStorage.setItem(name, text)", [STORED, stored])
        page.reload()
        assert page.locator("#heading").text_content() == f"Item {at} of 3"
        assert chosen(page) == expected
        press(page, "2")
        page.expected_dialogs.append("beforeunload")
        page.reload()
        assert chosen(page) == ["2", *expected]
        page.evaluate("state.unsaved = false")


@pytest.mark.parametrize("told", [True, False], ids=["with events", "without events"])
def test_two_windows_of_a_page_lose_nothing_of_each_other(visit, told: bool) -> None:
    deaf = None if told else "addEventListener('storage', (event) => event.stopImmediatePropagation())"
    one = visit(KEY, script=deaf)
    other = visit(KEY, one.context, script=deaf)
    press(one, "5")
    if told:
        other.get_by_text("The ratings were changed in another window.").wait_for()
        assert chosen(other) == ["5"]
    press(other, "Enter", "1")
    if told:
        one.get_by_text("The ratings were changed in another window.").wait_for()
    press(one, "4")
    assert one.locator("#heading").text_content() == "Item 1 of 3"
    assert chosen(one) == ["5", "4"]
    assert one.evaluate("state.items['item-1'].ratings['10'].accuracy") == 1
    one.get_by_label("Your name").fill("Anna")
    assert {*save(one)["items"]} == {"item-0", "item-1"}
