"""What went wrong, as an exit code and one sentence."""

from collections.abc import Sequence

from cyclopts import CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from attnkit.errors import FailedError, UsageError

FAILED, WRONG_USE, STOPPED = 1, 2, 130


def ending_of(error: BaseException) -> tuple[int, str]:
    """The exit code of an error, and what to say."""
    match error:
        case UnusedCliTokensError():
            words = " ".join(error.unused_tokens or ())
            return WRONG_USE, f"there is no place for {words!r}; put a text of several words in quotes, or see --help"
        case CycloptsError():
            error.verbose = False
            text = str(error).partition(" Available commands:")[0].replace(". Did you mean", "; did you mean")
            return WRONG_USE, text if text.endswith("?") else f"{text.rstrip('.')}; see attn --help"
        case UsageError():
            return WRONG_USE, str(error)
        case FailedError():
            return FAILED, str(error)
        case KeyboardInterrupt():
            return STOPPED, "stopped by Ctrl-C"
        case MemoryError():
            return FAILED, "memory is exhausted; give less data, smaller batches or shorter texts"
        case OSError() if error.filename is not None:
            return (
                FAILED,
                f"{error.filename} cannot be used ({error.strerror}); check the name, its rights and the disk",
            )
        case OSError() if error.strerror:
            return FAILED, f"the system refused ({error.strerror}); check the disk and its room"
    return (
        FAILED,
        f"something unforeseen happened ({type(error).__name__}: {error}); run it again with --debug to see where",
    )


def one_sentence(text: str, given: Sequence[str] = ()) -> str:
    """The text on one line, with a capital and its full stop; names, and words of the call, stay as they are."""
    line = " ".join(text.split())
    first = line.partition(" ")[0]
    if first.strip(",;:").isalpha() and first not in given:
        line = line[0].upper() + line[1:]
    return line if line.endswith((".", "?", "!")) else f"{line}."
