"""Does a run that was killed at any moment, and resumed, end with the same weights to the bit?

python benches/kill_resume.py --data reviews.csv --trials 10 --out benches/results/<date>-kill-resume.md
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from attnkit.cli.app import main; main()", "train"]
SETTINGS = ["--encoder", "bilstm", "--epochs", "8", "--threads", "1", "--set", "train.checkpoint_every_steps=10"]


def weights_hash(run: Path) -> str:
    """Hash of the final weights of a finished run."""
    return hashlib.sha256((run / "model" / "weights.safetensors").read_bytes()).hexdigest()


def start(data: Path, run: Path) -> "subprocess.Popen[bytes]":
    """Begin, or go on with, the run."""
    command = [*COMMAND, str(data), "--out", str(run), "--resume", *SETTINGS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def whole(data: Path, run: Path) -> float:
    """Run to the end without interruption; the seconds it took.

    Raises: RuntimeError where the run fails.
    """
    began = time.monotonic()
    if start(data, run).wait() != 0:
        raise RuntimeError(f"the run {run} failed")
    return time.monotonic() - began


def killed_then_resumed(data: Path, run: Path, after_seconds: float) -> str:
    """Kill the run after so many seconds, say how far it had come, then let it end."""
    process = start(data, run)
    time.sleep(after_seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    partial = run.with_name(run.name + ".partial")
    if run.exists():
        state = "finished already"
    elif (partial / "log.jsonl").exists():
        steps = (partial / "log.jsonl").read_text().count('"event": "step"')
        state = f"{steps} steps in the log"
    else:
        state = "no record begun"
    whole(data, run)
    return state


def main() -> None:
    """One uninterrupted run, then the trials; a table of moments and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kill-resume-") as folder:
        seconds = whole(options.data, Path(folder) / "whole")
        expected = weights_hash(Path(folder) / "whole")
        lines = []
        for trial in range(options.trials):
            moment, run = draw.uniform(0.0, seconds), Path(folder) / f"trial{trial}"
            state = killed_then_resumed(options.data, run, moment)
            same = weights_hash(run) == expected
            lines.append(f"| {moment:.1f} of {seconds:.1f} | {state} | {'bit-equal' if same else 'DIFFERENT'} |")
            print(lines[-1], flush=True)
    equal = sum("bit-equal" in line for line in lines)
    head = [
        f"# Killed (signal 9) at {options.trials} random moments and resumed: {equal} of {options.trials} bit-equal",
        "",
        f"`attn train {options.data.name} {' '.join(SETTINGS)}`, seed {options.seed} for the moments.",
        "",
        "| killed after (s) | state | final weights |",
        "|---|---|---|",
    ]
    if options.out:
        options.out.write_text("\n".join([*head, *lines]) + "\n")
    if equal < options.trials:
        raise SystemExit(f"{options.trials - equal} of {options.trials} runs ended with other weights")


if __name__ == "__main__":
    main()
