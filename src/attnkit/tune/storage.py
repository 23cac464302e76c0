"""Where the trials of a study stand: a journal file, or a database that several machines reach."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from attnkit.errors import UsageError
from attnkit.tune.library import optuna

JOURNAL = "journal.jsonl"
_HIDDEN = "***"


def open_storage(where: str, folder: Path | None) -> Any:
    """The storage at `where`: a URL such as sqlite:///study.db, a journal file, or ("") the journal in `folder`.

    A journal holds one line of JSON an operation, is locked in a way that network file systems honor, and is never
    executed.

    Raises: UsageError where it cannot be opened.
    """
    storages = optuna().storages
    try:
        if is_url(where):
            return storages.RDBStorage(where)
        path = journal_path(where, folder)
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for the journal of the study; make it, or name another")
        return storages.JournalStorage(storages.journal.JournalFileBackend(str(path)))
    except UsageError:
        raise
    except Exception as error:  # each database has errors of its own
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"the storage {without_password(where)} cannot be opened ({type(error).__name__}: {said}); "
            "check the address and its rights"
        ) from None


def journal_path(where: str, folder: Path | None) -> Path:
    """The journal file that `where` names.

    Raises: UsageError where neither a file nor a folder is given.
    """
    if where:
        return Path(where).absolute()
    if folder is None:
        raise UsageError("a study without a folder needs --storage, the address that its workers share")
    return folder / JOURNAL


def is_url(where: str) -> bool:
    """True for the address of a database."""
    return "://" in where


def without_password(where: str) -> str:
    """The address as it may be written down: a password in it is put out."""
    if not is_url(where):
        return where
    parts = urlsplit(where)
    if parts.password is None:
        return where
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{_HIDDEN}@{host}"))


def lacks_password(where: str) -> bool:
    """True where a written-down address had a password, which must be given again."""
    return is_url(where) and urlsplit(where).password == _HIDDEN


def mend_journal(path: Path) -> None:
    """Cut off a last line that a crash left half-written, which would spoil what is appended to it."""
    if not path.is_file():
        return
    lock = optuna().storages.journal.JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        with open(path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - (1 << 20))
            file.seek(start)
            tail = file.read()
            if tail and not tail.endswith(b"\n"):
                file.truncate(start + tail.rfind(b"\n") + 1)
    finally:
        lock.release()
