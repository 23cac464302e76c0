"""A .pte file that answers over pipes: run_executorch.py MODEL THREADS."""

import sys
from pathlib import Path
from typing import Any

import torch
from talking import serve


def main(path: str) -> None:
    """Answer ids (1, T) with the outputs of the method of that length."""
    # Behind `talking`, which keeps what it prints out of the answers.
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(Path(path).read_bytes())
    methods: dict[str, Any] = {}

    def compute(ids: Any) -> list[Any]:
        name = f"length_{ids.shape[1]}"
        if name not in methods:
            methods[name] = program.load_method(name)
        return [one.numpy().copy() for one in methods[name].execute([torch.from_numpy(ids)])]

    serve(compute)


if __name__ == "__main__":
    main(sys.argv[1])
