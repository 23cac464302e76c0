"""How a call ends: one sentence on stderr and an exit code, whatever went wrong."""

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout

from cyclopts import App

from attnkit.cli.faults import ending_of, one_sentence
from attnkit.errors import FailedError, UsageError

DEBUG = "--debug"
DONE, PIPE_CLOSED = 0, 141
# Of the processes that torchrun launches, the first one speaks; the others end as it does.
FOLLOWS = int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0"


def end(app: App, arguments: Sequence[str] | None = None) -> int:
    """Run `app` on the arguments (those of the process where None); the exit code.

    With --debug anywhere among them, whatever is raised stays raised.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = given[: given.index("--")] if "--" in given else given
    debug = DEBUG in words
    if debug:
        given.remove(DEBUG)
    for stream in (sys.stdout, sys.stderr):
        # File names and texts may hold what the terminal's encoding lacks.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with warnings.catch_warnings(), ExitStack() as held:
        if not debug:
            warnings.simplefilter("ignore")
        if FOLLOWS:
            held.enter_context(redirect_stdout(held.enter_context(open(os.devnull, "w"))))
        try:
            code = app(given, print_error=False, exit_on_error=False, result_action="return_value")
            sys.stdout.flush()
            return DONE if code is None else int(code)
        except BrokenPipeError:
            # The reader of our output has had enough; python must not flush into the closed pipe at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                raise
            code, sentence = ending_of(error)
            if FOLLOWS and isinstance(error, (UsageError, FailedError, KeyboardInterrupt)):
                return code
            print(f"attn: {one_sentence(sentence, given)}", file=sys.stderr)
            return code
