"""attn predict: labels for texts given as words, as a file, or on standard input."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Force, Json
from attnkit.cli.predictions import show_prediction
from attnkit.cli.terminal import say, show_json, typed_or_piped


def predict(
    run: Annotated[Path, Parameter(help="Run directory, or what `attn ship` made.")],
    /,
    *texts: Annotated[str, Parameter(help="Texts, each in quotes; lines of standard input where left out.")],
    file: Annotated[Path | None, Parameter(help="Data file, or .txt with one text a line.")] = None,
    out: Annotated[
        Path | None, Parameter(help="File for its rows with columns added; standard output where left out.")
    ] = None,
    text: Annotated[str | None, Parameter(help="Text column of the file; the one trained on where left out.")] = None,
    pair: Annotated[str | None, Parameter(help="Second text column of the file.")] = None,
    probabilities: Annotated[bool, Parameter(help="Give the probability of every class.", show_default=False)] = False,
    where: Annotated[bool, Parameter(help="Show where the model looked in each text.", show_default=False)] = False,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    force: Force = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Predict labels with a trained model; a file keeps its rows and gains the columns prediction and probability.

    Where the model was trained on pairs of texts, a text is two texts with a tab between them.

    For example:

        attn predict runs/2026-11-22-reviews "What a film!" --where
        attn predict runs/2026-11-22-reviews --file new.csv --out labeled.csv --probabilities
        cat lines.txt | attn predict runs/2026-11-22-reviews
    """
    from attnkit.ship.predictor import open_answers
    from attnkit.train.predict_rows import check_sources, columns_of, pairs_of, predict_file, text_lines

    check_sources(texts, file, out, where, json, force, text=text, pair=pair)
    predictor = open_answers(run, allow_code=allow_code, task=task)
    if file is not None:
        rows, content = predict_file(
            predictor, file, out, probabilities=probabilities, text=text, pair=pair, force=force
        )
        if content is not None:
            sys.stdout.write(content)
        elif json:
            show_json({"rows": rows, "out": str(out)})
        else:
            say(f"{rows:,} rows predicted and written to {out}")
        return
    lines = pairs_of(texts or text_lines(typed_or_piped(), "standard input"), predictor, "text")
    predictions = predictor.predict(lines)
    shaded = [predictor.look(line) for line in lines] if where else [None] * len(lines)
    if json:
        found = [{"text": line, **columns_of(one, True)} for line, one in zip(lines, predictions, strict=True)]
        show_json(
            [{**one, **({"where": mark.tokens} if mark else {})} for one, mark in zip(found, shaded, strict=True)]
        )
        return
    for line, prediction, mark in zip(lines, predictions, shaded, strict=True):
        show_prediction(line, prediction, probabilities, mark)
