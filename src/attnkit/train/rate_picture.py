"""The picture of a range test as a file."""

import os
from pathlib import Path

from attnkit.errors import UsageError
from attnkit.page.rate_picture import draw_rates
from attnkit.train.rate_range import RateRange


def check_picture(out: str | os.PathLike[str] | None, force: bool = False) -> None:
    """Refuse a place before the work is done.

    Raises: UsageError where `out` is no place for a new .png file, or `force` is given without it.
    """
    if out is None:
        if force:
            raise UsageError(
                "--force replaces the file of --out and does nothing without it; leave it out, or give --out"
            )
        return
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise UsageError(f"--out takes a name that ends in .png, and got {path}; the numbers come with --json")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} is not a place for a file; name a file in a folder that is there, with --out")
    if path.exists() and not force:
        raise UsageError(f"{path} already exists; choose another name with --out, or add --force")


def write_picture(found: RateRange, out: str | os.PathLike[str]) -> Path:
    """Draw what a range test found."""
    # A line that lies on another hides it.
    once = found.steepest if found.steepest != found.suggested else None
    marks = {"suggested": found.suggested, "steepest": once, "lowest": found.lowest, "diverged": found.diverged}
    known = {name: rate for name, rate in marks.items() if rate is not None}
    return draw_rates(out, found.rates, found.losses, found.smoothed, known, f"{found.optimizer}: {found.reason}")
