"""How large the atlas page is, how soon it is ready, and how soon a word that is pointed at has its shades.

    python benches/see_page.py [--layers 12] [--heads 12] [--tokens 4096] [--rounds 5] [--out results.md]
    python benches/see_page.py --pictures docs/see

It writes a page of noise (which no deflating helps), opens it in headless Chromium, and measures in the page's own
clock: from the start of navigation to ready, and from a pointer event to the frame that has been drawn after it.
The main thread's processor time is given too, which other work on the machine does not stretch.
"""

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attnkit.page.atlas import atlas_page
from tests.web.captures import random_capture
from tests.web.example import example

HOVER = """
async () => {
  const words = [...document.querySelectorAll(".row span")];
  const word = words[Math.floor(Math.random() * words.length)];
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const after = () => new Promise((done) => setTimeout(done, 0));
  await frame();
  const start = performance.now();
  word.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  await frame();
  await frame();
  await after();
  return performance.now() - start;
}
"""
HOVERS = 9
OPEN = """
async () => {
  const { change, state } = attnPage;
  const [layer, head] = [(state.layer + 5) % attnPage.model.first.layers.length, (state.head + 1) % 2];
  const start = performance.now();
  change({ layer, head });
  const wait = () => new Promise((done) => setTimeout(done, 1));
  while (document.documentElement.dataset.opened !== `${layer}.${head}`) await wait();
  return performance.now() - start;
}
"""


def processor(session: Any) -> float:
    """Milliseconds of the main thread's processor time so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")


def measured(browser: Any, path: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round, each in a tab of its own."""
    names = ("ready", "processor time to ready", "head opened", "hover to drawn frame", "processor time a hover")
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        found["ready"].append(float(page.get_attribute("html", "data-ready")))
        found["processor time to ready"].append(processor(session))
        found["head opened"].append(page.evaluate(OPEN))
        before = processor(session)
        hovers = [page.evaluate(HOVER) for _ in range(HOVERS)]
        found["hover to drawn frame"].append(statistics.median(hovers))
        found["processor time a hover"].append((processor(session) - before) / HOVERS)
        nodes = page.evaluate("() => document.getElementsByTagName('*').length")
        assert nodes < 2000, f"{nodes} nodes"
        page.close()
    return found


PICTURES = {
    "light": ("one", 1440, 900, "light", "#layer=3&head=5&token=14"),
    "dark": ("one", 1280, 840, "dark", "#layer=3&head=0&token=14&stat=role&sort=role"),
    "phone": ("one", 375, 1500, "light", "#layer=3&head=5&token=14"),
    "two": ("two", 1440, 1240, "light", "#layer=1&head=0&stat=entropy&token=14"),
    "head": ("one", 1440, 860, "light", "#layer=3&head=5&token=40&shade=explain:0&stat=distance&sort=value"),
}


def pictures(browser: Any, folder: Path) -> None:
    """Screenshots of the page of some made-up sentences, as the documents show it."""
    first, second = example(), example(second=True)
    pages = {"one": atlas_page(first), "two": atlas_page(first, second)}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (which, width, height, scheme, hash) in PICTURES.items():
            path = Path(scratch) / f"{which}.html"
            path.write_text(pages[which], encoding="utf-8")
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(path.as_uri() + hash)
            page.wait_for_selector("html[data-ready]")
            if name == "head":
                for _ in range(2):
                    page.keyboard.press("+")
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}.png")
            page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("layers", 12), ("heads", 12), ("tokens", 4096), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, help="a file to append the table to")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots; nothing is measured then")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("ATTNKIT_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no browser: install chromium, or name one in ATTNKIT_CHROMIUM")
    if given.pictures:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            pictures(browser, given.pictures)
            browser.close()
        return
    capture = random_capture(given.layers, given.heads, given.tokens)
    started = time.process_time()
    html = atlas_page(capture)
    made = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = measured(browser, path, given.rounds)
        version = browser.version
        browser.close()
    lines = [
        f"{given.layers} x {given.heads} heads, {given.tokens:,} tokens of noise; Chromium {version} headless, "
        f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, {given.rounds} rounds.",
        "",
        "| what | median | lowest | highest |",
        "|---|---|---|---|",
        f"| bytes of the page | {len(html.encode()):,} | | |",
        f"| seconds of processor to write it | {made:.1f} | | |",
    ]
    for name, times in found.items():
        lines.append(f"| {name}, ms | {statistics.median(times):.0f} | {min(times):.0f} | {max(times):.0f} |")
    print("\n".join(lines))
    if given.out:
        with given.out.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
