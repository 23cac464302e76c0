"""Each way to explain, against a slow and plain computation of the same."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.catalogue import named
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.errors import FailedError, UsageError
from attnkit.layers import attention_layer, attention_pooling, tapped
from attnkit.model.ngram_rows import NgramRows
from attnkit.model.wide import WideNgrams
from attnkit.see.explain import METHODS, rank_heads, target
from attnkit.see.explain.attention import explain as attention
from attnkit.see.explain.gradient_attention import explain as gradient_attention
from attnkit.see.explain.gradient_input import explain as gradient_input
from attnkit.see.explain.integrated_gradients import explain as integrated_gradients
from attnkit.see.explain.occlusion import explain as occlusion
from attnkit.see.explain.rollout import explain as rollout
from attnkit.see.explain.value_zeroing import explain as value_zeroing
from tests.see.planted import VOCABULARY, additive, classifier, items_of, subject_of, texts

SPECS = {"softmax": named("vaswani"), "sigmoid": Pairwise(normalizer=Sigmoid()), "linear": named("linear")}


def drawn(encoder: str = "transformer", seed: int = 0, length: int = 9, **more):
    """A network with weights large enough that nothing is near zero, and one text."""
    torch.manual_seed(seed)
    network = classifier(encoder, **more)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    subject = subject_of(network)
    ids, _, _ = texts(1, length, torch.Generator().manual_seed(seed))
    return network, subject, items_of(subject, ids)[0]


def instead_of_attend(monkeypatch, function) -> None:
    """Every attention of attnkit's layers is computed by `function` of its arguments."""
    for module in (attention_layer, attention_pooling):
        monkeypatch.setattr(module, "attend", function)


def dense(change=None, kept: list[Tensor] | None = None):
    """Attention by the map; each map is kept, with its gradient, and values may be changed."""

    def mix(q, k, v, spec, *, where, params, state=None, dropout=0.0, kernel="auto"):
        map_BHTS = spec.matrix(q, k, where, params, state)
        if kept is not None:
            map_BHTS.retain_grad()
            kept.append(map_BHTS)
        return map_BHTS @ share_heads(v if change is None else change(v), q.shape[1])

    return mix


def close(scores, expected: Tensor, within: float = 1e-4) -> None:
    scale = float(expected.abs().max())
    assert scale > 1e-3, "the comparison would be of zeros"
    torch.testing.assert_close(torch.tensor(scores), expected.float(), rtol=0, atol=within * scale)


@pytest.mark.parametrize("spec", SPECS)
def test_gradient_attention_is_the_weights_times_their_gradients(monkeypatch, spec: str) -> None:
    _, subject, item = drawn(spec=SPECS[spec], queries=2)
    found = gradient_attention(subject, item)
    kept: list[Tensor] = []
    instead_of_attend(monkeypatch, dense(kept=kept))
    subject.values(subject.called(subject.ids_1T(item)), found.target.index).sum().backward()
    assert len(kept) == 3
    close(found.scores, sum((one * one.grad).sum((0, 1, 2)) for one in kept).detach())


@pytest.mark.parametrize("spec", SPECS)
def test_rollout_is_the_product_of_the_maps(spec: str) -> None:
    network, subject, item = drawn(spec=SPECS[spec])
    with torch.no_grad(), tapped(network) as seen:
        subject.called(subject.ids_1T(item))
    maps = [one.matrix().mean(1)[0] if spec != "sigmoid" else normalized(one.matrix()).mean(1)[0] for one in seen]
    first, second = (0.5 * one + 0.5 * torch.eye(item.T) for one in maps[:2])
    close(rollout(subject, item).scores, (maps[2] @ second @ first)[0])


def normalized(map_BHTS: Tensor) -> Tensor:
    return map_BHTS / map_BHTS.sum(-1, keepdim=True)


def test_rollout_without_an_encoder_is_the_pooling() -> None:
    network, subject, item = drawn("bilstm", queries=3)
    with torch.no_grad(), tapped(network) as seen:
        subject.called(subject.ids_1T(item))
    expected = seen[0].matrix()[0, 0].mean(0)
    close(rollout(subject, item).scores, expected)
    close(attention(subject, item).scores, expected)


def test_poolings_side_by_side_have_equal_shares() -> None:
    network, subject, item = drawn("none")
    network.wide = WideNgrams(NgramRows(VOCABULARY, 1, 1), 2, 0.0).eval()
    torch.nn.init.normal_(network.wide.features.score.weight, std=0.3)
    with torch.no_grad(), tapped(network) as seen:
        subject.called(subject.ids_1T(item))
    expected = (seen[0].matrix() + seen[1].matrix())[0, 0, 0] / 2
    close(attention(subject, item).scores, expected)
    close(rollout(subject, item).scores, expected)


