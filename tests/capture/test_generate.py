"""generate: what a model writes is what it writes without a capture, and its steps come to one map."""

from typing import Any

import pytest
import torch
from torch import Tensor

import attnkit
from attnkit.capture.captured import Capture
from attnkit.capture.record import capture
from tests.capture.listening import CLOSE, assert_proved, map_of
from tests.capture.small_models import IDS, LEFT, MODELS, RIGHT

NEW = 6


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    attnkit.register()


def written(model: Any, level: Any, mask: Tensor | None, cache: str | None, **asked: Any) -> tuple[Tensor, Capture]:
    """What the model writes within a capture, held to what it writes without."""
    settings = {
        "input_ids": IDS, "attention_mask": mask, "max_new_tokens": NEW, "do_sample": False,
        "cache_implementation": cache, "disable_compile": True, "output_logits": True, "return_dict_in_generate": True,
        **asked,
    }  # fmt: skip
    expected = model.generate(**settings)
    with capture(model, level) as seen:
        got = model.generate(**settings)
    assert torch.equal(expected.sequences, got.sequences)
    assert all(torch.equal(*pair) for pair in zip(expected.logits, got.logits, strict=True))
    return got.sequences, seen


def whole_text(model: Any, mask: Tensor | None, sequences: Tensor) -> Capture:
    """The capture of one forward pass over all that was read, by the same attention."""
    read = sequences[:, :-1]
    if model.config.is_encoder_decoder:
        inputs = {"input_ids": IDS, "attention_mask": mask, "decoder_input_ids": read}
    else:
        keep = torch.ones(3, read.shape[1], dtype=torch.int64)
        if mask is not None:
            keep[:, : mask.shape[1]] = mask
        inputs = {"input_ids": read, "attention_mask": keep}
        if "Bloom" not in type(model).__name__:
            inputs["position_ids"] = (keep.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad(), capture(model, "full") as seen:
        model(**inputs)
    return seen


def assert_same(seen: Capture, whole: Capture) -> None:
    """Every layer, text, statistic and weight of one is that of the other."""
    assert [one.name for one in seen.layers] == [one.name for one in whole.layers]
    for one, other in zip(seen.layers, whole.layers, strict=True):
        for field in ("kind", "T", "S", "batch", "heads", "query_stream", "key_stream"):
            assert getattr(one, field) == getattr(other, field), (one.name, field)
        for field in ("query_keep", "key_keep"):
            mine, theirs = getattr(one, field), getattr(other, field)
            assert (mine is None) == (theirs is None) and (mine is None or torch.equal(mine, theirs)), (one.name, field)
        assert set(one.statistics) == set(other.statistics)
        for name, expected in other.statistics.items():
            torch.testing.assert_close(
                one.statistics[name], expected, rtol=1e-4, atol=2e-4, msg=lambda m, at=(one.name, name): f"{at}: {m}"
            )
        if one.seen is not None:
            rows = 1.0 if other.query_keep is None else other.query_keep[:, None, :, None]
            torch.testing.assert_close(map_of(one) * rows, map_of(other) * rows, rtol=0, atol=CLOSE)
        if one.pooled is not None and other.pooled is not None:
            torch.testing.assert_close(one.pooled.mass_BHRC, other.pooled.mass_BHRC, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    ("kind", "implementation", "cache", "mask"),
    [
        ("llama", "sdpa", None, None), ("llama", "sdpa", "static", LEFT), ("llama", "eager", None, LEFT),
        ("gpt-2", "sdpa", None, LEFT), ("gpt-2", "attnkit:vaswani", "static", LEFT), ("gpt-2", "eager", "static", None),
        ("mistral", "sdpa", None, LEFT), ("mistral", "eager", "static", LEFT), ("mistral", "sdpa", "static", None),
        ("mistral", "attnkit:vaswani", None, LEFT), ("mistral", "attnkit:vaswani", "static", None),
        ("gemma 2", "eager", None, LEFT), ("gemma 2", "attnkit:vaswani", "static", LEFT),
        ("gpt-oss", "eager", None, None), ("gpt-oss", "eager", "static", LEFT),
        ("gpt-oss", "attnkit:vaswani", None, LEFT),
        ("t5", "sdpa", None, RIGHT), ("t5", "eager", "static", RIGHT), ("t5", "attnkit:vaswani", None, RIGHT),
        ("bart", "sdpa", "static", RIGHT), ("bart", "eager", None, RIGHT), ("bloom", "eager", None, LEFT),
    ],
)  # fmt: skip
def test_steps_are_the_map_of_the_whole_text(
    kind: str, implementation: str, cache: str | None, mask: Tensor | None
) -> None:
    model = MODELS[kind]()
    model.set_attn_implementation(implementation)
    whole = None
    for level in ("stats", "full"):
        sequences, seen = written(model, level, mask, cache)
        whole = whole_text(model, mask, sequences) if whole is None else whole
        assert_same(seen, whole)
        assert_proved(seen)
    if model.config.is_encoder_decoder:
        assert {one.T for one in seen.layers} == {11, NEW}


def test_a_window_over_a_cache_that_forgets_nothing() -> None:
    from transformers import DynamicCache

    model = MODELS["mistral"]()
    for level in ("stats", "full"):
        with capture(model, level) as seen:  # type: ignore[arg-type]
            sequences = model.generate(
                input_ids=IDS,
                attention_mask=LEFT,
                past_key_values=DynamicCache(),
                max_new_tokens=NEW,
                do_sample=False,
            )
        assert_same(seen, whole_text(model, LEFT, sequences))


def test_a_prompt_of_one_token_and_heads_of_choice() -> None:
    model = MODELS["llama"]()
    with capture(model, "full", focus={"*.1.*": [3]}) as seen:
        sequences = model.generate(input_ids=IDS[:, :1], max_new_tokens=5, do_sample=False)
    with torch.no_grad(), capture(model, "full", focus={"*.1.*": [3]}) as whole:
        model(input_ids=sequences[:, :-1])
    assert_same(seen, whole)
    assert [(one.heads, one.T) for one in seen.layers] == [(1, 5)]


def test_words_of_a_generation_are_those_that_were_read() -> None:
    class Words:
        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [str(one) for one in ids]

    for kind in ("llama", "t5"):
        model = MODELS[kind]()
        with capture(model, tokenizer=Words()) as seen:
            sequences = model.generate(input_ids=IDS, max_new_tokens=4, do_sample=False)
        expected = [[str(one) for one in row] for row in sequences[:, :-1].tolist()]
        if kind == "llama":
            assert seen.streams == {"text": expected}
        else:
            assert seen.streams == {"encoder": [[str(one) for one in row] for row in IDS.tolist()], "decoder": expected}


def test_going_on_from_a_cache_shows_the_new_queries_on_all_keys() -> None:
    model = MODELS["llama"]()
    with torch.no_grad():
        cache = model(input_ids=IDS[:, :7]).past_key_values
        with capture(model, "full") as seen:
            model(input_ids=IDS[:, 7:], past_key_values=cache)
        with capture(model, "full") as whole:
            model(input_ids=IDS)
    for one, other in zip(seen.layers, whole.layers, strict=True):
        assert (one.T, one.S) == (4, 11)
        torch.testing.assert_close(map_of(one), map_of(other)[:, :, 7:], rtol=0, atol=CLOSE)


def test_what_is_not_the_steps_of_one_text_is_refused() -> None:
    model = MODELS["llama"]()
    settings = {"input_ids": IDS, "max_new_tokens": 5, "do_sample": False}
    with pytest.raises(ValueError, match="keys of earlier tokens changed between two steps"), capture(model):
        model.generate(num_beams=3, **settings)
    with pytest.raises(ValueError, match="use_cache=True"), capture(model):
        model.generate(use_cache=False, **settings)
    with pytest.raises(ValueError, match="ran a second time in one capture"), capture(model):
        model.generate(**settings)
        model.generate(**settings)
