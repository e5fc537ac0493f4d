"""Lesson 11: data sets of Hugging Face's hub, from a folder that the library takes for one of them."""

import json
import socket
import sys
import time
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from minigpt.errors import UserError
from minigpt.text.corpus import PlainText
from minigpt.text.hub import hub_sha256, read_hub_rows
from minigpt.text.records import BadRow, data_sha256, read_conversations
from minigpt.text.splits import load_data
from minigpt.text.tokenizer import ByteTokenizer

pytestmark = pytest.mark.slow

GSM8K, EVERYDAY = "openai/gsm8k", "HuggingFaceTB/everyday-conversations-llama3.1-2k"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where `owner/name` is found before the hub is asked; what the library keeps is beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "here"


def question(i: int, config: str = "main") -> dict[str, str]:
    return {"question": f"{config} {i}\u2028?", "answer": f"Nghĩ.\n#### {i}"}


def lay_out(folder: Path, name: str, rows: dict[str, dict[str, list[dict]]], described: bool = True) -> None:
    """Parquet files by configuration and split, as the hub has them; `described` in the card, as most are."""
    configs = []
    for config, splits in rows.items():
        place = folder / name / config
        place.mkdir(parents=True, exist_ok=True)
        for split, its_rows in splits.items():
            table = pyarrow.Table.from_pylist(its_rows)
            pyarrow.parquet.write_table(table, place / f"{split}-00000-of-00001.parquet")
        files = [{"split": split, "path": f"{config}/{split}-*"} for split in splits]
        configs.append({"config_name": config, "data_files": files})
    if described:  # YAML takes JSON
        (folder / name / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n# A card\n")


@pytest.fixture
def gsm8k(folder: Path) -> None:
    """Two configurations of two splits."""
    lay_out(
        folder,
        GSM8K,
        {
            config: {"train": [question(i, config) for i in range(5)], "test": [question(i, config) for i in (7, 8, 9)]}
            for config in ("main", "socratic")
        },
    )


def said(name: str) -> list[str]:
    return [row.messages[0]["content"].removesuffix("\u2028?") for row in read_conversations([name])]


@pytest.mark.usefixtures("gsm8k")
def test_rows_of_the_hub_are_conversations_named_by_their_number() -> None:
    read = read_conversations([f"hf:{GSM8K}:main:test"])
    assert [row.source for row in read] == [f"hf:{GSM8K}:main:test, row {i}" for i in (1, 2, 3)]
    assert [row.messages for row in read] == [
        [{"role": "user", "content": f"main {i}\u2028?"}, {"role": "assistant", "content": f"Nghĩ.\n#### {i}"}]
        for i in (7, 8, 9)
    ]


@pytest.mark.usefixtures("gsm8k")
def test_configuration_and_split_go_by_position_and_the_default_split_is_train() -> None:
    assert said(f"hf:{GSM8K}:main") == [f"main {i}" for i in range(5)]
    assert said(f"hf:{GSM8K}:socratic") == [f"socratic {i}" for i in range(5)]
    assert said(f"hf:{GSM8K}:socratic:test") == [f"socratic {i}" for i in (7, 8, 9)]


@pytest.mark.parametrize("described", [True, False])
def test_one_word_is_a_split_where_there_is_one_configuration(folder: Path, described: bool) -> None:
    """Unless it is the configuration's name."""
    config = "test" if described else ""
    lay_out(folder, "a/b", {config: {"train": [question(1)], "valid": [question(2)]}}, described)
    split = "valid" if described else "validation"  # which is what the library makes of such a file's name
    assert said("hf:a/b") == ["main 1"]
    assert said(f"hf:a/b:{split}") == ["main 2"]
    name = config or "default"
    assert said(f"hf:a/b:{name}") == ["main 1"]
    assert said(f"hf:a/b:{name}:{split}") == ["main 2"]


def test_messages_are_read_whatever_order_their_fields_are_kept_in(folder: Path) -> None:
    """As in everyday-conversations, which has no split called train."""
    messages = [
        {"content": "Hi 🙂", "role": "user"},
        {"content": "Hello!", "role": "assistant"},
        {"content": "Và?", "role": "user"},
        {"content": "Vâng.", "role": "assistant"},
    ]
    row = {"full_topic": "Travel/Planning", "messages": messages}
    lay_out(folder, EVERYDAY, {"default": {"train_sft": [row, row], "test_sft": [{**row, "messages": messages[:2]}]}})
    read = read_conversations([f"hf:{EVERYDAY}:train_sft", f"hf:{EVERYDAY}:test_sft"])
    assert [row.messages for row in read] == [messages, messages, messages[:2]]
    with pytest.raises(UserError, match=r"2k has no split 'train'; it has train_sft, test_sft\.$"):
        read_conversations([f"hf:{EVERYDAY}"])


def test_bad_rows_are_listed_by_their_number_with_what_they_say(folder: Path) -> None:
    rows = [question(1), {"question": "é", "answer": None}, {**question(2), "kind": "sums"}]
    lay_out(folder, "a/b", {"main": {"train": [{"kind": None, **row} for row in rows]}})
    bad: list[BadRow] = []
    read = read_conversations(["hf:a/b"], bad)
    assert [(row.source, row.kind) for row in read] == [("hf:a/b, row 1", "all"), ("hf:a/b, row 3", "sums")]
    assert [(row.source, row.reason) for row in bad] == [("hf:a/b, row 2", '"answer" is not text.')]
    assert bad[0].text == '{"kind": null, "question": "é", "answer": null}'
    with pytest.raises(UserError, match=r'^hf:a/b, row 2: "answer" is not text\.$'):
        read_conversations(["hf:a/b"])


def test_rows_of_several_formats_in_one_table_are_each_read_as_what_they_are(folder: Path) -> None:
    """Every row has the columns of all of them, null where they are not its own."""
    messages = [{"role": "user", "content": "u", "weight": None}, {"role": "assistant", "content": "a", "weight": 1}]
    empty = {"messages": None, "prompt": None, "completion": None, "system": None, "history": None}
    rows = [
        {**empty, "messages": messages, "system": "s"},
        {**empty, "prompt": "p", "completion": "c", "history": [["q", "b"]]},
        {**empty},
        {**empty, "messages": [{**messages[0]}, {**messages[1], "weight": 0}], "prompt": "p", "completion": "c"},
    ]
    lay_out(folder, "a/b", {"main": {"train": rows}})
    bad: list[BadRow] = []
    read = read_conversations(["hf:a/b"], bad)
    assert [[message["content"] for message in row.messages] for row in read] == [["s", "u", "a"], ["q", "b", "p", "c"]]
    assert [(row.source, row.reason) for row in bad] == [
        ("hf:a/b, row 3", 'holds no conversation: "messages", "prompt", "completion" are null.'),
        (
            "hf:a/b, row 4",
            'has "prompt", which would change what is said or trained on, and cannot be used here; '
            "remove it, or write what it says into the messages.",
        ),
    ]


@pytest.mark.usefixtures("gsm8k")
@pytest.mark.parametrize("rest", ["", ":test", ":nope", ":nope:test"])
def test_several_configurations_and_none_of_them_named_is_refused_with_their_names(rest: str) -> None:
    """Never the first of them in silence."""
    with pytest.raises(UserError) as caught:
        read_conversations([f"hf:{GSM8K}{rest}"])
    assert str(caught.value) == (
        f"hf:{GSM8K}{rest}: {GSM8K} has the configurations main, socratic; choose one, such as hf:{GSM8K}:main."
    )


@pytest.mark.usefixtures("gsm8k")
def test_a_split_there_is_none_of_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=rf"^hf:{GSM8K}:main:nope has no split 'nope'; it has train, test\.$"):
        read_conversations([f"hf:{GSM8K}:main:nope"])


