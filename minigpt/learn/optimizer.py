"""From gradients to steps. Read with lesson 09.

The updates run over all tensors at once (torch._foreach_*): the same arithmetic, a fraction of the kernel launches.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class _Optimizer(torch.optim.Optimizer):
    """What the three share: finding the parameters that have a gradient, and counting the steps."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                group["step"] = group.get("step", 0) + 1
                self.update(group, parameters, [p.grad for p in parameters])
        return loss

    def update(self, group: dict, theta: list[Tensor], g: list[Tensor]) -> None:
        raise NotImplementedError


class SGD(_Optimizer):
    """theta_{k+1} = theta_k - eta grad L (documents A 4.3, C 3.3)."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, dict(lr=lr))

    def update(self, group: dict, theta: list[Tensor], g: list[Tensor]) -> None:
        torch._foreach_add_(theta, g, alpha=-group["lr"])  # eq 9.1


class Adam(_Optimizer):
    """Steps scaled by running moments of the gradient (document D 4.3).

    m_t = b1 m_{t-1} + (1 - b1) g_t, v_t = b2 v_{t-1} + (1 - b2) g_t^2,
    theta_t = theta_{t-1} - eta m_t / (sqrt(v_t) + eps).
    Kingma and Ba (2015) divide m_t by 1 - b1^t and v_t by 1 - b2^t first, as both start at zero; that is the default.
    The documents leave that out (`bias_correction=False`): their first step is (1 - b1) / sqrt(1 - b2) times as long.
    `weight_decay` is decoupled, as AdamW's; torch.optim.Adam's is not.
    """

    def __init__(
        self, params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        bias_correction: bool = True, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(
            params, dict(lr=lr, betas=betas, eps=eps, bias_correction=bias_correction, weight_decay=weight_decay)
        )

    def update(self, group: dict, theta: list[Tensor], g: list[Tensor]) -> None:
        (b1, b2), t = group["betas"], group["step"]
        for p in theta:
            if not self.state[p]:
                self.state[p] = {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
        m, v = [self.state[p]["m"] for p in theta], [self.state[p]["v"] for p in theta]
        if group["weight_decay"]:
            # Decoupled from the gradient's moments: Loshchilov and Hutter (2019), algorithm 2.
            torch._foreach_mul_(theta, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_lerp_(m, g, 1.0 - b1)  # eq 9.2
        torch._foreach_mul_(v, b2)
        torch._foreach_addcmul_(v, g, g, 1.0 - b2)  # eq 9.3
        m_scale, v_scale = (1.0 - b1**t, 1.0 - b2**t) if group["bias_correction"] else (1.0, 1.0)
        denominator = torch._foreach_sqrt(v)
        torch._foreach_div_(denominator, math.sqrt(v_scale))
        torch._foreach_add_(denominator, group["eps"])
        torch._foreach_addcdiv_(theta, m, denominator, -group["lr"] / m_scale)  # eq 9.4


class AdamW(Adam):
    """Adam that also shrinks the parameters by eta * weight_decay at each step, outside of the moments."""

    def __init__(
        self, params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay=weight_decay)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups: the matrices of attention and MLP decay; biases, LayerNorm gains and embeddings do not.

    A gain or bias has no scale to hold back, and decaying an embedding shrinks the rows of tokens that a batch lacks.
    """
    named = list(model.named_parameters())
    decayed = [p for name, p in named if p.dim() >= 2 and not name.startswith(("wte", "wpe"))]
    chosen = set(map(id, decayed))
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for _, p in named if id(p) not in chosen], "weight_decay": 0.0},
    ]
