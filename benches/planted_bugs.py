"""Do the tests notice the mistakes people make with attention? Each is planted alone, in a copy.

python benches/planted_bugs.py --out benches/results/<date>-planted-bugs.md
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from mutation import ROOT, Change, judge_all

OPERATOR = ["tests/formulas", "tests/kernels", "tests/layers", "tests/laws"]
TRAINING = ["tests/train"]
SPLIT = ["tests/data/test_split.py"]
MEASURE = ["tests/tasks"]


@dataclass(frozen=True)
class Bug:
    """One mistake: in `file`, `old` (which stands there exactly once) becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def change(self) -> Change:
        """The whole file with the mistake in it.

        Raises: ValueError where the place cannot be found, or is not the only one.
        """
        path = f"src/attnkit/{self.file}"
        source = (ROOT / path).read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {source.count(self.old)} times in {path}")
        return Change(path, source.replace(self.old, self.new), self.name)


BUGS = [
    Bug(
        "scale 1/D for 1/sqrt(D)",
        "attention/score/scaled_dot.py",
        "math.sqrt(q_BHTD.shape[-1])",
        "(q_BHTD.shape[-1])",
        OPERATOR,
    ),
    Bug(
        "scale forgotten on the fused route",
        "kernels/sdpa.py",
        "q, k, v, scale = as_products(spec, call)",
        "q, k, v, scale = *as_products(spec, call)[:3], 1.0",
        OPERATOR,
    ),
    Bug(
        "mask polarity turned round",
        "attention/normalizer/base.py",
        "scores_BHTS.masked_fill(~allowed_BHTS",
        "scores_BHTS.masked_fill(allowed_BHTS",
        OPERATOR,
    ),
    Bug(
        "window one key too wide",
        "attention/pattern/window.py",
        "(j > i + (ahead - self.width_tokens))",
        "(j >= i + (ahead - self.width_tokens))",
        OPERATOR,
    ),
    Bug("causal mask hides the query itself", "attention/pattern/causal.py", "return j <= i", "return j < i", OPERATOR),
    Bug(
        "causal mask lets one future key through",
        "attention/pattern/causal.py",
        "return j <= i",
        "return j <= i + 1",
        OPERATOR,
    ),
    Bug(
        "top-left alignment when T != S",
        "attention/where.py",
        "torch.arange(T, device=device) + (S - T)",
        "torch.arange(T, device=device)",
        OPERATOR,
    ),
    Bug(
        "fused route takes is_causal for T != S",
        "kernels/sdpa.py",
        "square = not exporting and q.shape[2] == k.shape[2]",
        "square = True",
        OPERATOR,
    ),
    Bug(
        "key padding ignored",
        "attention/where.py",
        "keys = None if self.keep is None else self.keep[:, None, None, :]",
        "keys = None",
        OPERATOR,
    ),
    Bug(
        "an empty row gives the mean of the values",
        "kernels/sdpa.py",
        "out = out.masked_fill(~sees, 0.0)",
        "out = out + 0.0",
        OPERATOR,
    ),
    Bug(
        "general score with its matrix transposed",
        "attention/score/general.py",
        "(q_BHTD @ w)",
        "(q_BHTD @ w.transpose(-1, -2))",
        OPERATOR,
    ),
    Bug(
        "rotary turns the wrong way",
        "attention/position/rotary.py",
        "a * theta.cos() - b * theta.sin()",
        "a * theta.cos() + b * theta.sin()",
        OPERATOR,
    ),
    Bug(
        "ALiBi rewards distance",
        "attention/position/alibi.py",
        "(-slope.view(",
        "(slope.view(",
        OPERATOR,
    ),
    Bug(
        "grouped heads dealt in the wrong order",
        "attention/heads.py",
        "x_BGSD.repeat_interleave(heads // groups, dim=1)",
        "x_BGSD.repeat(1, heads // groups, 1, 1)",
        OPERATOR,
    ),
    Bug(
        "padding taken for landmarks",
        "attention/factored/nystrom.py",
        "landmarks(k, where.keep, self.landmarks)",
        "landmarks(k, None, self.landmarks)",
        OPERATOR,
    ),
    Bug(
        "sparsemax support one too small",
        "attention/normalizer/sparsemax.py",
        "ranked.gather(-1, size - 1)",
        "ranked.gather(-1, (size - 2).clamp(min=0))",
        OPERATOR,
    ),
    Bug(
        "entmax gradient of one Newton step only",
        "attention/normalizer/entmax.py",
        "for _ in range(2):",
        "for _ in range(1):",
        OPERATOR,
    ),
    Bug("dropout not scaled up", "kernels/reference.py", "weights * stays / (1.0 - p)", "weights * stays", OPERATOR),
    Bug(
        "dropout left on at evaluation",
        "layers/attention_layer.py",
        "self.dropout if self.training else 0.0",
        "self.dropout",
        OPERATOR,
    ),
    Bug(
        "a layer's cache forgets the keys before",
        "layers/cache.py",
        "torch.cat([self.k, k], dim=2), torch.cat([self.v, v], dim=2)",
        "k, v",
        OPERATOR,
    ),
    Bug(
        "pooling queries stand at the padded end",
        "layers/attention_pooling.py",
        "(keep * torch.arange(S, device=keep.device)).amax(-1, keepdim=True)",
        "(0 * keep.sum(-1, keepdim=True) + S - 1)",
        OPERATOR,
    ),
    Bug(
        "value heads merged in the wrong order",
        "layers/attention_layer.py",
        "mixed_BHTE.transpose(1, 2).flatten(2)",
        "mixed_BHTE.transpose(1, 3).flatten(2)",
        OPERATOR,
    ),
    Bug(
        "vocabulary fitted on the test rows too",
        "train/assemble.py",
        "all_training_rows(splits.train, further), allow_code)",
        "all_training_rows([*splits.train, *splits.test], further), allow_code)",
        TRAINING,
    ),
    Bug(
        "training rows that stand in test are kept",
        "data/split.py",
        "if example.content not in contents",
        "if True",
        SPLIT,
    ),
    Bug(
        "test rows choose the weights",
        "train/assemble.py",
        '"validation": splits.validation, "test": splits.test}',
        '"validation": splits.test or splits.validation, "test": splits.test}',
        TRAINING,
    ),
    Bug(
        "network left in training mode when it predicts",
        "train/loop.py",
        "    model.eval()\n    batches =",
        "    batches =",
        TRAINING,
    ),
    Bug(
        "backward LSTM reads the padding first",
        "model/bilstm.py",
        "return torch.where(place_T < length_B1, length_B1 - 1 - place_T, place_T)",
        "return (keep_BT.shape[1] - 1 - place_T).expand_as(keep_BT)",
        TRAINING,
    ),
    Bug(
        "batch order forgets the epoch",
        "data/batch_plan.py",
        "self.seed * 1_000_003 + epoch",
        "self.seed * 1_000_003",
        TRAINING,
    ),
    Bug(
        "resume forgets the random state",
        "train/loop.py",
        '            set_random_state(saved.groups["random"])\n',
        "",
        TRAINING,
    ),
    Bug(
        "accuracy of the training rows reported",
        "train/single.py",
        "prepare, test.items, processes=processes)\n        results.test_targets = test.targets",
        "prepare, train.items, processes=processes)\n        results.test_targets = train.targets",
        TRAINING,
    ),
    Bug(
        "interval of half the rows",
        "task/metrics/bootstrap.py",
        "generator.multinomial(total, counts",
        "generator.multinomial(total // 2, counts",
        MEASURE,
    ),
    Bug(
        "recall and precision exchanged",
        "task/metrics/counts.py",
        '"precision": ratio(hits, guessed)',
        '"precision": ratio(hits, actual)',
        MEASURE,
    ),
]


def main() -> None:
    """Plant each, judge, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--from-bug", type=int, default=1, help="plant from this one of the list on")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    bugs = BUGS[options.from_bug - 1 :]
    lines, noticed = [], 0
    for verdict in judge_all([(bug.change(), bug.tests) for bug in bugs], options.workers):
        noticed += verdict.red is not None
        lines.append(f"| {verdict.change.what} | {verdict.change.file} | {verdict.red or 'NOT NOTICED'} |")
        print(f"{verdict.seconds:5.0f} s {lines[-1]}", flush=True)
    head = [f"# {len(bugs)} planted bugs: {noticed} noticed", "", "| planted | in | first red test |", "|---|---|---|"]
    text = "\n".join([*head, *lines]) + "\n"
    if options.out:
        options.out.write_text(text)
    if noticed < len(bugs):
        raise SystemExit(f"{len(bugs) - noticed} of {len(bugs)} planted bugs were not noticed")


if __name__ == "__main__":
    main()
