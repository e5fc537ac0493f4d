"""Lesson 09: a resumed run is the uninterrupted one, bit for bit; and a checkpoint is whole or not there."""

import copy
import errno
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run import checkpoint
from minigpt.run.checkpoint import (
    INCOMING,
    checkpoints,
    flush_names,
    load_checkpoint,
    path_of,
    random_state,
    restore_random_state,
    save_checkpoint,
)
from minigpt.text.examples import Example

CONFIG = GPTConfig(vocab_size=50, n_ctx=16, n_embd=16, n_head=2, n_layer=2, dropout=0.2, bos_token_id=0)
RECIPE = Recipe(steps=9, batch_size=4, micro_batch_size=2, lr=1e-2, warmup_steps=3, seed=5)


def new_trainer(seed: int, n_embd: int = 16) -> Trainer:
    """A trainer with its own random weights, over the same ten rows."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for i in range(10):
        ids = torch.randint(50, (4 + i,), generator=generator).tolist()
        examples.append(Example(ids, [False] * 2 + [True] * (2 + i), f"row {i}"))
    torch.manual_seed(seed)
    return Trainer(GPT(GPTConfig(**{**vars(CONFIG), "n_embd": n_embd})), examples, RECIPE)


def train(trainer: Trainer, steps: int) -> list[float]:
    return [trainer.train_step().loss for _ in range(steps)]


def tensors(trainer: Trainer) -> list[Tensor]:
    """Weights and both moments."""
    states = [trainer.optimizer.state[p] for p in trainer.model.parameters()]
    moments = [state[name] for state in states for name in ("m", "v")]
    return [p.detach().clone() for p in trainer.model.parameters()] + [moment.clone() for moment in moments]


@pytest.mark.parametrize("n", [0, 2, 5])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, n: int) -> None:
    """Interrupted within the warmup or within an epoch; dropout goes on where it was, so losses agree to the bit."""
    whole = new_trainer(seed=1)
    losses = train(whole, 9)

    first = new_trainer(seed=1)
    before = train(first, n)
    save_checkpoint(tmp_path, first)
    second = new_trainer(seed=2)
    assert not torch.equal(second.model.wte.weight, first.model.wte.weight)
    load_checkpoint(tmp_path, second)
    assert second.step == n

    assert before + train(second, 9 - n) == losses
    assert len(tensors(second)) == len(tensors(whole)) == 3 * len(list(whole.model.parameters()))
    for a, b in zip(tensors(second), tensors(whole), strict=True):
        assert torch.equal(a, b)


def test_saving_changes_nothing(tmp_path: Path) -> None:
    saved = new_trainer(seed=1)
    losses = train(saved, 2)
    save_checkpoint(tmp_path, saved)
    assert losses + train(saved, 2) == train(new_trainer(seed=1), 4)


def test_random_numbers_drawn_elsewhere_before_loading_do_not_matter(tmp_path: Path) -> None:
    trainer = new_trainer(seed=1)
    train(trainer, 2)
    save_checkpoint(tmp_path, trainer)
    expected = train(trainer, 2)
    again = new_trainer(seed=3)
    torch.rand(100)
    load_checkpoint(tmp_path, again)
    assert train(again, 2) == expected


def test_a_missing_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no checkpoint in .*absent to resume from"):
        load_checkpoint(tmp_path / "absent", new_trainer(seed=1))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short_is_a_sentence(tmp_path: Path, share: float) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1))
    [path] = checkpoints(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"step-00000000\.pt is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


class Command:
    """What a malicious pickle looks like: unpickling it would call a function of its choice."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, ("executed",)


