"""The paper model: a GPT-2 small enough to follow by hand from text to loss to gradient to step.

One layer, C = 4, H = 2, so D = 2, and four tokens. Every weight is a half, a one or a two; those that are not listed
here are 0 (gains 1). It already says its sentence: greedy generation from "I" gives " like", " tea", ".".
Each stage can be computed on paper with two decimals: tests/lessons/test_tiny.py does it.
"""

import torch

from minigpt import GPT, GPTConfig

WORDS = ["I", " like", " tea", "."]  # what GPT-2's tokenizer makes of "I like tea.": ids 40, 588, 8887, 13 there
IDS, TARGETS = [0, 1, 2], [1, 2, 3]  # T = 3 tokens are read, and after each the next one is wanted

E = [[0.5, 0.5, -0.5, 0.0], [0.5, 0.0, 0.5, -0.5], [0.0, -0.5, -0.5, 0.5], [-0.5, 0.5, 0.0, 0.5]]  # a row a token
P = [[0.0, 0.0, 0.0, -0.5], [0.0, -0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0]]  # a row a position
# Columns 1 and 2 are head 1, which looks for the word before; 3 and 4 are head 2, which looks for "I" (by its bias).
W_Q = [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
B_Q = [0.0, 0.0, 2.0, 0.0]
W_K = [[0.5, 0.5, 0.5, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
W_V = [[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
W_O = [[0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.5]]
# Three of the MLP's sixteen units: each responds to one token, and adds the embedding of the one that follows it.
W_1 = [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
W_2 = [E[1], E[2], E[3]]


def paper_model() -> GPT:
    """The model with these weights."""
    model = GPT(GPTConfig(vocab_size=4, n_ctx=4, n_embd=4, n_head=2, n_layer=1, bos_token_id=3)).eval()
    block = model.h[0]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if ".ln_" in f".{name}" and name.endswith("weight") else 0.0)
        model.wte.weight.copy_(torch.tensor(E))
        model.wpe.weight.copy_(torch.tensor(P))
        block.attn.c_attn.weight.copy_(torch.cat([torch.tensor(W) for W in (W_Q, W_K, W_V)], dim=1))
        block.attn.c_attn.bias[:4] = torch.tensor(B_Q)
        block.attn.c_proj.weight.copy_(torch.tensor(W_O))
        block.mlp.c_fc.weight[:, :3] = torch.tensor(W_1)
        block.mlp.c_proj.weight[:3] = torch.tensor(W_2)
    return model


def paper_qkv() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The paper model's q, k and v, (1, 2, 3, 2) each, in float64."""
    attn = paper_model().double().h[0].attn
    x = torch.tensor(E, dtype=torch.float64)[IDS] + torch.tensor(P, dtype=torch.float64)[:3]
    q, k, v = attn.c_attn(2.0 * x).detach().view(1, 3, 3, 2, 2).permute(2, 0, 3, 1, 4)  # LN of these x is 2 x
    return q, k, v


def show(table: torch.Tensor, names: list[str] = WORDS) -> None:
    """Print a row for each word, to two decimals; several tables (heads) side by side."""
    tables = table.detach().reshape(-1, *table.shape[-2:])
    for name, *rows in zip(names, *tables, strict=False):
        # Adding 0 turns -0.00 into 0.00.
        cells = [" ".join(f"{round(number, 2) + 0.0:5.2f}" for number in row.tolist()) for row in rows]
        print(f"{name:6}", "  |  ".join(cells))
