"""Programs of several lengths to one .tflite file, a signature each: convert_litert.py FOLDER PRECISION.

FOLDER holds LENGTH.pt2; model.tflite is written beside them.
"""

import sys
from pathlib import Path

import litert_torch
import torch


def main(folder: Path, precision: str) -> None:
    """Convert all programs of the folder."""
    torch.set_num_threads(1)
    made = None
    for path in sorted(folder.glob("*.pt2"), key=lambda one: int(one.stem)):
        module = torch.export.load(str(path)).module()
        ids = torch.zeros(1, int(path.stem), dtype=torch.int32)
        ids[0, 0] = 3
        made = (made or litert_torch).signature(f"length_{path.stem}", module, (ids,))
    if made is None:
        raise SystemExit("there is no program to convert")
    target = folder / "model.tflite"
    made.convert().export(str(target))
    if precision == "int8":
        from ai_edge_quantizer import quantizer, recipe

        whole = target.rename(folder / "whole.tflite")
        quantizer.Quantizer(str(whole), recipe.dynamic_wi8_afp32()).quantize().export_model(str(target))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
