"""evaluate: the figures, their baselines, two models on the same rows, and what is written."""

import json
import re
import shutil

import pytest

from minigpt.measure.accuracy import gsm8k_number
from minigpt.run.metrics import read_metrics

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_evaluate_gives_the_same_perplexity_at_any_batch_size(cli, run, questions, tmp_path):
    figures = []
    for size in (1, 8):
        out = tmp_path / f"{size}.json"
        outcome = cli(
            "evaluate", "--model", run, "--data", questions, "--limit", 6, "--batch-size", size, "--json", out
        )
        assert outcome.status == 0, outcome.err
        figures.append(json.loads(out.read_text()))
    assert figures[0]["perplexity"] == pytest.approx(figures[1]["perplexity"], rel=1e-6)
    assert figures[0]["accuracy"] == figures[1]["accuracy"]
    assert figures[0]["supervised_tokens"] == sum(len(f"It is {2 * i}.\n#### {2 * i}") + 1 for i in range(6))
    assert f"{figures[0]['perplexity']:.4f}" in outcome.out


def test_evaluate_finds_what_the_run_itself_found(cli, tmp_path, questions):
    """The run's last figures and a later evaluation of the saved model over the same rows agree."""
    cli("train", "--data", questions, "--valid", questions, "--run", tmp_path / "run", "--steps", 5)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    cli("evaluate", "--model", tmp_path / "run", "--data", questions, "--json", tmp_path / "later.json")
    later = json.loads((tmp_path / "later.json").read_text())
    assert later["loss"] == pytest.approx(result["valid_loss"], rel=1e-6)
    assert later["accuracy"] == result["accuracy"]


def test_evaluate_reads_the_built_in_test_when_no_data_is_named(cli, run):
    outcome = cli("evaluate", "--model", run, "--limit", 20)
    assert outcome.status == 0, outcome.err
    assert "20 conversations" in outcome.out
    assert re.search(r"all +\d+\.\d% of 20", outcome.out)


def test_the_untrained_start_is_what_the_run_measured_before_its_first_step(cli, questions, tmp_path):
    """Rebuilt from options.json alone."""
    options = ["--data", questions, "--valid", questions, "--steps", 1, "--seed", 5, "--accuracy-rows", 40]
    cli("train", *options, "--run", tmp_path / "begun")
    outcome = cli("evaluate", "--model", tmp_path / "begun", "--data", questions, "--json", tmp_path / "e.json")
    assert outcome.status == 0, outcome.err
    start = json.loads((tmp_path / "e.json").read_text())["baselines"]["untrained start"]
    first = read_metrics(tmp_path / "begun" / "metrics.jsonl")[0]
    assert (first["split"], first["step"]) == ("valid", 0)
    assert start["loss"] == pytest.approx(first["loss"], rel=1e-6)
    assert start["accuracy"] == json.loads((tmp_path / "begun" / "result.json").read_text())["accuracy_before"]


def test_a_model_of_unknown_origin_has_no_start_beside_it_and_says_so(cli, only_a, questions):
    outcome = cli("evaluate", "--model", only_a, "--limit", 3, "--data", questions)
    assert outcome.status == 0, outcome.err
    assert "untrained start: not available; there is no " in outcome.out
    assert re.search(r"^always '", outcome.out, re.MULTILINE)