FOREIGN = {
    "text": lambda path: path.write_text("hello"),
    "an empty dictionary": lambda path: torch.save({}, path),
    "a list": lambda path: torch.save([1, 2], path),
    "a tensor": lambda path: torch.save(torch.ones(3), path),
    "weights alone": lambda path: torch.save({"model": GPT(CONFIG).state_dict()}, path),
    "a command": lambda path: path.write_bytes(pickle.dumps(Command(), protocol=2)),
    "a command in torch's format": lambda path: torch.save(Command(), path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # torch's, of a tensor asked for a key
@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_no_checkpoint_is_a_sentence_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    FOREIGN[content](path_of(tmp_path, 3))
    with pytest.raises(UserError, match=r"step-00000003\.pt is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))
    assert not Path("executed").exists()


def test_a_checkpoint_of_another_model_is_a_sentence(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1, n_embd=8))
    with pytest.raises(UserError, match="is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


def write_half(state: dict, file) -> None:
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def refuse(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("target", "name", "failure"),
    [(torch, "save", write_half), (Path, "replace", refuse), (os, "fsync", refuse)],
    ids=["full disk", "killed before the exchange", "killed while flushing"],
)
def test_a_save_that_fails_leaves_the_former_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: object, name: str, failure: Callable
) -> None:
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    former, weights = path_of(tmp_path, 1).read_bytes(), copy.deepcopy(trainer.model.state_dict())
    train(trainer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, failure)
        with pytest.raises((UserError, KeyboardInterrupt)) as caught:
            save_checkpoint(tmp_path, trainer)
    if caught.type is UserError:
        assert "No space left on device" in str(caught.value)
        assert "step-00000001.pt is unchanged" in str(caught.value)
    assert path_of(tmp_path, 1).read_bytes() == former
    assert checkpoints(tmp_path) == [path_of(tmp_path, 1)]
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 1
    assert all(torch.equal(weights[key], tensor) for key, tensor in resumed.model.state_dict().items())

    save_checkpoint(tmp_path, trainer)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 2, "what the failed save left behind is in nobody's way"
    assert sorted(tmp_path.iterdir()) == [path_of(tmp_path, 1), path_of(tmp_path, 2)]


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is flushed, renamed and removed, in this order. What is flushed is a file's content, or a folder's names."""
    events: list[tuple[str, str]] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def flushed(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        size = 0 if is_folder else os.fstat(handle).st_size
        events.append(("names flushed", "") if is_folder else ("content flushed", str(size)))
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        events.append(("renamed", f"{path.name} to {target.name}"))
        return replace(path, target)

    def removed(path: Path, missing_ok: bool = False) -> None:
        events.append(("removed", path.name))
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(Path, "unlink", removed)
    return events


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be flushed on Windows, and need not be")
def test_a_checkpoint_is_on_disk_before_it_gets_its_name_and_both_before_an_older_one_goes(
    tmp_path: Path, seen: list[tuple[str, str]]
) -> None:
    """After a power failure at any instant the disk holds a complete checkpoint under its name."""
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer, keep=1)
    trainer.step = 1
    seen.clear()
    save_checkpoint(tmp_path, trainer, keep=1)
    assert seen == [
        ("content flushed", str(path_of(tmp_path, 1).stat().st_size)),
        ("renamed", f"{INCOMING} to step-00000001.pt"),
        ("names flushed", ""),
        ("removed", "step-00000000.pt"),
    ]


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be flushed on Windows, and need not be")
@pytest.mark.parametrize(
    ("number", "is_tolerated"),
    [
        *((number, True) for number in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM)),
        *((number, False) for number in (errno.EIO, errno.ENOSPC, errno.EDQUOT)),
    ],
)
def test_only_a_file_system_that_cannot_flush_a_folder_may_refuse_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: int, is_tolerated: bool
) -> None:
    """Others mean that the name may be lost, and the run has to say so."""
    monkeypatch.setattr(checkpoint, "warned", set())
    trainer, fsync, handles = new_trainer(seed=1), os.fsync, []

    def refused(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            return fsync(handle)
        handles.append(handle)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    if is_tolerated:
        for _ in range(2):
            save_checkpoint(tmp_path, trainer)
        handles.pop()
        assert checkpoints(tmp_path) == [path_of(tmp_path, 0)]
        warnings = capsys.readouterr().err
        assert f"warning: the file system of {tmp_path} cannot flush to disk ({os.strerror(number)})" in warnings
        assert len(warnings.splitlines()) == 1, "once is enough"
    else:
        with pytest.raises(UserError, match=f"step 0 cannot be written .*{os.strerror(number)}"):
            save_checkpoint(tmp_path, trainer)
    [handle] = handles
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_a_file_keeps_the_checkpoint_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: int
) -> None:
    monkeypatch.setattr(checkpoint, "warned", set())

    def refused(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    save_checkpoint(tmp_path, new_trainer(seed=1))
    assert checkpoints(tmp_path) == [path_of(tmp_path, 0)]
    assert "after a power failure the last checkpoint may be missing" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_keeps_the_checkpoint_too(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    flush_names(tmp_path)


def test_where_a_folder_cannot_be_opened_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows."""

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        patch.setattr(os, "name", "nt")
        flush_names(tmp_path)


def test_without_being_told_it_keeps_two_checkpoints_and_says_that_the_spare_can_be_resumed_from(
    tmp_path: Path,
) -> None:
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer)
    path_of(tmp_path, 0).write_bytes(b"broken")
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, trainer)
    assert "remove it" not in str(caught.value), "there is nothing else to resume from"
    for _ in range(3):
        train(trainer, 1)
        save_checkpoint(tmp_path, trainer)
    assert checkpoints(tmp_path) == [path_of(tmp_path, 2), path_of(tmp_path, 3)]
    path_of(tmp_path, 3).write_bytes(b"broken")
    with pytest.raises(UserError, match=r"step-00000003\.pt is not .*; remove it to resume from .*step-00000002\.pt\."):
        load_checkpoint(tmp_path, trainer)
    path_of(tmp_path, 3).unlink()
    load_checkpoint(tmp_path, trainer)
    assert trainer.step == 2


