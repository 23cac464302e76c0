"""What `attn shrink` takes beside what goes: how the rest is held, and a search."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from attnkit.errors import UsageError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HoldingOptions:
    """How what is left is held."""

    words: Annotated[str, Parameter(help="Words that go, the rarest first: a share such as 50%, or a number.")] = ""
    table: Annotated[int, Parameter(help="Width of the table of words, as one of two factors; 0: as it is.")] = 0
    rank: Annotated[str, Parameter(help="Share of what each map answers that maps of lower rank keep.")] = ""
    zeros: Annotated[str, Parameter(help="Share of the weights of each map that become zeros.")] = ""
    window: Annotated[str, Parameter(help="Share of a head's weight that windows may lose, such as 1%.")] = ""
    store: Annotated[
        Literal["", "bfloat16", "int8", "int4", "int8-dynamic", "int8-static"],
        Parameter(help="Numbers in which weights are stored, or, dynamic and static, multiplied too."),
    ] = ""
    rounded: Annotated[bool, Parameter(help="Train weights as they will be stored.", show_default=False)] = False

    def holding(self) -> Any:
        """What they come to.

        Raises: UsageError where they contradict one another.
        """
        from attnkit.shrink import Holding

        return Holding(self.words, self.table, self.rank, self.zeros, self.window, self.store, self.rounded)

    def refuse_beside_show(self, **others: Any) -> None:
        """Hold `--show` to standing without what a child is made by: these options and `others`.

        Raises: UsageError naming those that are given.
        """
        named = [name for name, value in others.items() if value is not None and value is not False and value != ""]
        named += [name for name, value in vars(self).items() if value != vars(NOTHING_HELD)[name]]
        if named:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in named)
            raise UsageError(f"--show makes nothing, so that nothing comes of {options}; leave one or the other out")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """A search for what goes, or a recipe that is taught."""

    target: Annotated[Literal["size", "latency"] | None, Parameter(help="Search for what goes, to make this less.")] = (
        None
    )
    max_loss: Annotated[str, Parameter(help="Most that a found network loses on validation: 0.5pt, or a number.")] = (
        "0.5pt"
    )
    time: Annotated[str, Parameter(help="Time of the search, such as 90s, 10m or 1h30m.")] = "10m"
    resume: Annotated[bool, Parameter(help="Go on with a search that ended early.", show_default=False)] = False
    to_recipe: Annotated[Path | None, Parameter(help="Teach the network of this recipe instead, by the run.")] = None

    @property
    def elsewhere(self) -> bool:
        """True where the network is not made by what goes.

        Raises: UsageError where something of a search is given, and no target.
        """
        if self.target is None and (self.max_loss, self.time, self.resume) != ("0.5pt", "10m", False):
            raise UsageError("--max-loss, --time and --resume are of a search; add --target size or --target latency")
        return self.target is not None or self.to_recipe is not None


NOTHING_HELD, NO_SEARCH = HoldingOptions(), SearchOptions()
