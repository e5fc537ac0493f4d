"""A run that was stopped: its last checkpoint is a model, and what is missing is said with the command that helps."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minigpt import GPT, load_model
from minigpt.errors import UserError
from minigpt.pretrained.folder import model_folder, weights_sha256
from minigpt.run.checkpoint import WHOLE, checkpoints, path_of
from minigpt.run.session import Session


@pytest.fixture
def stopped(run: Path, tmp_path: Path) -> Path:
    """The shared run as it was just after its last checkpoint; its name needs quoting."""
    folder = Path(shutil.copytree(run, tmp_path / "my run"))
    (folder / "model" / "model.safetensors").unlink()
    (folder / "result.json").unlink()
    return folder


@pytest.mark.parametrize("command", ["chat", "generate", "evaluate", "train"])
def test_every_command_takes_the_last_checkpoint_and_says_so(
    command: str, stopped: Path, questions: Path, cli, monkeypatch: pytest.MonkeyPatch, no_pictures
) -> None:
    monkeypatch.setattr("sys.stdin", (questions.parent / "asked").open("w+"))
    arguments = {
        "chat": ["--model", stopped, "--max-new-tokens", 3],
        "generate": ["--model", stopped, "--max-new-tokens", 3],
        "evaluate": ["--model", stopped, "--data", questions, "--limit", 2],
        "train": ["--init", stopped, "--data", questions, "--steps", 1, "--run", "next"],
    }[command]
    outcome = cli(command, *arguments)
    assert outcome.status == 0, outcome.err
    said = f"warning: {stopped}: from the checkpoint of step 30; the run is not finished. To continue it: "
    assert f"{said}python -m minigpt.train --resume --run '{stopped}'" in outcome.err


def test_it_is_the_model_that_the_run_would_have_saved(run: Path, stopped: Path) -> None:
    finished, template = load_model(run)
    model, same = load_model(stopped)
    assert model.config == finished.config
    assert same.name == template.name
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), finished.parameters(), strict=True))
    assert list(weights_sha256(stopped)) == [str(checkpoints(stopped / "checkpoint")[-1] / WHOLE)]


def test_a_run_without_a_checkpoint_says_how_to_continue(stopped: Path) -> None:
    shutil.rmtree(stopped / "checkpoint")
    with pytest.raises(UserError, match=r"is a run without a model yet: it stopped before its first checkpoint. To co"):
        model_folder(stopped)


def test_a_run_of_an_earlier_version_says_how_to_continue(stopped: Path) -> None:
    """It wrote model/ at its end only."""
    shutil.rmtree(stopped / "model")
    with pytest.raises(
        UserError, match=r"it stopped at step 30. To continue it: python -m minigpt.train --resume --ru"
    ):
        GPT.from_pretrained(stopped)


def test_a_checkpoint_of_an_earlier_version_is_no_model_and_is_not_continued(stopped: Path, cli) -> None:
    """It was one file; a run that overlooked it would begin at its first step."""
    for path in checkpoints(stopped / "checkpoint"):
        shutil.rmtree(path)
        path.with_suffix(".pt").write_bytes(b"PK")
    said = f"{path_of(stopped / 'checkpoint', 30)}.pt was written by an earlier version of minigpt and cannot be read"
    for args in (("generate", "--model", stopped), ("train", "--resume", "--run", stopped, "--steps", 31)):
        outcome = cli(*args)
        assert outcome.status == 2
        assert said in outcome.err
        assert f"start it again with --repeat {stopped}" in outcome.err
    shutil.rmtree(stopped / "model")
    with pytest.raises(UserError, match="was written by an earlier version"):
        model_folder(stopped)


def test_a_checkpoint_of_an_adapter_is_no_model_and_the_command_that_makes_one_is_said(stopped: Path, cli) -> None:
    """What is frozen is not in it."""
    path = checkpoints(stopped / "checkpoint")[-1] / WHOLE
    save_file({"model.h.0.attn.c_attn.A": torch.zeros(4, 2), "model.h.0.attn.c_attn.B": torch.zeros(2, 4)}, path)
    outcome = cli("generate", "--model", stopped)
    assert outcome.status == 2
    said = f"{stopped} learns an adapter, and its checkpoint of step 30 holds nothing else; the model is there when the"
    assert f"{said} run is finished. To continue it: python -m minigpt.train --resume --run '{stopped}'" in outcome.err


def test_a_damaged_checkpoint_is_no_model(stopped: Path, cli) -> None:
    path = checkpoints(stopped / "checkpoint")[-1]
    (path / WHOLE).write_bytes((path / WHOLE).read_bytes()[:-1])
    outcome = cli("generate", "--model", stopped)
    assert (outcome.status, "Traceback" in outcome.err) == (2, False)
    assert f"{path} is not a checkpoint of this model (Error while deserializing" in outcome.err


def test_a_checkpoint_with_a_nan_is_named(run: Path, tmp_path: Path, cli) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "broken"))
    path = checkpoints(folder / "checkpoint")[-1]
    state = load_file(path / WHOLE)
    state["model.ln_f.weight"][5] = float("nan")
    save_file(state, path / WHOLE)
    outcome = cli("train", "--resume", "--run", folder, "--steps", 31)
    assert outcome.status == 2
    assert f"{path}: model.ln_f.weight has NaN or infinite values, 1 of 192" in outcome.err


def test_a_run_s_model_folder_is_there_from_its_first_step_on(
    questions: Path, cli, monkeypatch: pytest.MonkeyPatch, no_pictures
) -> None:
    """All but the tensors, so that any checkpoint can be used; the run is stopped before it saves its model."""

    def stop(session: Session) -> None:
        raise SystemExit(130)

    monkeypatch.setattr(Session, "end", stop)
    small = ["--n-embd", 8, "--n-head", 2, "--n-layer", 1, "--checkpoint-every", 1, "--accuracy-rows", 1]
    assert (
        cli("train", "--data", questions, "--steps", 2, "--run", "stopped", "--template", "alpaca", *small).status
        == 130
    )
    model, template = load_model("stopped")
    assert (model.config.n_embd, template.name) == (8, "alpaca")
    assert {path.name for path in Path("stopped/model").iterdir()} == {
        "chat_template.jinja", "config.json", "generation_config.json", "minigpt.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
