"""Lesson 15: the pictures of preferences show what was measured, and what it cost."""

import json
import math
import warnings
from pathlib import Path

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from minigpt.errors import UserError
from minigpt.measure.frontier import at, curve
from minigpt.run import plots
from minigpt.run.frontier_curves import KL, read_frontier
from minigpt.run.picture import COLORS, MARKERS, label
from minigpt.run.preference_curves import fall

DRAWS = torch.tensor([[1.0] * n + [0.0] * (32 - n) for n in (1, 2, 4)])  # few are rewarded: the curve's end is dashed
Y = dict(dpo="logp", reward="reward")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, as they are made; each is laid out and drawn, and no warning is printed while it is."""
    figures = []

    def savefig(figure: Figure, *_: object, **__: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.canvas.draw()
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def write(folder: Path, method: str, events: list[dict], frontier: object = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "options.json").write_text(json.dumps({"command": "prefer", "method": method, "beta": 0.1}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    if frontier is not None:
        (folder / "frontier.json").write_text(json.dumps(frontier))
    return folder


def pairs(folder: Path, method: str = "dpo", steps: int = 4, valid: bool = True, **more: float) -> Path:
    """A run whose loss falls and whose chosen answers rise by one a step, as the rejected ones fall."""

    def event(step: int, split: str) -> dict:
        sides = {f"chosen_{Y[method]}": -14.0 + step, f"rejected_{Y[method]}": -1.0 - step}
        return {"step": step, "split": split, "loss": math.log(2) / (1 + step), "accuracy": 0.75, **sides}

    events = [event(step, "train") for step in range(1, steps + 1)]
    held_out = [event(step, "valid") | more for step in (0, steps)] if valid else []
    return write(folder, method, [*held_out[:1], *events, *held_out[1:]])


def frontier(rewards: torch.Tensor = DRAWS, beta: float = 0.2) -> dict:
    here, points = at(rewards, beta), [point.as_json() for point in curve(rewards)]
    return {
        "beta": beta,
        "rewards": {"mean": rewards.mean().item(), "std": 0.3, "draws": 32, "prompts": len(rewards)},
        "here": {"reward": here.reward, "divergence": here.divergence},
        "curve": points,
    }


def policy(folder: Path, frontier: object = None, reach: float = 2.0, valid: bool = True, **more: object) -> Path:
    """A run of four steps, with three evaluations on the way to a reward of 0.9 at a divergence of `reach`."""
    events = [
        {"step": step, "split": "train", "loss": 0.1, "reward": step / 5, "kl": step / 2 - 0.3} for step in range(1, 5)
    ]
    if valid:
        for step, share in ((0, 0.0), (2, 0.6), (4, 1.0)):
            values = {"reward": 0.1 + 0.8 * share, "divergence": reach * share, "task": 0.8, "exact_match": 0.5}
            events.append({"step": step, "split": "valid", **values} | more)
    return write(folder, "rl", events, frontier)


def texts(place: Axes | Figure) -> list[str]:
    [legend] = [place.get_legend()] if isinstance(place, Axes) else place.legends
    return [text.get_text() for text in legend.get_texts()]


def data(line: Line2D) -> list[tuple[float, float]]:
    return list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))


def of_frontier(figure: Figure) -> Axes:
    [axis] = [axis for axis in figure.axes if axis.get_label() == "frontier"]
    return axis


def shown(axis: Axes) -> list[list[tuple[float, float]]]:
    return [data(line) for line in axis.lines]


def level(axis: Axes) -> float:
    [line] = [line for line in axis.lines if line.get_linestyle() == ":"]
    return line.get_ydata()[0]


def test_a_run_of_dpo_shows_loss_accuracy_and_both_likelihoods_with_their_levels(tmp_path: Path, drawn: list) -> None:
    plots.draw([pairs(tmp_path / "run")], tmp_path / "x.png")
    losses, shares, sides = drawn[0].axes
    assert [axis.get_ylabel() for axis in drawn[0].axes] == [
        "loss (nats a pair)", "pairs in the right order (share)", "log-likelihood (nats an answer)",
    ]  # fmt: skip
    assert {axis.get_xlabel() for axis in drawn[0].axes} == {"optimizer step"}
    assert (level(losses), level(shares)) == (math.log(2), 0.5)
    assert ([t.get_text() for t in losses.texts], [t.get_text() for t in shares.texts]) == (["log 2"], ["1/2"])
    assert [(0.0, math.log(2)), (4.0, math.log(2) / 5)] in shown(losses)
    for line in (
        *([(1.0, -13.0), (2.0, -12.0), (3.0, -11.0), (4.0, -10.0)], [(0.0, -14.0), (4.0, -10.0)]),
        *([(1.0, -2.0), (2.0, -3.0), (3.0, -4.0), (4.0, -5.0)], [(0.0, -1.0), (4.0, -5.0)]),
    ):
        assert line in shown(sides)
    assert (texts(losses), texts(sides)) == (["training", "held-out"], ["chosen", "rejected"])


def test_log_2_is_in_view_where_every_loss_is_below_it(tmp_path: Path, drawn: list) -> None:
    run = write(tmp_path / "run", "dpo", [{"step": s, "split": "train", "loss": 0.1, "accuracy": 1.0} for s in (8, 9)])
    for log_y in (None, True):
        plots.draw([run], tmp_path / "x.png", log_y)
    for figure in drawn:
        low, high = figure.axes[0].get_ylim()
        assert low < math.log(2) < high
    assert [figure.axes[0].get_yscale() for figure in drawn] == ["linear", "log"]


def test_a_reward_model_has_rewards_in_place_of_likelihoods(tmp_path: Path, drawn: list) -> None:
    plots.draw([pairs(tmp_path / "run", "reward")], tmp_path / "x.png")
    assert drawn[0].axes[2].get_ylabel() == "reward"
    assert [(0.0, -14.0), (4.0, -10.0)] in shown(drawn[0].axes[2])


def test_answers_that_were_judged_stand_beside_the_pairs(tmp_path: Path, drawn: list) -> None:
    plots.draw([pairs(tmp_path / "run", cheerful=0.9, task=0.8)], tmp_path / "x.png")
    shares = drawn[0].axes[1]
    assert texts(shares) == ["pairs in order, training", "pairs in order, held-out", "cheerful answers", "task right"]
    assert [(0.0, 0.9), (4.0, 0.9)] in shown(shares)
    assert [(0.0, 0.8), (4.0, 0.8)] in shown(shares)
    assert shares.get_ylim()[0] < 0 < 1 < shares.get_ylim()[1]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([-14.1, -2.8, -5.8, -6.5], "chosen fell: -2.80 at step 10, -6.50 at the end"),
        ([-14.1, -2.8, math.nan, -6.5, math.nan], "chosen fell: -2.80 at step 10, -6.50 at the end"),
        ([-14.1, -2.8, -0.8], ""),
        ([-14.1, -0.801, -0.804], ""),
        ([math.nan], ""),
        ([], ""),
    ],
)
def test_that_the_chosen_answers_fell_is_said_and_only_then(chosen: list[float], words: str) -> None:
    assert fall([10 * i for i in range(len(chosen))], chosen) == words


def test_a_fall_is_written_below_the_likelihoods(tmp_path: Path, drawn: list) -> None:
    run = pairs(tmp_path / "run", chosen_logp=-20.0)
    text = (run / "metrics.jsonl").read_text().replace("-20.0", "-2.0", 1)
    (run / "metrics.jsonl").write_text(text)
    plots.draw([run], tmp_path / "x.png")
    assert drawn[0].axes[2].get_xlabel() == "optimizer step\nchosen fell: -2.00 at step 0, -20.00 at the end"


def test_several_runs_of_pairs_share_the_panels_and_each_has_its_color(tmp_path: Path, drawn: list) -> None:
    plots.draw([pairs(tmp_path / "_a"), pairs(tmp_path / "b", valid=False)], tmp_path / "x.png")
    sides = drawn[0].axes[2]
    assert texts(drawn[0]) == ["_a", "b", "training", "held-out"]
    assert texts(sides) == ["chosen", "rejected"]
    assert {line.get_color() for line in sides.lines} == set(COLORS[:2])
    assert [len(line) for line in shown(sides)] == [2, 2, 4, 4], "in training where nothing was held out"


def test_likelihoods_and_rewards_share_no_axis(tmp_path: Path, drawn: list) -> None:
    plots.draw([pairs(tmp_path / "a"), pairs(tmp_path / "b", "reward")], tmp_path / "x.png")
    assert [axis.get_ylabel() for axis in drawn[0].axes] == ["loss (nats a pair)", "pairs in the right order (share)"]


@pytest.mark.parametrize("method", ["dpo", "reward"])
@pytest.mark.parametrize(("steps", "valid"), [(1, True), (0, True), (3, False), (0, False)])
def test_any_beginning_of_a_run_of_pairs_is_drawn(
    tmp_path: Path, drawn: list, method: str, steps: int, valid: bool
) -> None:
    run = pairs(tmp_path / "run", method, steps, valid)
    plots.draw([run], tmp_path / "x.png")
    plots.draw([run, run], tmp_path / "x.png")
    assert len(drawn) == 2


def test_what_was_not_finite_is_a_gap(tmp_path: Path, drawn: list) -> None:
    run = pairs(tmp_path / "run")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text().replace("-12.0", "null"))
    plots.draw([run], tmp_path / "x.png")
    [line] = [line for line in shown(drawn[0].axes[2]) if line[:1] == [(1.0, -13.0)]]
    assert math.isnan(line[1][1])
    other = policy(tmp_path / "rl", frontier())
    (other / "metrics.jsonl").write_text(
        (other / "metrics.jsonl").read_text().replace('"divergence": 1.2', '"divergence": null')
    )
    plots.draw([other], tmp_path / "x.png")
    assert math.isnan(shown(of_frontier(drawn[1]))[0][1][0])


def test_a_run_of_rl_shows_its_figures_over_the_steps_and_its_frontier(tmp_path: Path, drawn: list) -> None:
    plots.draw([policy(tmp_path / "run", frontier())], tmp_path / "x.png")
    axes = {axis.get_label(): axis for axis in drawn[0].axes}
    assert {*axes} == {"reward", "answers", "divergence", "frontier"}
    rewards = [[(x, round(y, 9)) for x, y in line] for line in shown(axes["reward"])]
    assert rewards == [[(1.0, 0.2), (2.0, 0.4), (3.0, 0.6), (4.0, 0.8)], [(0.0, 0.1), (2.0, 0.58), (4.0, 0.9)]]
    assert [(0.0, 0.0), (2.0, 1.2), (4.0, 2.0)] in shown(axes["divergence"])
    assert axes["divergence"].get_ylabel().replace("\n", " ") == KL
    assert texts(axes["answers"]) == ["task right", "exact match"]
    path = [(0.0, 0.1), (1.2, 0.58), (2.0, 0.9)]
    assert [(x, round(y, 9)) for x, y in shown(axes["frontier"])[0]] == path
    assert axes["frontier"].get_xlabel() == KL
    assert [text.get_text() for text in axes["frontier"].texts] == ["step 0", "step 4"]


def test_the_optimum_is_solid_while_enough_draws_count_and_dashed_from_there(tmp_path: Path, drawn: list) -> None:
    plots.draw([policy(tmp_path / "run", frontier())], tmp_path / "x.png")
    axis = of_frontier(drawn[0])
    solid, dashed = (line for line in axis.lines if line.get_color() == "#000000" and line.get_marker() == "None")
    points = curve(DRAWS)
    known = sum(point.effective_draws >= 8 for point in points)
    assert 0 < known < len(points)
    assert data(solid) == [(point.divergence, point.reward) for point in points[:known]]
    assert data(dashed) == [(point.divergence, point.reward) for point in points[known - 1 :]], (
        "joined to the solid part"
    )
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    [star] = [line for line in axis.lines if line.get_marker() == "*"]
    assert data(star) == [(at(DRAWS, 0.2).divergence, at(DRAWS, 0.2).reward)]
    assert texts(axis) == [
        "this run", "optimum, as far as 32 draws show", "fewer than 8 carry weight", "optimum at beta 0.2",
    ]  # fmt: skip


def test_frontiers_of_several_runs_share_a_curve_and_beside_them_stands_what_they_cost(
    tmp_path: Path, drawn: list
) -> None:
    a = policy(tmp_path / "_a")
    b, c = policy(tmp_path / "b", frontier(beta=0.2)), policy(tmp_path / "c", frontier(beta=0.5), task=0.3)
    plots.draw([a, b, c], tmp_path / "x.png")
    rewards, tasks = drawn[0].axes
    assert texts(drawn[0]) == ["_a", "b", "c", "optimum, as far as 32 draws show", "fewer than 8 carry weight"]
    assert tasks.get_ylabel() == "task right (share, greedy)"
    assert rewards.get_xlabel() == tasks.get_xlabel() == KL
    assert rewards.get_xlim() == tasks.get_xlim()
    ends = [line for line in tasks.lines if len(line.get_xdata()) == 1]
    assert [data(line) for line in ends] == [[(2.0, 0.8)], [(2.0, 0.8)], [(2.0, 0.3)]]
    assert [(line.get_color(), line.get_marker()) for line in ends] == list(zip(COLORS[:3], MARKERS[:3], strict=True))
    assert sum(line.get_color() == "#000000" for line in rewards.lines) == 2, "one curve, solid and dashed"


def test_curves_that_differ_have_the_colors_of_their_runs(tmp_path: Path, drawn: list) -> None:
    runs = [policy(tmp_path / "a", frontier()), policy(tmp_path / "b", frontier(3 * DRAWS))]
    plots.draw(runs, tmp_path / "x.png")
    curves = [line for line in drawn[0].axes[0].lines if line.get_marker() == "None"]
    assert [line.get_color() for line in curves] == [COLORS[0], COLORS[0], COLORS[1], COLORS[1]]
    assert texts(drawn[0])[2] == "optimum for the run of its color, as far as 32 draws show"


def test_runs_without_right_answers_need_no_second_panel_and_exact_match_stands_in_for_task(
    tmp_path: Path, drawn: list
) -> None:
    for name, removed in (("neither", ("task", "exact_match")), ("exact", ("task",))):
        run = policy(tmp_path / name)
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kept = [{key: value for key, value in event.items() if key not in removed} for event in events]
        (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))
        plots.draw([run, run], tmp_path / "x.png")
        plots.draw([run], tmp_path / "x.png")
    assert [len(figure.axes) for figure in drawn] == [1, 3, 2, 4]
    assert drawn[2].axes[1].get_ylabel() == "exact match (share, greedy)"


def test_a_run_that_goes_far_leaves_the_optimum_in_view(tmp_path: Path, drawn: list) -> None:
    """Without KL it went to 76 nats, where the optimum ends near 2."""
    plots.draw([policy(tmp_path / "run", frontier(), reach=76.0)], tmp_path / "x.png")
    axis = of_frontier(drawn[0])
    assert axis.get_xlabel() == f"{KL}, square-root scale"
    end = max(point.divergence for point in curve(DRAWS))
    assert axis.transAxes.inverted().transform(axis.transData.transform((end, 0)))[0] > 0.15
    labels = [text.get_text() for text in axis.get_xticklabels()]
    assert labels == ["0", "1", "2", "5", "10", "20", "50"]


@pytest.mark.parametrize("reach", [0.0, 1e-12, 1e12])
@pytest.mark.parametrize("valid", [True, False])
def test_any_policy_is_drawn(tmp_path: Path, drawn: list, reach: float, valid: bool) -> None:
    one_point = frontier(torch.zeros(2, 32))
    runs = [policy(tmp_path / str(i), found, reach, valid) for i, found in enumerate((None, frontier(), one_point))]
    for run in runs:
        plots.draw([run], tmp_path / "x.png")
    plots.draw(runs, tmp_path / "x.png")
    assert len(drawn) == 4


def test_a_run_of_one_evaluation_is_named_once(tmp_path: Path, drawn: list) -> None:
    run = write(tmp_path / "run", "rl", [{"step": 0, "split": "valid", "reward": 0.2, "divergence": 0.0}], frontier())
    plots.draw([run], tmp_path / "x.png")
    assert [text.get_text() for text in of_frontier(drawn[0]).texts] == ["step 0"]


def test_without_kl_there_is_no_optimum_to_go_to(tmp_path: Path, drawn: list) -> None:
    plots.draw([policy(tmp_path / "run", frontier() | {"beta": 0, "here": None})], tmp_path / "x.png")
    assert not any(line.get_marker() == "*" for line in of_frontier(drawn[0]).lines)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
@pytest.mark.parametrize(
    "name", ["$run_of_5% $", "_private", "a\nb\x1b[31m", "k" * 200, "مرحبا", "中文 👩‍👩‍👧", "%s {0}"]
)
def test_names_are_drawn_as_they_are(tmp_path: Path, drawn: list, name: str) -> None:
    plots.draw([policy(tmp_path / name, frontier()), policy(tmp_path / "b")], tmp_path / "x.png")
    plots.draw([pairs(tmp_path / "p" / name), pairs(tmp_path / "c")], tmp_path / "x.png")
    for figure in drawn:
        first = texts(figure)[0]
        assert first == label(name)
        [legend] = figure.legends
        assert legend.get_window_extent().width <= figure.bbox.width, "within the picture"


@pytest.mark.parametrize(
    "content",
    ["nonsense", "[]", "{}", '{"beta": 0.1, "curve": 3}', '{"beta": "x", "rewards": {"draws": 32}, "curve": []}',
     '{"beta": 0.1, "rewards": {"draws": 32}, "curve": [{"beta": 1}]}', '{"beta": 0.1, "rewards": 3, "curve": []}',
     '{"beta": 0.1, "rewards": {"draws": 32}, "curve": [], "here": 3}'],
)  # fmt: skip
def test_a_file_that_holds_no_curve_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "frontier.json").write_text(content)
    with pytest.raises(UserError, match=r"frontier\.json"):
        read_frontier(tmp_path)


def test_a_run_s_own_picture_has_its_own_name_and_a_broken_one_is_a_warning(tmp_path: Path, capsys) -> None:
    runs = [pairs(tmp_path / "dpo"), policy(tmp_path / "rl", frontier()), pairs(tmp_path / "sft")]
    (runs[2] / "options.json").write_text('{"size": "tiny"}')
    for run, name in zip(runs, ("preference.png", "preference.png", "loss.png"), strict=True):
        plots.draw_run(run)
        assert (run / name).read_bytes().startswith(b"\x89PNG")
        assert [path.suffix for path in run.iterdir()].count(".png") == 1
    (runs[1] / "frontier.json").write_text("nonsense")
    (runs[0] / "options.json").write_text('{"command": "prefer", "method": ["dpo"]}')
    plots.draw_run(runs[1])
    plots.draw_run(runs[0])
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"warning: {runs[1]}/preference.png could not be drawn (")
    assert second.startswith(f"warning: {runs[0]}/loss.png could not be drawn (")
