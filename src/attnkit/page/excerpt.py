"""Excerpts: of a long text, the stretches around what weighs most."""

from collections.abc import Sequence

Piece = tuple[str, float | None]
Stretch = tuple[Piece, ...]


def excerpt(pieces: Sequence[Piece], most_letters: int = 700, around_letters: int = 90) -> list[Stretch]:
    """Stretches of a text's pieces, in order, of about `most_letters` together; the whole text where it is shorter.

    Each stretch stands around a heaviest piece, with about `around_letters` on either side; between two stretches
    something is left out.
    """
    if sum(len(text) for text, _ in pieces) <= most_letters:
        return [tuple(pieces)]
    ends = [0]
    for text, _ in pieces:
        ends.append(ends[-1] + len(text))
    heaviest = sorted(
        (number for number, (_, weight) in enumerate(pieces) if weight is not None),
        key=lambda number: -(pieces[number][1] or 0.0),
    )
    taken: set[int] = set()
    letters = 0
    for number in heaviest:
        if number in taken:
            continue
        if letters >= most_letters:
            break
        for near in _near(ends, number, around_letters):
            if near not in taken:
                taken.add(near)
                letters += len(pieces[near][0])
    # Without a weight there is nothing to stand around: the beginning then.
    numbers = sorted(taken) or [n for n in range(len(pieces)) if ends[n] < most_letters]
    stretches: list[list[Piece]] = []
    for place, number in enumerate(numbers):
        if place == 0 or number > numbers[place - 1] + 1:
            stretches.append([])
        stretches[-1].append(_short(pieces[number], most_letters))
    return [tuple(one) for one in stretches]


def _near(ends: Sequence[int], number: int, letters: int) -> range:
    first = last = number
    while first > 0 and ends[number] - ends[first - 1] <= letters:
        first -= 1
    while last + 1 < len(ends) - 1 and ends[last + 2] - ends[number + 1] <= letters:
        last += 1
    return range(first, last + 1)


def _short(piece: Piece, most_letters: int) -> Piece:
    text, weight = piece
    return piece if len(text) <= most_letters else (f"{text[: most_letters - 1]}…", weight)
