"""The page's file: what it holds, and what it must not hold. What it does is tested in a browser."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.rating.key import CRITERIA, Item, Key, Side
from minigpt.rating.page import HERE, TERMS, page_html
from tests.rating.pages import fixed_key

WORDS = json.loads((HERE / "words.json").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """The elements of a page, as an independent parser sees them: (tag, attributes), and the text that each begins
    with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        self.ended = False

    def handle_data(self, data: str) -> None:
        if self.texts and not self.ended:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.ended = True

    def found(self, tag: str, **attributes: str) -> list[tuple[dict, str]]:
        both = zip(self.tags, self.texts, strict=True)
        return [(has, text) for (name, has), text in both if name == tag and attributes.items() <= has.items()]

    @property
    def data(self) -> dict:
        [(_, text)] = self.found("script", id="data")
        return json.loads(text)


any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
any_items = st.lists(st.tuples(any_text, st.lists(any_text, min_size=1, max_size=2)), min_size=1, max_size=3)


@given(any_items)
def test_the_page_holds_every_text_exactly_and_as_no_markup(items: list) -> None:
    key = fixed_key(items)
    text = page_html(key)
    page = Page(text.encode().decode())  # a file can hold it
    assert page.data == {
        **json.loads(json.dumps(TERMS)),
        "page": key.page,
        "items": [
            {
                "id": item.id,
                "messages": item.messages,
                "answers": [{"id": side.id, "text": side.answer} for side in item.sides],
            }
            for item in key.items
        ],
    }
    assert page.tags == Page(page_html(fixed_key())).tags


def test_the_characters_that_a_parser_of_html_changes_are_escaped() -> None:
    text = page_html(fixed_key([("</script><!--&amp;\r\n\0\u2028\u2029\ud800", ["a"])]))
    assert "\\u003c/script\\u003e\\u003c!--\\u0026amp;\\r\\n\\u0000\\u2028\\u2029\\ud800" in text


def test_nothing_of_the_key_but_ids_and_texts_is_in_the_page() -> None:
    """What a row of data may hold beside its text is the maker's business too."""
    key = fixed_key()
    [message] = key.items[0].messages
    marked = Item("item", [{**message, "weight": 1, "input": "secret input"}], key.items[0].sides, "secret source")
    text = page_html(Key(key.models, (marked, *key.items), key.equal, key.seed, key.temperature))
    text = text.replace((HERE / "page.js").read_text(encoding="utf-8"), "")  # its comments speak of models
    for told in ("secret", "model", str(key.seed), str(key.temperature), 'weight"'):
        assert told not in text


def test_the_page_does_not_depend_on_which_model_wrote_an_answer() -> None:
    one, other = fixed_key(first_model=0), fixed_key(first_model=1)
    assert one.page != other.page
    assert page_html(one).replace(one.page, other.page) == page_html(other)


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_policy_allows_this_style_and_this_script_and_nothing_else(language) -> None:
    page = Page(page_html(fixed_key(language=language)))
    [(policy, _)] = page.found("meta", **{"http-equiv": "Content-Security-Policy"})

    def checksum(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    [(_, style)] = page.found("style")
    *data, (_, script) = page.found("script")
    assert all(attributes["type"] == "application/json" for attributes, _ in data)
    assert policy["content"].split("; ") == [
        "default-src 'none'",
        f"script-src {checksum(script)}",
        f"style-src {checksum(style)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not [has for _, has in page.tags if {"src", "href", "style", "action"} & {*has}]
    assert not [name for _, has in page.tags for name in has if name.startswith("on")]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_thirty_items_are_under_300_kb(language) -> None:
    """With answers of 256 tokens' length each, longer than nearly all of GSM8K's."""
    prompt, answer = "Một cửa hàng bán 48 chiếc bánh. " * 12, "Tháng Năm bán 48 / 2 = 24 chiếc bánh.\n" * 25
    text = page_html(fixed_key([(prompt, (answer, answer))] * 30, language))
    assert 60_000 < len(text.encode()) < 300_000


def test_both_languages_say_the_same_things() -> None:
    assert {*WORDS} == {"en", "vi"}
    assert [*WORDS["en"]] == [*WORDS["vi"]]
    for name, text in WORDS["en"].items():
        places = re.findall(r"\{\w+\}", text)
        assert sorted(places) == sorted(re.findall(r"\{\w+\}", WORDS["vi"][name])), name
        assert text.strip()
        assert WORDS["vi"][name].strip()


def test_every_word_has_its_place_and_every_place_its_word() -> None:
    frame, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.html", "page.js"))
    in_frame = {*Template(frame).get_identifiers()} - {"language", "policy", "style", "script", "words", "data"}
    by_part = {f"role_{role}" for role in ("system", "user", "assistant")}
    by_part |= {f"{criterion}{end}" for criterion in CRITERIA for end in ("", "_1", "_5")}
    by_part |= {f"{start}{side}" for side in ("left", "right", "first", "second") for start in ("", "answer_")}
    assert in_frame | by_part | {*re.findall(r"\bwords\.(\w+)", script)} == {*WORDS["en"]}
    for language, words in WORDS.items():
        text = page_html(fixed_key(language=language))
        assert f'<html lang="{language}">' in text
        assert f"<title>{html.escape(words['title'])}</title>" in text


def test_a_side_is_known_by_its_id_only() -> None:
    key = Key(("A",), (Item("i", [{"role": "user", "content": "?"}], (Side("f00d", 0, "!"),), "s"),), 0, 1, 0.0)
    assert Page(page_html(key)).data["items"][0]["answers"] == [{"id": "f00d", "text": "!"}]


def test_the_looks_follow_the_size_of_the_letters_that_a_browser_is_set_to():
    """A condition in pixels would leave two columns to letters that have no room for them."""
    conditions = re.findall(r"@media \((?:min|max)-(?:width|height).*", (HERE / "page.css").read_text(encoding="utf-8"))
    assert len(conditions) == 2
    assert not any(re.search(r"\dpx", condition) for condition in conditions)
