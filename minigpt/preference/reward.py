"""A number for an answer, learned from pairs. Read with lesson 15."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minigpt.config import GPTConfig
from minigpt.learn.batches import split_by_length
from minigpt.learn.trainer import OVERHEAD, room
from minigpt.model.gpt import GPT, evaluating
from minigpt.preference.likelihood import in_order
from minigpt.text.examples import Example


class RewardModel(nn.Module):
    """r(x, y) = w . h, with h the final hidden state of the answer's last token; w, `score`, is 0 at first, so that all
    answers are alike. The GPT is changed by training: it is the caller's own, not a copy."""

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        self.transformer = gpt
        self.score = nn.Parameter(torch.zeros(gpt.config.n_embd, device=gpt.device))

    def forward(self, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
        """r of each row, without dropout. The last token is found by its position, never by looking for padding."""
        gpt, found = self.transformer, []
        lengths = [len(row.ids) for row in rows]
        groups = split_by_length(lengths, OVERHEAD[self.device.type], micro_batch_size, room(gpt))
        with evaluating(gpt):
            for group in groups:
                T = max(lengths[i] for i in group)
                ids = torch.tensor([rows[i].ids + [0] * (T - lengths[i]) for i in group], device=self.device)
                last = torch.tensor([[lengths[i] - 1] for i in group], device=self.device)
                found.append(gpt.hidden(ids, at=torch.arange(T, device=self.device) == last) @ self.score)
        return torch.cat(found)[in_order(groups, self.device)].float()

    @property
    def config(self) -> GPTConfig:
        return self.transformer.config

    @property
    def device(self) -> torch.device:
        return self.score.device

    @property
    def is_explicit(self) -> bool:
        return self.transformer.is_explicit