@pytest.mark.parametrize("encoder", ["none", "bilstm", "cnn", "transformer"])
def test_value_zeroing_is_the_model_without_those_values(monkeypatch, encoder: str) -> None:
    _, subject, item = drawn(encoder)
    found = value_zeroing(subject, item)
    expected = []
    for place in range(item.T):

        def zero(v_BGSE: Tensor, place: int = place) -> Tensor:
            gone = torch.arange(v_BGSE.shape[2]) == place
            return v_BGSE.masked_fill(gone[:, None], 0.0)

        instead_of_attend(monkeypatch, dense(zero))
        logits = subject.answers(subject.ids_1T(item))
        expected.append(found.target.value - float(subject.values(logits, found.target.index)))
    close(found.scores, torch.tensor(expected))


@pytest.mark.parametrize("encoder", ["none", "bilstm", "cnn", "transformer"])
def test_integrated_gradients_add_up(encoder: str) -> None:
    _, subject, item = drawn(encoder, ngrams=True, beside=("mean",))
    coarse, fine = (integrated_gradients(subject, item, points=points) for points in (4, 256))
    blank = subject.answers(subject.blank_1T(item))
    difference = fine.target.value - float(subject.values(blank, fine.target.index))
    assert fine.details["difference"] == pytest.approx(difference, abs=1e-5)
    assert abs(difference) > 0.05
    assert sum(fine.scores) == pytest.approx(difference, abs=2e-3 * abs(difference))
    assert fine.details["gap"] == pytest.approx(sum(fine.scores) - difference, abs=1e-6)
    assert abs(fine.details["gap"]) <= abs(coarse.details["gap"])


def test_gradients_and_occlusion_of_a_sum_are_its_terms() -> None:
    weights = [0.0, 1.5, -2.0, 0.25]
    subject = additive(weights)
    item = subject.item([2, 1, 3, 1])
    aim = subject.target(item, 1)
    terms = [weights[number] for number in item.ids]
    for explain in (gradient_input, integrated_gradients, occlusion):
        assert explain(subject, item, target=aim).scores == pytest.approx(terms, abs=1e-5)
    # Tokens 0 and 1 have one span of two and two of them: what it loses is the sum of both.
    spans = [terms[0] + terms[1], terms[1] + terms[2], terms[2] + terms[3]]
    expected = [spans[0], (spans[0] + spans[1]) / 2, (spans[1] + spans[2]) / 2, spans[2]]
    assert occlusion(subject, item, target=aim, span_tokens=2).scores == pytest.approx(expected, abs=1e-5)
    whole = occlusion(subject, item, target=aim, span_tokens=9).scores
    assert whole == pytest.approx([sum(terms)] * 4, abs=1e-5)


def test_the_n_grams_that_end_at_a_word_count_for_it() -> None:
    _, subject, item = drawn("none", ngrams=True)
    leaf = [x.requires_grad_() for x in subject.embedded(subject.ids_1T(item))]
    assert len(leaf) == 2
    found = gradient_input(subject, item)
    subject.values(subject.logits_of(subject.ids_1T(item), leaf), found.target.index).sum().backward()
    close(found.scores, sum((x * x.grad).sum(-1)[0] for x in leaf).detach())


@pytest.mark.parametrize("encoder", ["none", "bilstm", "cnn", "transformer"])
def test_padding_and_batch_mates_do_not_move_a_score(monkeypatch, encoder: str) -> None:
    network, subject, item = drawn(encoder, ngrams=True, beside=("mean", "max"))

    def padded(ids_BT: Tensor, keep_BT: Tensor) -> Tensor:
        more = (0, 5)
        pad = torch.nn.functional.pad
        return network(pad(ids_BT, more), pad(keep_BT, more))

    for name, explain in METHODS.items():
        alone = explain(subject, item)
        monkeypatch.setattr(subject, "_logits", padded)
        close(explain(subject, item).scores, torch.tensor(alone.scores))
        monkeypatch.setattr(subject, "_logits", network)
        for place in ("target", name):
            module = target if place == "target" else __import__(explain.__module__, fromlist=["x"])
            for limit in ("TOKENS_A_CALL", "TOKENS_WITH_GRADIENTS"):
                if hasattr(module, limit):
                    monkeypatch.setattr(module, limit, 2 * item.T)
        close(explain(subject, item).scores, torch.tensor(alone.scores))
        monkeypatch.undo()


