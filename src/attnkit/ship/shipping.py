"""ship(run): an export with everything it needs, written only when it answers as the run does."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attnkit.bundle.artefact import Artefact, contract_of, tokenizer_of
from attnkit.bundle.contents import CARD, CONTRACT, TOKENIZER, VERIFICATION, Contents
from attnkit.bundle.contract import Contract
from attnkit.bundle.processor import check_processor
from attnkit.data.encoding import Limits
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.record import file_sha256
from attnkit.ship.card import card
from attnkit.ship.folder import check_place, write_bundle, write_folder
from attnkit.ship.lessen import seven_bits
from attnkit.ship.network import Traced, longest, traced
from attnkit.ship.onnx_graph import OPSET
from attnkit.ship.planned import planned_for_export
from attnkit.ship.rows import labeled_rows
from attnkit.ship.targets import Target, target_named
from attnkit.ship.verify import BUDGETS, Verification, verify
from attnkit.train.predictor import Predictor, load

BUNDLE = "bundle"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """How a run is shipped; a budget of None is that of the precision, `rows` the most that are measured (0: all)."""

    to: str = "onnx"
    precision: str = "float32"
    attention: bool = False
    task: str | None = None
    budget: float | None = None
    floor: float | None = None
    max_loss: float | None = None
    rows: int = 2000
    data: Path | None = None
    license: str | None = None
    intended: str | None = None
    tools_env: Path | None = None


@dataclass(frozen=True)
class Shipped:
    """Where an artefact stands, its contract, and how it was verified."""

    path: Path
    contract: Contract
    verification: Verification


def ship(
    run: str | os.PathLike[str] | Run,
    out: str | os.PathLike[str],
    wishes: Wishes = Wishes(),
    *,
    force: bool = False,
    say: Say = lambda line: None,
) -> Shipped:
    """Export a run to `out`: a folder, or, to "bundle", one .pyz file; both sides are compared before it is written.

    Raises: UsageError where the run cannot be shipped so, or `out` is taken; FailedError where what was exported does
        not answer as the run does, and nothing is left then.
    """
    opened, place = Run.open(run), Path(out)
    predictor = load(opened, task=wishes.task)
    target = target_named(
        "onnx" if wishes.to == BUNDLE else wishes.to, wishes.tools_env, predictor.preprocessing.max_tokens
    )
    _check(target, wishes)
    check_place(place, wishes.to == BUNDLE, force)
    rows = labeled_rows(opened, predictor, wishes.task, wishes.data, wishes.rows)
    shown = traced(predictor, target.name, wishes.attention)
    say(f"exporting to {target.name}, {wishes.precision}")
    model = target.make(shown, wishes.precision)
    tokenizer = predictor.preprocessing.tokenizer.to_json().encode()
    contract = _contract(opened, predictor, target, wishes, shown, model, tokenizer, place)
    say("comparing with the run")
    artefact = Artefact(contract, predictor.preprocessing.tokenizer, target.open(model))
    found = verify(
        predictor,
        artefact,
        rows,
        budget=contract.budget,
        floor=wishes.floor,
        max_loss=wishes.max_loss,
        trouble=target.trouble(model),
    )
    found.require("what was exported")
    held = {contract.model: model, TOKENIZER: tokenizer, CONTRACT: contract.to_json().encode()}
    held[VERIFICATION] = (json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n").encode()
    told: dict[str, Any] = {"model": contract.model, "target": target.name, "precision": wishes.precision}
    told |= {"made": contract.made, "source": contract.source}
    held[CARD] = card(
        opened, predictor, license=wishes.license, intended=wishes.intended, shipped=told, verification=found
    ).encode()
    (write_bundle if wishes.to == BUNDLE else write_folder)(place, held)
    return Shipped(place, contract, found)


def verify_shipped(
    artefact: str | os.PathLike[str],
    run: str | os.PathLike[str] | None = None,
    *,
    budget: float | None = None,
    floor: float | None = None,
    max_loss: float | None = None,
    rows: int = 2000,
    data: Path | None = None,
    tools_env: Path | None = None,
    allow_code: bool = False,
) -> Verification:
    """Compare a shipped model, where it stands, with its run, where that stands; nothing is written.

    Raises: UsageError where one of the two is missing or damaged.
    """
    _check_numbers(budget, max_loss, rows)
    contents = Contents(artefact)
    contract = contract_of(contents)
    refuse_program(contract, contents.path, allow_code)
    place = Path(run) if run is not None else contents.path.absolute().parent / contract.source["path"]
    if run is None and not place.exists():
        raise UsageError(f"the run of {contents.path} no longer stands at {place}; name it with --run")
    opened, target = Run.open(place), target_named(contract.target, tools_env, contract.limits.max_tokens)
    model = contents.read_checked(contract.model, contract.files)
    trouble = target.trouble(model)
    if file_sha256(opened.path / "model" / "weights.safetensors") != contract.source["weights_sha256"]:
        trouble.append(f"the weights of {opened.path} are not those it was shipped from")
    predictor = load(opened, task=contract.source["task"])
    held = labeled_rows(opened, predictor, contract.source["task"], data, rows)
    shipped = Artefact(contract, tokenizer_of(contents, contract), target.open(model))
    allowed = contract.budget if budget is None else budget
    return verify(predictor, shipped, held, budget=allowed, floor=floor, max_loss=max_loss, trouble=trouble)


def open_shipped(path: str | os.PathLike[str], tools_env: Path | None = None, *, allow_code: bool = False) -> Artefact:
    """A shipped model of any target, ready to predict; a program of torch with `allow_code` alone.

    Raises: UsageError where it is missing or damaged, or was made for other processors.
    """
    contents = Contents(path)
    contract = contract_of(contents)
    refuse_program(contract, contents.path, allow_code)
    check_processor(contract, str(contents.path))
    target = target_named(contract.target, tools_env, contract.limits.max_tokens)
    session = target.open(contents.read_checked(contract.model, contract.files))
    return Artefact(contract, tokenizer_of(contents, contract), session)


def _check(target: Target, wishes: Wishes) -> None:
    if wishes.precision not in target.precisions:
        can = " or ".join(target.precisions)
        raise UsageError(f"{target.name} cannot be shipped in {wishes.precision!r}; say --precision {can}")
    _check_numbers(wishes.budget, wishes.max_loss, wishes.rows)


def _check_numbers(budget: float | None, max_loss: float | None, rows: int) -> None:
    for name, value in (("budget", budget), ("max-loss", max_loss)):
        if value is not None and not value >= 0:
            raise UsageError(f"--{name} must be at least 0; got {value}")
    if rows < 0:
        raise UsageError(f"--rows must be at least 0 (all of them); got {rows}")


def refuse_program(contract: Contract, path: Path, allow_code: bool) -> None:
    """Refuse a program of torch that is not vouched for: torch unpickles it, which can execute what it holds.

    Raises: UsageError.
    """
    if contract.target == "torch" and not allow_code:
        raise UsageError(
            f"{path} is a program of torch, and what opens one can be made to execute code; where it is your own, add "
            "--allow-code"
        )


def _contract(
    run: Run,
    predictor: Predictor,
    target: Target,
    wishes: Wishes,
    shown: Traced,
    model: bytes,
    tokenizer: bytes,
    place: Path,
) -> Contract:
    axes = list(shown.names)
    limits = Limits(**predictor.preprocessing.limits())
    shapes = {"logits": [axes[0], predictor.task.outputs], "attention": axes}
    made: dict[str, Any] = {
        "versions": {name: version(name) for name in ("attnkit", "torch", "numpy", "tokenizers")},
        "bytes": len(model),
        "longest": longest(predictor),
        "attention": planned_for_export(predictor),
    }
    if target.name == "onnx":
        made["opset"] = OPSET
        made["versions"] |= {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
    if wishes.tools_env is not None:
        made["tools"] = True
    elif wishes.precision == "int8":
        made["seven_bits"] = seven_bits()
    return Contract(
        target=target.name,
        model=target.file,
        precision=wishes.precision,
        task=dict(predictor.task.to_dict()),
        paired=predictor.paired,
        limits=limits,
        attention=wishes.attention,
        inputs=target.inputs(shown),
        outputs=[{"name": name, "type": "float32", "shape": shapes[name]} for name in shown.outputs],
        budget=BUDGETS[wishes.precision] if wishes.budget is None else wishes.budget,
        files={target.file: hashlib.sha256(model).hexdigest(), TOKENIZER: hashlib.sha256(tokenizer).hexdigest()},
        source={
            "name": run.name,
            # From the artefact to the run, so that both may move together, and no path of a machine travels.
            "path": os.path.relpath(run.path.absolute(), place.absolute().parent),
            "weights_sha256": file_sha256(run.path / "model" / "weights.safetensors"),
            "recipe_sha256": file_sha256(run.path / "recipe.toml"),
            "task": wishes.task,
            "schema": {name: value for name, value in predictor.schema.to_dict().items() if name != "said"},
        },
        made=made,
    )