def test_damaged_options_are_a_start_that_is_not_known(cli, run, questions, tmp_path):
    begun = {"init": "scratch", "size": "tiny", "tokenizer": "bytes", "seed": 0}
    for text, why in (
        ("{", "not available: .* is not JSON"),
        ("[]", "not available: .* is not a JSON object"),
        ("{}", "not available; .* does not hold a run's options"),
        (json.dumps(begun | {"size": "vast"}), "not "),
        (json.dumps(begun | {"init": "gone"}), "not available: There is no folder gone"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        (copy / "options.json").write_text(text)
        outcome = cli("evaluate", "--model", copy, "--data", questions, "--limit", 2)
        assert outcome.status == 0, outcome.err
        assert re.search(f"untrained start: {why}", outcome.out)
        shutil.rmtree(copy)


def test_gsm8ks_rule_and_format_stand_beside_exact_match(cli, run, questions, tmp_path):
    outcome = cli("evaluate", "--model", run, "--data", questions, "--json", tmp_path / "e.json")
    assert outcome.status == 0, outcome.err
    assert "GSM8K right" in outcome.out
    report = json.loads((tmp_path / "e.json").read_text())
    said = [json.loads(line) for line in (tmp_path / "e.predictions.jsonl").read_text().splitlines()]
    ours = [row["predictions"][f"{run}/model"] for row in said]
    assert [row["wanted"] for row in said] == [f"It is {2 * i}.\n#### {2 * i}" for i in range(40)]
    assert all(row["messages"][-1]["role"] == "user" for row in said)
    assert report["accuracy"] == sum(o["answer"] == row["wanted"] for o, row in zip(ours, said, strict=True)) / 40
    assert report["gsm8k_format"] == sum(gsm8k_number(o["answer"]) is not None for o in ours) / 40
    right = [gsm8k_number(o["answer"]) == gsm8k_number(row["wanted"]) for o, row in zip(ours, said, strict=True)]
    assert report["gsm8k_accuracy"] == sum(right) / 40
    assert [o["gsm8k_accuracy"] for o in ours] == right
    assert report["loss"] == pytest.approx(
        sum(o["nll"] for o in ours) / sum(o["supervised_tokens"] for o in ours), rel=1e-12
    )
    trivial = next(one for name, one in report["baselines"].items() if name.startswith("always"))
    assert trivial["gsm8k_accuracy"] == 1 / 40, "every number is right once"


@pytest.fixture
def begun(cli, tmp_path, questions):
    """A run of one step: another model over the same tokens."""
    cli("train", "--data", questions, "--run", tmp_path / "begun", "--steps", 1, "--accuracy-rows", 1)
    return tmp_path / "begun"


def test_two_runs_are_compared_on_the_same_rows(cli, run, begun, questions, tmp_path):
    out = tmp_path / "c.json"
    outcome = cli("evaluate", "--compare", run, begun, "--data", questions, "--json", out)
    assert outcome.status == 0, outcome.err
    report = json.loads(out.read_text())
    first, second = report["models"].values()
    gap = report["difference"]["loss"]
    assert gap["value"] == pytest.approx(second["loss"] - first["loss"], rel=1e-9)
    assert 0 < gap["low"] < gap["value"] < gap["high"], "thirty steps learn more than one"
    unpaired = (second["loss_interval"][1] - second["loss_interval"][0]) + (
        first["loss_interval"][1] - first["loss_interval"][0]
    )
    assert gap["high"] - gap["low"] < unpaired
    assert {name for name in report["baselines"] if "start" in name} == {
        f"untrained start of {run}/model", f"untrained start of {begun}/model",
    }  # fmt: skip
    assert "second minus first" in outcome.out


def test_losses_over_other_tokens_are_not_compared(cli, run, questions, gpt2_folder):
    cli("train", "--data", questions, "--run", "pairs", "--steps", 1, "--tokenizer", gpt2_folder, "--accuracy-rows", 1)
    outcome = cli("evaluate", "--compare", run, "pairs", "--data", questions, "--limit", 3)
    assert outcome.status == 0, outcome.err
    last = next(line for line in outcome.out.splitlines() if line.startswith("second minus"))
    assert "loss" not in last
    assert "exact match" in last


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--model", "a", "--compare", "b", "c"], "either --model or --compare"),
        (["--compare", "nowhere", "nowhere"], "nowhere"),
        (["--compare", "only"], "--compare"),
    ],
)
def test_a_wrong_choice_of_models_is_answered_in_a_sentence(cli, args, part):
    outcome = cli("evaluate", *args)
    assert outcome.status == 2
    assert part in outcome.err
    assert "Traceback" not in outcome.err


def test_a_model_compared_with_itself_is_refused(cli, run):
    outcome = cli("evaluate", "--compare", run, run)
    assert (outcome.status, outcome.out) == (2, "")
    assert "twice" in outcome.err


def test_figures_never_replace_the_data_that_they_are_of(cli, run, questions):
    before = questions.read_bytes()
    outcome = cli("evaluate", "--model", run, "--data", questions, "--json", questions)
    assert (outcome.status, outcome.out) == (2, "")
    assert "would replace a file that is read" in outcome.err
    assert questions.read_bytes() == before
