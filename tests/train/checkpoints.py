"""Small random checkpoints of the BERT family, as transformers saves them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

WORDS = "the a film was it and so very good bad great awful plot no one two three 中 文 naive cafe ! ? . , [ ] ' - s t"
PIECES = "##ing ##ed ##s ##ly ##o ##0 ##1 ##2 ##3 n d i m"
SPECIAL = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def vocabulary(folder: Path) -> int:
    """vocab.txt of WordPiece, with unused rows between its special tokens; gives the number of its words."""
    words = [*SPECIAL, *dict.fromkeys(f"{WORDS} {PIECES}".split())]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "tokenizer_class": "BertTokenizer"})
    )
    return len(words)


def byte_pairs(folder: Path) -> int:
    """tokenizer.json of byte-level pairs as RoBERTa has it; gives the number of its tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["the film was very good", "a very bad plot, and so it was"] * 5, trainer)
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    inner.save(str(folder / "tokenizer.json"))
    return int(inner.get_vocab_size())


def saved(kind: str, folder: Path, **more: Any) -> Any:
    """A random model of transformers of this `model_type`, saved in `folder` with its tokenizer.

    Skips where transformers is missing.
    """
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'attnkit[hf]'"
    )
    folder.mkdir(parents=True, exist_ok=True)
    size = byte_pairs(folder) if kind == "roberta" else vocabulary(folder)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    usual = {**sizes, "max_position_embeddings": 40}
    torch.manual_seed(0)
    match kind:
        case "bert":
            config = transformers.BertConfig(vocab_size=size, **{**usual, **more})
            model = transformers.BertModel(config)
        case "roberta":
            config = transformers.RobertaConfig(
                vocab_size=size, pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1, **{**usual, **more}
            )
            model = transformers.RobertaModel(config)
        case "distilbert":
            config = transformers.DistilBertConfig(
                vocab_size=size, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=40, **more
            )
            model = transformers.DistilBertModel(config)
        case _:
            config = transformers.ElectraConfig(vocab_size=size, embedding_size=12, **{**usual, **more})
            model = transformers.ElectraModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases and norms begin at 0 and 1, where a mistake in them would not be seen.
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    return model
