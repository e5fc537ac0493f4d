"""From two rewards to the probability that one answer is preferred. Read with lesson 15."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def preference_nll(margin: Float[Tensor, "*batch"], label_smoothing: float = 0.0) -> Float[Tensor, "*batch"]:
    """-log P(y_w before y_l) = -log sigmoid(r_w - r_l), in nats (Bradley and Terry, "Rank analysis", 1952).

    `label_smoothing` e is the share of labels held to be the wrong way round: the best margin is then log((1 - e) / e),
    no longer infinite.
    """
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)  # eq 15.3
