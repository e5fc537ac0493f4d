"""`minigpt COMMAND ...`, the same as `python -m minigpt.COMMAND ...`; without a command, the list of them."""

import ast
import importlib
import sys
from pathlib import Path

from minigpt import __version__
from minigpt.cli import streams
from minigpt.cli.layout import wrapped
from minigpt.cli.names import COMMAND_SYNONYMS, american, nearest, synonym

COMMANDS = ("train", "prefer", "generate", "chat", "evaluate", "view", "plot", "bench", "download", "rate", "export")


def main() -> None:
    """Run the command that is named first, with the words after it; without one, list them."""
    name, *args = sys.argv[1:] or ["--help"]
    streams.prepare(goes_on=name not in COMMANDS)
    if name in COMMANDS:
        sys.argv = [f"minigpt {name}", *args]
        importlib.import_module(f"minigpt.{name}").entry()
    elif name == "--version":
        print(f"minigpt {__version__}")
    elif name in ("-h", "--help", "help"):
        print(listing())
    else:
        word = american(name.lstrip("-").lower())
        near = synonym(word, COMMANDS, COMMAND_SYNONYMS) or nearest(word, COMMANDS)
        guess = f"did you mean {near}?" if near else f"there are {', '.join(COMMANDS)}."
        print(f"minigpt: There is no command {name}; {guess}", file=sys.stderr)
        sys.exit(2)
    streams.close()


def listing() -> str:
    """The commands with the first sentence of each one's own text, read without importing it."""
    rows = [f"  {name:<10}{first_sentence(Path(__file__).with_name(f'{name}.py'))}" for name in COMMANDS]
    return wrapped(
        "\n".join(
            [
                "GPT-2 written by hand, and taught to follow instructions.",
                "",
                "usage: minigpt COMMAND [options], or python -m minigpt.COMMAND [options]",
                "",
                *rows,
                "",
                "Each explains its options with --help. The first to try: minigpt train",
            ]
        )
    )


def first_sentence(module: Path) -> str:
    """What a command does, as the docstring of its module says it after the command itself."""
    text = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    return " ".join(text.split()).partition("`: ")[2].partition(". ")[0].rstrip(".")


if __name__ == "__main__":
    main()
