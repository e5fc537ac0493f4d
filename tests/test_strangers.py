"""Files from strangers: whatever is done to a model's, a run's or a data file, the answer is a sentence.

Each file is damaged byte by byte, or a value in its JSON is replaced by another; what reads it may find nothing wrong,
or raise a UserError, within seconds and without gigabytes of memory. Nothing else may come out.
"""

import gzip
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from minigpt import GPT, GPTConfig, load_template, load_tokenizer, train
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run.changes import Changes
from minigpt.run.checkpoint import WHOLE, checkpoints, load_checkpoint, save_checkpoint
from minigpt.run.folder import read_options
from minigpt.run.metrics import Metrics
from minigpt.run.start import initial_model_of
from minigpt.text.examples import Example
from minigpt.text.records import read_conversations
from minigpt.text.template import save_template, template_of
from tests.pretrained.test_checkpoint_folder import write_rows

pytestmark = pytest.mark.slow

NOTHING = {"sha256": {}, "init_sha256": {}}  # the checksums of a run over no file
MORE_MEMORY = 2 * 2**30  # bytes that reading a small file may take at most
LONGEST = 5000  # milliseconds
CONFIG = GPTConfig(vocab_size=260, n_ctx=16, n_embd=8, n_head=2, n_layer=1, bos_token_id=256)


def new_trainer() -> Trainer:
    torch.manual_seed(0)
    recipe = Recipe(steps=4, batch_size=1, micro_batch_size=1, lr=1e-3, warmup_steps=1)
    return Trainer(GPT(CONFIG), [Example([1, 2, 3], [False, True, True], "row")], recipe)


def go_on(folder: Path) -> None:
    """A checkpoint that is accepted must also be one to go on from."""
    trainer = new_trainer()
    load_checkpoint(folder, trainer)
    trainer.train_step()


def read_back(folder: Path) -> None:
    names = [path for path in folder.iterdir() if path.name.startswith("rows")]
    for conversation in read_conversations(names, bad=[]):
        load_template("chatml", load_tokenizer("bytes")).encode(conversation.messages)


def read_run(folder: Path) -> None:
    train.saved_options(train.Options(resume=True, run=folder))
    initial_model_of(folder / "model")
    now = asdict(train.Options(tokenizer="bytes", steps=3))
    Changes.between(read_options(folder), now, repeating=False).check_files(now | NOTHING)


# What reads each file, in a folder where all the others are whole.
READERS: dict[str, Callable[[Path], object]] = {
    "model/model.safetensors": lambda folder: GPT.from_pretrained(folder / "model"),
    "model/config.json": lambda folder: GPT.from_pretrained(folder / "model"),
    "model/minigpt.json": lambda folder: template_of(folder / "model"),
    "sharded/model.safetensors.index.json": lambda folder: GPT.from_pretrained(folder / "sharded"),
    "pickled/pytorch_model.bin": lambda folder: GPT.from_pretrained(folder / "pickled"),
    "gpt2/vocab.json": lambda folder: load_tokenizer(folder / "gpt2").encode("Hello, Việt Nam!"),
    "gpt2/merges.txt": lambda folder: load_tokenizer(folder / "gpt2").encode("Hello, Việt Nam!"),
    "checkpoint/step-00000002/tensors.safetensors": lambda folder: go_on(folder / "checkpoint"),
    "checkpoint/step-00000002/state.json": lambda folder: go_on(folder / "checkpoint"),
    "parts/step-00000002/shard-00001.safetensors": lambda folder: go_on(folder / "parts"),
    "run/checkpoint/step-00000002/tensors.safetensors": lambda folder: GPT.from_pretrained(folder / "run"),
    "lines/rows.jsonl": lambda folder: read_back(folder / "lines"),
    "array/rows.json": lambda folder: read_back(folder / "array"),
    "zipped/rows.jsonl.gz": lambda folder: read_back(folder / "zipped"),
    "options.json": read_run,
    "metrics.jsonl": lambda folder: Metrics(folder / "metrics.jsonl", step=2).close(),
}
JSON = [name for name in READERS if name.endswith(".json") and "rows" not in name]


