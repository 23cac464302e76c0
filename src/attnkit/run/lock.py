"""One process a run: a lock on its directory that the system lets go of when the process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnkit.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` against every other process that asks for it; where the system has no such lock, go without.

    Raises: UsageError where another one holds it.
    """
    if fcntl is None:
        yield
        return
    path = folder / LOCK
    taken = UsageError(f"{folder} is in use by another process; wait for its end, or name another folder")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UsageError(f"{path} cannot be opened ({error.strerror}); see whether {folder} may be written") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise taken from None
        except OSError:
            # Some network file systems know no locks.
            pass
        # Its holder may have finished, and renamed the directory, since the file was opened.
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file)):
            raise taken
        yield
    finally:
        os.close(file)
