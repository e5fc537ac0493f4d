"""Texts of models and data are shown letter by letter, and do nothing."""

import json

from tests.rating.pages import fixed_key

TEXTS = [
    "</script><script>window.hacked = 1</script>",
    "</SCRIPT ><img src=x onerror=window.hacked=1>",
    '<img src="https://example.com/pixel.png" onerror="window.hacked = 1">',
    "<svg onload=window.hacked=1><script>window.hacked=1</script></svg>",
    "<svg><animate onbegin=window.hacked=1 attributeName=x dur=1s>",
    '<a href="javascript:window.hacked=1">javascript:window.hacked=1</a>',
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<!-- <script> --> <!--<script",
    "]]><![CDATA[ <b>bold</b>",
    "<style>body { display: none }</style><link rel=stylesheet href=//example.com>",
    "<meta http-equiv=refresh content='0;url=https://example.com'><base href=//example.com>",
    "<form action=//example.com><input autofocus onfocus=window.hacked=1><textarea></form>",
    "<details open ontoggle=window.hacked=1><summary>",
    "\"><img src=x onerror=window.hacked=1> ' onmouseover=window.hacked=1 `",
    "&lt;b&gt; &amp;amp; &#x3c;script&#x3e; &nbsp &copy",
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1} #{7*7} <%= 7*7 %> {n} {all} $title",
    "\u202etxt.exe\u202c \u2066a\u2067b\u2069 \u200f",
    "null \0 bell \a escape \x1b[31m delete \x7f next line \x85",
    "high \ud800 low \udc00, swapped \udc00\ud800, twice \ud800\ud800",
    "👩‍👩‍👧 🏳️‍🌈 ❤️ 👍🏽 \U0001f1fb\U0001f1f3 \U0010ffff",
    "one\r\ntwo\rthree\nfour\tfive\n\n",
    "line\u2028paragraph\u2029mark\ufeff soft\xad zero\u200bwidth\u200dword\u2060",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘ Tiếng Việt e\u0301 中文 עברית",
    "\n  leading and trailing  \n",
    "__proto__ constructor toString",
    "w" * 100_000,
    "<b>x</b> " * 11_112,
    "\0\x01" * 50_000,
]
SHOWN = """() => [...document.querySelectorAll(".text")].map((box) => [
    JSON.stringify(box.textContent),
    [...box.querySelectorAll("*")].every((child) => child.matches("span.hidden, span.rest") && !child.children.length),
])"""


def test_every_text_is_shown_letter_by_letter_and_none_is_run(visit) -> None:
    page = visit(fixed_key([(text, (text, text)) for text in TEXTS]))
    for n, text in enumerate(TEXTS):
        assert page.locator("#heading").text_content() == f"Item {n + 1} of {len(TEXTS)}"
        shown = page.evaluate(SHOWN)
        assert [json.loads(found) for found, _ in shown] == [text] * 3
        assert all(plain for _, plain in shown)
        page.keyboard.press("Enter")
    assert page.evaluate("[window.hacked, document.scripts.length, location.protocol]") == [None, 3, "file:"]


def test_a_rater_s_own_words_are_text_too(visit) -> None:
    page = visit(fixed_key())
    page.get_by_label("Your name").fill(TEXTS[2])
    page.get_by_label("Remark").fill(TEXTS[0])
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    saved = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert saved["rater"]["name"] + saved["items"]["item-0"]["remark"] == TEXTS[2] + TEXTS[0]
    assert page.evaluate("[window.hacked, document.images.length]") == [None, 0]


CODES = {
    "\u202eabc": ["U+202E"],
    "a\0\0\0b\0c": ["U+0000 × 3", "U+0000"],
    "\ud800\U0001f600\udc00": ["U+D800", "U+DC00"],
    "a\r\n\tb\xa0c": ["U+000D"],
    "👩‍👩‍👧 ❤️": [],
    "a\u200db \U000e0041": ["U+200D", "U+E0041"],
    "\0a" * 503: ["U+0000"] * 500 + ["3 more hidden characters, without their codes:"],
}


def test_a_hidden_character_shows_its_code(visit) -> None:
    page = visit(fixed_key([("?", (text,)) for text in CODES]))
    for codes in CODES.values():
        spans = page.locator(".answer .text span")
        shown = spans.evaluate_all("(all) => all.map((one) => getComputedStyle(one, '::before').content)")
        assert shown == [f'"{code}"' for code in codes]
        page.keyboard.press("Enter")


def test_an_override_moves_no_letter(visit) -> None:
    """Where the letters a, b and c after it are on the screen: from left to right, as without it."""
    page = visit(fixed_key([("?", ("\u202e\u2067abc",))]))
    places = page.locator(".answer .text").evaluate(
        """(box) => [0, 1, 2].map((n) => {
            const range = document.createRange();
            range.setStart(box.lastChild, n);
            range.setEnd(box.lastChild, n + 1);
            return range.getBoundingClientRect().x;
        })"""
    )
    assert places == sorted(places)
    assert len({*places}) == 3


def test_an_answer_without_letters_is_called_so(visit) -> None:
    page = visit(fixed_key([("?", (text, "5")) for text in ("", " \n\t", "a")]))
    for said in ("Empty: there is no text here.", "Blank: only spaces or line breaks.", ""):
        assert "".join(page.locator(".answer .empty").all_text_contents()) == said
        page.keyboard.press("Enter")


def test_a_long_text_scrolls_and_is_reached_by_keyboard(visit) -> None:
    page = visit(fixed_key([("?", ("line\n" * 500, "short"))]))
    page.locator("summary").focus()
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.matches('.text') && document.activeElement.textContent.slice(0, 4)")
    assert focused == "line"
    assert page.get_by_role("region", name="Left answer").count() == 2  # the card, and the text in it
    assert page.get_by_role("region", name="Right answer").count() == 1


def test_a_text_that_scrolls_looks_cut_off_where_there_is_more(visit) -> None:
    """Telephones show no bar, and a box may end between two lines."""
    page = visit(fixed_key([("?", ("line\n" * 500, "short"))]))
    edge = """([box, end]) => {
        const {x, y, width} = box.getBoundingClientRect();
        return {x: x + width / 2, y: end ? y + box.clientHeight - 2 : y, width: 2, height: 2};
    }"""
    box = page.locator(".answer .text").first
    box.scroll_into_view_if_needed()

    def looks() -> tuple[bytes, bytes]:
        handle = box.element_handle()
        return tuple(page.screenshot(clip=page.evaluate(edge, [handle, end])) for end in (False, True))

    plain, shadow = looks()
    assert plain != shadow
    box.evaluate("(box) => (box.scrollTop = box.scrollHeight)")
    assert looks()[1] == plain
    box.evaluate("(box) => (box.scrollTop = 99)")
    assert plain not in looks()
