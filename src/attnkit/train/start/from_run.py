"""A run of our own as a start."""

from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.train.saved_model import load_model
from attnkit.train.start.start import Start


def start_from_run(path: Path, allow_code: bool = False) -> Start:
    """The model of the run at `path`, with its tokenizer.

    Raises: UsageError where there is no finished run, or it is damaged.
    """
    run = Run.open(path)
    if not run.complete:
        raise UsageError(f"{path} is not finished; go on with it first, or start from another run")
    saved = load_model(run.path / "model", allow_code=allow_code)
    weights = {name: value.detach().clone() for name, value in saved.network.state_dict().items()}
    positions = saved.settings.positions if saved.settings.encoder == "bert" else None
    said = f"the run {run.name}"
    # A wide branch belongs to the labels and rows it was counted on.
    left = ("wide",) if any(name.startswith("wide.") for name in weights) else ()
    return Start(run.path, said, saved.preprocessing.tokenizer, saved.settings, weights, saved.task, positions, left)
