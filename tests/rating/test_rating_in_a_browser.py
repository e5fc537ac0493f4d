"""People rate: by mouse, by keyboard alone, on a telephone; and what they save is what they said."""

import json

from minigpt.rating.key import BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, RATINGS_FORMAT, Key
from tests.rating.browser import NARROW
from tests.rating.pages import fixed_key

KEY = fixed_key([("What is 2 + 2?", ("4", "5")), ("And 3 + 3?", ("It is 7.", "It is 6.")), ("Bye", ("", "Bye"))])


def group(page, criterion: str, answer: str):
    return page.get_by_role("group", name=f"{criterion} {answer}", exact=True)


def rate(page, answer: str, *grades: str) -> None:
    for criterion, grade in zip(CRITERIA, grades, strict=True):
        group(page, criterion.capitalize(), answer).get_by_label(grade, exact=True).check()


def prefer(page, choice: str) -> None:
    page.get_by_role("group", name="Which answer is better?").get_by_label(choice).check()


def save(page) -> dict:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    return read(download.value)


def read(download) -> dict:
    found = json.loads(download.path().read_text(encoding="utf-8"))
    return {"file": download.suggested_filename, **found}


def said(preference, left: list, right: list, remark: str = "", item: int = 0) -> dict:
    sides = [side.id for side in KEY.items[item].sides]
    grades = {side: dict(zip(CRITERIA, given, strict=True)) for side, given in zip(sides, (left, right), strict=True)}
    return {"preference": preference, "ratings": grades, "remark": remark}


def where(page) -> str:
    return page.locator("#heading").text_content()


def test_a_whole_rating_by_mouse_is_saved_as_it_was_said(visit) -> None:
    page = visit(KEY)
    assert where(page) == "Item 1 of 3"
    rate(page, "Left answer", "5", "4", "3")
    rate(page, "Right answer", "1", "2", CANNOT_JUDGE.capitalize())
    prefer(page, "The left one")
    assert page.get_by_text("1 of 3 complete").is_visible()
    page.get_by_role("button", name="Next").click()
    rate(page, "Left answer", "1", "1", "1")
    rate(page, "Right answer", "1", "1", "1")
    prefer(page, "Both bad")
    page.get_by_label("Remark").fill('Seven?\n"No", six < seven.')
    page.get_by_role("button", name="Back").click()
    rate(page, "Left answer", "4", "4", "4")  # going back and changing
    prefer(page, "The right one")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert page.get_by_text("Empty: there is no text here.").is_visible()
    page.get_by_role("button", name="Save").click()
    assert page.get_by_text("Please write your name first").is_visible()
    page.keyboard.type(" Nguyễn Thị Ánh ")
    saved = save(page)
    rater = saved["rater"]
    assert len(bytes.fromhex(rater["id"])) == 16
    assert saved == {
        "file": "ratings-Nguyễn Thị Ánh.json",
        "format": RATINGS_FORMAT,
        "page": KEY.page,
        "rater": {"id": rater["id"], "name": "Nguyễn Thị Ánh"},
        "items": {
            "item-0": said(KEY.items[0].sides[1].id, [4, 4, 4], [1, 2, CANNOT_JUDGE]),
            "item-1": said(BOTH_BAD, [1, 1, 1], [1, 1, 1], 'Seven?\n"No", six < seven.', item=1),
        },
    }
    assert page.get_by_text("Incomplete items: 1.").is_visible()
    page.get_by_role("button", name="Go to the first incomplete item").click()
    prefer(page, "About equal")
    again = save(page)
    assert again["items"]["item-2"] == said(EQUAL, [None] * 3, [None] * 3, item=2)
    assert again["rater"] == rater


