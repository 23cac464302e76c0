"""What training says, as it says it: a bar where somebody watches, lines where nobody does."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)

from attnkit.cli.terminal import console, say

T = TypeVar("T")


class Narrator:
    """A listener for `attnkit.train`: prints sentences, findings, choices and evaluations, and moves a bar."""

    def __init__(self, quiet: bool = False) -> None:
        watched = console()
        self.quiet = quiet
        self.alive = not quiet and watched.is_terminal and not watched.is_dumb_terminal
        words = TextColumn("{task.description}", markup=False)
        columns = (words, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=watched, transient=True, disable=not self.alive)
        self.task: Any = None

    def __enter__(self) -> "Narrator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, event: Any) -> None:
        """Say one event; kinds that are not for people are passed over."""
        tell = getattr(self, f"_on_{event.kind}", None)
        if tell is not None and not self.quiet:
            tell(event.values)

    def _line(self, text: str, style: str = "") -> None:
        (self.bar.console.print(text, style=style, soft_wrap=True) if self.alive else say(text, style=style))

    def _on_said(self, said: dict[str, Any]) -> None:
        self._line(said["sentence"])

    def _on_finding(self, found: dict[str, Any]) -> None:
        self._line(f"{found['level']}: {found['sentence']}", style="yellow")

    def _on_choice(self, choice: dict[str, Any]) -> None:
        self._line(f"{choice['field']} = {choice['value']} ({choice['reason']})", style="dim")

    def _on_start(self, start: dict[str, Any]) -> None:
        fold = f"fold {start['fold']} of {start['folds']}: " if start.get("fold") else ""
        rows = f"{start['train']:,} train, {start['validation']:,} validation and {start['test']:,} test rows"
        if start.get("unread"):
            rows = f"{start['train']:,} train and {start['validation']:,} validation rows; "
            rows += f"{start['unread']:,} test rows are left unread"
        self._line(f"{fold}training {start['parameters']:,} parameters on {rows}")
        self.bar.start()
        self.task = self.bar.add_task("", total=None)

    def _on_step(self, step: dict[str, Any]) -> None:
        self.bar.update(
            self.task,
            completed=step["step"],
            total=step["steps"],
            description=f"epoch {step['epoch']}, loss {step['loss']:.3f}",
        )

    def _on_evaluation(self, seen: dict[str, Any]) -> None:
        best = ", the best so far" if seen["best"] else ""
        figures = f"loss {seen['loss']:.4f}, {seen['measure']} {seen['value']:.4f}"
        self._line(f"epoch {seen['epoch']}: validation {figures}{best}  ({seen['seconds']:.0f} s)")

    def _on_stop(self, stop: dict[str, Any]) -> None:
        self.bar.remove_task(self.task) if self.task is not None else None
        self._line(f"Training ends: {stop['reason']}.")


def tracked(items: Sequence[T], title: str) -> Iterator[T]:
    """The items one by one, with a bar on stderr where somebody watches."""
    watched = Console(stderr=True)
    yield from track(items, title, console=watched, transient=True, disable=not watched.is_terminal)
