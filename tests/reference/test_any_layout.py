"""Lesson 13: the same tokens are learned and the same loss found, however the rows are laid out in batches."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from minigpt import GPTConfig, load_template
from minigpt.learn.batches import collate
from minigpt.learn.trainer import supervised_token_nll
from minigpt.text.examples import Example, encode_within
from minigpt.text.records import Conversation
from minigpt.text.template import TEMPLATES
from minigpt.text.tokenizer import ByteTokenizer
from tests.reference.pair import make_pair
from tests.text.test_template import conversations

TOKENIZER = ByteTokenizer()
T_MAX = 160
PAIR = make_pair(GPTConfig(len(TOKENIZER), T_MAX, n_embd=16, n_head=2, n_layer=2, bos_token_id=256), noise=0.05)
TOLERANCE = 1e-5  # nats a token


def theirs(rows: list[Example], pad: int, on_the_left: bool) -> tuple[float, int]:
    """All rows in one batch of transformers' model, padded on either side with a token that has a meaning."""
    T = max(len(row.ids) for row in rows)
    ids, labels, mask = (torch.full((len(rows), T), fill) for fill in (pad, -100, 0))
    for b, row in enumerate(rows):
        place = slice(T - len(row.ids), T) if on_the_left else slice(0, len(row.ids))
        ids[b, place] = torch.tensor(row.ids)
        mask[b, place] = 1
        labels[b, place] = torch.tensor(row.ids).where(torch.tensor(row.supervised), torch.tensor(-100))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = PAIR.theirs(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    nll = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum")
    return nll.item(), int((labels[:, 1:] != -100).sum())


@given(
    said=st.lists(conversations(), min_size=1, max_size=5),
    name=st.sampled_from(sorted(TEMPLATES)),
    micro_batch_size=st.integers(1, 5),
    on_the_left=st.booleans(),
)
@settings(max_examples=40)
@torch.no_grad()
def test_padding_on_either_side_and_any_split_give_the_same_tokens_and_loss(
    said: list, name: str, micro_batch_size: int, on_the_left: bool
) -> None:
    template = load_template(name, TOKENIZER)
    rows = encode_within([Conversation(messages, "row") for messages in said], template, T_MAX, bad=[]).examples
    if not rows:
        return
    expected, count = theirs(rows, template.end, on_the_left)
    batches = [rows[start : start + micro_batch_size] for start in range(0, len(rows), micro_batch_size)]
    parts = [supervised_token_nll(PAIR.ours, collate(batch, torch.device("cpu"), template.end)) for batch in batches]
    assert sum(map(len, parts)) == count
    assert abs(sum(part.sum().item() for part in parts) - expected) / count < TOLERANCE