def test_a_whole_rating_by_keyboard_alone(visit) -> None:
    page = visit(KEY)
    for key in ("5", "4", "9", "x", "3", "1", "2", "0", "ArrowLeft", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert where(page) == "Item 2 of 3"
    assert page.evaluate("document.activeElement.id") == "heading"
    for key in ("2", "2", "2", "2", "2", "2", "7", "5", "ArrowLeft", "ArrowDown", "ArrowDown", "Shift+Enter"):
        page.keyboard.press(key)
    assert where(page) == "Item 1 of 3"
    page.keyboard.press("Tab")  # the instruction, which Enter opens and closes
    page.keyboard.press("Enter")
    assert page.get_by_text("Read the conversation").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("3")  # in the first group, which has an answer
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    for key in ("Digit1", "2", "0", "0", "0", "0", "0", "Tab"):
        page.keyboard.press(key)
    page.keyboard.type("1 & 2")
    page.keyboard.press("Enter")
    page.keyboard.type("0")
    page.keyboard.press("Control+Enter")
    assert page.get_by_text("This was the last item.").is_visible()
    page.keyboard.type("../../x")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    saved = read(download.value)
    assert saved["file"] == "ratings-x.json"
    assert saved["rater"]["name"] == "../../x"
    assert saved["items"] == {
        "item-0": said(KEY.items[0].sides[1].id, [3, 4, 3], [1, 2, CANNOT_JUDGE]),
        "item-1": said(EQUAL, [2, 2, 2], [2, 2, 2], item=1),
        "item-2": said(CANNOT_JUDGE, [1, 2, CANNOT_JUDGE], [CANNOT_JUDGE] * 3, "1 & 2\n0", item=2),
    }


def test_the_browser_keeps_its_own_shortcuts(visit) -> None:
    page = visit(KEY)
    page.evaluate("addEventListener('keydown', (event) => (window.prevented = event.defaultPrevented))")
    for key in ("Control+1", "Alt+ArrowLeft", "Meta+5", "Control+Enter", "Tab", "a", "PageDown"):
        page.keyboard.press(key)
        assert page.evaluate("prevented") is False, key
    assert page.evaluate("state.items") == {}


def test_a_key_that_is_held_down_counts_once(visit) -> None:
    page = visit(KEY)
    for key in ("4", "Enter"):
        for _ in range(3):
            page.keyboard.down(key)
        page.keyboard.up(key)
    assert where(page) == "Item 2 of 3"
    assert page.evaluate("state.items['item-0']") == said(None, [4, None, None], [None] * 3)


def test_enter_held_down_on_the_last_item_saves_nothing(visit) -> None:
    """The focus goes to the name, or if there is one to the button that saves."""
    page = visit(KEY)
    files = []
    page.on("download", lambda download: files.append(download))
    for name in ("", "Anna"):
        page.get_by_label("Your name").fill(name)
        page.evaluate("go(items.length - 1)")
        for _ in range(5):
            page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        assert page.get_by_role("status").inner_text() == "This was the last item. Incomplete items: 3."
    page.keyboard.press("Enter")
    page.get_by_text("Saved as ratings-Anna.json").wait_for()
    assert len(files) == 1


def test_a_double_click_counts_once(visit) -> None:
    page = visit(KEY)
    page.get_by_role("button", name="Next").dblclick()
    assert where(page) == "Item 2 of 3"
    page.evaluate("window.clicks = 0; HTMLAnchorElement.prototype.click = () => (clicks += 1); null")
    page.get_by_label("Your name").fill("Anna")
    page.get_by_role("button", name="Save").dblclick()
    assert page.evaluate("clicks") == 1


def test_the_key_that_ends_a_composition_does_not_save(visit) -> None:
    """Safari ends it before that key, which it marks by its code alone."""
    page = visit(KEY)
    page.get_by_label("Your name").fill("Anna")
    for code, saved in ((229, False), (13, True)):
        page.get_by_label("Your name").dispatch_event("keydown", {"key": "Enter", "keyCode": code})
        assert page.get_by_text("Saved as").is_visible() is saved


def test_narrow_screens_call_the_answers_first_and_second_and_never_scroll_sideways(visit) -> None:
    page = visit(fixed_key([("w" * 500, ("x" * 5000, "y z"))]), viewport=NARROW)
    first, second = (page.get_by_role("region", name=f"{which} answer") for which in ("First", "Second"))
    rate(page, "First answer", "1", "2", "3")
    rate(page, "Second answer", "1", "2", "3")
    prefer(page, "The second one")
    assert first.first.bounding_box()["y"] < second.first.bounding_box()["y"]
    assert "Left" not in page.locator("main").inner_text()
    for letters in ("32px", ""):  # doubled, and as they are
        page.evaluate(f"document.documentElement.style.fontSize = '{letters}'")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), letters
    assert page.evaluate(
        "[...document.querySelectorAll('button:not([hidden]), .option, summary, textarea, input[type=text]')]"
        ".map((target) => target.getBoundingClientRect()).filter(({width, height}) => width < 44 || height < 44)"
    ) == []  # fmt: skip


def test_one_answer_is_rated_without_a_choice(visit) -> None:
    key: Key = fixed_key([("2 + 2?", ("4",))])
    page = visit(key)
    for digit in "542":
        page.keyboard.press(digit)
    assert page.get_by_text("1 of 1 complete").is_visible()
    assert page.get_by_role("group", name="Which answer is better?").count() == 0
    page.keyboard.press("Enter")
    page.keyboard.type("Anna")
    entry = save(page)["items"]["item-0"]
    assert entry == {"preference": None, "ratings": {"00": dict(zip(CRITERIA, (5, 4, 2), strict=True))}, "remark": ""}


FILES = {
    "a/b\\c:d*e?f": "a-b-c-d-e-f",
    "<img src=x onerror=alert(1)>": "img src=x onerror=alert(1)",
    "Dr. Lê Văn Tám": "Dr. Lê Văn Tám",
    "...": "rater",
    "n" * 80: "n" * 60,
}


def test_a_name_becomes_a_file_name(visit) -> None:
    page = visit(KEY)
    for name, file in FILES.items():
        page.get_by_label("Your name").fill(name)
        assert save(page)["file"] == f"ratings-{file}.json"
        assert page.get_by_role("status").inner_text().startswith(f"Saved as ratings-{file}.json in your downloads.")


def test_both_sides_have_the_same_markup(visit) -> None:
    page = visit(fixed_key([("2 + 2?", ("4", "4"))]))
    left, right = (page.locator(".answer").nth(place).evaluate("(side) => side.outerHTML") for place in (0, 1))
    for one, other in (("Left", "Right"), ("First", "Second"), ("-0", "-1"), ('"00"', '"01"')):
        left = left.replace(one, other)
    assert left == right
