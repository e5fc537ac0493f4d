"""The download, against a server on loopback that speaks as much of the hub's protocol as one file needs."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minigpt import GPT, GPTConfig, generate, load_tokenizer
from minigpt.official import TENSORS, VOCABULARY
from minigpt.pretrained import write_model

# Stands for the tensors: the download looks at their SHA-256 alone. The hub's library takes pieces of 10 MiB.
BODY = os.urandom(25_000_000)
COMMIT = "1" * 40
# The command as it is, told that BODY is the official file.
COMMAND = f"""
import minigpt.official
minigpt.official.TENSORS["gpt2"] = {hashlib.sha256(BODY).hexdigest()!r}
import runpy
runpy.run_module("minigpt.download", run_name="__main__")
"""


class Hub(ThreadingHTTPServer):
    """Serves `files`; `cut` connections for the tensors end halfway."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.asked = files, 0, []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if name not in self.server.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = self.server.files[name]
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("Content-Length", str(len(whole) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        if not body:
            return
        if name == "model.safetensors" and self.server.cut:
            self.server.cut -= 1
            self.wfile.write(whole[first : len(whole) // 2])
            self.close_connection = True
            return
        self.wfile.write(whole[first:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(gpt2_folder: Path, tmp_path: Path) -> Iterator[Hub]:
    write_model(tmp_path / "config", GPTConfig.named("gpt2"), {})
    files = {name: (gpt2_folder / name).read_bytes() for name in VOCABULARY}
    files["config.json"] = (tmp_path / "config" / "config.json").read_bytes()
    server = Hub(files | {"model.safetensors": BODY})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def download(hub: Hub, folder: Path) -> subprocess.CompletedProcess:
    there = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "hub"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-c", COMMAND, "gpt2"]
    return subprocess.run(command, cwd=folder, env=there, capture_output=True, text=True, timeout=120)


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
    text = (Path(__file__).parents[1] / "weights" / "README.md").read_text()
    for sha256 in [*TENSORS.values(), *VOCABULARY.values()]:
        assert sha256 in text


@pytest.fixture(scope="module")
def official() -> GPT:
    folder = Path(__file__).parents[1] / "weights" / "gpt2"
    if not (folder / "model.safetensors").exists():
        pytest.skip("weights/gpt2 holds no model.safetensors; python -m minigpt.download gpt2 brings it")
    return GPT.from_pretrained(folder)


def test_the_official_model_continues_two_ids_as_it_is_known_to(official: GPT) -> None:
    known = [
        464,
        3290,
        373,
        1043,
        287,
        257,
        2214,
        1474,
        262,
        16246,
        286,
        2688,
        290,
        2688,
        27262,
        13,
        198,
        198,
        464,
        3290,
    ]
    assert generate(official, known[:2], 18, temperature=0.0) == known[2:]


def test_the_official_model_continues_alan_turing_as_it_is_known_to(official: GPT, gpt2_folder: Path) -> None:
    tokenizer = load_tokenizer(gpt2_folder)
    prompt = tokenizer.encode("Alan Turing theorized that computers would one day become")
    answer = tokenizer.decode(generate(official, prompt, 8, temperature=0.0))
    assert answer == " the most powerful machines on the planet."
