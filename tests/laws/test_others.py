"""The laws on other people's attention: each known fault is found, and what is right passes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attnkit.attention.laws import Facts, check_attention, check_normalizer
from tests.laws import adapters

CONVEX = Facts(rows_sum_to_one=True, nonnegative=True, causal=False, order_free=True)
CAUSAL = Facts(rows_sum_to_one=True, nonnegative=True, causal=True, order_free=False)


def failed(report) -> set[str]:
    print(report)
    return {row.law for row in report.failed}


def test_sdpa_with_a_right_mask_passes_everything():
    report = check_attention(F.scaled_dot_product_attention, CONVEX, adapters.sdpa, dropout=adapters.dropped_softmax)
    assert failed(report) == set()
    assert {row.law for row in report.rows if row.status == "not applicable"} == {
        "shared heads equal repeated heads",
        "the future does not leak",
        "the window is exact",
        "step by step equals the whole",
    }


def test_sdpa_with_the_causal_rule_written_out_passes_everything():
    assert failed(check_attention(F.scaled_dot_product_attention, CAUSAL, adapters.sdpa_right_causal)) == set()


def test_sdpa_is_causal_is_found_to_align_top_left():
    report = check_attention(F.scaled_dot_product_attention, CAUSAL, adapters.sdpa_is_causal)
    assert failed(report) == {"causal", "the future does not leak"}
    assert "bottom-right" in report["causal"].detail


def test_sdpa_is_causal_with_more_keys_than_queries_is_found_too():
    report = check_attention(F.scaled_dot_product_attention, CAUSAL, adapters.sdpa_is_causal, sizes=[(3, 7)])
    assert "does not see the key at its own position" in report["the future does not leak"].detail


def test_sdpa_is_causal_is_right_on_a_square():
    square = [(1, 1), (5, 5), (24, 24)]
    assert (
        failed(check_attention(F.scaled_dot_product_attention, CAUSAL, adapters.sdpa_is_causal, sizes=square)) == set()
    )


def test_multihead_attention_is_nan_on_empty_rows_where_it_returns_weights():
    report = check_attention(adapters.plain_multihead(2, 4), CONVEX, adapters.multihead(weights=True))
    assert "a row that sees nothing is zero" in failed(report)
    assert "NaN" in report["a row that sees nothing is zero"].detail
    assert failed(report) <= {"a row that sees nothing is zero", "gradients", "double backward"}


def test_multihead_attention_without_weights_is_sound():
    module = adapters.plain_multihead(2, 4)
    assert failed(check_attention(module, CONVEX, adapters.multihead(weights=False))) == set()


class Dropping(nn.Module):
    def forward(self, q, k, v, where):
        mask = None if where.keep is None else where.keep[:, None, None, :]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.5 * self.training)


def test_a_module_is_examined_without_its_dropout_unless_the_adapter_says_otherwise():
    def training(fn, *given):
        return fn.train()(*given)

    module = Dropping().train()
    assert failed(check_attention(module, CONVEX, sizes=[(3, 5)], witness_tokens=8)) == set()
    assert module.training
    wrong = failed(check_attention(module.eval(), CONVEX, training, sizes=[(3, 5)], witness_tokens=8))
    assert "mix equals matrix @ v" in wrong and not module.training


def test_local_attention_sees_up_to_twice_its_window():
    package = pytest.importorskip("local_attention", reason="needs: pip install local-attention")
    module = package.LocalAttention(8, causal=True, autopad=True, use_rotary_pos_emb=False)
    claimed = Facts(rows_sum_to_one=True, nonnegative=True, causal=True, window=8)
    report = check_attention(module, claimed, adapters.local)
    assert "the window is exact" in failed(report)
    assert "between 8 and 16" in report["the window is exact"].detail


def test_linformer_swallows_its_mask():
    package = pytest.importorskip("linformer", reason="needs: pip install linformer")
    module = adapters.plain_linformer(package, heads=2, width=4, max_tokens=40)
    report = check_attention(module, None, adapters.linformer)
    assert {"padding is inert", "masked keys are inert", "a row that sees nothing is zero"} <= failed(report)
    assert "mix equals matrix @ v" not in failed(report)


def test_dropout_that_forgets_to_rescale_is_found():
    right = check_attention(F.scaled_dot_product_attention, CONVEX, adapters.sdpa, dropout=adapters.dropped_softmax)[
        "dropout is unbiased"
    ]
    wrong = check_attention(F.scaled_dot_product_attention, CONVEX, adapters.sdpa, dropout=adapters.unscaled_dropout)[
        "dropout is unbiased"
    ]
    assert (right.status, wrong.status) == ("passed", "failed")


@pytest.mark.parametrize("name", ["entmax_bisect", "sparsemax", "entmax15"])
def test_entmax_package_fails_on_an_all_masked_row(name):
    package = pytest.importorskip("entmax", reason="needs: pip install entmax")
    assert "an all-masked row is zero" in failed(check_normalizer(getattr(package, name)))


def test_entmax_package_is_uniform_at_alpha_one():
    package = pytest.importorskip("entmax", reason="needs: pip install entmax")
    report = check_normalizer(package.entmax_bisect)
    assert {"alpha = 1 is softmax", "double backward"} <= failed(report)
    assert report["alpha = 2 is sparsemax"].status == "passed"


def test_torch_softmax_fails_on_an_all_masked_row_alone():
    def softmax(scores):
        return torch.softmax(scores, dim=-1)

    assert failed(check_normalizer(softmax)) == {"an all-masked row is zero"}
