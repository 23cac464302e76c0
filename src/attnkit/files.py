"""Files that are either whole or not there: written beside, then renamed."""

import os
from pathlib import Path


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Put `content` at `path` in one step, so that a reader or a crash never sees half of it.

    Raises: OSError where the folder is missing or cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Put `text` at `path` as UTF-8 in one step.

    Raises: OSError where the folder is missing or cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))
