"""Lesson 16: a checkpoint's tensors are read whole or in parts, in whatever parts they were written."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigpt.errors import UserError
from minigpt.pretrained.checkpoint_folder import PLACES, STATE, checkpoints, open_checkpoint, path_of

TENSORS = {
    "model.wte.weight": torch.arange(55, dtype=torch.float32).view(11, 5),
    "m.wte.weight": torch.arange(55, dtype=torch.bfloat16).view(11, 5),
    "model.score": torch.arange(7.0),
    "model.one": torch.ones(1),
}


def write_rows(path: Path, tensors: dict[str, Tensor], processes: int) -> None:
    """A checkpoint as torch.distributed.checkpoint writes it of so many processes, each with a part of the rows."""
    path.mkdir(parents=True)
    (path / STATE).write_text(json.dumps({"step": int(path.name.removeprefix("step-"))}))
    for process in range(processes):
        rows = {name: list(tensor.chunk(processes)) for name, tensor in tensors.items()}
        own = {name: parts[process] for name, parts in rows.items() if process < len(parts)}
        starts = {name: sum(map(len, rows[name][:process])) for name in own}
        places = {name: {"saved_offsets": [starts[name]] + [0] * (own[name].dim() - 1)} for name in own}
        file = path / f"shard-{process + 1:05d}.safetensors"
        save_file({name: part.clone() for name, part in own.items()}, file, metadata={PLACES: json.dumps(places)})


def damage(path: Path, process: int, change) -> None:
    file = path / f"shard-{process + 1:05d}.safetensors"
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        places = json.loads(opened.metadata()[PLACES])
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors, places)
    save_file(tensors, file, metadata={PLACES: json.dumps(places)})


@given(processes=st.integers(1, 12), first=st.integers(0, 12), n=st.integers(0, 12))
@settings(max_examples=60)
def test_any_rows_are_read_from_any_parts(
    tmp_path_factory: pytest.TempPathFactory, processes: int, first: int, n: int
) -> None:
    path = path_of(tmp_path_factory.mktemp("parts"), 3)
    write_rows(path, TENSORS, processes)
    stored = open_checkpoint(path)
    assert stored.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert (stored[name].shape, stored[name].dtype) == (list(tensor.shape), tensor.dtype)
        assert torch.equal(stored[name].read(), tensor)
        expected = tensor[first : first + n]
        rows = torch.full_like(expected, -1)
        stored[name].copy_to(rows, first)
        assert torch.equal(rows, expected)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_torch_s_own_reader_reads_the_same(tmp_path: Path, processes: int) -> None:
    """`write_rows`, and the one file of one process, are what it takes for such a checkpoint."""
    engine = pytest.importorskip("torch.distributed.checkpoint")
    path = path_of(tmp_path, 3)
    write_rows(path, TENSORS, processes)
    if processes == 1:
        save_file(TENSORS, path / "shard-00001.safetensors")
    read = {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}
    engine.load(read, storage_reader=engine.HuggingFaceStorageReader(str(path)), no_dist=True)
    stored = open_checkpoint(path)
    for name, tensor in read.items():
        assert torch.equal(tensor, stored[name].read())
        assert torch.equal(tensor, TENSORS[name])


DAMAGE = {
    "rows of model.wte.weight are missing": (0, lambda tensors, places: tensors.pop("model.wte.weight")),
    "rows of model.score are missing": (1, lambda tensors, places: places["model.score"].update(saved_offsets=[5])),
    "rows of model.score are missing, or there twice": (
        1, lambda tensors, places: places["model.score"].update(saved_offsets=[3]),
    ),
    "the parts of m.wte.weight do not fit together": (
        1, lambda tensors, places: tensors.update({"m.wte.weight": tensors["m.wte.weight"].float()}),
    ),
    "the parts of model.wte.weight do not fit together": (
        1, lambda tensors, places: places["model.wte.weight"].update(saved_offsets=[6, 1]),
    ),
    "KeyError": (1, lambda tensors, places: places.pop("model.one", None) or places.pop("model.score")),
    "TypeError": (1, lambda tensors, places: places["model.score"].update(saved_offsets=["4"])),
    "not enough values to unpack": (1, lambda tensors, places: places["model.score"].update(saved_offsets=[])),
}  # fmt: skip


@pytest.mark.parametrize("said", DAMAGE)
def test_parts_that_make_no_whole_are_a_sentence(tmp_path: Path, said: str) -> None:
    """torch's own reader leaves what is missing as it was, without a word."""
    path = path_of(tmp_path, 3)
    write_rows(path, TENSORS, 2)
    damage(path, *DAMAGE[said])
    with pytest.raises(UserError, match=rf"step-00000003 is not a checkpoint of this model \({said}"):
        open_checkpoint(path)


def test_only_what_has_a_step_s_name_is_a_checkpoint_and_the_steps_are_in_order(tmp_path: Path) -> None:
    steps = (3, 20, 100_000_000, 99_999_999)
    for step in steps:
        path_of(tmp_path, step).mkdir()
    for name in ("incoming", "outgoing", "step-last", "step-00000005.incoming", "step-7"):
        (tmp_path / name).mkdir()
    assert checkpoints(tmp_path) == [path_of(tmp_path, step) for step in sorted(steps)]
    assert checkpoints(tmp_path / "absent") == []
