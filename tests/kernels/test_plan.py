"""The plan: a kernel with its reasons and its price, and a warning where a map would stand whole."""

import json
import warnings

import pytest
import torch

from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.pairwise import Pairwise
from attnkit.kernels import Situation, attend, plan
from attnkit.kernels.cost import Cost
from attnkit.kernels.dense import DenseMapWarning
from attnkit.kernels.plan import KERNELS
from attnkit.run.plans import Sizes
from tests.verbs.calling import attn


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_line_has_a_plan_with_a_price_whose_memory_is_linear(name: str) -> None:
    costs = [plan(named(name), Sizes(tokens=tokens).situation(named(name))).cost for tokens in (4096, 16384)]
    short, long = (cost.peak_bytes for cost in costs if cost is not None)
    assert long <= 4.6 * short
    assert all(cost is not None and cost.multiply_adds > 0 and cost.map_bytes == 0 for cost in costs)


def test_a_plan_says_which_kernel_why_not_the_faster_ones_and_what_it_costs() -> None:
    found = str(plan(named("t5"), Sizes(tokens=4096).situation(named("t5"))))
    assert found.startswith("kernel: rows\ncost: ")
    assert "not sdpa: the position RelativeBias adds a bias" in found
    assert "not slabs: the position RelativeBias learns" in found
    inner = str(plan(named("hybrid"), Sizes(tokens=4096).situation(named("hybrid"))))
    assert inner.startswith("kernel: parts") and "\n0:\n  kernel: " in inner


def test_dropout_and_learned_biases_go_through_rows_and_alibi_through_slabs() -> None:
    def chosen(name: str, **sizes: object) -> str:
        return plan(named(name), Sizes(tokens=2048, **sizes).situation(named(name))).kernel.name  # type: ignore[arg-type]

    assert chosen("vaswani") == "sdpa"
    assert chosen("vaswani", dropout=True) == "rows"
    assert chosen("vaswani", lengths=True) == "lengths"
    assert chosen("alibi") == "slabs"
    assert chosen("t5", train=False) == "slabs"
    assert chosen("entmax-1.5") == "rows"
    assert chosen("linear") == "reference"


def test_an_export_is_planned_without_sizes() -> None:
    one = Sizes().situation(Pairwise())
    sizeless = Situation(**{**vars(one), "batch": None, "T": None, "S": None, "intent": "export"})
    for name in CATALOGUE:
        found = plan(named(name), sizeless)
        assert found.cost is None
        assert found.kernel.name in ("sdpa", "parts", "reference")


def test_costs_add_up_and_are_told_in_words() -> None:
    assert Cost(1, 2, 3) + Cost(4, 5, 6) == Cost(5, 7, 9)
    assert str(Cost(1_500_000, 3 << 20)) == "1.5 million multiply-adds, 3 MiB at the peak"
    assert str(Cost(12, 100, 50)) == "12 multiply-adds, 100 B at the peak, the map kept whole"


def test_a_large_map_is_warned_of_once_whoever_chose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.kernels.dense.DENSE_BYTES", 1000)
    q = torch.randn(1, 1, 33, 4)
    spec = Pairwise(pattern=named("causal").pattern)  # type: ignore[attr-defined]
    with pytest.warns(DenseMapWarning, match=r"kernel 'reference' keeps a map of T x S .* it was asked for"):
        attend(q, q, q, spec, kernel="reference")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attend(q, q, q, spec, kernel="reference")
        attend(q, q, q, spec)


def test_attn_plan_prints_it_for_a_name_and_for_a_recipe(tmp_path) -> None:  # type: ignore[no-untyped-def]
    done = attn("plan", "longformer", "--tokens", "8192")
    assert done.code == 0
    assert "8192 queries on 8192 keys, float32, forward and backward\nkernel: " in done.out
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[tokens]\nmax_tokens = 300\n[model]\nencoder = "transformer"\nwidth = 64\n')
    told = json.loads(attn("plan", str(recipe), "--json").out)
    assert [one["attention"] for one in told] == ["model.attention", "model.pooling"]
    assert told[0]["tokens"] == 300 and told[1]["tokens"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plan", "vaswanni"), "did you mean"),
        (("plan", "vaswani", "--heads", "0"), "--heads must be at least 1; got 0"),
        (("plan", "vaswani", "--key-heads", "3"), "--key-heads must divide --heads 8; got 3"),
        (("plan", "bahdanau", "--kernel", "sdpa"), "cannot compute this: the score Additive is not a dot product"),
        (("plan", "bahdanau", "--kernel", "magic"), "kernel is called 'magic'; there are auto, "),
        (("plan", "absent.toml"), "absent.toml"),
    ],
)
def test_bad_calls_of_attn_plan_get_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = attn(*arguments)
    assert done.code == 2
    assert sentence in done.err
    assert done.out == ""


def test_every_kernel_has_a_name_of_its_own() -> None:
    assert len({kernel.name for kernel in KERNELS}) == len(KERNELS)
