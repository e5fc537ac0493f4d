"""`rate prepare`: answer the same prompts with each model, and write the page on which people rate the answers."""

import json
import random
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.pretrained.folder import model_folder
from minigpt.ranges import AtOnce, Count, Seed, Temperature
from minigpt.rating.answers import Model, Reference, collect, read_prompts
from minigpt.rating.key import REFERENCE, Key, Language
from minigpt.rating.page import page_html
from minigpt.run.device import Device
from minigpt.run.start import load_model
from minigpt.sample.sampling import Sampling
from minigpt.writing import check_new, write_text


@dataclass
class PrepareOptions:
    """Write one HTML file on which people rate the answers of one or two models, without knowing whose they are.

    The file needs no server, no network and nothing installed: send it to the raters, who open it in a browser and send
    back the ratings-NAME.json that it saves. The key, written beside it, says whose answer each is; keep it to
    yourself until `rate summarize` reads it with what the raters sent.
    """

    models: tuple[str, ...]
    """One or two runs, models' folders or official sizes; "reference" in the place of one means the data's own
    answers."""
    data: tuple[str, ...] = ("builtin",)
    """Files of conversations or of pairs, hf:owner/name[:config][:split], or builtin, the built-in test split."""
    rows: AtOnce = 30
    """How many items the page has; they are drawn from the data. Where two models give the same answer there is nothing
    to choose: such conversations are counted, and others taken in their place."""
    out: Path = Path("rating.html")
    """The page; the key is written beside it, as rating.key.json."""
    language: Language = "en"
    """The language of the page, English or Vietnamese; the conversations are shown as they are."""
    temperature: Temperature = 0.0
    """Answers are drawn at this temperature; 0 takes the most probable token each time."""
    max_new_tokens: Count = 256
    """The longest answer, in tokens."""
    seed: Seed | None = None
    """Fixes which conversations are taken, the answers that are drawn, and the sides. Whoever knows it, or guesses a
    small one, could work out the sides: left out, it is drawn, and stands in the key alone."""
    template: str | None = None
    """How a conversation is laid out; the template that each model was trained with if left out."""
    batch_size: AtOnce = 32
    """Prompts answered at once."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""


def prepare(options: PrepareOptions) -> None:
    check_models(options.models)
    key_path = key_beside(options.out)
    for path in (options.out, key_path):
        check_new(path)
    rows = read_prompts(options.data)
    seed = secrets.randbits(63) if options.seed is None else options.seed
    draw = random.Random(seed)
    draw.shuffle(rows)
    models = [Reference() if name == REFERENCE else loaded(name, options) for name in options.models]
    found = collect(models, rows, options.rows, draw)
    not_shown = {"with the same answer twice": found.equal, "too long for a model's context": found.too_long}
    why = ", ".join(f"{count:,} {what}" for what, count in not_shown.items() if count)
    if not found.items:
        raise UserError(f"There is nothing to rate in {len(rows):,} conversations: {why}.")
    key = Key(options.models, tuple(found.items), found.equal, seed, options.temperature, options.language)
    as_json = json.dumps(key.as_json(), indent=1) + "\n"  # in ASCII, so that any text is kept
    write_both({key_path: as_json, options.out: page_html(key)})
    few = f", all that there are (--rows asked for {options.rows:,})" * (len(key.items) < options.rows)
    say(f"{options.out}: items: {len(key.items):,}{few}.{f' Conversations not shown: {why}.' * bool(why)}")
    say(f"{key_path}: the key, which says whose answer each is. Keep it to yourself.")
    say(f"Send {options.out} to the raters. When their files are back:")
    print(f"  python -m minigpt.rate summarize {shlex.quote(str(key_path))} ratings-*.json")


def loaded(name: str, options: PrepareOptions) -> Model:
    model, template = load_model(name, options.template, options.device)
    return Model(model, template, Sampling(options.temperature), options.max_new_tokens, options.batch_size)


def check_models(names: Sequence[str]) -> None:
    """UserError for the same one twice, or more than two."""
    if len(names) > 2:
        raise UserError(f"--models names {len(names)} models; people compare two, or rate one.")
    same = {REFERENCE if name == REFERENCE else str(model_folder(name).resolve()) for name in names}
    if len(same) < len(names):
        raise UserError(f"--models names {names[0]} twice.")


def key_beside(out: Path) -> Path:
    """UserError for a page that would not open by a double click."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out} is not the name of a web page; let it end with .html, so that a double click opens it.")
    return out.with_suffix(".key.json")


def write_both(texts: Mapping[Path, str]) -> None:
    """Write new files: all of them, or none."""
    try:
        for path, text in texts.items():
            write_text(path, text)
    except BaseException:  # KeyboardInterrupt too
        for path in texts:
            path.unlink(missing_ok=True)
        raise
