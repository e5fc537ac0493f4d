"""Every position brought to mean 0 and variance 1, then stretched and moved. Read with lesson 05."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def layer_norm(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*batch C"]:
    """(x - mean) / sqrt(var + eps) * gain + bias over the channels; the variance is the biased one (divided by C)."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + eps) * gain + bias  # eq 5.1


def normalise(
    x: Float[Tensor, "*batch C"], eps: Float[Tensor, "1"]
) -> tuple[Float[Tensor, "*batch C"], Float[Tensor, "*batch 1"]]:
    """n = (x - mean) r and r = 1 / sqrt(var + eps), in place where `layer_norm` makes new tensors."""
    C = x.shape[-1]
    n = torch.sub(x, x.sum(-1, keepdim=True), alpha=1.0 / C)
    norm = torch.linalg.vector_norm(n, dim=-1, keepdim=True)
    r = torch.addcmul(eps, norm, norm, value=1.0 / C).rsqrt_()
    return n.mul_(r), r


class FusedLayerNorm(Function):
    """`layer_norm` with its gradient written out, so that autograd keeps two tensors instead of six.

    With n = (x - mean) / sqrt(var + eps), r = 1 / sqrt(var + eps) and u = dL/dn = dL/dy * gain:
    dL/dx = r (u - mean(u) - n mean(u n)), the means over the channels.
    """

    @staticmethod
    def forward(ctx, x: Tensor, gain: Tensor, bias: Tensor, eps: Tensor) -> Tensor:
        n, r = normalise(x, eps)
        ctx.save_for_backward(n, r, gain)
        return torch.addcmul(bias, n, gain)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        n, r, gain = ctx.saved_tensors
        rows = tuple(range(dy.dim() - 1))
        dy_n = dy * n
        u = dy * gain
        mean_u = u.mean(-1, keepdim=True)
        mean_un = (dy_n @ gain).unsqueeze(-1).div_(gain.shape[0])
        dx = u.sub_(mean_u).addcmul_(n, mean_un, value=-1).mul_(r)
        return dx, dy_n.sum(rows), dy.sum(rows), None


def layer_norm_fused(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*batch C"]:
    """`layer_norm` in fewer passes over memory."""
    form = FusedLayerNorm.apply if torch.is_grad_enabled() else layer_norm_no_grad
    return form(x, gain, bias, x.new_full((1,), eps))


def layer_norm_no_grad(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: Float[Tensor, "1"]
) -> Float[Tensor, "*batch C"]:
    """`layer_norm_fused` where no gradient is to come, so that autograd need not be told."""
    return torch.addcmul(bias, normalise(x, eps)[0], gain)


class LayerNorm(nn.Module):
    """`layer_norm` with its learned gain (named `weight`, as in the official checkpoint) and bias."""

    def __init__(self, n_embd: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.bias = nn.Parameter(torch.zeros(n_embd))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        return layer_norm_fused(x, self.weight, self.bias, self.eps)
