"""`python -m minigpt.generate --model FOLDER --prompt TEXT`: continue a prompt."""

import sys
from dataclasses import dataclass
from types import ModuleType

from minigpt import command
from minigpt.model.light import Weights
from minigpt.ranges import AtOnce, Count, CountOrZero, Seed, Temperature, Text, TopP
from minigpt.run.device import Device, Math
from minigpt.run.start import load_with_tokenizer
from minigpt.sample.generation import generate, generate_batch, stream, tee
from minigpt.sample.sampling import Sampling


@dataclass
class Options:
    """Continue a prompt as plain text. For conversations use minigpt.chat."""

    model: str
    """A model's folder, such as runs/builtin-tiny-1/model, or the name of an official size."""
    prompt: Text = ""
    """The text to continue; an empty one starts from <|endoftext|>."""
    max_new_tokens: CountOrZero = 100
    """The most tokens to generate."""
    samples: AtOnce = 1
    """How many continuations; one is printed as it is generated, several when all are done."""
    temperature: Temperature = 1.0
    """The logits are divided by this before sampling; 0 always takes the most probable token."""
    top_k: Count | None = None
    """Sample from the k most probable tokens only."""
    top_p: TopP | None = None
    """Sample from the fewest most probable tokens whose total probability reaches p."""
    seed: Seed | None = None
    """The same seed gives the same text."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    weights: Weights = "float32"
    """bfloat16 and int8 round the weights when they are loaded, to a half and a quarter of the memory."""
    compile: bool = False
    """Let torch.compile make faster loops of what each token of a single text needs; takes half a minute the first
    time, and a C++ compiler."""


def main(options: Options) -> None:
    sampling = Sampling(options.temperature, options.top_k, options.top_p)
    if unused := sampling.unused(options.seed):
        print(f"generate: {unused}", file=sys.stderr)
    model, tokenizer = load_with_tokenizer(
        options.model, options.device, options.math, options.weights, options.compile
    )
    prompt = tokenizer.encode(options.prompt)
    settings = dict(sampling=sampling, stop=tokenizer.ends, seed=options.seed)
    if options.samples == 1:
        samples = [[]]
        drawn = tee(stream(model, prompt, options.max_new_tokens, **settings), samples[0])
        print(options.prompt, end="", flush=True)
        for piece in tokenizer.pieces(drawn):
            print(piece, end="", flush=True)
        print()
    else:
        samples = generate_batch(model, [prompt] * options.samples, options.max_new_tokens, **settings)
        print("\n---\n".join(tokenizer.decode(prompt + new) for new in samples))
    if not any(samples):
        print("generate: The model ends the text at once; give it a --prompt to continue.", file=sys.stderr)
    room = model.config.n_ctx - max(1, len(prompt))
    if full := sum(len(new) > room for new in samples):
        which = "The text stops" if options.samples == 1 else f"{full} of {options.samples} samples stop"
        print(f"generate: {which} because the context of {model.config.n_ctx} tokens is full.", file=sys.stderr)


class _Callable(ModuleType):
    """Makes this module callable. The package has a function `generate` and this command of the same name: importing
    the command replaces the function there, so the module must work as the function does."""

    __call__ = staticmethod(generate)


sys.modules[__name__].__class__ = _Callable


def entry() -> None:
    """`python -m minigpt.generate` and `minigpt generate`."""
    command.run(Options, main, "generate")


if __name__ == "__main__":
    entry()
