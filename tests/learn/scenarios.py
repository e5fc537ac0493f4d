"""Trainings of a small model, by one process or by several; as a program, what torchrun starts: OUT.

Several processes start slowly, so one start goes through all of SCENARIOS, and tests compare what it saved with one
process's.
"""

import sys

import torch
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.cli.processes import ending_at_once
from minigpt.learn import trainer as trainer_module
from minigpt.learn.parallel import Team, full, join
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.model.low_rank import adapt
from minigpt.text.examples import Example

CONFIG = GPTConfig(vocab_size=50, n_ctx=32, n_embd=32, n_head=4, n_layer=2, bos_token_id=0)
# What each is made of: options of `train`.
SCENARIOS: dict[str, dict] = {
    "explicit": {},
    "fast": {"explicit": False},
    "fast again": {"explicit": False},
    "accumulating": {"overhead": 0, "micro_batch_size": 2},
    "sharded": {"sharded": True},
    "sharded, fast, accumulating": {"sharded": True, "explicit": False, "overhead": 0, "micro_batch_size": 2},
    "bfloat16": {"dtype": "bfloat16", "explicit": False},
    "sharded, bfloat16": {"dtype": "bfloat16", "explicit": False, "sharded": True},
    "adapters": {"rank": 4},
    "sharded, adapters, recomputing": {"rank": 4, "sharded": True, "recompute": True},
}


def ragged_examples(n: int, seed: int = 0) -> list[Example]:
    """Answers of one to twelve tokens, so that a mean over rows and one over tokens differ widely."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for i in range(n):
        asked, answered = (int(torch.randint(low, high, (), generator=generator)) for low, high in ((2, 18), (1, 13)))
        ids = torch.randint(50, (asked + answered,), generator=generator).tolist()
        examples.append(Example(ids, [False] * asked + [True] * answered, f"row {i}"))
    return examples


def recipe(**changes) -> Recipe:
    settings = dict(steps=30, batch_size=8, micro_batch_size=8, lr=3e-3, warmup_steps=5, seed=1)
    return Recipe(**{**settings, **changes})


def learner(dropout: float = 0.0, explicit: bool = True) -> GPT:
    """A small model with weights large enough that every part of it matters."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**{**vars(CONFIG), "dropout": dropout}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.explicit(explicit)


def train(
    team: Team, explicit: bool = True, sharded: bool = False, rank: int = 0, recompute: bool = False,
    overhead: int = 128, **changes,
) -> dict:  # fmt: skip
    """The first step's gradient, and the losses and tokens of all steps."""
    model = learner(explicit=explicit)
    if rank:
        adapt(model, rank, 2.0 * rank, new_rows=3)
    if recompute:
        model.recompute = True
    usual, trainer_module.OVERHEAD["cpu"] = trainer_module.OVERHEAD["cpu"], overhead
    trainer = Trainer(model, ragged_examples(40), recipe(**changes), team, sharded)
    gradients: list[Tensor] = []
    update = trainer.update

    def seen(*args: object) -> tuple[float, float]:
        if not gradients:
            learned = [p for p in model.parameters() if p.requires_grad]
            gradients.append(torch.cat([full(p.grad).flatten() for p in learned]))
        return update(*args)

    trainer.update = seen
    steps = [trainer.train_step() for _ in range(trainer.recipe.steps)]
    trainer_module.OVERHEAD["cpu"] = usual
    whole = trainer.gathered()
    return {
        "gradient": gradients[0],
        "losses": torch.tensor([step.loss for step in steps], dtype=torch.float64),
        "norms": torch.tensor([step.grad_norm for step in steps], dtype=torch.float64),
        "supervised": [step.supervised_tokens for step in steps],
        "weights": {} if whole is None else dict(whole.state_dict()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    with ending_at_once():
        team = join("cpu")
        found = {name: train(team, **options) for name, options in SCENARIOS.items()}
        if team.leads:
            torch.save(found, sys.argv[1])
