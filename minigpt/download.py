"""`python -m minigpt.download NAME`: download official GPT-2 weights to `weights/`. Read with lesson 06."""

from dataclasses import dataclass, field
from typing import Literal

from minigpt import command
from minigpt.cli.arguments import POSITIONAL
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.pretrained.folder import read_config
from minigpt.pretrained.official import fetch


@dataclass
class Options:
    """Download an official GPT-2 to weights/NAME and check its SHA-256. Files already there are only checked.

    HF_ENDPOINT names a mirror of Hugging Face's hub; the usual proxy variables apply.
    """

    name: Literal["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] = field(metadata=POSITIONAL)
    """The size: gpt2, gpt2-medium, gpt2-large or gpt2-xl."""


def main(options: Options) -> None:
    folder = fetch(options.name)
    config = read_config(folder)
    if config != GPTConfig.named(options.name):
        raise UserError(f"{folder / 'config.json'} does not describe {options.name}; delete it and run this again.")
    print(f"{folder}: {config.parameter_count:,} parameters, checked against the official SHA-256.")


def entry() -> None:
    """`python -m minigpt.download` and `minigpt download`."""
    command.run(Options, main, "download")


if __name__ == "__main__":
    entry()