GENERATORS = {"cuda": torch.cuda, "mps": torch.mps}


@pytest.fixture(params=GENERATORS)
def pretended(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.device, list[Tensor]]:
    """A device that is not here, and the state of its random generator, which `torch.<device>` gets and sets."""
    state = [torch.arange(16, dtype=torch.uint8)]
    monkeypatch.setattr(GENERATORS[request.param], "get_rng_state", lambda *device: state[0].clone())
    monkeypatch.setattr(
        GENERATORS[request.param], "set_rng_state", lambda new, *device: state.__setitem__(0, new.clone())
    )
    return torch.device(request.param), state


def test_a_gpus_random_state_is_kept_and_restored(
    tmp_path: Path, pretended: tuple[torch.device, list[Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout there draws from a generator of its own; a resumed run would drop other values."""
    device, state = pretended
    expected, trainer = state[0].clone(), new_trainer(seed=1)
    monkeypatch.setattr(GPT, "device", device)
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, map_location, **more: load(path, **more))
    save_checkpoint(tmp_path, trainer)
    state[0] = torch.zeros(16, dtype=torch.uint8)
    load_checkpoint(tmp_path, trainer)
    assert torch.equal(state[0], expected)


def test_a_checkpoint_without_the_gpus_random_state_is_resumed_from(
    pretended: tuple[torch.device, list[Tensor]],
) -> None:
    """One from the CPU, or from before it was kept: the CPU's generator is restored, the GPU's stays as it is."""
    device, state = pretended
    before, on_cpu = state[0].clone(), random_state(torch.device("cpu"))
    assert on_cpu.keys() == {"random"}
    torch.rand(3)
    restore_random_state(on_cpu, device)
    assert torch.equal(torch.get_rng_state(), on_cpu["random"])
    assert torch.equal(state[0], before)


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_checkpoints_stay_and_the_latest_is_gone_on_from(tmp_path: Path, keep: int) -> None:
    trainer = new_trainer(seed=1)
    for _ in range(5):
        train(trainer, 1)
        save_checkpoint(tmp_path, trainer, keep)
    assert checkpoints(tmp_path) == [path_of(tmp_path, step) for step in range(6 - keep, 6)]
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 5
    if keep > 1:
        path_of(tmp_path, 5).write_bytes(b"broken")
        with pytest.raises(UserError, match=r"remove it to resume from .*step-00000004\.pt"):
            load_checkpoint(tmp_path, resumed)


def test_no_checkpoint_is_made_of_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """It would take the place of the last good one."""
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer)
    train(trainer, 1)
    with torch.no_grad():
        trainer.model.wpe.weight[3, 2] = torch.inf
    with pytest.raises(UserError, match=r"After step 1 a weight is NaN or infinite.*step-00000000\.pt is unchanged"):
        save_checkpoint(tmp_path, trainer)
    assert checkpoints(tmp_path) == [path_of(tmp_path, 0)]


def test_the_same_state_is_saved_in_the_same_bytes(tmp_path: Path) -> None:
    """Whether it was reached at one go or loaded: else no test could compare the files."""
    trainer = new_trainer(seed=1)
    train(trainer, 2)
    save_checkpoint(tmp_path / "first", trainer)
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path / "first", resumed)
    save_checkpoint(tmp_path / "second", resumed)
    assert path_of(tmp_path / "first", 2).read_bytes() == path_of(tmp_path / "second", 2).read_bytes()


@pytest.mark.parametrize("damage", ["another shape", "one missing", "another kind"])
def test_moments_of_other_parameters_are_a_sentence(tmp_path: Path, damage: str) -> None:
    """Broadcast or left out, they would be learned with, silently."""
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    state = torch.load(path_of(tmp_path, 1), weights_only=True)
    state["m"] = {
        "another shape": [state["m"][0][:1], *state["m"][1:]],
        "one missing": state["m"][:-1],
        "another kind": [state["m"][0].int(), *state["m"][1:]],
    }[damage]
    torch.save(state, path_of(tmp_path, 1))
    with pytest.raises(UserError, match="is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))
