"""One more token for each text, as fast as Python lets it be. Read with lesson 07."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minigpt.model.attention import attend_fused
from minigpt.model.cache import Cache
from minigpt.model.embedding import embed
from minigpt.model.gpt import GPT
from minigpt.model.layer_norm import layer_norm_no_grad as layer_norm
from minigpt.model.linear import has_few_rows, linear, linear_few
from minigpt.model.mlp import gelu_no_grad as gelu


class Step:
    """`model(ids, cache)` for one new token a text, outside of training: a test holds them equal.

    The modules' formulas in a row, without the modules: what Python does to call a module and to look its parameters up
    takes 5 of the 39 milliseconds that a step of the 124M model takes otherwise, for one text on two CPU cores.
    """

    def __init__(self, model: GPT) -> None:
        self.model = model
        # Of each block, in the order of the official checkpoint: ln_1, c_attn, c_proj, ln_2, c_fc, c_proj.
        self.blocks = [tuple(parameter.detach() for parameter in block.parameters()) for block in model.h]
        self.eps = torch.full((1,), model.config.layer_norm_epsilon, device=model.device, dtype=model.dtype)

    @torch.no_grad()
    def __call__(self, ids: Int[Tensor, " B"], cache: Cache) -> Float[Tensor, "B V"]:
        model, eps = self.model, self.eps
        B, H, D = len(ids), model.config.n_head, model.config.head_width
        positions, visible = cache.begin(1)
        x = embed(model.wte, model.wpe, ids.unsqueeze(1), positions).squeeze(1)
        affine = linear_few if has_few_rows(x) else linear
        for layer, block in zip(cache.layers, self.blocks, strict=True):
            g_1, b_1, W_QKV, b_QKV, W_O, b_O, g_2, b_2, W_up, b_up, W_down, b_down = block
            q, k, v = affine(layer_norm(x, g_1, b_1, eps), W_QKV, b_QKV).view(B, 3, H, 1, D).unbind(1)
            heads = attend_fused(q, *layer.extend(k, v), visible)
            x = x + affine(heads.reshape(B, H * D), W_O, b_O)
            x = x + affine(gelu(affine(layer_norm(x, g_2, b_2, eps), W_up, b_up)), W_down, b_down)
        return model.logits(model.ln_f(x))
