"""A number for an answer, learned from pairs. Read with lesson 15."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.batches import split_by_length, used_length
from minigpt.learn.trainer import OVERHEAD, room
from minigpt.model.gpt import GPT, evaluating
from minigpt.preference.likelihood import in_order
from minigpt.pretrained.folder import model_folder, read_config, read_tensors, write_model
from minigpt.pretrained.kinds import check_kind, padding_id
from minigpt.text.examples import Example

SCORE = "score.weight"  # transformers' name for w, which is a matrix of one row there


class RewardModel(nn.Module):
    """r(x, y) = w . h, with h the final hidden state of the answer's last token; w, `score`, is 0 at first, so that all
    answers are alike. The GPT is changed by training: it is the caller's own, not a copy."""

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        self.transformer = gpt
        self.score = nn.Parameter(torch.zeros(gpt.config.n_embd, device=gpt.device))

    def forward(self, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
        """r of each row, without dropout.

        The answer's last token, its end if it has one, is found by position, never by looking for an id: it is the last
        that is supervised, or the row's last where none is.
        """
        gpt, found = self.transformer, []
        lengths = [used_length(row) + 1 if any(row.supervised) else len(row.ids) for row in rows]
        groups = split_by_length(lengths, OVERHEAD[self.device.type], micro_batch_size, room(gpt))
        with evaluating(gpt):
            for group in groups:
                T = max(lengths[i] for i in group)
                ids = torch.tensor([(rows[i].ids + [0] * T)[:T] for i in group], device=self.device)
                last = torch.tensor([[lengths[i] - 1] for i in group], device=self.device)
                found.append(gpt.hidden(ids, at=torch.arange(T, device=self.device) == last) @ self.score)
        return torch.cat(found)[in_order(groups, self.device)].float()

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "RewardModel":
        """The reward model in a run's folder, also of one that is not finished, or in any folder in the layout of
        transformers' GPT2ForSequenceClassification with one label; in float32.

        UserError for a language model's folder, and as from `GPT.from_pretrained`.
        """
        folder = model_folder(name)
        check_kind(folder, reward=True)
        with torch.device("meta"):  # shapes without memory, as in `GPT.from_pretrained`
            model = cls(GPT(read_config(folder)))
        tensors = read_tensors(folder, model.transformer.state_dict() | {SCORE: model.score[None]})
        model.score = nn.Parameter(tensors.pop(SCORE)[0])
        model.transformer.load_state_dict(tensors, assign=True)
        return model.eval()

    def save_pretrained(self, folder: str | Path, pad_token_id: int | None = None) -> None:
        """config.json and model.safetensors, which transformers.AutoModelForSequenceClassification loads too.

        That class reads r at a row's last token that is not `pad_token_id`, so this must be an id that ends no answer;
        left out, it is chosen by `padding_id`. UserError for an id that ends a text or is not in the vocabulary.
        """
        config = self.config if pad_token_id is None else replace(self.config, pad_token_id=pad_token_id)
        if pad_token_id not in (None, padding_id(config)):
            raise UserError(
                f"The pad_token_id {pad_token_id} cannot be told from what ends an answer, or is outside of the "
                f"vocabulary of {config.vocab_size} tokens; without it, {padding_id(config)} is used."
            )
        tensors = {f"transformer.{name}": tensor for name, tensor in self.transformer.state_dict().items()}
        write_model(Path(folder), config, tensors | {SCORE: self.score[None]}, reward=True)

    @property
    def config(self) -> GPTConfig:
        return self.transformer.config

    @property
    def device(self) -> torch.device:
        return self.score.device

    @property
    def is_explicit(self) -> bool:
        return self.transformer.is_explicit
