"""Pattern: which query may meet which key, as a pure function of positions, composed with & | ~."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Part, require
from attnkit.attention.where import Where

Reach = tuple[int | None, int | None]


@dataclass(frozen=True)
class Pattern(Part):
    """A rule on pairs of positions; padding is not its business."""

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """True where the query at position i may meet the key at position j; i (B|1, 1, T, 1), j (B|1, 1, 1, S)."""
        raise NotImplementedError(f"{type(self).__name__} names no pairs")

    def reach(self, first: int, last: int) -> Reach:
        """The first and the last key position that a query at `first` .. `last` may meet; None where there is no bound.

        A bound may be wider than what is met, never narrower: kernels leave out what lies beyond it.
        """
        return None, None

    @property
    def causal(self) -> bool:
        """True where no query meets a later key."""
        return False

    @property
    def sees_itself(self) -> bool:
        """True where every token meets itself, whatever its position, so that no real token's row is empty."""
        return False

    def refuses_cache(self) -> str | None:
        """Why the rule cannot be applied before the sequence is complete; None where it can."""
        return None

    def __and__(self, other: "Pattern") -> "Pattern":
        return Both(self, other)

    def __or__(self, other: "Pattern") -> "Pattern":
        return Either(self, other)

    def __invert__(self) -> "Pattern":
        return Outside(self)


@dataclass(frozen=True)
class Both(Pattern):
    """Pairs that both rules allow: `a & b`.

    Picture: Both(Causal(), Strided(2))
    ```
    #.......
    .#......
    #.#.....
    .#.#....
    #.#.#...
    .#.#.#..
    #.#.#.#.
    .#.#.#.#
    ```

    Raises: ValueError where a side is not a Pattern.
    Cost: both rules; at most the pairs of the smaller one.
    """

    first: Pattern
    second: Pattern

    def __post_init__(self) -> None:
        require(isinstance(self.first, Pattern), self, "first", "a Pattern")
        require(isinstance(self.second, Pattern), self, "second", "a Pattern")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Intersection of the two."""
        return self.first.allowed(i, j, where) & self.second.allowed(i, j, where)

    def reach(self, first: int, last: int) -> Reach:
        """The narrower bound on each side."""
        (a, b), (c, d) = self.first.reach(first, last), self.second.reach(first, last)
        return (a if c is None else c if a is None else max(a, c)), (b if d is None else d if b is None else min(b, d))

    @property
    def causal(self) -> bool:
        """One causal side is enough."""
        return self.first.causal or self.second.causal

    @property
    def sees_itself(self) -> bool:
        """Both sides must let a token meet itself."""
        return self.first.sees_itself and self.second.sees_itself

    def refuses_cache(self) -> str | None:
        """The first side's reason, or the second's."""
        return self.first.refuses_cache() or self.second.refuses_cache()


@dataclass(frozen=True)
class Either(Pattern):
    """Pairs that at least one rule allows: `a | b`.

    Picture: Either(Window(3), Anchors(1))
    ```
    ########
    ###.....
    ####....
    #.###...
    #..###..
    #...###.
    #....###
    #.....##
    ```

    Raises: ValueError where a side is not a Pattern.
    Cost: both rules; at most the pairs of the two together.
    """

    first: Pattern
    second: Pattern

    def __post_init__(self) -> None:
        require(isinstance(self.first, Pattern), self, "first", "a Pattern")
        require(isinstance(self.second, Pattern), self, "second", "a Pattern")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Union of the two."""
        return self.first.allowed(i, j, where) | self.second.allowed(i, j, where)

    def reach(self, first: int, last: int) -> Reach:
        """The wider bound on each side."""
        (a, b), (c, d) = self.first.reach(first, last), self.second.reach(first, last)
        return (None if a is None or c is None else min(a, c)), (None if b is None or d is None else max(b, d))

    @property
    def causal(self) -> bool:
        """Both sides must be causal."""
        return self.first.causal and self.second.causal

    @property
    def sees_itself(self) -> bool:
        """One side that lets a token meet itself is enough."""
        return self.first.sees_itself or self.second.sees_itself

    def refuses_cache(self) -> str | None:
        """The first side's reason, or the second's."""
        return self.first.refuses_cache() or self.second.refuses_cache()


@dataclass(frozen=True)
class Outside(Pattern):
    """Pairs that the rule does not allow: `~a`.

    Picture: Outside(Causal())
    ```
    .#######
    ..######
    ...#####
    ....####
    .....###
    ......##
    .......#
    ........
    ```

    Raises: ValueError where it does not hold a Pattern.
    Cost: the rule; the pairs it leaves out.
    """

    inner: Pattern

    def __post_init__(self) -> None:
        require(isinstance(self.inner, Pattern), self, "inner", "a Pattern")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Complement; padding stays out all the same."""
        return ~self.inner.allowed(i, j, where)

    @property
    def causal(self) -> bool:
        """True where the inner rule is itself the outside of a causal one."""
        return isinstance(self.inner, Outside) and self.inner.inner.causal

    @property
    def sees_itself(self) -> bool:
        """True where the inner rule is itself the outside of one that lets a token meet itself."""
        return isinstance(self.inner, Outside) and self.inner.inner.sees_itself

    def refuses_cache(self) -> str | None:
        """The inner rule's reason."""
        return self.inner.refuses_cache()
