"""The model card: what a model is, how good, on what, and what it is not for; from the records of its run."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.ship.verify import Verification
from attnkit.train.predictor import Predictor
from attnkit.train.start.begin import PARENT

NO_LICENSE = "not said; ask whoever trained it (`attn ship --license` says it)"
_MOST_CLASSES = 20


def card(
    run: Run,
    predictor: Predictor,
    *,
    license: str | None = None,
    intended: str | None = None,
    shipped: Mapping[str, Any] | None = None,
    verification: Verification | None = None,
) -> str:
    """The card of a run as Markdown; with what was `shipped` and how it was verified, that of an artefact.

    Raises: UsageError where a record of the run is damaged.
    """
    lines = [f"# {run.name}", "", _what(predictor), "", "## Intended use", "", intended or _use(predictor), ""]
    lines += ["## License", "", license or NO_LICENSE, ""]
    lines += ["## Data", "", *_data(run, predictor), "", "## Figures", "", *_figures(run), ""]
    if shipped is not None:
        lines += ["## As shipped", "", *_shipped(shipped), ""]
    if verification is not None:
        lines += [*_verified(verification), ""]
    lines += ["## Limits", "", *_limits(predictor, shipped), "", "## Training", "", *_training(run, predictor)]
    return "\n".join(lines) + "\n"


def _what(predictor: Predictor) -> str:
    count = sum(one.numel() for one in predictor.network.parameters())
    settings = predictor.settings
    reader = "its pooling alone" if settings.encoder == "none" else f"a {settings.encoder} encoder"
    kinds = {
        "single": f"gives a {_of(predictor)} one of {len(predictor.classes)} classes",
        "multi": f"gives a {_of(predictor)} any of {len(predictor.classes)} labels",
        "score": f"gives a {_of(predictor)} a score",
    }
    return f"A text classifier with {count:,} parameters ({reader}) that {kinds[predictor.task.kind]}."


def _of(predictor: Predictor) -> str:
    return "pair of texts" if predictor.paired else "text"


def _use(predictor: Predictor) -> str:
    return (
        "Not said by whoever trained it. From the records: texts like those of its data, in their language and length, "
        f"for the {'scores' if predictor.task.kind == 'score' else 'classes'} named here, and decisions that a wrong "
        "answer cannot harm."
    )


def _data(run: Run, predictor: Predictor) -> list[str]:
    data, sizes = run.data, run.metrics["sizes"]
    parts = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    texts = ", ".join(f"`{name}`" for name in data["schema"]["text"])
    lines = [
        f"- Data: `{Path(data['path']).name}`, SHA-256 `{data['sha256']}`",
        f"- Columns: text {texts}; label `{data['schema']['label']}`",
        f"- Rows: {parts}",
    ]
    names = predictor.classes
    if names:
        more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
        lines.append(f"- Classes: {', '.join(f'`{name}`' for name in names[:_MOST_CLASSES])}{more}")
    return lines


def _figures(run: Run) -> list[str]:
    metrics = run.metrics
    split = "test" if metrics["test"] else "validation"
    held = {name: one for name, one in metrics[split].items() if ":" not in name}
    lines = [f"Of the {split} rows; brackets hold the 95 % bootstrap interval.", ""]
    lines += ["| measure | value | interval | n |", "|---|---|---|---|"]
    lines += [
        f"| {name.replace('_', ' ')} | {one['value']:.4f} | [{one['low']:.4f}, {one['high']:.4f}] | {one['n']:,} |"
        for name, one in held.items()
    ]
    return [*lines, "", f"Protocol: {metrics['protocol']}."]


def _shipped(shipped: Mapping[str, Any]) -> list[str]:
    made = shipped["made"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return [
        f"- `{shipped['model']}`, {shipped['target']}, {shipped['precision']}, {made['bytes'] / 2**20:.1f} MiB",
        f"- Made with {versions}",
        f"- From the run `{shipped['source']['name']}`, weights SHA-256 `{shipped['source']['weights_sha256']}`",
    ]


def _verified(found: Verification) -> list[str]:
    """Every case beside the run: the largest difference of a logit and the labels that changed."""
    lines = [f"Compared with its run; logits may differ by {found.budget:g} of the largest, at least of 1.", ""]
    lines += ["| texts | rows | longest | difference | allowed | labels changed |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.name} | {one.rows} | {one.tokens} | {one.largest:.1e} | {one.allowed:.1e} | {one.changed} |"
        for one in found.compared
    ]
    if found.of_run is None or found.of_artefact is None:
        return [*lines, "", f"The measure was {found.protocol}."]
    name = found.measure.replace("_", " ")
    lines += ["", f"| {name} | value | interval | n |", "|---|---|---|---|"]
    lines += [
        f"| {side} | {one.value:.4f} | [{one.low:.4f}, {one.high:.4f}] | {one.n:,} |"
        for side, one in (("of the run", found.of_run), ("as shipped", found.of_artefact))
    ]
    return [*lines, "", f"Measured on {found.protocol}; {found.changed_rows:,} labels changed."]


def _limits(predictor: Predictor, shipped: Mapping[str, Any] | None) -> list[str]:
    limits = predictor.preprocessing
    if limits.hierarchical:
        read = f"the first {limits.max_sentences} sentences, {limits.max_sentence_tokens} tokens each"
    else:
        read = f"the first {limits.max_tokens} tokens"
    lines = [
        f"- Of a text {read} are read ({predictor.preprocessing.tokenizer.kind} tokens); what lies beyond is not seen.",
        "- The figures hold for rows like those of its data; other sources, times and languages were not measured.",
        "- Its probabilities say how sure it is, and were not tested on texts that belong to none of its classes.",
    ]
    if predictor.task.kind == "score":
        lines[2] = "- A score comes without an interval of its own."
    if shipped is not None and shipped["precision"] == "int8":
        lines.append("- In int8 one scale serves all numbers of a batch: an answer moves a little with its batch.")
    return lines


def _training(run: Run, predictor: Predictor) -> list[str]:
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = predictor.settings
    operators = [f"pooling {_said(settings.pooling)}"]
    if settings.encoder in ("transformer", "bert"):
        operators.insert(0, f"attention {_said(settings.attention)}")
    begun = [f"- Began with {read_record(parent)['said']}"] if (parent := run.path / PARENT).is_file() else []
    # The settings are those of the network before it was changed.
    kinds = Counter(str(change["kind"]) for change in settings.changes)
    changed = [f"{kind} {f'({count} times)' if count > 1 else ''}".strip() for kind, count in kinds.items()]
    before = ", before it was changed" if changed else ""
    return [
        f"- Encoder {settings.encoder}, {settings.layers} layers of width {settings.width}{before}; "
        f"{', '.join(operators)}",
        *([f"- Changed since: {', '.join(changed)}"] if changed else []),
        *begun,
        f"- {machine['seconds'] / 60:.1f} minutes on {machine['cores']} cores ({machine['processor']}); {versions}",
        f"- Ended: {run.metrics['stopped']}",
    ]


def _said(operator: Any) -> str:
    return operator if isinstance(operator, str) else str(operator.get("type", "of parts"))
