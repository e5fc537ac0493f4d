"""transformers' GPT-2, to be timed beside ours in the same run. Read with lesson 10."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from minigpt.errors import UserError
from minigpt.learn.batches import step_rows
from minigpt.learn.trainer import Trainer
from minigpt.model.gpt import GPT

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def peer_of(model: GPT) -> "GPT2LMHeadModel":
    """transformers' model of the same shape, with copies of the same weights."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        raise UserError("--peer transformers needs the package transformers: pip install transformers.") from None
    config = model.config
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.n_ctx, n_embd=config.n_embd, n_layer=config.n_layer,
            n_head=config.n_head, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=config.bos_token_id, eos_token_id=config.bos_token_id,
        )
    ).to(model.device)  # fmt: skip
    peer.transformer.load_state_dict(model.state_dict())
    return peer


def peer_generation(model: GPT, prompts: Int[Tensor, "B T"], new_tokens: int) -> Callable[[], list[list[int]]]:
    """Its `generate`, greedy and without a token to stop at: the new ids."""
    peer = peer_of(model).eval()
    peer.generation_config.eos_token_id = None
    settings = dict(do_sample=False, max_new_tokens=new_tokens, pad_token_id=model.config.bos_token_id)

    def generate() -> list[list[int]]:
        ids = peer.generate(prompts, attention_mask=torch.ones_like(prompts), **settings)
        return ids[:, prompts.shape[1] :].tolist()

    return generate


def peer_step(model: GPT, trainer: Trainer) -> Callable[[], float]:
    """A training step the usual way: the same rows, padded to the longest, all logits, labels of -100 where nothing
    is learned."""
    recipe, peer = trainer.recipe, peer_of(model).train()
    decayed = [p for p in peer.parameters() if p.dim() >= 2 and p is not peer.transformer.wte.weight]
    decayed = [p for p in decayed if p is not peer.transformer.wpe.weight]
    others = [p for p in peer.parameters() if not any(p is d for d in decayed)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)
    taken = 0

    def step() -> float:
        nonlocal taken
        taken += 1
        picked = step_rows(taken, recipe.batch_size, len(trainer.examples), recipe.seed)
        rows = [trainer.examples[i] for i in picked]
        longest = max(len(row.ids) for row in rows)
        padding = [longest - len(row.ids) for row in rows]
        ids = torch.tensor([row.ids + [0] * n for row, n in zip(rows, padding, strict=True)])
        mask = torch.tensor([[1] * len(row.ids) + [0] * n for row, n in zip(rows, padding, strict=True)])
        labels = torch.tensor(
            [
                [i if learned else -100 for i, learned in zip(row.ids, row.supervised, strict=True)] + [-100] * n
                for row, n in zip(rows, padding, strict=True)
            ]
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            output = peer(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=labels.to(model.device)
            )
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = trainer.optimizer.param_groups[0]["lr"]
        optimizer.step()
        optimizer.zero_grad()
        return float(output.loss.detach())

    return step
