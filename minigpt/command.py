"""Common to the commands: options from a dataclass, and errors as a sentence with exit status 2."""

import contextlib
import difflib
import errno
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import dropwhile, pairwise, takewhile
from typing import TypeVar

import tyro

from minigpt.errors import UserError
from minigpt.ranges import check_values

Options = TypeVar("Options")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def parse(options: type[Options], prog: str, args: Sequence[str]) -> Options:
    """Parse `args` into the dataclass, whose docstrings are the help texts.

    UserError for an unknown option, with the nearest known one, and for a value that cannot be parsed. --help prints
    and exits, as usual.
    """
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            chosen, unknown = tyro.cli(options, prog=prog, args=args, return_unknown_args=True)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_sentence(output.getvalue(), args)) from None
    if unknown:
        names = ["--" + field.name.replace("_", "-") for field in fields(options)]
        given = unknown[0].split("=")[0]
        if not given.startswith("-"):
            raise UserError(f"Unexpected argument {given!r}; {prog} --help lists the options.")
        near = difflib.get_close_matches(given.replace("_", "-"), names, n=1)
        guess = f"did you mean {near[0]}?" if near else f"{prog} --help lists the options."
        raise UserError(f"There is no option {given}; {guess}")
    check_values(chosen, args)
    return chosen


def run(
    options: type[Options],
    main: Callable[[Options], None],
    name: str,
    before: Callable[[Options], list[str]] = lambda chosen: [],
) -> None:
    """Parse the command line and run `main`; a UserError is printed on standard error, with exit status 2.

    `before` may return arguments to put before the user's own, which take precedence: a resumed run's saved options.
    """
    prog = f"python -m minigpt.{name}"
    try:
        chosen = parse(options, prog, sys.argv[1:])
        if earlier := before(chosen):
            chosen = parse(options, prog, [*earlier, *sys.argv[1:]])
        main(chosen)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f" {error.filename}" if error.filename else ""
        print(f"{name}: cannot write to{where or ' the disk'}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)


def _sentence(box: str, args: Sequence[str]) -> str:
    """tyro's error message, without the frame around it and the help below it."""
    lines = [line.strip("│ ") for line in box.splitlines()[1:]]  # the first line is the frame's title
    rules = dropwhile(lambda line: not line.strip("─-"), lines)
    text = " ".join(takewhile(lambda line: line.strip("─-"), rules))
    if unreadable := re.match(r"Error parsing (--[\w-]+):", text):
        option = unreadable[1]
        wanted = (
            "a whole number" if "|INT" in box or " INT" in box else "a number" if "FLOAT" in box else "another value"
        )
        words = [word for arg in args for word in arg.split("=", 1)]
        given = next((b for a, b in pairwise(words) if a.replace("_", "-") == option), "")
        return f"{option} is {given!r}; it takes {wanted}."
    if missing := re.match(r"Missing from .*?(--[\w-]+)", text):
        return f"{missing[1]} is needed; --help says what it takes."
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
