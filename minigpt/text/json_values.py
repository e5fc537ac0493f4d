"""JSON values one at a time, from a file of any length."""

import io
import json

LONGEST = 2**24  # bytes in a row: far more than any conversation, far less than a machine's memory
CHUNK = 2**16
TOKEN = 16  # characters: longer than any exponent, literal or escape that the end of the buffer may cut


class TooLong(ValueError):
    """A value of more than LONGEST bytes."""


class Decoder:
    """Python's JSON decoder, which remembers a key that occurs twice in one object; the last one wins unnoticed."""

    def __init__(self) -> None:
        self.repeated: str | None = None
        self._json = json.JSONDecoder(object_pairs_hook=self._object)

    def decode(self, text: str) -> object:
        """The value that is all of this text."""
        self.repeated = None
        return self._json.decode(text)

    def decode_at(self, text: str, at: int) -> tuple[object, int]:
        """The value that begins at this character, and where it ends."""
        self.repeated = None
        return self._json.raw_decode(text, at)

    @property
    def error(self) -> str:
        return "" if self.repeated is None else f"has the key {self.repeated!r} twice."

    def _object(self, pairs: list[tuple[str, object]]) -> dict:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            self.repeated = next(name for name in names if names.count(name) > 1)
        return found


class JSONValues:
    """Incremental reader: it reads no further than the next value needs. `line` is the line where it is."""

    def __init__(self, file: io.TextIOBase) -> None:
        self.file, self.text, self.at, self.line = file, "", 0, 1
        self.decoder = Decoder()

    def more(self) -> bool:
        """Double the buffer, so that retrying a value costs at most twice one reading of it."""
        unread = self.text[self.at :]
        chunk = self.file.read(max(CHUNK, len(unread)))
        self.text, self.at = unread + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is not white space, or "" at the end; `line` is its line."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.line += self.text[self.at] == "\n"
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        if (found := self.peek()) != character:
            raise ValueError(f"expected {character!r}, found {found!r}" if found else "the file ends too early")
        self.at += 1

    def value(self) -> tuple[str, object, str]:
        """The next value's text, the value, and what is wrong with it although it is JSON. ValueError if it is not."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.decode_at(self.text, self.at)
            except json.JSONDecodeError as error:
                # A value cut by the end of the buffer fails near that end, or as an unterminated string; an error
                # anywhere else is final.
                if error.pos < len(self.text) - TOKEN and not error.msg.startswith("Unterminated"):
                    raise
                if len(self.text) - self.at > LONGEST:
                    raise TooLong(f"an element {too_long()}") from None
                if not self.more():
                    raise
                continue
            size = end - self.at
            # A number at the end of the buffer may continue after it: 1, 1., 1e+.
            if end + TOKEN < len(self.text) or not self.more():
                break
        text = self.text[self.at : self.at + size]
        try:
            if len(text.encode()) > LONGEST:
                raise TooLong(f"an element {too_long()}")
        except UnicodeEncodeError:
            raise ValueError("an element holds bytes that are not UTF-8") from None
        self.line += text.count("\n")
        self.at += size
        return text, value, self.decoder.error


def too_long() -> str:
    return f"is longer than {LONGEST / 2**20:.0f} MiB"
