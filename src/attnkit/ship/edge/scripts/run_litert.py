"""A .tflite file that answers over pipes: run_litert.py MODEL THREADS."""

import sys
from typing import Any

from talking import serve


def main(path: str, threads: int) -> None:
    """Answer ids (1, T) with the outputs of the signature of that length."""
    # Behind `talking`, which keeps what it prints out of the answers.
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}

    def compute(ids: Any) -> list[Any]:
        runner = runners[f"length_{ids.shape[1]}"]
        taken = next(iter(runner.get_input_details()))
        found = runner(**{taken: ids})
        return [found[name] for name in sorted(found)]

    serve(compute)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
