"""Lesson 15: evaluate on pairs and by a reward: the run's own figures found again, and what cannot be measured."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from minigpt import load_template, load_tokenizer
from minigpt.preference.reward import RewardModel
from minigpt.text.pair_splits import load_pairs
from minigpt.text.template import save_template
from tests.conftest import two_layers

pytestmark = pytest.mark.usefixtures("no_pictures")
ROWS = [
    {"prompt": f"What is {i} + {i}?", "chosen": f"It is {2 * i}!", "rejected": f"It is {2 * i}."} for i in range(1, 21)
]
RULE = "def length(messages, answer, ended):\n    return len(answer) + 0.5 * ended\n"
COMMON = ("--steps", 4, "--batch-size", 4, "--eval-every", 4, "--lr", 1e-3)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    (tmp_path / "rule.py").write_text(RULE)
    return write(tmp_path / "pairs.jsonl", ROWS)


@pytest.fixture
def held_out(pairs: Path) -> Path:
    """The same pairs in the order in which a run has them, so that the same draws are to the same prompts."""
    lines = pairs.read_text().splitlines(keepends=True)
    order = [int(pair.source.rpartition(" ")[2]) - 1 for pair in load_pairs([str(pairs)], str(pairs)).valid]
    path = pairs.with_name("held-out.jsonl")
    path.write_text("".join(lines[i] for i in order))
    return path


@pytest.fixture
def prefer(cli, run, pairs):
    """A few steps of a method from the shared run, whose held-out pairs are those of `pairs`."""

    def call(method: str, *more: object) -> Path:
        folder = pairs.parent / method
        args = ("--method", method, "--init", run, "--data", pairs, "--valid", pairs, "--run", folder, *COMMON, *more)
        done = cli("prefer", *args)
        assert done.status == 0, done.err
        return folder

    return call


@pytest.fixture
def evaluate(cli, tmp_path):
    def call(*args: object) -> tuple[dict, list[dict], str]:
        done = cli("evaluate", *args, "--json", tmp_path / "e.json")
        assert done.status == 0, done.err
        lines = (tmp_path / "e.predictions.jsonl").read_text().splitlines()
        return json.loads((tmp_path / "e.json").read_text()), list(map(json.loads, lines)), done.out

    return call


def result(run: Path) -> dict[str, float]:
    return {name: one["value"] for name, one in json.loads((run / "result.json").read_text())["after"].items()}


NAMED = {"accuracy": "preference_accuracy", "loss": "preference_loss"}


def agree(report: dict, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        assert report[NAMED.get(name, name)] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_a_dpo_run_s_own_figures_are_found_again(prefer, evaluate, held_out, run):
    """With the reference that its options.json names, and its beta; and the reference is level with itself."""
    dpo = prefer("dpo", "--beta", 0.25)
    report, rows, out = evaluate("--model", dpo, "--pairs", held_out)
    agree(report, result(dpo))
    assert report["preference_accuracy"] > 0.9
    for name in ("preference_accuracy", "margin", "chosen_logp", "divergence", "cheerful", "task"):
        low, high = report[f"{name}_interval"]
        assert low <= report[name] <= high, name
    reference = report["baselines"][f"reference {run}"]
    assert reference["preference_accuracy"] == 0.5
    assert reference["margin"] == reference["divergence"] == 0.0
    assert reference["preference_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert "20 pairs" in out
    assert "with beta 0.25 in the margin" in out
    assert "preference accuracy" in out
    assert "perplexity" not in out, "the conversations of --data are not measured unless they are asked for"
    ours = [row["predictions"][f"{dpo}/model"] for row in rows]
    assert sorted(row["chosen"] for row in rows) == sorted(row["chosen"] for row in ROWS)
    assert report["margin"] == pytest.approx(sum(row["margin"] for row in ours) / 20)
    assert report["cheerful"] == sum(row["answer"].endswith("!") for row in ours) / 20
    assert all(isinstance(row["draw"], str) for row in ours)


def test_a_model_that_is_its_own_reference_is_level_and_shown_once(evaluate, run, pairs):
    report, _, _ = evaluate("--model", run, "--reference", run, "--pairs", pairs, "--seed", 3)
    assert report["preference_accuracy"] == 0.5
    assert report["margin"] == report["divergence"] == 0.0
    assert report["preference_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert report["baselines"] == {}


def test_an_rl_run_s_own_figures_are_found_again(prefer, evaluate, pairs, held_out):
    """The same draws of the same seeds, so the same rewards and divergence."""
    rule = f"{pairs.parent}/rule.py:length"
    longest = max(len(row[side]) for row in ROWS for side in ("chosen", "rejected")) + 1
    rl = prefer("rl", "--reward", rule, "--group-size", 2, "--max-new-tokens", longest)
    report, rows, _ = evaluate("--model", rl, "--pairs", held_out, "--reward", rule)
    agree(report, {name: result(rl)[name] for name in ("reward", "divergence", "ended", "cheerful", "task")})
    for row in rows:
        one = row["predictions"][f"{rl}/model"]
        assert one["reward"] == len(one["draw"]) + 0.5 * one["ended"]
    other, *_ = evaluate("--model", rl, "--pairs", held_out, "--reward", rule, "--seed", 1)
    assert other["chosen_logp"] == report["chosen_logp"]
    assert (other["reward"], other["divergence"]) != (report["reward"], report["divergence"])


def test_a_reward_model_is_measured_on_pairs_and_is_a_reward(prefer, evaluate, pairs, run):
    reward = prefer("reward")
    report, _, out = evaluate("--model", reward, "--pairs", pairs)
    agree(report, result(reward))
    assert report["baselines"] == {}
    assert "divergence" not in out.split("\n", 2)[2]
    report, rows, _ = evaluate("--model", run, "--reference", run, "--pairs", pairs, "--reward", reward)
    assert report["reward"] == pytest.approx(sum(r["predictions"][f"{run}/model"]["reward"] for r in rows) / 20)


def test_without_pairs_the_prompts_are_those_of_the_conversations(evaluate, run, questions):
    report, rows, out = evaluate("--model", run, "--data", questions, "--limit", 6, "--reward", "exact")
    assert report["rows"] == 6
    assert {"perplexity", "accuracy", "reward", "reward_interval", "divergence", "ended"} <= report.keys()
    assert "preference_accuracy" not in report
    assert "6 prompts" in out
    for row in rows:
        assert {"answer", "nll", "draw", "reward"} <= row["predictions"][f"{run}/model"].keys()
    assert report["baselines"]["untrained start"]["perplexity"] > report["perplexity"]


def test_data_that_is_named_is_measured_beside_the_pairs(evaluate, run, questions, pairs):
    report, rows, out = evaluate("--model", run, "--data", questions, "--limit", 5, "--pairs", pairs)
    assert (report["rows"], report["pairs"], len(rows)) == (5, 5, 10)
    assert {"accuracy", "preference_accuracy", "loss", "preference_loss"} <= report.keys()
    assert "5 conversations" in out
    assert "5 pairs" in out


def test_two_models_are_compared_on_everything_in_pairs(prefer, evaluate, pairs, run):
    rule = f"{pairs.parent}/rule.py:length"
    dpo = prefer("dpo")
    report, _, out = evaluate("--compare", run, dpo, "--reference", run, "--pairs", pairs, "--reward", rule)
    first, second = report["models"].values()
    names = {"preference_accuracy", "preference_loss", "margin", "chosen_logp", "rejected_logp", "reward"}
    assert names | {"divergence", "ended", "cheerful", "task", "exact_match"} == report["difference"].keys()
    for name, gap in report["difference"].items():
        assert gap["value"] == pytest.approx(second[name] - first[name], abs=1e-9), name
        assert gap["low"] - 1e-9 <= gap["value"] <= gap["high"] + 1e-9, name
    widths = [side["chosen_logp_interval"][1] - side["chosen_logp_interval"][0] for side in (first, second)]
    gap = report["difference"]["chosen_logp"]
    assert gap["high"] - gap["low"] < sum(widths)
    assert "preference accuracy +" in out.split("second minus first: ")[1]


def test_what_is_measured_against_other_references_is_not_compared(prefer, evaluate, pairs, run):
    """The one's is the shared run, the other's its untrained start."""
    report, _, out = evaluate("--compare", run, prefer("dpo"), "--pairs", pairs)
    assert "The two references differ" in out
    assert report["difference"].keys() == {"chosen_logp", "rejected_logp", "ended", "cheerful", "task", "exact_match"}
    assert len(report["baselines"]) == 2


def test_a_reward_model_and_a_policy_have_their_accuracy_in_common(prefer, evaluate, pairs):
    report, *_ = evaluate("--compare", prefer("reward"), prefer("dpo"), "--pairs", pairs)
    assert report["difference"].keys() == {"preference_accuracy"}


def test_a_model_of_unknown_origin_has_no_divergence_and_the_output_says_so(cli, evaluate, only_a, pairs):
    report, _, out = evaluate("--model", only_a, "--pairs", pairs)
    assert "its reference is not available; there is no " in out
    assert "Preference accuracy, margin and divergence are left out; --reference names one." in out
    assert {"chosen_logp", "cheerful", "task"} <= report.keys()
    assert not {"preference_accuracy", "margin", "divergence", "ended"} & report.keys()
    report, *_ = evaluate("--model", only_a, "--pairs", pairs, "--no-answers", "--reward", "exact")
    assert {"reward", "ended"} <= report.keys()
    assert not {"divergence", "cheerful", "task"} & report.keys()


def test_pairs_that_differ_otherwise_are_not_answered(evaluate, run, tmp_path):
    other = write(tmp_path / "other.jsonl", [{**row, "rejected": "I do not know."} for row in ROWS[:4]])
    report, *_ = evaluate("--model", run, "--pairs", other)
    assert {"preference_accuracy", "divergence"} <= report.keys()
    assert not {"cheerful", "task", "exact_match"} & report.keys()


def test_a_draw_up_to_the_context_s_edge_is_judged_by_a_reward_model_of_that_context(evaluate, only_a, tmp_path):
    """The last token is drawn after the context is full, and no model can read it."""
    model = RewardModel(two_layers())
    with torch.no_grad():
        model.score.normal_()
    model.save_pretrained(tmp_path / "rm")
    save_template(tmp_path / "rm", load_template("chatml", load_tokenizer("bytes")))
    row = {"prompt": "?", "chosen": "x" * 60, "rejected": "y" * 60}
    report, *_ = evaluate("--model", only_a, "--pairs", write(tmp_path / "long.jsonl", [row]), "--reward", "rm")
    assert report["ended"] == 0.0
    assert math.isfinite(report["reward"])


def test_the_built_in_test_pairs_are_read_by_their_name(evaluate, run):
    report, rows, _ = evaluate("--model", run, "--pairs", "builtin", "--limit", 10)
    assert report["pairs"] == len(rows) == 10
    assert "pairs-test.jsonl" in rows[0]["source"]
    assert {"cheerful", "task"} <= report.keys()


MISTAKES = {
    "a reference of nothing": (["--model", "RUN", "--reference", "RUN"], "--reference is for --pairs and --reward"),
    "a seed of nothing": (["--model", "RUN", "--seed", 1], "--seed is for --pairs and --reward"),
    "no reward": (["--model", "RUN", "--pairs", "PAIRS", "--reward", "exakt"], "--reward exakt is neither exact"),
    "no function": (["--model", "RUN", "--pairs", "PAIRS", "--reward", "rule.py:gone"], "has no function gone"),
    "a language model as a reward": (
        ["--model", "RUN", "--pairs", "PAIRS", "--reward", "RUN"],
        "is a language model; make one with --method reward",
    ),
    "pairs as data": (["--model", "RUN", "--data", "PAIRS"], "holds pairs of answers, and --data is for conversations"),
    "data as pairs": (["--model", "RUN", "--pairs", "QUESTIONS"], "a pair has"),
    "a reward of plain text": (["--model", "RUN", "--data", "TEXT", "--reward", "exact"], "--data is plain text"),
    "a stride of pairs": (["--model", "RUN", "--pairs", "PAIRS", "--stride", 4], "--stride has no effect on pairs"),
    "a reference of other tokens": (
        ["--model", "RUN", "--pairs", "PAIRS", "--reference", "OTHER"],
        "a model can be measured against one of the same tokens only",
    ),
}


@pytest.mark.parametrize(("args", "part"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered_in_a_sentence(cli, run, pairs, questions, gpt2_folder, tmp_path, args, part):
    (tmp_path / "text.txt").write_text("Some plain text.\n")
    if "OTHER" in args:
        train = ("--data", questions, "--run", "other", "--steps", 1, "--accuracy-rows", 1)
        cli("train", *train, "--tokenizer", gpt2_folder, "--n-layer", 1, "--n-embd", 8, "--n-head", 1)
    names = {"RUN": run, "PAIRS": pairs, "QUESTIONS": questions, "TEXT": "text.txt", "OTHER": "other"}
    done = cli("evaluate", *[names.get(arg, arg) for arg in args])
    assert done.status == 2
    assert part in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ([], "gives an answer a number and writes none. Give --pairs builtin"),
        (["--pairs", "builtin", "--data", "builtin"], "leave out --data"),
        (["--pairs", "builtin", "--reward", "exact", "--reference", "x"], "leave out --reward, --reference"),
    ],
)
def test_a_reward_model_is_measured_by_pairs_alone(cli, run, tmp_path, more, part):
    RewardModel(two_layers()).save_pretrained(tmp_path / "rm")
    shutil.copy(run / "model" / "minigpt.json", tmp_path / "rm")
    done = cli("evaluate", "--model", "rm", *more)
    assert (done.status, done.out) == (2, "")
    assert part in done.err
