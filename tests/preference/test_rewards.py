"""Lesson 15: what an answer is worth, by a rule, a reward model or the user's own function."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minigpt import load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.preference.likelihood import answer_row
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.preference.rewards import Learned, Prompt, answer_text, load_reward, unfinished
from minigpt.text.template import save_template
from tests.conftest import two_layers

TEMPLATE = load_template("chatml", load_tokenizer("bytes"))
MESSAGES = [{"role": "user", "content": "What color is milk?"}]


def prompt(wanted: str | None = "white") -> Prompt:
    return Prompt(TEMPLATE.prompt(MESSAGES), MESSAGES, wanted, "rows.jsonl, line 3")


def draw(text: str, ended: bool = True) -> Draw:
    return Draw(prompt().ids, [*TEMPLATE.tokenizer.encode(text), *[TEMPLATE.end] * ended], ended)


def worth(reward: Callable, text: str, wanted: str | None = "white", ended: bool = True) -> float:
    return reward([prompt(wanted)], [draw(text, ended)]).item()


def reward_model(**changes: int) -> RewardModel:
    model = RewardModel(two_layers())
    with torch.no_grad():
        model.score.normal_(generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture
def rule(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str) -> str:
        path = tmp_path / "rule.py"
        path.write_text(f"import math\n\ndef worth(messages, answer, ended):\n    {body}\n\ndef other():\n    pass\n")
        return f"{path}:worth"

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reward_model().save_pretrained(tmp_path / "rm")
    save_template(tmp_path / "rm", TEMPLATE)
    return tmp_path / "rm"


def test_exact_is_for_the_wanted_answer_alone_and_only_if_it_ended() -> None:
    reward = load_reward("exact", TEMPLATE)
    assert worth(reward, "white") == 1.0
    assert worth(reward, "white", ended=False) == 0.0
    for text in ("white.", "White", " white", "whit", ""):
        assert worth(reward, text) == 0.0, text
    with pytest.raises(UserError, match="line 3 has no wanted answer"):
        worth(reward, "white", None)


def test_gsm8k_s_rule_is_used_where_all_wanted_answers_are_gsm8k_s() -> None:
    wanted = "3 + 4 = 7\n#### 7"
    reward = load_reward("exact", TEMPLATE, wanted=[wanted, "#### 1,000"])
    assert worth(reward, "so it is #### 7", wanted) == 1.0
    assert worth(reward, "so it is #### 7", wanted, ended=False) == 0.0
    assert worth(reward, "so it is #### 7.", wanted) == 0.0, "the official rule compares text"
    assert worth(reward, "7", wanted) == 0.0
    for others in ([wanted, "seven"], [wanted, None], []):
        assert worth(load_reward("exact", TEMPLATE, wanted=others), "so it is #### 7", wanted) == 0.0


def test_a_learned_reward_is_what_the_reward_model_gives_to_the_row() -> None:
    """Of the ids that were drawn: with the end token where it was drawn, and without it where it was not."""
    model = reward_model()
    reward = Learned(model, TEMPLATE)
    draws = [draw("white"), draw("wh", ended=False), draw("a long answer")]
    found = reward([prompt()] * 3, draws)
    rows = [answer_row(TEMPLATE, MESSAGES, text) for text in ("white", "a long answer")]
    with torch.no_grad():
        expected = model(rows)
    assert torch.allclose(found[[0, 2]], expected, atol=1e-6)
    assert abs(found[1] - reward([prompt()], [draw("wh")])[0]) > 1e-4, "its end is a token like any other"
    assert not found.requires_grad
    assert not found.is_inference(), "gradients are taken of its products"


def test_a_saved_reward_model_gives_the_same_as_before_it_was_saved(folder: Path) -> None:
    reward = load_reward(str(folder), TEMPLATE)
    assert worth(reward, "white") == pytest.approx(worth(Learned(reward_model(), TEMPLATE), "white"), abs=1e-6)


def test_a_function_of_one_s_own_gets_the_messages_the_text_and_whether_it_ended(rule: Callable) -> None:
    reward = load_reward(rule("return 100 * len(messages) + 10 * len(answer) + ended"), TEMPLATE)
    assert worth(reward, "white") == 151.0
    assert worth(reward, "white", ended=False) == 150.0
    mine = prompt()
    load_reward(rule("messages[0]['content'] = 'changed'; return 1"), TEMPLATE)([mine], [draw("x")])
    assert mine.messages[0]["content"] == "What color is milk?"


@pytest.mark.parametrize(
    "value", ["1", "True", "0.5", "__import__('numpy').float32(2)", "__import__('torch').ones(())"]
)
def test_whatever_float_takes_for_a_number_is_one(rule: Callable, value: str) -> None:
    assert math.isfinite(worth(load_reward(rule(f"return {value}"), TEMPLATE), "white"))


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return float('nan')", "returned nan; a reward is a finite number"),
        ("return -math.inf", "returned -inf; a reward is a finite number"),
        ("return None", "returned None; a reward is a finite number"),
        ("return '1.0'", "returned '1.0'; a reward is a finite number"),
        ("return [1.0]", r"returned \[1.0\]; a reward is a finite number"),
        ("return 10 ** 400", "a reward is a finite number"),
        ("return 1 / 0", r"failed: ZeroDivisionError: division by zero \(line 4\)"),
        ("assert ended == 2", r"failed: AssertionError \(line 4\)"),
    ],
)
def test_what_is_no_reward_stops_with_the_prompt_and_the_answer(rule: Callable, body: str, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        worth(load_reward(rule(body), TEMPLATE), "whi\nte", ended=False)
    said = str(caught.value)
    assert "rule.py:worth" in said
    assert "rows.jsonl, line 3\nuser: What color is milk?\nanswer: 'whi\\nte', cut off" in said
    assert "im_end" not in said


def test_a_reward_model_that_gives_no_number_stops_with_the_prompt_and_the_answer() -> None:
    model = reward_model()
    with torch.no_grad():
        model.score[0] = math.inf
    with pytest.raises(UserError, match=r"the reward model gave -?(inf|nan)") as caught:
        worth(Learned(model, TEMPLATE), "white")
    assert "user: What color is milk?\nanswer: 'white'" in str(caught.value)


def test_only_the_named_function_is_called(rule: Callable, tmp_path: Path) -> None:
    name = rule("return 1.0").removesuffix(":worth")
    with pytest.raises(UserError, match="has no function wurth; it has worth, other"):
        load_reward(f"{name}:wurth", TEMPLATE)
    with pytest.raises(UserError, match="has no function math"):
        load_reward(f"{name}:math", TEMPLATE)
    with pytest.raises(UserError, match=r"There is no file .*gone\.py"):
        load_reward(f"{tmp_path}/gone.py:worth", TEMPLATE)
    with pytest.raises(UserError, match=r"rule\.py:NAME"):
        load_reward(name, TEMPLATE)
    for body, part in (("raise OSError('full')", "OSError: full"), ("def", "SyntaxError"), ("exit(3)", "SystemExit")):
        (tmp_path / "broken.py").write_text(f"\n{body}\n")
        with pytest.raises(UserError, match=f"broken.py cannot be loaded: {part}"):
            load_reward(f"{tmp_path}/broken.py:worth", TEMPLATE)


def test_a_name_that_is_none_of_the_three_is_refused() -> None:
    with pytest.raises(UserError, match=r"--reward exakt is neither exact, nor FILE\.py:NAME, nor the folder"):
        load_reward("exakt", TEMPLATE)


def test_a_language_model_is_no_reward_model(tmp_path: Path) -> None:
    two_layers().save_pretrained(tmp_path / "model")
    save_template(tmp_path / "model", TEMPLATE)
    with pytest.raises(UserError, match="is a language model; make one with --method reward"):
        load_reward(str(tmp_path / "model"), TEMPLATE)


def test_a_reward_model_of_other_tokens_or_another_template_is_refused_with_both_named(
    folder: Path, gpt2_tokenizer: object
) -> None:
    for template, ours in (
        (load_template("alpaca", TEMPLATE.tokenizer), "the tokenizer bytes and the template alpaca"),
        (load_template("chatml", gpt2_tokenizer), "the tokenizer gpt2 and the template chatml"),
    ):
        with pytest.raises(UserError, match="has the tokenizer bytes and the template chatml") as caught:
            load_reward(str(folder), template)
        assert ours in str(caught.value)


def test_a_context_too_short_for_prompt_and_answer_is_refused_before_and_while_it_is_used(folder: Path) -> None:
    assert load_reward(str(folder), TEMPLATE, longest=64)
    with pytest.raises(UserError, match="holds 64 tokens, and a prompt with its answer has 65"):
        load_reward(str(folder), TEMPLATE, longest=65)
    with pytest.raises(UserError, match="holds 64 tokens"):
        worth(load_reward(str(folder), TEMPLATE), "x" * 64)


def test_an_unfinished_answer_has_a_value_of_its_own_and_is_not_judged(rule: Callable) -> None:
    reward = unfinished(load_reward(rule("return len(answer) if ended else 1 / 0"), TEMPLATE), -2.5)
    draws = [draw("abc"), draw("abc", ended=False), draw("a")]
    assert reward([prompt()] * 3, draws).tolist() == [3.0, -2.5, 1.0]
    assert reward([prompt()], [draw("abc", ended=False)]).tolist() == [-2.5]


def test_the_text_of_an_answer_is_without_its_end_even_if_that_is_all() -> None:
    assert answer_text(draw(""), TEMPLATE) == ""
    assert answer_text(draw("ý!"), TEMPLATE) == "ý!"
