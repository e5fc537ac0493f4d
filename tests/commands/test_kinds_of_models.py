"""A reward model where a language model is needed is refused in a sentence, before anything is written."""

from pathlib import Path

import pytest

from minigpt import load_template, load_tokenizer
from minigpt.preference.reward import RewardModel
from minigpt.text.template import save_template
from tests.commands.test_mistakes import assert_one_sentence
from tests.conftest import two_layers


@pytest.fixture
def reward(tmp_path: Path) -> Path:
    """As a run leaves it."""
    RewardModel(two_layers()).save_pretrained(tmp_path / "reward" / "model")
    save_template(tmp_path / "reward" / "model", load_template("chatml", load_tokenizer("bytes")))
    return tmp_path / "reward"


@pytest.mark.parametrize("inner", ["", "model"])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("generate", ["--model", "REWARD", "--prompt", "Once"]),
        ("chat", ["--model", "REWARD"]),
        ("evaluate", ["--model", "REWARD", "--data", "QUESTIONS", "--json", "out.json"]),
        ("train", ["--init", "REWARD", "--data", "QUESTIONS", "--steps", "1", "--run", "run"]),
        ("prefer", ["--init", "REWARD", "--run", "run"]),
        ("prefer", ["--init", "REWARD", "--method", "rl", "--reward", "REWARD", "--run", "run"]),
    ],
)
def test_a_reward_model_writes_no_answers(cli, tmp_path, questions, reward, name, args, inner):
    before = sorted(tmp_path.rglob("*"))
    places = {"REWARD": reward / inner, "QUESTIONS": questions}
    outcome = cli(name, *[places.get(arg, arg) for arg in args])
    assert_one_sentence(outcome, "A language model is needed", f"{reward / 'model'} is a reward model: it gives")
    assert sorted(tmp_path.rglob("*")) == before
