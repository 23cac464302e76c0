"""A folder of transformers whose tokenizer knows no limit, and what a decoder may write."""

from pathlib import Path

import pytest

from attnkit.errors import UsageError
from attnkit.see.look import seen_of

transformers = pytest.importorskip("transformers")


def folder(path: Path, config: object, model: str) -> Path:
    """A tiny model with a tokenizer of two words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"<pad>": 0, "a": 1, "b": 2, "<unk>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="b"
    )
    tokenizer.save_pretrained(path)
    getattr(transformers, model)(config).save_pretrained(path)
    return path


def test_a_model_without_positions_reads_a_text_of_any_length(tmp_path: Path) -> None:
    config = transformers.BloomConfig(vocab_size=8, hidden_size=8, n_layer=1, n_head=2)
    seen = seen_of(folder(tmp_path, config, "BloomForCausalLM"), ["a b " * 30])
    assert seen.layers[0].T == 60


def test_what_is_written_leaves_room_for_the_text(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    path = folder(tmp_path, config, "GPT2LMHeadModel")
    assert "text 1: 44 tokens beyond the length limit were not read" in seen_of(path, ["a b a " * 20]).notes
    with pytest.raises(UsageError, match="--generate 16 leaves no room for a text: the model has 16 positions"):
        seen_of(path, ["a"], generate=16)
    with pytest.raises(UsageError, match="--generate must be at least 0; got -1"):
        seen_of(path, ["a"], generate=-1)