@pytest.mark.parametrize("labels", [None, [1, 1, 0]])
def test_head_ablation_is_the_model_without_those_columns(labels) -> None:
    network, subject, _ = drawn()
    ids, _, _ = texts(3, 9, torch.Generator().manual_seed(3))
    items = items_of(subject, ids)
    effects = {(one.layer, one.head): one for one in rank_heads(subject, items, labels=labels)}
    assert len(effects) == 2 * 2 + 1
    for layer in range(2):
        out = network.encoder.layers[layer].attention.out
        for head in range(2):
            before = out.weight.detach().clone()
            aims = [subject.target(item, None if labels is None else labels[n]) for n, item in enumerate(items)]
            with torch.no_grad():
                out.weight[:, 8 * head : 8 * head + 8] = 0
            after = [subject.target(item, aim.index) for item, aim in zip(items, aims, strict=True)]
            with torch.no_grad():
                out.weight.copy_(before)
            lost = [a.value - b.value for a, b in zip(aims, after, strict=True)]
            loss = [torch.tensor(a.share / b.share).log() for a, b in zip(aims, after, strict=True)]
            effect = effects[f"encoder.layers.{layer}.attention", head]
            assert effect.value.value == pytest.approx(sum(lost) / 3, abs=1e-4)
            assert effect.loss.value == pytest.approx(float(sum(loss)) / 3, abs=1e-4)
            assert effect.value.low <= effect.value.value <= effect.value.high
            assert effect.value.low < effect.value.high


def test_head_ablation_finds_the_one_head_that_matters() -> None:
    network, subject, item = drawn()
    with torch.no_grad():
        for layer in range(2):
            out = network.encoder.layers[layer].attention.out
            out.weight[:, :8] = 0
            out.weight[:, 8:] *= 0 if layer == 0 else 3
    effects = rank_heads(subject, [item])
    lost = [one.value.value for one in effects]
    assert lost == sorted(lost, reverse=True) and lost[0] > lost[-1]
    found = [one for one in effects if one.layer != "summary.pooling"]
    found.sort(key=lambda one: -abs(one.value.value))
    assert (found[0].layer, found[0].head) == ("encoder.layers.1.attention", 1)
    assert abs(found[0].value.value) > 0.01
    assert all(abs(one.value.value) < 1e-5 for one in found[1:])


def test_listening_leaves_nothing_behind() -> None:
    network, subject, item = drawn()
    before = subject.answers(subject.ids_1T(item))
    held = {name: dict(module.__dict__) for name, module in network.named_modules()}
    for explain in METHODS.values():
        explain(subject, item)
    rank_heads(subject, [item])
    assert torch.equal(subject.answers(subject.ids_1T(item)), before)
    for name, module in network.named_modules():
        assert "_record" not in module.__dict__
        assert not module._forward_hooks and not module._forward_pre_hooks, name
        assert module.__dict__.keys() == held[name].keys()


def test_taps_and_explanations_can_listen_together() -> None:
    network, subject, item = drawn()
    with tapped(network) as seen:
        gradient_attention(subject, item)
    assert len(seen) == 3 * 3, "the target, the embeddings, and the listened call"


def test_explaining_within_inference_mode_and_without_parameters_that_learn() -> None:
    network, subject, item = drawn("bilstm")
    expected = {name: explain(subject, item).scores for name, explain in METHODS.items()}
    network.requires_grad_(False)
    with torch.inference_mode():
        for name, explain in METHODS.items():
            assert explain(subject, item).scores == pytest.approx(expected[name], abs=1e-6)


def test_an_empty_text_has_no_scores_and_a_special_token_is_never_taken_away() -> None:
    _, subject, _ = drawn("bilstm")
    for explain in METHODS.values():
        assert explain(subject, subject.item([])).scores == ()
    item = subject.item([7, 2, 9])
    assert item.movable == (True, False, True)
    assert subject.blank_1T(item).tolist() == [[1, 2, 1]]
    assert occlusion(subject, item).scores[1] == 0
    assert occlusion(subject, item).scores[0] != 0


def test_kinds_of_outputs() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    for kind, value, share in (
        ("single", 2.0 - float(torch.tensor([1.0, 0.5]).logsumexp(0)), float(logits.softmax(-1)[0, 1])),
        ("multi", 2.0, float(torch.tensor(2.0).sigmoid())),
        ("score", 2.0, 2.0),
    ):
        subject = additive([0.0, 1.0], kind=kind)
        assert float(subject.values(logits, 1)) == pytest.approx(value)
        assert float(subject.shares(logits, 1)) == pytest.approx(share)


def test_what_cannot_be_explained_says_why() -> None:
    subject = additive([0.0, 1.0])
    item = subject.item([1, 1])
    with pytest.raises(UsageError, match="no attention of Additive could be listened to"):
        gradient_attention(subject, item)
    with pytest.raises(UsageError, match="no attention of Additive could be listened to"):
        value_zeroing(subject, item)
    with pytest.raises(UsageError, match="there is no output 7; this model has 2"):
        subject.target(item, 7)
    with pytest.raises(UsageError, match="training mode"):
        additive([0.0]).__class__(subject.network.train(), [subject.network], subject.network, replacement=0)
    subject.network.eval()
    with pytest.raises(UsageError, match="as many tokens"):
        subject.item([1, 2], ["a"])
    with pytest.raises(UsageError, match="span_tokens must be at least 1; got 0"):
        occlusion(subject, item, span_tokens=0)
    broken = additive([0.0, float("inf")])
    with pytest.raises(FailedError, match="not finite"):
        occlusion(broken, broken.item([1, 1]))
