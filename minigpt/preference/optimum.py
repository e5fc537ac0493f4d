"""The model that reward and divergence lead to, known before training. Read with lesson 15."""

from jaxtyping import Float
from torch import Tensor


def optimum(
    log_reference: Float[Tensor, "*batch N"], rewards: Float[Tensor, "*batch N"], beta: float
) -> Float[Tensor, "*batch N"]:
    """log pi*(y | x) = log ref(y | x) + r(x, y) / beta - log Z(x), over N answers that are all there are.

    pi* maximizes E[r] - beta KL(pi, ref), and the maximum is beta E_x[log Z(x)].
    """
    return (log_reference + rewards / beta).log_softmax(-1)  # eq 15.8
