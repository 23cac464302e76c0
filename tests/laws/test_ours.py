"""The laws on what stands around our operators: `attend` on its kernels, and layers with what they have learned."""

import pytest
import torch

from attnkit.attention.laws import Facts, check_attention
from attnkit.attention.normalizer import Softmax, Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.attention.refine import Temperature
from attnkit.attention.score import Additive
from attnkit.kernels import attend
from attnkit.layers import AttentionLayer, AttentionPooling
from tests.laws import adapters

CONVEX = Facts(rows_sum_to_one=True, nonnegative=True, causal=False, order_free=True)
CAUSAL = Facts(rows_sum_to_one=True, nonnegative=True, causal=True, order_free=False)


def failed(report) -> set[str]:
    print(report)
    return {row.law for row in report.failed}


@pytest.mark.parametrize("kernel", ["auto", "reference", "sdpa"])
@pytest.mark.parametrize(("spec", "facts"), [(Pairwise(), CONVEX), (Pairwise(pattern=Causal()), CAUSAL)])
def test_attend_on_each_kernel(kernel, spec, facts):
    def call(fn, q, k, v, where):
        return fn(q, k, v, spec, where=where, kernel=kernel)

    def dropped(q, k, v, where, rate, generator):
        return attend(q, k, v, spec, where=where, dropout=rate, generator=generator)

    report = check_attention(attend, facts, call, dropout=dropped)
    assert failed(report) == set()
    assert report["dropout is unbiased"].status == "passed"


@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()], ids=repr)
def test_a_layer_around_an_operator_keeps_every_law(normalizer):
    layer = AttentionLayer(8, Pairwise(normalizer=normalizer), heads=2, context_width=16, bias=False)
    eye = torch.eye(16)
    layer.query.weight.data = layer.out.weight.data = eye[:8, :8].clone()
    layer.key.weight.data, layer.value.weight.data = eye[:8].clone(), eye[8:].clone()
    assert failed(check_attention(layer, CONVEX, adapters.layer)) == set()


@pytest.mark.parametrize(
    "layer",
    [
        AttentionLayer(12, Pairwise(Additive(5), refine=(Temperature(),)), heads=3, value_width=2),
        AttentionPooling(12, Pairwise(Additive(5)), heads=3),
    ],
    ids=["layer", "pooling"],
)
def test_a_layer_is_held_by_its_operator_with_the_parameters_it_has(layer):
    assert failed(check_attention(layer)) == set()
    with torch.no_grad():
        layer.operator.get_parameter("score.v")[0, 0] = float("nan")
    assert {"mix equals matrix @ v", "padding is inert"} <= failed(check_attention(layer))
