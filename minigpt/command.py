"""Common to the commands: options from a dataclass, and errors as a sentence with exit status 2."""

import dataclasses
import errno
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from minigpt.cli import processes, streams
from minigpt.cli.arguments import options_of, read
from minigpt.cli.settings import read_settings
from minigpt.errors import UserError
from minigpt.ranges import check_values

Options = TypeVar("Options")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def parse(options: type[Options], prog: str, args: Sequence[str], earlier: Sequence[str] = ()) -> Options:
    """Parse `args`, the user's, into the dataclass, whose docstrings are the help texts. They win over the file that
    their --config names, and both over `earlier`: a resumed run's saved options.

    UserError for an unknown option, with the nearest known one, for one given twice, and for a value of another type.
    --help prints and exits, as usual.
    """
    known = options_of(options)
    given = read(options, args, prog)
    if config := given.pop("config", None):
        given = read_settings(config, known, prog) | given
    given = read(options, earlier, prog) | given
    for field in dataclasses.fields(options):
        option = known[field.name]
        if field.default is field.default_factory is dataclasses.MISSING and field.name not in given:
            raise UserError(f"{option.flag} is missing. It takes: {option.help} See {prog} --help.")
    chosen = options(**given)
    check_values(chosen)
    return chosen


def run(
    options: type[Options],
    main: Callable[[Options], None],
    name: str,
    before: Callable[[Options], list[str]] = lambda chosen: [],
    *,
    goes_on: bool = False,
) -> None:
    """Parse the command line and run `main`; a UserError is printed on standard error, with exit status 2.

    `before` may return arguments to put before the user's own, which take precedence: a resumed run's saved options.
    With `goes_on` a command finishes its work, and its files, though nobody reads its output any more.
    """
    with processes.ending_at_once():
        _run(options, main, name, before, goes_on)


def _run(
    options: type[Options], main: Callable[[Options], None], name: str, before: Callable[[Options], list[str]],
    goes_on: bool,
) -> None:  # fmt: skip
    streams.prepare(goes_on)
    prog = f"python -m minigpt.{name}"
    args = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]  # torchrun passes its separator on
    try:
        with processes.one_voice():
            processes.check_alone(name)
            chosen = parse(options, prog, args)
            if earlier := before(chosen):
                chosen = parse(options, prog, args, earlier)
            main(chosen)
            streams.finish()
    except UserError as error:
        processes.tell(name, error)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{name}: interrupted.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
        sys.exit(141)
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"{name}: cannot write to {error.filename or 'the disk'}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)
    finally:
        streams.close()