def test_one_configuration_under_another_name_is_refused_with_its_name(folder: Path) -> None:
    lay_out(folder, "a/b", {"main": {"train": [question(1)]}})
    with pytest.raises(UserError, match=r"^hf:a/b:nope:train cannot be loaded: .*'nope'.*\['main'\]\.$"):
        read_conversations(["hf:a/b:nope:train"])
    with pytest.raises(UserError, match=r"^hf:a/b:nope has no split 'nope'; it has train\.$"):
        read_conversations(["hf:a/b:nope"])


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:name", "hf:json", "hf:a/b:c:d:e", "hf:a/b:", "hf:a/b:c:", "hf:a/b::d", "hf::c", "hf:/b", "hf:a/"]
    + ["hf:a/b/c", "hf:../b", "hf:a/..", "hf:/etc/b", "hf: a/b", "hf://a/b"],
)
def test_what_is_no_name_is_refused_before_anything_is_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError) as caught:
        read_conversations([name])
    assert str(caught.value) == f"{name} is not hf:owner/name, hf:owner/name:config or hf:owner/name:config:split."


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r'--data hf:a/b needs the package datasets: pip install "minigpt\[data\]"\.$'):
        read_conversations(["hf:a/b"])


@pytest.mark.parametrize("part", ["end", "middle"])
def test_a_file_that_is_broken_is_refused_with_the_reason(folder: Path, part: str) -> None:
    """Not with the library's "An error occurred", which tells nothing; and in one line."""
    lay_out(folder, "a/b", {"main": {"train": [question(1)]}})
    path = folder / "a/b/main/train-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(b"PAR1 no more" if part == "end" else whole[:4] + bytes(100) + whole[104:])
    with pytest.raises(UserError) as caught:
        read_conversations(["hf:a/b"])
    said = str(caught.value)
    assert said.startswith("hf:a/b cannot be loaded: ")
    assert said.endswith(".")
    assert "An error occurred" not in said
    assert "\n" not in said


