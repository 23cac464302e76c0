"""Programs of several lengths to one .pte file, a method each: convert_executorch.py FOLDER PRECISION.

FOLDER holds LENGTH.pt2; model.pte is written beside them.
"""

import sys
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower


def main(folder: Path) -> None:
    """Convert all programs of the folder."""
    torch.set_num_threads(1)
    paths = sorted(folder.glob("*.pt2"), key=lambda one: int(one.stem))
    found = {f"length_{path.stem}": torch.export.load(str(path)) for path in paths}
    parts = {name: [XnnpackPartitioner()] for name in found}
    made = to_edge_transform_and_lower(found, partitioner=parts).to_executorch()
    (folder / "model.pte").write_bytes(made.buffer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
