"""Which attention a shipped network holds, and the kernel that each went through as it was exported."""

from dataclasses import replace
from typing import Any

import torch

from attnkit.attention.plain import to_plain
from attnkit.kernels.plan import plan
from attnkit.kernels.situation import Situation
from attnkit.layers import tapped
from attnkit.train.predictor import Predictor


def planned_for_export(predictor: Predictor) -> list[dict[str, Any]]:
    """One entry a layer: its name, its operator as plain data, the kernel."""
    ids, keep = predictor.preprocessing.collate([[[3, 3]]] if predictor.preprocessing.hierarchical else [[3, 3]])
    with torch.inference_mode(), tapped(predictor.network) as seen:
        predictor.network(ids, keep)
    found = []
    for one in seen:
        situation = Situation.of(one.q_BHTD, one.k_BGSD, one.v_BGSE, one.where, intent="export")
        chosen = plan(one.spec, replace(situation, threads=1, loops=False))
        found.append({"layer": one.name, "operator": to_plain(one.spec), "kernel": chosen.kernel.name})
    return found
