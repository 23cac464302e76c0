"""How many texts fit into the memory that is free: tried on texts as long as the longest, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from attnkit.data.batches import collate
from attnkit.errors import FailedError, UsageError
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings, chosen
from attnkit.run.machine import peak_bytes
from attnkit.train.choices import Choices
from attnkit.train.parallel.processes import current
from attnkit.train.precision import autocast

# More rows than these teach less a step than they cost, and fewer steps than these teach next to nothing.
MOST_ROWS, FEWEST_STEPS = 512, 50
# The usual size, which is tried however few steps it leaves.
USUAL_ROWS = 32
# The rest is left to what is held beside the step: the rows themselves, the best weights, other programs.
SHARE = 0.5
_GIGABYTE = 1e9


def choose_fitting_rows(
    choices: Choices, counts: Sequence[int], vocabulary_size: int, outputs: int, allow_code: bool
) -> None:
    """Settle how many texts a step reads by what fits, where the recipe asks for that; `counts` are tokens a text.

    Raises: UsageError where it cannot be found out here; FailedError where not even one text fits.
    """
    recipe = choices.recipe
    if not recipe.train.fit_batch or recipe.train.batch_rows != "auto":
        return
    if recipe.model.hierarchical is True:
        raise UsageError("what fits is tried with texts, not with tables of sentences; give train.batch_rows a number")
    limit = chosen(recipe.tokens.max_tokens)
    lengths = sorted((max(1, min(count, limit)) for count in counts), reverse=True)
    pieces = max(recipe.train.accumulate, current().size)
    most = max(1, max(USUAL_ROWS, min(MOST_ROWS, len(counts) // FEWEST_STEPS)) // pieces)
    free = free_bytes()
    may_use = int(free * SHARE / current().size)
    asked = {
        "model": recipe.model.model_dump(mode="json"),
        "precision": recipe.train.precision,
        "vocabulary_size": vocabulary_size,
        "outputs": outputs,
        "lengths": lengths[:most],
        "bytes": may_use,
        "allow_code": allow_code,
    }
    rows, peak = _largest(asked)
    bound = "no more were tried" if 2 * rows > most else "twice as many would take more"
    choices.settle(
        "train.batch_rows",
        rows * pieces,
        f"{rows} of the longest texts at a time take {peak / _GIGABYTE:.2f} GB of the {may_use / _GIGABYTE:.2f} that a "
        f"process may use ({SHARE:.0%} of {free / _GIGABYTE:.2f} GB free), and {bound}",
    )


def free_bytes() -> int:
    """Memory that this machine, or the container that this process stands in, has left.

    Raises: UsageError where the system does not tell.
    """
    known = Path("/proc/meminfo")
    if not known.exists():
        raise UsageError("this system does not tell what memory is free; give train.batch_rows a number")
    lines = dict(line.split(":", 1) for line in known.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return free


def _largest(asked: dict[str, Any]) -> tuple[int, int]:
    """The most rows of those tried that fit, and what they took in bytes."""
    command = [sys.executable, "-m", "attnkit.train.fit_batch"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    tried = [(int(rows), int(peak)) for rows, peak in (line.split() for line in done.stdout.splitlines())]
    fitting = [(rows, peak) for rows, peak in tried if peak <= asked["bytes"]]
    if not fitting:
        said = (done.stderr.strip().splitlines() or ["the trial was ended"])[-1]
        why = f"one takes {tried[0][1] / _GIGABYTE:.2f} GB" if tried else said
        raise FailedError(
            f"not one of the longest texts fits into {asked['bytes'] / _GIGABYTE:.2f} GB ({why}); free memory, or "
            "lower tokens.max_tokens or model.width"
        )
    return fitting[-1]


def trials(asked: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """(rows, peak bytes of this process) of steps on 1, 2, 4, ... of the longest texts, while twice as many may fit."""
    settings = ModelSettings.model_validate(asked["model"])
    model = build_model(settings, asked["vocabulary_size"], asked["outputs"], allow_code=asked["allow_code"])
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    rows, begun = 1, peak_bytes()
    while rows <= len(asked["lengths"]):
        # Whatever the words, they take the same memory; 3 and above are none with a meaning of their own.
        texts = [
            [3 + place % max(1, asked["vocabulary_size"] - 3) for place in range(n)] for n in asked["lengths"][:rows]
        ]
        with autocast(asked["precision"]):
            loss = model(*collate(texts)).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield rows, peak_bytes()
        if begun + 2 * (peak_bytes() - begun) > asked["bytes"]:
            return
        rows *= 2


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    for tried_rows, peak in trials(json.load(sys.stdin)):
        sys.stdout.write(f"{tried_rows} {peak}\n")
        sys.stdout.flush()