def test_the_checksum_is_of_the_rows_and_changes_with_any_of_them(folder: Path) -> None:
    """Not of the files, whose layout may change without a word of the data."""
    rows = [question(1), question(2)]
    lay_out(folder, "a/b", {"main": {"train": rows, "test": [question(3)]}, "more": {"train": rows}})
    lay_out(folder, "a/c", {"main": {"train": [question(1), {**question(2), "answer": "#### 3"}]}})
    lay_out(folder, "a/d", {"main": {"train": rows[::-1]}})
    first = hub_sha256("hf:a/b:main")
    assert len(first) == 64
    assert hub_sha256("hf:a/b:main:train") == hub_sha256("hf:a/b:more") == data_sha256("hf:a/b:main") == first
    others = {hub_sha256(name) for name in ("hf:a/b:main:test", "hf:a/c", "hf:a/d")}
    assert len(others | {first}) == 4


def test_values_that_are_no_json_are_no_mistake(folder: Path) -> None:
    """A column of dates or bytes may stand beside the text."""
    day = pyarrow.scalar(0, pyarrow.date32()).as_py()
    lay_out(folder, "a/b", {"main": {"train": [{**question(1), "day": day, "raw": b"\xff"}]}})
    (row,) = read_hub_rows("hf:a/b")
    assert json.loads(row.text)["day"] == "1970-01-01"
    assert len(hub_sha256("hf:a/b")) == 64


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A hub where nobody listens; and the times that anyone would have waited before asking it again."""
    waits: list[float] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(time, "sleep", waits.append)
        for config in (huggingface_hub.constants, datasets.config):
            monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", endpoint)
        huggingface_hub.close_session()
        yield waits
    huggingface_hub.close_session()


def test_a_set_that_cannot_be_reached_is_refused_at_once(unreachable: list[float]) -> None:
    """The library by itself asks six times, for half a minute or, behind a silent firewall, for seven."""
    with pytest.raises(UserError, match=r"^hf:no/such cannot be loaded: Couldn't reach 'no/such' on the Hub .*\.$"):
        read_conversations(["hf:no/such"])
    assert unreachable == []


@pytest.mark.usefixtures("gsm8k")
def test_a_set_that_was_fetched_before_needs_no_network(
    folder: Path, unreachable: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the same names as with one: the configuration alone, and with its split."""
    expected = {name: said(f"hf:{GSM8K}:{name}") for name in ("main", "main:test")}
    kept = Path(datasets.config.HF_DATASETS_CACHE)
    (kept / "gsm8k").rename(kept / "openai___gsm8k")  # the name that a set of the hub is kept under
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    for name, texts in expected.items():
        assert said(f"hf:{GSM8K}:{name}") == texts
    assert said(f"hf:{GSM8K}") == expected["main"]  # the only one that was fetched
    assert said(f"hf:{GSM8K}:test") == expected["main:test"]
    with pytest.raises(UserError, match=r"Couldn't find cache for openai/gsm8k for config 'socratic'"):
        read_conversations([f"hf:{GSM8K}:socratic:test"])
    assert unreachable == []


def test_nothing_else_is_asked_for_a_set_that_lies_here(
    folder: Path, unreachable: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder, "a/b", {"main": {"train": [question(1)]}})
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a network was asked for"))
    assert said("hf:a/b") == ["main 1"]
    assert not datasets.config.HF_HUB_OFFLINE
    assert unreachable == []


def test_a_text_column_is_plain_text_and_its_tokens_are_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lay_out(folder, "me/stories", {"default": {"train": [{"text": "One.", "id": 1}, {"text": "Two.", "id": 2}]}})
    data = load_data(["hf:me/stories"], None)
    assert isinstance(data, PlainText)
    [ids] = data.sources(ByteTokenizer())
    assert bytes(i if i < 256 else ord("|") for i in ids.tolist()) == b"|One.|Two."
    assert [path.name.split("-")[:3] for path in (tmp_path / "cache" / "minigpt").iterdir()] == [
        ["hf", "me", "stories.bytes"]
    ]
