"""Lesson 15: the saved reward model as transformers' GPT2ForSequenceClassification."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPT2ForSequenceClassification

from minigpt import GPTConfig, load_template, load_tokenizer
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.likelihood import answer_row
from minigpt.preference.reward import RewardModel
from minigpt.text.examples import Example
from minigpt.text.template import TEMPLATES, Message, Template, save_template
from tests.reference.pair import make_pair, reference_config

SYSTEM = {"role": "system", "content": "Be brief."}
EARLIER = [{"role": "user", "content": "Xin chào?"}, {"role": "assistant", "content": "Chào bạn"}]
PROMPTS: list[list[Message]] = [
    [*before, {"role": "user", "content": question}]
    for before in ([], [SYSTEM], EARLIER, [SYSTEM, *EARLIER, *EARLIER])
    for question in ("Why?", "Thời tiết hôm nay thế nào?", "1 + 1 = ")
]
ANSWERS = [("No", "It is not known to me"), ("Đẹp lắm!", "!"), ("2", "It is 3, or so")]
PAIRS = [(prompt, *ANSWERS[i % len(ANSWERS)]) for i, prompt in enumerate(2 * PROMPTS)]
BYTES = load_tokenizer("bytes")
CONFIG = GPTConfig.named("tiny", n_ctx=256, n_embd=48, n_head=4, n_layer=2)


@pytest.fixture(scope="module", params=sorted(TEMPLATES))
def template(request: pytest.FixtureRequest) -> Template:
    return load_template(request.param, BYTES)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    made = RewardModel(make_pair(CONFIG, noise=0.1).ours)
    with torch.no_grad():
        made.score.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    return made


@pytest.fixture(scope="module")
def folder(model: RewardModel, template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    model.save_pretrained(folder)
    save_template(folder, template)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> GPT2ForSequenceClassification:
    theirs, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(report.values()), report
    assert isinstance(theirs, GPT2ForSequenceClassification)
    assert theirs.config.num_labels == 1
    return theirs.eval()


def rows_of(template: Template) -> list[Example]:
    """The chosen rows, then the rejected ones."""
    return [answer_row(template, prompt, sides[i]) for i in (0, 1) for prompt, *sides in PAIRS]


def padded(rows: list[Example], pad: int, on_the_left: bool = False) -> dict[str, Tensor]:
    T = max(len(row.ids) for row in rows)
    ids, mask, positions = torch.full((len(rows), T), pad), *torch.zeros(2, len(rows), T, dtype=torch.long)
    for b, row in enumerate(rows):
        place = slice(T - len(row.ids), T) if on_the_left else slice(0, len(row.ids))
        ids[b, place], mask[b, place], positions[b, place] = torch.tensor(row.ids), 1, torch.arange(len(row.ids))
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


@pytest.mark.parametrize("on_the_left", [False, True])
@torch.no_grad()
def test_every_score_of_a_padded_batch(
    model: RewardModel, theirs: GPT2ForSequenceClassification, template: Template, on_the_left: bool
) -> None:
    rows = rows_of(template)
    rewards = theirs(**padded(rows, theirs.config.pad_token_id, on_the_left)).logits.squeeze(1)
    difference = (model(rows) - rewards).abs().max().item()
    print(f"{template.name}: largest difference {difference:.1e} of rewards that spread over {rewards.std():.2f}")
    assert rewards.std() > 0.1
    assert difference <= 1e-5


@torch.no_grad()
def test_a_conversation_as_transformers_lays_it_out(
    model: RewardModel, theirs: GPT2ForSequenceClassification, folder: Path, template: Template
) -> None:
    """With the folder's own chat template and padding: its user need not know where a reward is read."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = [[*prompt, {"role": "assistant", "content": chosen}] for prompt, chosen, _ in PAIRS]
    batch = tokenizer.apply_chat_template(asked, padding=True, return_tensors="pt", return_dict=True)
    assert tokenizer.pad_token_id == theirs.config.pad_token_id != template.end
    rows = rows_of(template)[: len(PAIRS)]
    assert batch["attention_mask"].sum(1).tolist() == [len(row.ids) for row in rows]
    difference = (model(rows) - theirs(**batch).logits.squeeze(1)).abs().max().item()
    print(f"{template.name}: largest difference {difference:.1e}")
    assert difference <= 1e-5


@pytest.mark.parametrize("explicit", [True, False])
def test_loss_and_every_gradient_beside_bradley_terry_on_theirs(
    model: RewardModel, theirs: GPT2ForSequenceClassification, template: Template, explicit: bool
) -> None:
    """Each gradient's difference over its own norm, or over a hundredth of the largest gradient's: that of ln_f.bias
    is nothing but rounding. Theirs is in float64, as a batch with much padding costs it more digits than ours."""
    rows, n = rows_of(template), len(PAIRS)
    model.transformer.explicit(explicit)
    model.zero_grad()
    theirs = deepcopy(theirs).double()
    rewards = model(rows, 10)
    ours = preference_nll(rewards[:n] - rewards[n:]).mean()
    ours.backward()
    reference = theirs(**padded(rows, theirs.config.pad_token_id)).logits.squeeze(1)
    loss = -logsigmoid(reference[:n] - reference[n:]).mean()
    loss.backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    expected["score"] = expected.pop("score.weight")[0]
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert found.keys() == expected.keys()
    floor = 0.01 * max(gradient.norm() for gradient in expected.values())
    worst = max((found[name] - expected[name]).norm() / max(expected[name].norm(), floor) for name in expected)
    print(f"{template.name}: loss differs by {abs(ours - loss).item():.1e}, a gradient by {worst.item():.1e}")
    assert abs(ours - loss) <= 1e-6
    assert worst <= 1e-5


@torch.no_grad()
def test_what_transformers_saves_is_read(tmp_path: Path) -> None:
    """In its own config.json the label has another name and the end of a text is the padding."""
    config = reference_config(CONFIG)
    config.num_labels, config.pad_token_id = 1, config.eos_token_id
    theirs = GPT2ForSequenceClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    rows = rows_of(load_template("chatml", BYTES))
    rewards = theirs(**padded(rows, config.pad_token_id)).logits.squeeze(1)
    difference = (RewardModel.from_pretrained(tmp_path)(rows) - rewards).abs().max().item()
    print(f"largest difference {difference:.1e}")
    assert difference <= 1e-5