def write_short_vocabulary(whole: Path, folder: Path) -> None:
    """The first thousand of GPT-2's pairs: read in no time, and damage is seldom far from what matters."""
    folder.mkdir()
    lines = (whole / "merges.txt").read_text("utf-8").splitlines(keepends=True)
    (folder / "merges.txt").write_text("".join(lines[:1001]), "utf-8")
    ids = json.loads((whole / "vocab.json").read_text("utf-8"))
    (folder / "vocab.json").write_text(json.dumps({token: i for token, i in ids.items() if i < 256 + 1000}), "utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, gpt2_folder: Path) -> Path:
    """A folder with one of each."""
    folder = tmp_path_factory.mktemp("strangers")
    torch.manual_seed(0)
    model = GPT(CONFIG)
    model.save_pretrained(folder / "model")
    save_template(folder / "model", load_template("documents", load_tokenizer("bytes")))
    for name in ("sharded", "pickled"):
        (folder / name).mkdir()
        shutil.copy(folder / "model" / "config.json", folder / name)
    shutil.copy(folder / "model" / "model.safetensors", folder / "sharded" / "a.safetensors")
    where = {"weight_map": dict.fromkeys(model.state_dict(), "a.safetensors")}
    (folder / "sharded" / "model.safetensors.index.json").write_text(json.dumps(where))
    torch.save(model.state_dict(), folder / "pickled" / "pytorch_model.bin")
    write_short_vocabulary(gpt2_folder, folder / "gpt2")
    trainer = new_trainer()
    trainer.train_step()
    trainer.train_step()
    save_checkpoint(folder / "checkpoint", trainer)
    [checkpoint] = checkpoints(folder / "checkpoint")
    write_rows(folder / "parts" / checkpoint.name, load_file(checkpoint / WHOLE), processes=2)
    shutil.copytree(folder / "checkpoint", folder / "run" / "checkpoint")
    (folder / "run" / "model").mkdir()
    shutil.copy(folder / "model" / "config.json", folder / "run" / "model")
    (folder / "run" / "options.json").write_text("{}")
    rows = [{"question": "Tại sao?", "answer": "Vì thế 😀"}, {"messages": [{"role": "user", "content": "a"}]}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for name, content in (("lines", lines), ("array", json.dumps(rows).encode()), ("zipped", gzip.compress(lines))):
        (folder / name).mkdir()
        path = next(folder / file for file in READERS if file.startswith(name))
        path.write_bytes(content)
    options = asdict(train.Options(tokenizer="bytes", steps=3)) | {"changes": [{"step": 1}], **NOTHING}
    (folder / "options.json").write_text(json.dumps(options))
    events = [{"step": step, "split": "train", "loss": 1.0, "grad_norm": 1.0} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for name, read in READERS.items():
        read(folder)
        assert (folder / name).exists()
    return folder


@contextmanager
def little_memory() -> Iterator[None]:
    """An allocation of gigabytes fails, and with it the test."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def read_damaged(whole: Path, folder: Path, name: str, content: bytes) -> None:
    """The file's reader, in a copy of its folder that holds this content in its place."""
    top = name.split("/")[0]
    target = folder / top
    if (whole / top).is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(whole / top, target)
    else:
        folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with little_memory():
        said = ""
        try:
            READERS[name](folder)
        except UserError as error:
            said = str(error).strip()
    if "Type-check error" not in said:  # beartype's, which checks the signatures while the tests run
        assert len(said) < 2000
        assert "\n" not in said or "line" in said


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut, with bytes replaced, put in or taken out, a few times."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)) | st.integers(0, min(400, max(0, len(content) - 1))))
        few = draw(st.binary(min_size=1, max_size=8))
        match draw(st.sampled_from(["cut", "replace", "insert", "remove", "double"])):
            case "cut":
                content = content[:at]
            case "replace":
                content = content[:at] + few + content[at + len(few) :]
            case "insert":
                content = content[:at] + few + content[at:]
            case "remove":
                content = content[:at] + content[at + len(few) :]
            case "double":
                content = content[:at] + content[at : at + 40] + content[at:]
    return content


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["../outside.safetensors", "/etc/passwd", "\ud800", "gpt2", "bytes"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(
    max_examples=30, deadline=LONGEST, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_damaged_bytes_are_answered_by_a_sentence(whole: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = (whole / name).read_bytes()
    read_damaged(whole, tmp_path / "copy", name, data.draw(damage(content)))


@pytest.mark.parametrize("name", JSON)
@given(data=st.data())
@settings(
    max_examples=30, deadline=LONGEST, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_other_value_is_answered_by_a_sentence(whole: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    """One value of the file replaced, added or taken away; or all of it."""
    values = json.loads((whole / name).read_bytes())
    changed = data.draw(ANY_JSON)
    if isinstance(values, dict) and data.draw(st.integers(0, 9)):
        inner = values["weight_map"] if "weight_map" in values and data.draw(st.booleans()) else values
        key = data.draw(st.sampled_from(sorted(inner)[:200]) | st.text(max_size=5))
        if data.draw(st.booleans()):
            inner[key] = changed
        else:
            inner.pop(key, None)
        changed = values
    read_damaged(whole, tmp_path / "copy", name, json.dumps(changed).encode())
