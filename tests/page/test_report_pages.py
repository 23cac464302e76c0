"""The pages about runs in a real browser: as wide as the screen, on a phone too, and asking for nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnkit.page.report import report_page
from attnkit.page.report_comparison import comparison_page
from attnkit.page.report_curve import curve_page
from attnkit.page.report_mistakes import Mistake

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")

LONG = "Unbreakable" * 40
HOSTILE = "</style><script>document.title='broken'</script><img src=http://example.invalid/x>"


def measure(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "low": value - 0.02, "high": value + 0.02, "n": 500, "protocol": "p"}


def report() -> str:
    classes = [f"class {n} {LONG[:30]}" for n in range(12)]
    bins = [
        {"low": n / 15, "high": (n + 1) / 15, "n": 30 * n, "confidence": (n + 0.5) / 15 if n else None,
         "right": n / 15 if n else None}
        for n in range(15)
    ]  # fmt: skip
    figures = {name: measure(name, 0.8) for name in ("accuracy", "f1_macro", "calibration_error", f"f1:{HOSTILE}")}
    history = [
        {"step": 50 * n, "train_loss": 1 / n, "loss": 1.2 / n, "measure": "accuracy", "value": 1 - 0.5 / n}
        for n in range(1, 8)
    ]
    metrics = {
        "protocol": f"chosen somehow {HOSTILE}", "select": "accuracy", "test": figures, "validation": {},
        "baselines": [{"name": name, "measures": figures} for name in ("majority", "tfidf_logistic", "nb_svm")],
        "history": history, "calibration": {"rows": "test rows", "error": 0.03, "bins": bins},
        "confusion": {"classes": classes, "counts": [[n * m for n in range(12)] for m in range(12)]},
    }  # fmt: skip
    pieces = ((LONG, 0.5), (" ", None), (HOSTILE, 0.3), ("\u202eturned", 0.2))
    mistakes = [Mistake(f"data.csv:{n}", LONG, HOSTILE, 0.9, 0.9, 0.05, pieces, cut=7) for n in range(3)]
    rates = [(n, n / 400) for n in range(400)]
    return report_page("A run", metrics, {"data": LONG}, [HOSTILE], rates=rates, mistakes=mistakes, judged=(500, 100))


def comparison() -> str:
    arms = [
        {"name": name, "mean": 0.8 + n / 100, "low": 0.78, "high": 0.86, "each": [0.8, 0.82], "rank": 4 - n,
         "stands_out": n > 1, "parameters": 1_234_567, "core_seconds": 12.5 if n else None, "steps": 900.0,
         "failures": [{"seed": 1, "reason": HOSTILE}] if n == 0 else [],
         "difference": {"value": 0.01, "low": -0.01, "high": 0.03, "p": 0.2, "adjusted": 0.4, "verdict": "tie"}}
        for n, name in enumerate(("additive", "dot", LONG, HOSTILE))
    ]  # fmt: skip
    pairs = [
        {
            "a": LONG,
            "b": HOSTILE,
            "value": 0.1,
            "low": 0.05,
            "high": 0.15,
            "p": 0.001,
            "adjusted": 0.01,
            "verdict": "better",
        }
    ]
    record = {
        "what": "ablation", "part": "validation", "measure": "accuracy", "rows": 500, "reference": "additive",
        "arms": arms, "pairs": pairs, "conclusions": [LONG, HOSTILE], "protocol": HOSTILE, "test": None,
    }  # fmt: skip
    return comparison_page(HOSTILE, record, [HOSTILE])


def curve() -> str:
    points = [
        {"share": share, "train_rows": round(4000 * share), "mean": 0.7 + share / 10, "low": 0.68 + share / 10,
         "high": 0.72 + share / 10, "each": [0.7, 0.71]}
        for share in (0.25, 0.5, 1.0)
    ]  # fmt: skip
    law = {"floor": 0.1, "slope": 0.1, "exponent": 0.5}
    record = {
        "measure": "accuracy", "higher_is_better": True, "part": "validation", "rows": 500, "points": points,
        "forecast": {"sentence": HOSTILE, "law": law, "low": 0.15, "high": 0.19}, "protocol": LONG,
        "failures": [{"share": 0.75, "seed": 1, "reason": HOSTILE}],
    }  # fmt: skip
    return curve_page(HOSTILE, record, [LONG])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = os.environ.get("ATTNKIT_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install chromium, or name one in ATTNKIT_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("make", [report, comparison, curve])
def test_a_page_fits_the_screen_and_asks_for_nothing(browser: Any, tmp_path: Path, make: Any, width: int) -> None:
    path = tmp_path / "page.html"
    path.write_text(make(), encoding="utf-8")
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    # On a machine that many share, opening a page may take long.
    page.set_default_timeout(180_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto(path.as_uri())
    assert asked == [path.as_uri()] and page.title() != "broken"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script, img').length") == 0
    # Letters of a picture that shrinks with the screen must stay readable.
    shrunk = "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width)"
    assert min(page.evaluate(shrunk)) > 0.6
    targets = page.evaluate(
        "[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))"
    )
    assert targets
