"""attn augment: what noise does to texts, before anything is trained on it."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import say, show_json

Share = Annotated[float, Parameter(show_default=False)]


def augment(
    data: Annotated[Path, Parameter(help="File or folder of the data.")],
    /,
    *,
    swap: Annotated[Share, Parameter(help="Share of words that change places with a neighbor.")] = 0.0,
    delete: Annotated[Share, Parameter(help="Share of words that are left out.")] = 0.0,
    insert: Annotated[Share, Parameter(help="Share of words after which a word of the text is put in.")] = 0.0,
    typos: Annotated[Share, Parameter(help="Share of words that get a typing error.")] = 0.0,
    replace: Annotated[Share, Parameter(help="Share of words replaced by a synonym, where there is one.")] = 0.0,
    synonyms: Annotated[
        str | None, Parameter(help="File of synonyms: on each line words that may stand for one another.")
    ] = None,
    text: Annotated[str | None, Parameter(help="Column of the texts; inferred where left out.")] = None,
    pair: Annotated[str | None, Parameter(help="Column of the second texts, where texts come in pairs.")] = None,
    rows: Annotated[int, Parameter(help="Texts to show.")] = 10,
    seed: Annotated[int, Parameter(help="Seed of the noise.")] = 0,
    json: Json = False,
) -> None:
    """Show training texts before and after the noise of a recipe's [augment]; nothing is written.

    Texts that the noise does not touch, such as those without a synonym, are passed over.

    For example:

        attn augment reviews.csv --swap 0.1 --typos 0.1
        attn augment reviews.csv --replace 0.2 --synonyms synonyms.txt --rows 3
    """
    from dataclasses import asdict

    from attnkit.data.augment import Augmenter, read_synonyms
    from attnkit.data.augment.shown import shown

    found = read_synonyms(synonyms) if synonyms is not None else {}
    augmenter = Augmenter(1.0, swap, delete, insert, typos, replace, found)
    pairs = shown(data, augmenter, rows=rows, seed=seed, text=text, pair=pair)
    if json:
        show_json([asdict(one) for one in pairs])
        return
    for one in pairs:
        say(one.place, style="dim")
        say(f"- {one.before}", f"+ {one.after}", "")
    if not pairs:
        say("No text is altered by this: none has a word that it could touch.")
