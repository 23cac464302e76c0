"""Mistakes as a file: a page, or rows of a table."""

from collections.abc import Sequence
from pathlib import Path

from attnkit.data.writers import TABLES, kind_of_file, packed, written
from attnkit.errors import UsageError
from attnkit.files import write_bytes, write_text
from attnkit.page.report_mistakes import mistakes_page
from attnkit.train.mistakes import Mistakes, plain_mistake

COLUMNS = ("place", "truth", "predicted", "probability", "true_probability", "wrong_by", "text", "looked")
PAGE = (".html", ".htm")
MOST = 100_000


def check_outs(outs: Sequence[Path], count: int, force: bool = False) -> list[Path]:
    """The files to be written, before anything is predicted.

    Raises: UsageError where one stands there without `force`, cannot be a file, has an ending that says no format, or
    where `count` is not from 1 to 100,000.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"-n takes a number from 1 to {MOST}, and got {count}")
    if force and not outs:
        raise UsageError("--force replaces the file of --out and does nothing without it; leave it out, or give --out")
    for path in outs:
        if path.suffix.lower() not in PAGE:
            kind_of_file(path, (PAGE[0], *TABLES))
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UsageError(f"{path} is not a place for a file; name a file in a folder that is there, with --out")
        if path.exists() and not force:
            raise UsageError(f"{path} already exists; choose another name with --out, or add --force")
    return list(outs)


def write_mistakes(found: Mistakes, path: Path) -> None:
    """Write them to `path`, as its ending says: a page, or one row a mistake."""
    if path.suffix.lower() in PAGE:
        title = f"Mistakes of {Path(found.run).name}"
        write_text(path, mistakes_page(title, found.protocol, found.worst, found.rows, found.wrong, found.confused))
        return
    kind, gzipped = kind_of_file(path)
    write_bytes(path, packed(written(kind, COLUMNS, [plain_mistake(one) for one in found.worst]), gzipped))
