"""`bench --mode generate`: whole texts, greedily."""

from itertools import chain

import torch

from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.measure.cost import generation_bytes
from minigpt.measure.speed import in_turn, read_bandwidth, timed
from minigpt.model.gpt import GPT
from minigpt.run.bench_options import DEFAULT_NEW_TOKENS, Options
from minigpt.run.bench_sides import peer, print_header, print_ratio
from minigpt.run.device import place, place_to_read
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY


def bench_generation(options: Options, batch_size: int, device: torch.device) -> None:
    """Time continuing the same prompts greedily, from the first token read to the last one generated."""
    size = options.size or "gpt2"
    config = GPTConfig.named(size)
    new_tokens = options.new_tokens or DEFAULT_NEW_TOKENS
    if options.prompt_tokens + new_tokens > config.n_ctx:
        raise UserError(f"--prompt-tokens and --new-tokens together exceed the context of {config.n_ctx} tokens.")
    model = place(GPT(config), device, options.math).eval()
    prompts = torch.randint(config.vocab_size, (batch_size, options.prompt_tokens)).tolist()

    def ours() -> list[list[int]]:
        return generate_batch(model, prompts, new_tokens, GREEDY)

    with peer(options, model, "generate", prompts=prompts, new_tokens=new_tokens) as theirs:
        model = place_to_read(model, device, options.math, options.weights, options.compile)
        sides = {"minigpt": lambda: timed(ours, device)} | ({options.peer: theirs} if theirs else {})
        seconds, texts = in_turn(sides, options.steps)
    held = sum(tensor.nbytes for tensor in model.parameters()) - model.wpe.weight.nbytes
    weights, bandwidth = {"minigpt": held, options.peer: generation_bytes(config)}, read_bandwidth(device)
    print_header(options, size, config, device)
    say(
        f"{batch_size} prompts of {options.prompt_tokens} tokens, {new_tokens} new ones each, greedy, "
        f"{options.weights}; medians of {options.steps}\n"
        f"  each decoding step reads {held / 1e6:,.0f} MB of weights, and this machine reads memory at "
        f"{bandwidth / 1e9:,.1f} GB/s: at most {bandwidth / held:,.1f} decoding steps per second"
    )
    for name, middle in seconds.items():
        decoding_steps = new_tokens / middle
        say(
            f"  {name:<13}{middle:9.3f} s {batch_size * decoding_steps:12,.1f} tokens per second   "
            f"{decoding_steps * weights[name] / bandwidth:5.1%} of the memory bandwidth"
        )
    print_ratio(seconds)
    if options.peer != "none":
        pairs = zip(*(chain.from_iterable(text[-1]) for text in texts.values()), strict=True)
        same = sum(a == b for a, b in pairs) / (batch_size * new_tokens)
        print(f"  {same:.1%} of the new tokens are the same on both sides")
