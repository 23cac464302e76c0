"""The models of a service, by the names that requests call them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from attnkit.bundle.contents import is_artefact
from attnkit.errors import UsageError
from attnkit.run.directory import PARTIAL, Run
from attnkit.serve.answerer import Answerer
from attnkit.serve.live import Live
from attnkit.serve.of_artefact import open_shipped
from attnkit.serve.of_run import OfRun, open_run


def open_models(
    paths: Sequence[Path], *, task: str | None = None, allow_code: bool = False, live: Live | None = None
) -> dict[str, Answerer]:
    """The models at `paths`, the main one first, each under the name of its folder or file (numbered where taken).

    A run, a folder that was shipped to ONNX, or a bundle; what was shipped is computed on as many threads as torch. The
    main one answers as `live` has learned, where that is given.

    Raises: UsageError where one of them cannot be opened, or is given twice.
    """
    models: dict[str, Answerer] = {}
    seen: set[Path] = set()
    for path in paths:
        place = path.absolute()
        if place in seen:
            raise UsageError(f"{path} is given twice; a model is compared with another one")
        seen.add(place)
        name = _name(path, models)
        if live is not None and not models:
            models[name] = OfRun(live.predictor, Run.open(path), name)
            continue
        models[name] = (
            open_shipped(path, name, threads=torch.get_num_threads(), task=task)
            if is_artefact(path)
            else open_run(path, name, task=task, allow_code=allow_code)
        )
    return models


def _name(path: Path, taken: dict[str, Answerer]) -> str:
    first = path.absolute().name.removesuffix(PARTIAL) or "model"
    name, number = first, 1
    while name in taken:
        number += 1
        name = f"{first}-{number}"
    return name
