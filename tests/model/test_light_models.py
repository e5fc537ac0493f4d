"""What rounded weights do to whole models."""

import pytest
import torch

from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.learn.loss import perplexity
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.perplexity import response_loss
from minigpt.model.light import lighten
from minigpt.pretrained.official import places
from minigpt.text.examples import Example, encode_within
from minigpt.text.records import data_names, read_conversations
from tests.model.test_light import relative

WORKED = {  # in GSM8K's format
    "Tom has 3 bags of 12 apples and eats 5. How many are left?": "3 * 12 = 36 apples. 36 - 5 = 31.\n#### 31",
    "A book costs 8 dollars and a pen 2. What do 4 of each cost?": "One of each is 8 + 2 = 10. 4 * 10 = 40.\n#### 40",
    "Ann runs 6 miles a day. How far does she run in 2 weeks?": "Two weeks are 14 days. 6 * 14 = 84.\n#### 84",
    "Half of 50 birds fly away, then 7 more. How many stay?": "50 / 2 = 25 stay at first. 25 - 7 = 18.\n#### 18",
    "Sam earns 15 dollars an hour for 8 hours. How much is it?": "He earns 15 * 8 = 120 dollars.\n#### 120",
}


@torch.enable_grad()
def trained_tiny() -> tuple[GPT, list[Example]]:
    """The default model after forty steps, and some of the rows that it saw."""
    torch.manual_seed(0)
    template = load_template("chatml", load_tokenizer("bytes"))
    rows = encode_within(read_conversations(data_names(("builtin",), "train"))[:64], template, 256).examples
    model = GPT(GPTConfig.named("tiny"))
    trainer = Trainer(model, rows, Recipe(steps=40, batch_size=4, micro_batch_size=4, lr=3e-3, warmup_steps=5))
    for _ in range(40):
        trainer.train_step()
    return model.eval(), rows[:8]


@torch.no_grad()
def test_the_logits_of_a_trained_model_and_its_loss_change_little() -> None:
    model, rows = trained_tiny()
    expected = [model(torch.tensor([row.ids])) for row in rows]
    nll, count = response_loss(model, rows)
    for weights, most in (("int8", 0.01), ("bfloat16", 0.004)):
        lighter = lighten(model, weights)
        found = [lighter(torch.tensor([row.ids])) for row in rows]
        error = relative(torch.cat(found, 1), torch.cat(expected, 1))
        print(f"{weights}: logits differ by {error:.2%}, relative")
        assert error < most
        assert response_loss(lighter, rows)[0] / count == pytest.approx(nll / count, rel=0.01)


@torch.no_grad()
def test_the_logits_of_random_weights_of_124_million_change_little() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("gpt2")).eval()
    ids = torch.randint(50257, (1, 8))
    expected = model(ids)
    for weights, most in (("int8", 0.04), ("bfloat16", 0.01)):
        error = relative(lighten(model, weights)(ids), expected)
        print(f"{weights}: logits differ by {error:.2%}, relative")
        assert error < most


@pytest.mark.skipif(not any(place.exists() for place in places("gpt2")), reason="weights/gpt2 is not there")
def test_gpt2_expects_worked_answers_as_much_with_eight_bits_a_weight() -> None:
    model, encode = GPT.from_pretrained("gpt2"), load_tokenizer("gpt2").encode
    rows = [(encode(f"{asked}\n"), encode(answer)) for asked, answer in WORKED.items()]
    examples = [Example(a + b, [False] * len(a) + [True] * len(b), "worked") for a, b in rows]
    before, after = (perplexity(*response_loss(one, examples)) for one in (model, lighten(model, "int8")))
    print(f"perplexity {before:.3f}, with eight bits {after:.3f}")
    assert after == pytest.approx(before, rel=0.01)
