"""Whatever `start.start_from` names, as a start."""

from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.listing import is_run
from attnkit.train.start.from_checkpoint import start_from_checkpoint
from attnkit.train.start.from_run import start_from_run
from attnkit.train.start.start import Start


def open_start(path: str | Path, allow_code: bool = False) -> Start:
    """The run, or the checkpoint of the BERT family, that stands at `path`; nothing in it is executed.

    Raises: UsageError where there is neither, or it cannot be taken over.
    """
    place = Path(path)
    if is_run(place):
        return start_from_run(place, allow_code)
    if (place / "config.json").is_file():
        return start_from_checkpoint(place)
    if not place.exists():
        raise UsageError(f"there is nothing at {place} to start from; name a run, or the folder of a checkpoint")
    raise UsageError(
        f"{place} is neither a run nor a checkpoint (it holds no config.json); `attn info {place}` says what it is"
    )
