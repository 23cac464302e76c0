"""What was asked for: options that cannot all be honoured are refused, none is left unread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attnkit.capture.captured import Capture
from attnkit.errors import UsageError
from attnkit.page.numbers import known

LIVE = ("budget", "port")


@dataclass(frozen=True)
class Picked:
    """What of a capture is to be shown: a statistic (entropy where None), a layer, one of its heads."""

    statistic: str | None = None
    layer: str | None = None
    head: int | None = None

    def checked(self, capture: Capture) -> str:
        """The statistic's name, once the capture is known to hold all of it.

        Raises: UsageError with what it holds.
        """
        statistic = self.statistic or "entropy"
        try:
            known(statistic)
            heads = None if self.layer is None else capture.layer(self.layer).heads
        except (ValueError, KeyError) as error:
            raise UsageError(str(error.args[0])) from None
        if heads is not None and self.head is not None and not 0 <= self.head < heads:
            raise UsageError(f"{self.layer} has the heads 0 to {heads - 1}, and --head is {self.head}")
        return statistic


def check_asked(
    source: Path, texts: Sequence[str], data: Path | None, outs: Sequence[Path], live: bool, given: Mapping[str, object]
) -> None:
    """Refuse an option that nothing would read; `given` are the others by name, None or false where left out.

    Raises: UsageError naming it.
    """
    named = [name for name, value in given.items() if value is not None and value is not False]
    if live:
        useless = [name for name in named if name not in LIVE] + ["out"] * bool(outs)
        if useless:
            raise UsageError(f"--{useless[0]} does nothing with --live, which serves a page; leave one of them out")
        if len(texts) > 1:
            raise UsageError(f"--live begins with one text and got {len(texts)}; give one, the page takes others")
    elif "port" in named:
        raise UsageError("--port is that of --live and does nothing without it; leave it out, or add --live")
    elif "budget" in named and not any(path.suffix.lower() in (".html", ".attn") for path in outs):
        raise UsageError("--budget bounds a page or an .attn file; leave it out, or name one with --out")
    if "rows" in named and data is None:
        raise UsageError("--rows counts rows of --data and does nothing without it; leave it out, or give --data")
    if "head" in named and "layer" not in named:
        raise UsageError("--head is one of a layer's; say which with --layer")
    if source.suffix == ".attn" and "level" in named:
        raise UsageError(f"{source} was recorded at a level of its own; leave --level out")
