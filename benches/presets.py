"""Does a preset, with no other argument, beat linear models on seven sets of short texts?

    ATTNKIT_DATA=FOLDER python -m benches.presets [--preset fast] [--sets trec,sst2] [--seeds 0,1,2] [--no-baselines]
                                                  [--kept FILE] [--report]

Runs `attn train SET --preset NAME --threads 1` in a process of its own for each set and seed, and adds its accuracy,
its interval and its processor minutes to FILE (JSON lines), so that sets may be run one after another; --baselines are
measured on the same rows with the first seed. --report runs nothing: it prints the table of FILE and writes
benches/results/DATE-presets-NAME.md. The test split of a set is read once a seed.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The line that each set is held to: TF-IDF of words and pairs under a linear model, as published or measured elsewhere.
LINES = {
    "sentence_polarity": 77.0,
    "trec": 88.8,
    "agnews": 87.6,
    "sst2": 83.0,
    "banking77": 89.4,
    "subjectivity": 92.1,
    "zh_shopping10": 93.6,
}
COLUMNS = ("set", "accuracy of each seed", "interval", "n", "line", "above", "TF-IDF + logistic", "NB-SVM", "minutes")
PROTOCOL = (
    "Each set's own train and test files (agnews: 10,001 training rows; validation is the dev file where there is one, "
    "else a tenth of the training rows). Weights are chosen by validation accuracy; the test split is read once a "
    "seed. Accuracy in %, its 95 % bootstrap interval for the first seed; line: what is asked; `above`: mean of the "
    "seeds less the line; TF-IDF and NB-SVM: `--baselines`, trained on train and validation rows of the same run; "
    "minutes: processor minutes of the training process, one thread, baselines not counted."
)


def run(data: Path, name: str, preset: str, seed: int, baselines: bool) -> dict[str, Any]:
    """One training in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["train", str(data / name), "--preset", preset, "--threads", "1", "--json", "--out", str(out)]
        words += ["--seed", str(seed)] if seed else []
        words += ["--baselines"] if baselines else []
        code = "import sys; from attnkit.cli.app import main; sys.exit(main())"
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        machine = json.loads((out / "machine.json").read_text("utf-8"))
    accuracy = found["test"]["accuracy"]
    others = {line["name"]: line for line in found["baselines"]}
    return {
        "set": name,
        "preset": preset,
        "seed": seed,
        "accuracy": accuracy["value"],
        "low": accuracy["low"],
        "high": accuracy["high"],
        "n": accuracy["n"],
        "validation": found["validation"]["accuracy"]["value"],
        "epochs": len(found["history"]),
        "minutes": (machine["last_process"]["processor_seconds"] - sum(x["seconds"] for x in others.values())) / 60,
        "baselines": {key: line["measures"]["accuracy"]["value"] for key, line in others.items()},
    }


def table(lines: list[dict[str, Any]]) -> list[str]:
    """The rows of the table, in the order of LINES."""
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, asked in LINES.items():
        held = sorted((line for line in lines if line["set"] == name), key=lambda line: line["seed"])
        if not held:
            continue
        first, each = held[0], [100 * line["accuracy"] for line in held]
        linear: dict[str, float] = next((line["baselines"] for line in held if line["baselines"]), {})
        beside = [f"{100 * linear[key]:.2f}" if key in linear else "–" for key in ("tfidf_logistic", "nb_svm")]
        rows.append(
            (
                name,
                ", ".join(f"{value:.2f}" for value in each),
                f"[{100 * first['low']:.1f}, {100 * first['high']:.1f}]",
                f"{first['n']:,}",
                f"{asked:.1f}",
                f"{statistics.mean(each) - asked:+.2f}",
                *beside,
                f"{statistics.mean(line['minutes'] for line in held):.1f}",
            )
        )
    return ["| " + " | ".join(row) + " |" for row in rows]


def main() -> None:
    """Run what is asked for, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--sets", default=",".join(LINES))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--kept", type=Path, default=Path("presets.jsonl"))
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    if not asked.report:
        for name in asked.sets.split(","):
            for seed in seeds:
                baselines = not asked.no_baselines and seed == seeds[0]
                line = run(Path(os.environ["ATTNKIT_DATA"]), name, asked.preset, seed, baselines)
                with open(asked.kept, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
        return
    lines = [json.loads(line) for line in asked.kept.read_text("utf-8").splitlines()]
    found = table([line for line in lines if line["preset"] == asked.preset])
    today = datetime.date.today().isoformat()
    text = "\n".join([f"# attn train --preset {asked.preset}, {today}", "", PROTOCOL, "", *found, ""])
    text += f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.\n"
    path = Path(__file__).parent / "results" / f"{today}-presets-{asked.preset}.md"
    path.write_text(text, "utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
