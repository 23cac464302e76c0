"""What an artefact is, for who meets its path."""

import json
import os
from pathlib import Path

from attnkit.bundle.artefact import contract_of
from attnkit.bundle.contents import TOKENIZER, VERIFICATION, Contents, is_artefact
from attnkit.errors import UsageError
from attnkit.train.explain import Explained


def explain_shipped(path: str | os.PathLike[str]) -> Explained | None:
    """What stands at `path` where it is an artefact or a bundle; None where it is anything else.

    Raises: UsageError where its contract is damaged.
    """
    place = Path(path)
    if not is_artefact(place):
        return None
    contents = Contents(place)
    contract = contract_of(contents)
    found = Explained(str(place), "bundle" if place.is_file() else "artefact")
    made, source = contract.made, contract.source
    labels = f"{len(contract.classes)} classes" if contract.classes else "scores"
    size = f"{made.get('bytes', 0) / 2**20:.1f} MiB"
    found.sentences += [
        f"Shipped from the run {source.get('name')} to {contract.target}, {contract.precision}, {size}.",
        f"It reads {'pairs of texts' if contract.paired else 'texts'} and gives {labels}"
        f"{', with where it looked' if contract.attention else ''}.",
        _verified(contents),
    ]
    for name in (contract.model, TOKENIZER):
        try:
            contents.read_checked(name, contract.files)
        except UsageError as error:
            found.missing.append(name)
            found.sentences.append(f"{error}.")
    found.next = [f'attn predict {place} "a text"', f"attn verify {place}"]
    if place.is_file():
        found.next.insert(0, f'python {place} "a text"')
    return found


def _verified(contents: Contents) -> str:
    try:
        record = json.loads(contents.read(VERIFICATION))
        largest = max(one["largest"] for one in record["compared"])
        said = f"Verified when it was made: logits within {largest:.1e} of its run's (budget {record['budget']:g})"
        if record["of_run"] is None:
            return f"{said}."
        one, other = record["of_artefact"], record["of_run"]
        return f"{said}, {record['measure']} {one['value']:.4f} beside {other['value']:.4f}, n = {one['n']:,}."
    except (UsageError, ValueError, KeyError, TypeError):
        return "Its verification cannot be read."
