"""`python -m minigpt.rate`: people rate answers without knowing whose they are, and what they say is added up.

Read with lesson 14.
"""

import sys

from minigpt import command
from minigpt.cli import streams
from minigpt.cli.layout import wrapped
from minigpt.cli.names import american, nearest
from minigpt.rating.prepare import PrepareOptions, prepare
from minigpt.rating.summarize import SummarizeOptions, summarize

ACTIONS = {
    "prepare": (PrepareOptions, prepare, "write the page on which people rate the answers of one or two models"),
    "summarize": (SummarizeOptions, summarize, "add up what the raters have sent back, and make pairs of it"),
}


def entry() -> None:
    """`python -m minigpt.rate` and `minigpt rate`: run the action that is named first."""
    action = american((sys.argv[1:] or ["--help"])[0].lower())
    if action in ACTIONS:
        sys.argv[1:2] = []
        options, main, _ = ACTIONS[action]
        command.run(options, main, f"rate {action}")
        return
    streams.prepare()
    if action in ("-h", "--help", "help"):
        print(listing())
    else:
        near = nearest(action.lstrip("-"), ACTIONS)
        guess = f"did you mean {near}?" if near else f"there are {' and '.join(ACTIONS)}."
        print(f"rate: There is no {sys.argv[1]}; {guess}", file=sys.stderr)
        sys.exit(2)
    streams.close()


def listing() -> str:
    rows = [f"  {name:<12}{what}" for name, (_, _, what) in ACTIONS.items()]
    usage = "usage: python -m minigpt.rate prepare|summarize [options]"
    return wrapped("\n".join([usage, "", *rows, "", "Each explains its options with --help."]))


if __name__ == "__main__":
    entry()
