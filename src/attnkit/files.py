"""Files that are either whole or not there: written beside, then renamed; and files of lines that only grow."""

import errno
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


def append_line(path: str | os.PathLike[str], text: str) -> None:
    """Append one line to the file at `path`, made where it is missing, on the disk before this returns.

    One write to a file opened for appending, so that lines of several processes do not mix. A last line that a crash
    cut short is dropped first, and so is this one where the disk has no room for it.

    Raises: OSError where the file cannot be written.
    """
    content = (text + "\n").encode("utf-8")
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = _whole_lines(file, os.fstat(file).st_size)
        try:
            if os.write(file, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _whole_lines(file: int, size: int, piece: int = 1 << 16) -> int:
    """Cut an open file of `size` bytes behind its last line, and give the bytes that are left."""
    end = size
    while end and os.pread(file, 1, end - 1) != b"\n":
        start = max(0, end - piece)
        end = start + os.pread(file, end - start, start).rfind(b"\n") + 1
    if end < size:
        os.ftruncate(file, end)
    return end
