"""The options of every command, and of every action of one that has several."""

import importlib

from minigpt.__main__ import COMMANDS


def options_of_commands() -> dict[str, type]:
    """By what is typed after `minigpt`."""
    found = {}
    for name in COMMANDS:
        module = importlib.import_module(f"minigpt.{name}")
        if hasattr(module, "Options"):
            found[name] = module.Options
        else:
            found |= {f"{name} {action}": options for action, (options, *_) in module.ACTIONS.items()}
    return found


EVERY = options_of_commands()
