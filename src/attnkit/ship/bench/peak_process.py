"""The process that `peak_of` starts: it opens one form, answers one batch, and says what it held at its most."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from attnkit.run.machine import peak_bytes


def report(asked: dict[str, Any]) -> int:
    """Peak bytes of this process, once the form has answered a batch of `rows` texts of `tokens` tokens."""
    ids = np.full((asked["rows"], asked["tokens"]), 3, np.int64)
    keep = np.ones_like(ids, dtype=bool)
    if "model" in asked:
        # As a service that has nothing but onnxruntime would.
        from attnkit.bundle.session import OnnxSession

        OnnxSession(Path(asked["model"]).read_bytes(), asked["threads"]).run(ids, keep, ["logits"])
        return peak_bytes()
    import torch

    from attnkit.run.directory import Run
    from attnkit.ship.bench.forms import forms

    torch.set_num_threads(asked["threads"])
    run, name = Run.open(asked["run"]), asked["name"]
    wanted = [name] if name in ("compiled", "bfloat16") else []
    forms(run, wanted, [], {}, asked["threads"], None)[-1].make().call(ids, keep)
    return peak_bytes()


if __name__ == "__main__":
    sys.stdout.write(f"{report(json.loads(sys.argv[1]))}\n")
