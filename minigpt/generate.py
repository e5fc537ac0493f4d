"""`python -m minigpt.generate --model FOLDER --prompt TEXT`: a prompt continued."""

import sys
from dataclasses import dataclass
from types import ModuleType

from minigpt import command
from minigpt.model.gpt import GPT
from minigpt.pretrained import model_folder
from minigpt.sample.generation import generate, generate_batch
from minigpt.sample.sampling import check_sampling
from minigpt.text.tokenizer import load_tokenizer


@dataclass
class Options:
    """Continue a prompt as plain text. What a model learned of conversations shows in its run's samples.md."""

    model: str
    """A model's folder, such as runs/builtin-tiny-1/model, or the name of an official size."""
    prompt: str = ""
    """The text to continue; an empty one starts from <|endoftext|>."""
    max_new_tokens: int = 100
    """How many tokens at most."""
    samples: int = 1
    """How many continuations."""
    temperature: float = 1.0
    """What the scores are divided by before drawing; 0 always takes the best token."""
    top_k: int | None = None
    """Draw among the k best tokens only."""
    top_p: float | None = None
    """Draw among the fewest best tokens whose probability reaches p."""
    seed: int | None = None
    """The same seed gives the same text."""


def main(options: Options) -> None:
    check_sampling(options.temperature, options.top_k, options.top_p)
    folder = model_folder(options.model)
    model = GPT.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    prompt = tokenizer.encode(options.prompt)
    texts = generate_batch(
        model,
        [prompt] * options.samples,
        options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        stop=(tokenizer.control["<|endoftext|>"],),
        seed=options.seed,
    )
    for i, new in enumerate(texts):
        if i:
            print("---")
        print(tokenizer.decode(prompt + new))


class _Callable(ModuleType):
    """The package has a function `generate` and this command of the same name; importing the command puts it in the
    function's place there, so it has to answer as the function does."""

    __call__ = staticmethod(generate)


sys.modules[__name__].__class__ = _Callable


if __name__ == "__main__":
    command.run(Options, main, "generate")
