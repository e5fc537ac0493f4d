"""The download, against a server on loopback that speaks as much of the hub's protocol as one file needs."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minigpt import GPT, GPTConfig, generate, load_tokenizer
from minigpt.pretrained.folder import write_model
from minigpt.pretrained.official import TENSORS, VOCABULARY
from tests.hub import Hub

pytestmark = pytest.mark.slow

# Stands for the tensors: the download looks at their SHA-256 alone. The hub's library takes pieces of 10 MiB.
BODY = os.urandom(25_000_000)
# The command as it is, told that BODY is the official file.
COMMAND = f"""
import minigpt.pretrained.official
minigpt.pretrained.official.TENSORS["gpt2"] = {hashlib.sha256(BODY).hexdigest()!r}
import runpy
runpy.run_module("minigpt.download", run_name="__main__")
"""


@pytest.fixture
def hub(gpt2_folder: Path, tmp_path: Path) -> Iterator[Hub]:
    write_model(tmp_path / "config", GPTConfig.named("gpt2"), {})
    files = {name: (gpt2_folder / name).read_bytes() for name in VOCABULARY}
    files["config.json"] = (tmp_path / "config" / "config.json").read_bytes()
    with Hub(files | {"model.safetensors": BODY}).serving() as server:
        yield server


def download(hub: Hub, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, "gpt2"]
    return subprocess.run(command, cwd=folder, env=hub.environment(folder), capture_output=True, text=True, timeout=120)


def test_a_connection_cut_midway_is_taken_up_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    """And a second download asks for nothing."""
    hub.cut = 1
    first = download(hub, tmp_path)
    assert first.returncode == 0, first.stderr
    assert "124,439,808 parameters" in first.stdout
    folder = tmp_path / "weights" / "gpt2"
    assert (folder / "model.safetensors").read_bytes() == BODY
    assert sorted(path.name for path in folder.iterdir()) == sorted(["config.json", "model.safetensors", *VOCABULARY])
    ranges = [asked for asked in hub.asked if asked[0] == "GET" and asked[1].endswith("model.safetensors")]
    assert [asked[2] for asked in ranges] == [None, "bytes=10485760-"]
    assert all(asked[1].startswith("/openai-community/gpt2/resolve/607a30d783df") for asked in ranges)
    hub.asked.clear()
    assert download(hub, tmp_path).returncode == 0
    assert hub.asked == []


def test_a_corrupted_file_is_named_and_set_aside(hub: Hub, tmp_path: Path) -> None:
    """And the next download, of the right one, goes through."""
    hub.files["model.safetensors"] = b"x" + BODY[1:]
    answer = download(hub, tmp_path)
    folder = tmp_path / "weights" / "gpt2"
    assert answer.returncode == 2
    assert "weights/gpt2/model.safetensors is not the official file: its SHA-256 is" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (folder / "model.safetensors").exists()
    assert (folder / "model.safetensors.wrong").read_bytes() == b"x" + BODY[1:]
    hub.files["model.safetensors"] = BODY
    assert download(hub, tmp_path).returncode == 0


def test_what_the_hub_does_not_have_is_a_sentence(hub: Hub, tmp_path: Path) -> None:
    del hub.files["merges.txt"]
    answer = download(hub, tmp_path)
    assert answer.returncode == 2
    assert "merges.txt of openai-community/gpt2 could not be downloaded" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_readme_of_the_weights_lists_every_checksum() -> None:
    text = (Path(__file__).parents[2] / "weights" / "README.md").read_text()
    for sha256 in [*TENSORS.values(), *VOCABULARY.values()]:
        assert sha256 in text


@pytest.fixture(scope="module")
def official() -> GPT:
    folder = Path(__file__).parents[2] / "weights" / "gpt2"
    if not (folder / "model.safetensors").exists():
        pytest.skip("weights/gpt2 holds no model.safetensors; python -m minigpt.download gpt2 brings it")
    return GPT.from_pretrained(folder)


def test_the_official_model_continues_two_ids_as_it_is_known_to(official: GPT) -> None:
    known = [
        464, 3290, 373, 1043, 287, 257, 2214, 1474, 262, 16246,
        286, 2688, 290, 2688, 27262, 13, 198, 198, 464, 3290,
    ]  # fmt: skip
    assert generate(official, known[:2], 18, temperature=0.0) == known[2:]


def test_the_official_model_continues_alan_turing_as_it_is_known_to(official: GPT, gpt2_folder: Path) -> None:
    tokenizer = load_tokenizer(gpt2_folder)
    prompt = tokenizer.encode("Alan Turing theorized that computers would one day become")
    answer = tokenizer.decode(generate(official, prompt, 8, temperature=0.0))
    assert answer == " the most powerful machines on the planet."
