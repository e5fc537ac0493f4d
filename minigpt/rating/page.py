"""The page on which people rate answers: one HTML file that needs no server, no network and no other file.

`page.html` is its frame, `page.css` its looks, `page.js` all that it does, `words.json` what it says in each language.
"""

import hashlib
import html
import json
from base64 import b64encode
from pathlib import Path
from string import Template

from minigpt.rating.key import BEST, BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, RATINGS_FORMAT, WORST, Key

HERE = Path(__file__).parent
TERMS = {  # in which the page says what a rater has said
    "format": RATINGS_FORMAT,
    "criteria": CRITERIA,
    "scale": [*range(WORST, BEST + 1)],
    "equal": EQUAL,
    "bothBad": BOTH_BAD,
    "cannotJudge": CANNOT_JUDGE,
}


def page_html(key: Key) -> str:
    """The page of a key. Of the key it holds the name of the page, the conversations, and the answers by the ids of
    their sides in the order in which they are shown: nothing that tells which model wrote an answer."""
    style, script, words = (read(name) for name in ("page.css", "page.js", "words.json"))
    said = json.loads(words)[key.language]
    items = [
        {
            "id": item.id,
            "messages": [{name: message[name] for name in ("role", "content")} for message in item.messages],
            "answers": [{"id": side.id, "text": side.answer} for side in item.sides],
        }
        for item in key.items
    ]
    return Template(read("page.html")).substitute(
        {name: html.escape(text) for name, text in said.items()},
        language=key.language,
        policy=policy(style, script),
        style=style,
        script=script,
        words=json_for_html(said),
        data=json_for_html({"page": key.page, "items": items, **TERMS}),
    )


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """The page's Content-Security-Policy: this style and this script, known by their checksums, and nothing else. Even
    if a text became markup it could run no script and send nothing."""
    rules = ["default-src 'none'", f"script-src {checksum(script)}", f"style-src {checksum(style)}"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def checksum(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_for_html(value: object) -> str:
    """JSON in ASCII without the characters that mean something in HTML. A parser of HTML changes line ends and null
    bytes, and a file in UTF-8 cannot hold half of a surrogate pair; as JSON's escapes all of them survive."""
    text = json.dumps(value)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
