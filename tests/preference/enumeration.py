"""A language so small that all of its answers can be written down: what is an expectation elsewhere is a sum here."""

from itertools import product

import torch
from torch import Tensor, nn

from minigpt import GPT, GPTConfig
from minigpt.preference.likelihood import continued, log_likelihood

TOKENS, END, LONGEST = 5, 4, 3
PROMPTS = ([1, 2], [3, 0, 2])
CONFIG = GPTConfig(vocab_size=8, n_padding_rows=3, n_ctx=8, n_embd=32, n_head=4, n_layer=1, bos_token_id=END)
SCALE = 12.0  # of the initial weights: the answers' probabilities are then far from equal


def all_answers() -> list[list[int]]:
    """Those that end, with their end token; those of LONGEST tokens that do not, without one."""
    words = [token for token in range(TOKENS) if token != END]
    ended = [[*said, END] for n in range(LONGEST) for said in product(words, repeat=n)]
    return ended + [list(said) for said in product(words, repeat=LONGEST)]


ANSWERS = all_answers()
N = len(ANSWERS)  # 85 answers to each prompt
INDEX = {tuple(answer): i for i, answer in enumerate(ANSWERS)}
ROWS = [continued(prompt, answer) for prompt in PROMPTS for answer in ANSWERS]
LENGTHS = torch.tensor([len(answer) for answer in ANSWERS])


def micro(seed: int) -> GPT:
    torch.manual_seed(seed)
    model = GPT(CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(SCALE)
    return model


def micro_rewards(seed: int = 0) -> Tensor:
    """(2, N), uniform in [-1, 1]; float64."""
    return 2 * torch.rand(len(PROMPTS), N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def log_probabilities(model: GPT) -> Tensor:
    """log pi of all answers to each prompt, (2, N). The sums that follow are in float64, so that they add no error."""
    return log_likelihood(model, ROWS, len(ROWS)).double().view(len(PROMPTS), N)


def expectation(log_P: Tensor, values: Tensor) -> Tensor:
    """The mean over prompts of sum_y P(y | x) f(x, y)."""
    return (log_P.exp() * values).sum(-1).mean()


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """The gradient of all parameters as one vector."""
    gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([g.flatten() for g in gradients])


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def cosine(a: Tensor, b: Tensor) -> float:
    return (a @ b / (a.norm() * b.norm())).item()


def total_variation(log_P: Tensor, log_Q: Tensor) -> Tensor:
    """Half the sum of |P - Q|, for each prompt."""
    return (log_P.exp() - log_Q.exp()).abs().sum(-1) / 2
