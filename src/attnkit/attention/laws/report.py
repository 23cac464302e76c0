"""Report: which laws held, which did not, and which do not apply."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"


class Broken(AssertionError):
    """A law was seen to fail; the message is the sentence for the table."""


class NotApplicable(Exception):
    """A law has nothing to say here; the message is the reason."""


@dataclass(frozen=True)
class Row:
    """One law: its name, `passed`, `failed` or `not applicable`, and what was seen."""

    law: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """What became of each law; `print(report)` is an aligned table."""

    subject: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """True where no law failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """The laws that failed."""
        return tuple(row for row in self.rows if row.status == FAILED)

    def __getitem__(self, law: str) -> Row:
        """The row of one law.

        Raises: KeyError naming the laws there are.
        """
        for row in self.rows:
            if row.law == law:
                return row
        raise KeyError(f"no law {law!r} in this report; it has {', '.join(row.law for row in self.rows)}")

    def to_dict(self) -> dict[str, object]:
        """The report as plain data, for JSON."""
        rows = [{"law": row.law, "status": row.status, "detail": row.detail} for row in self.rows]
        return {"subject": self.subject, "ok": self.ok, "laws": rows}

    def __str__(self) -> str:
        count = {status: sum(row.status == status for row in self.rows) for status in (PASSED, FAILED, NOT_APPLICABLE)}
        head = f"{self.subject}: " + ", ".join(f"{n} {status}" for status, n in count.items() if n)
        wide = max((len(row.law) for row in self.rows), default=0)
        lines = [f"  {row.status:<14}  {row.law:<{wide}}  {row.detail}".rstrip() for row in self.rows]
        return "\n".join([head, *lines])


def judge(subject: str, laws: Iterable[tuple[str, Callable[[], str | None]]]) -> Report:
    """Run each law; one that raises has failed, with the sentence it raised."""
    return Report(subject, tuple(_row(law, run) for law, run in laws))


def _row(law: str, run: Callable[[], str | None]) -> Row:
    try:
        return Row(law, PASSED, run() or "")
    except Broken as broken:
        return Row(law, FAILED, str(broken))
    except (NotApplicable, NotImplementedError) as reason:
        return Row(law, NOT_APPLICABLE, _sentence(reason))
    except Exception as error:  # whatever somebody's function raises is what the table has to say
        return Row(law, FAILED, f"raised {type(error).__name__}: {_sentence(error)}")


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
