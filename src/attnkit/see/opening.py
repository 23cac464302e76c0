"""Whatever stands at a path, as something to look at."""

import os
from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.listing import is_run
from attnkit.see.folder import folder_looker
from attnkit.see.looker import Looker
from attnkit.see.trained import run_looker
from attnkit.train.predictor import load


def open_looker(source: str | os.PathLike[str], *, generate: int = 0, allow_code: bool = False) -> Looker:
    """The model of a run directory, or of a folder in Hugging Face's layout; nothing in it is executed.

    `generate` is the number of tokens that a decoder goes on for.

    Raises: UsageError where there is neither, or it cannot be read.
    """
    path = Path(source)
    if is_run(path):
        if generate:
            raise UsageError(f"{path} is a run of attn, whose models write no text; leave --generate out")
        return run_looker(path.name, load(path, allow_code=allow_code))
    if path.suffix == ".gguf" or (path / "config.json").is_file():
        return folder_looker(path, generate)
    if not path.exists():
        raise UsageError(f"there is nothing at {path}; give a run directory, or a folder with a model of transformers")
    raise UsageError(f"{path} is neither a run nor a model of transformers (no config.json); `attn info {path}` tells")
