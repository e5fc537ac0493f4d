"""Gradient descent, Adam and AdamW."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def descend(theta: Tensor, direction: Tensor, eta: float) -> None:
    """theta_{k+1} = theta_k - eta grad L (documents A 4.3, C 3.3), in place; Adam's direction is not grad L."""
    theta -= eta * direction  # eq 9.1


class _Optimizer(torch.optim.Optimizer):
    """Base of the three: collects the parameters that have a gradient, and counts the steps."""

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

    def update(self, group: dict, thetas: list[Tensor], gradients: list[Tensor]) -> None:
        raise NotImplementedError


class SGD(_Optimizer):
    """Gradient descent, eq 9.1, with the gradient of a batch."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, dict(lr=lr))

    def update(self, group: dict, thetas: list[Tensor], gradients: list[Tensor]) -> None:
        for theta, g in zip(thetas, gradients, strict=True):
            descend(theta, g, group["lr"])


def adam(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    """Step t of one tensor, in place (document D 4.3; m_hat and v_hat are Kingma and Ba's, 2015)."""
    (b1, b2), eta, eps = group["betas"], group["lr"], group["eps"]
    m[...] = b1 * m + (1 - b1) * g  # eq 9.2
    v[...] = b2 * v + (1 - b2) * g**2  # eq 9.3
    m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if group["bias_correction"] else (m, v)
    descend(theta, m_hat / (torch.sqrt(v_hat) + eps), eta)  # eq 9.4


def adam_fast(thetas: list[Tensor], gs: list[Tensor], ms: list[Tensor], vs: list[Tensor], t: int, group: dict) -> None:
    """`adam` of many tensors by torch's kernel, in one pass over memory; equal: tests/learn/test_optimizer.py."""
    (b1, b2), steps = group["betas"], [torch.tensor(float(t), device=thetas[0].device)] * len(thetas)
    torch._fused_adam_(
        thetas, gs, ms, vs, [], steps, lr=group["lr"], beta1=b1, beta2=b2, weight_decay=0.0, eps=group["eps"],
        amsgrad=False, maximize=False,
    )  # fmt: skip


class Adam(_Optimizer):
    """Steps scaled by running moments of the gradient (document D 4.3).

    m_t = b1 m_{t-1} + (1 - b1) g_t, v_t = b2 v_{t-1} + (1 - b2) g_t^2,
    theta_t = theta_{t-1} - eta m_t / (sqrt(v_t) + eps).
    Kingma and Ba (2015) divide m_t by 1 - b1^t and v_t by 1 - b2^t first, as both start at zero; that is the default.
    The documents leave that out (`bias_correction=False`): their first step is (1 - b1) / sqrt(1 - b2) times as long.
    `explicit=False` runs `adam_fast`, which has the default form only.
    """

    def __init__(
        self, params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        bias_correction: bool = True, explicit: bool = True, **more: float,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, bias_correction=bias_correction, **more))
        self.explicit = explicit

    def update(self, group: dict, thetas: list[Tensor], gradients: list[Tensor]) -> None:
        for theta in thetas:
            if not self.state[theta]:
                self.state[theta] = {"m": torch.zeros_like(theta), "v": torch.zeros_like(theta)}
        ms, vs = ([self.state[theta][name] for theta in thetas] for name in "mv")
        if not self.explicit and group["bias_correction"]:
            adam_fast(thetas, gradients, ms, vs, group["step"], group)
            return
        for theta, g, m, v in zip(thetas, gradients, ms, vs, strict=True):
            adam(theta, g, m, v, group["step"], group)


class AdamW(Adam):
    """Adam that also shrinks the parameters by eta * weight_decay at each step, separately from the moments.

    Loshchilov and Hutter (2019), algorithm 2.
    """

    def __init__(
        self, params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01, explicit: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, explicit=explicit, weight_decay=weight_decay)

    def update(self, group: dict, thetas: list[Tensor], gradients: list[Tensor]) -> None:
        for theta in thetas if group["weight_decay"] else ():
            theta *= 1 - group["lr"] * group["weight_decay"]
        super().update(group, thetas, gradients)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups of what is learned: the matrices of attention and MLP decay; biases, LayerNorm gains and embeddings
    do not.

    A gain or bias has no scale to limit, and decaying an embedding shrinks the rows of tokens that a batch lacks. A
    low-rank change's two matrices decay, toward the weights that it began from.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if p.dim() >= 2 and not name.startswith(("wte", "wpe"))]
    chosen = set(map(id, decayed))
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for _, p in named if id(p) not in chosen], "weight_decay": 0.0},
    ]
