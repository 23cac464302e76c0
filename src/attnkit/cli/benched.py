"""The table of `attn bench` in the terminal."""

from typing import Any

from attnkit.cli.terminal import say, show_table

_HEAD = (
    "form", "size", "measure", "beside eager", "largest difference", "1 text p50 / p95", "", "32 texts p50 / p95", "",
    "texts/s", "peak memory", "attention",
)  # fmt: skip


def show_benched(found: Any) -> None:
    """One line a form that could be made, and a sentence for each that could not."""
    say("")
    show_table((_HEAD[0], _HEAD[1], found.measure.replace("_", " "), *_HEAD[3:]), [_line(one) for one in found.lines])
    say(*(f"{one.name}: {one.status}" for one in found.lines if one.status != "ready"))
    say(
        f"{found.measure.replace('_', ' ')} on {found.protocol}; differences are paired, brackets hold the 95 % "
        f"bootstrap interval. Latency of texts of {found.tokens} tokens on {found.threads} threads, forms in turn, "
        "wall time; × is the median over rounds of eager's time by this one's, with its quartiles.",
        style="dim",
    )


def _line(one: Any) -> tuple[str, ...]:
    if one.measure is None:
        return (one.name, "not made", *[""] * (len(_HEAD) - 2))
    gap = one.difference
    return (
        one.name,
        f"{one.size / 1e6:.1f} MB",
        f"{one.measure['value']:.4f}",
        f"{gap['value']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]",
        f"{one.largest_difference:.1e}",
        *_timed(one.latency.get("1")),
        *_timed(one.latency.get("32")),
        f"{one.texts_a_second:,.0f}" if one.texts_a_second else "",
        "" if one.peak_bytes is None else f"{one.peak_bytes / 1e6:,.0f} MB",
        "yes" if one.attention else "no",
    )


def _timed(latency: Any) -> tuple[str, str]:
    if latency is None:
        return "", ""
    ratio = f"{latency.ratio:.2f}× [{latency.ratio_low:.2f}, {latency.ratio_high:.2f}]"
    return f"{latency.p50 * 1e3:.2f} / {latency.p95 * 1e3:.2f} ms", ratio
