"""What does a page of all heads take beside BertViz's, on the same model and text?

    python -m benches.see_bertviz [--tokens 128 512 4096] [--layers 12] [--heads 12]

A BERT of random weights, 12 layers of 12 heads of 64 unless said. Each side runs in a fresh process: the model, its
attention (ours recorded on its default kernel, BertViz's by output_attentions under the eager one, which it needs) and
the page.
Then headless Chromium opens the page: seconds from the start of navigation until its script is done, and the memory
of its processes. A page that cannot be made or opened within the limits says so. Needs bertviz, ipython, playwright
and chromium. Writes benches/results/DATE-see-bertviz.md.
"""

import argparse
import datetime
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COLUMNS = ("tokens", "side", "page, bytes", "made in, s", "peak while making, MiB", "opened in, s", "browser, MiB")
# Bytes that BertViz's page takes a weight, as measured where it can be made; pages beyond the limit are not tried.
BYTES_A_WEIGHT, MOST_BYTES = 46, 4 << 30
OPENING_SECONDS = 120
WORDS = ("the", "keeper", "of", "lamps", "wrote", "a", "letter", "to", "every", "harbor")


def main() -> int:
    """Measure both sides at every length and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[128, 512, 4096])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--make", nargs=3, metavar=("SIDE", "TOKENS", "PATH"))
    given = parser.parse_args()
    if given.make:
        return make(given.make[0], int(given.make[1]), Path(given.make[2]), given.layers, given.heads)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        for tokens in given.tokens:
            for side in ("attnkit", "BertViz"):
                cells = measured(side, tokens, Path(folder) / "page.html", given.layers, given.heads)
                lines.append(f"| {tokens} | {side} | " + " | ".join(cells) + " |")
                print(lines[-1], flush=True)
    today = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / f"{today}-see-bertviz.md"
    head = f"# Beside BertViz, {today}\n\nA BERT of random weights, {given.layers} layers of {given.heads} heads of 64."
    path.write_text(f"{head}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 0


def measured(side: str, tokens: int, path: Path, layers: int, heads: int) -> list[str]:
    """The cells of a line."""
    weights = layers * heads * tokens**2
    if side == "BertViz" and weights * BYTES_A_WEIGHT > MOST_BYTES:
        return [f"not made: about {weights * BYTES_A_WEIGHT / 2**30:.0f} GiB", *["–"] * 4]
    path.unlink(missing_ok=True)
    sizes = ["--layers", str(layers), "--heads", str(heads)]
    command = [sys.executable, "-m", "benches.see_bertviz", "--make", side, str(tokens), str(path), *sizes]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return [f"not made: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1][:90]}", *["–"] * 4]
    told = json.loads(done.stdout.splitlines()[-1])
    seconds, memory = opened(path, side)
    return [f"{path.stat().st_size:,}", f"{told['seconds']:.1f}", f"{told['peak_mib']:.0f}", seconds, memory]


def make(side: str, tokens: int, path: Path, layers: int, heads: int) -> int:
    """Make one page in this process, and tell what it took beyond the model that stands ready."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=64 * heads,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=256 * heads,
        max_position_embeddings=tokens,
    )
    words = [WORDS[place % len(WORDS)] for place in range(tokens)]
    ids = torch.randint(5, 1000, (1, tokens))
    model: Any = BertModel._from_config(config, attn_implementation="eager" if side == "BertViz" else "sdpa").eval()
    began = time.perf_counter()
    with torch.no_grad():
        page = _bertviz(model, ids, words) if side == "BertViz" else _ours(model, ids, words)
    path.write_text(page, encoding="utf-8")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak}))
    return 0


def _ours(model: Any, ids: Any, words: list[str]) -> str:
    from attnkit.capture import capture
    from attnkit.page.atlas import atlas_page

    with capture(model, "maps", tokens=[words]) as seen:
        model(input_ids=ids)
    return atlas_page(seen)


def _bertviz(model: Any, ids: Any, words: list[str]) -> str:
    from bertviz import model_view

    attention = model(input_ids=ids, output_attentions=True).attentions
    page: str = model_view(attention, words, html_action="return").data
    # In a notebook the two libraries come from elsewhere; without them nothing is drawn, and what is left is the data.
    return f"<!doctype html><meta charset='utf-8'>{page}"


def opened(path: Path, side: str) -> tuple[str, str]:
    """Seconds until the page stands in a headless browser, and what its processes hold then."""
    from playwright.sync_api import Error, sync_playwright

    browser_path = os.environ.get("ATTNKIT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(1000 * OPENING_SECONDS)
            began = time.perf_counter()
            page.goto(f"file://{path}", wait_until="load")
            if side == "attnkit":
                page.wait_for_selector("html[data-ready]", state="attached")
            seconds = time.perf_counter() - began
            return f"{seconds:.1f}", f"{_browser_mib():.0f}"
        except Error as error:
            return f"not opened: {error.message.splitlines()[0][:70]}", "–"
        finally:
            browser.close()


def _browser_mib() -> float:
    """Memory of the browser's processes, shared pages counted by their share."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        try:
            if "chromium" in (status.parent / "cmdline").read_text():
                total += int(
                    next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("Pss:"))
                )
        except (OSError, StopIteration):
            continue
    return total / 1024


if __name__ == "__main__":
    sys.exit(main())
