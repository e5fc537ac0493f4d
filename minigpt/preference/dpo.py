"""Direct preference optimization: the optimum of reinforcement learning, from pairs alone. Read with lesson 15."""

from jaxtyping import Float
from torch import Tensor

from minigpt.preference.bradley_terry import preference_nll


def implied_margin(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float,
) -> Float[Tensor, " B"]:
    """The difference of the two answers' rewards beta log pi(y | x) / ref(y | x), of which the model is the optimum."""
    return beta * ((chosen - reference_chosen) - (rejected - reference_rejected))


def dpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    """L_DPO from the log-likelihoods log pi(y | x) of both sides under the model and the reference (Rafailov et al.,
    2023): Bradley-Terry with the rewards of which the model is the optimum."""
    margin = implied_margin(chosen, rejected, reference_chosen, reference_rejected, beta)
    return preference_nll(margin, label_smoothing)  # eq 15.4
