"""`python -m minigpt.bench`: measure tokens per second, also of transformers and TRL beside it."""

import torch

from minigpt import command
from minigpt.run.bench_dpo import bench_dpo
from minigpt.run.bench_generation import bench_generation
from minigpt.run.bench_options import BATCH_SIZES, Options, check
from minigpt.run.bench_rl import bench_rl
from minigpt.run.bench_training import bench_training
from minigpt.run.device import choose_device

BENCHES = {
    "sft": bench_training,
    "train": bench_training,
    "generate": bench_generation,
    "dpo": bench_dpo,
    "rl": bench_rl,
}


def main(options: Options) -> None:
    check(options)
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    for batch_size in BATCH_SIZES[options.mode] if options.batch_size is None else (options.batch_size,):
        BENCHES[options.mode](options, batch_size, device)


def entry() -> None:
    """`python -m minigpt.bench` and `minigpt bench`."""
    command.run(Options, main, "bench")


if __name__ == "__main__":
    entry()
