"""A folder with a model of transformers, or a GGUF file, as something to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from attnkit.errors import UsageError
from attnkit.see.looker import Inputs, Looker
from attnkit.train.predictor import Text

# What `architectures` of a config ends in, and the class of transformers that loads it with its head.
_HEADS = (
    ("ForSequenceClassification", "AutoModelForSequenceClassification"),
    ("ForTokenClassification", "AutoModelForTokenClassification"),
    ("ForQuestionAnswering", "AutoModelForQuestionAnswering"),
    ("ForMaskedLM", "AutoModelForMaskedLM"),
    ("ForConditionalGeneration", "AutoModelForSeq2SeqLM"),
    ("ForCausalLM", "AutoModelForCausalLM"),
    ("LMHeadModel", "AutoModelForCausalLM"),
)

# A folder with none of these holds no tokenizer.
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
)
# A tokenizer that knows no limit says 10^30.
_NO_LIMIT = 1 << 62


def folder_looker(path: Path, generate: int = 0) -> Looker:
    """The model in `path`, on its own attention, with its own tokenizer; only files that stand there are read.

    Raises: UsageError where transformers is missing, or the folder cannot be read.
    """
    try:
        import transformers
    except ImportError:
        raise UsageError(f"{path} is a model of transformers, which is missing; pip install 'attnkit[hf]'") from None
    transformers.utils.logging.disable_progress_bar()
    folder, packed = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    if not packed and not any((folder / name).is_file() for name in _TOKENIZERS):
        # transformers would make an empty one up, to which every word is unknown.
        raise UsageError(
            f"{path} holds no tokenizer ({_TOKENIZERS[0]} or the like), so that no text can be read; save it there, or "
            "look from Python with attnkit.capture"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, **packed)
        kind = "AutoModelForCausalLM" if packed else _head(config)
        safe = {} if packed else {"use_safetensors": True}
        load = getattr(transformers, kind).from_pretrained
        model = load(folder, local_files_only=True, dtype=torch.float32, **packed, **safe).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, **packed)
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as a model of transformers: {reason}") from None
    if generate < 0:
        raise UsageError(f"--generate must be at least 0; got {generate}")
    if generate and not model.can_generate():
        raise UsageError(f"{type(model).__name__} writes no text; leave --generate out")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.can_generate():
        tokenizer.padding_side = "right" if config.is_encoder_decoder else "left"

    def encode(texts: Sequence[Text]) -> Inputs:
        return _inputs(model, tokenizer, texts, generate)

    return Looker(path.name, model, encode, tokenizer=tokenizer)


def _head(config: Any) -> str:
    named = (config.architectures or [""])[0]
    return next((kind for ending, kind in _HEADS if named.endswith(ending)), "AutoModel")


def _inputs(model: Any, tokenizer: Any, texts: Sequence[Text], generate: int) -> Inputs:
    firsts = [text if isinstance(text, str) else text[0] for text in texts]
    seconds = None if all(isinstance(text, str) for text in texts) else [text[1] for text in texts]
    cutting = _cutting(model, tokenizer, generate)
    given = tokenizer(firsts, seconds, return_tensors="pt", padding=True, **cutting)
    whole = tokenizer(firsts, seconds)["input_ids"]
    kept = given["attention_mask"].sum(-1).tolist()
    cut = tuple(max(0, len(ids) - real) for ids, real in zip(whole, kept, strict=True))
    tokens = [_words(tokenizer, ids) for ids in given["input_ids"].tolist()]
    if model.config.is_encoder_decoder:
        return _two_streams(model, tokenizer, given, tokens, generate, cut)
    streams = {"text": tokens}

    def run() -> list[str]:
        if not generate:
            return _answers(model, model(**given))
        found = model.generate(**given, max_new_tokens=generate, do_sample=False)
        for one, ids in zip(streams["text"], found.tolist(), strict=True):
            # The last token was written and never read: no query of the map stands at it.
            one[:] = _words(tokenizer, ids[:-1])
        new = found[:, given["input_ids"].shape[1] :]
        return [f"goes on: {text!r}" for text in tokenizer.batch_decode(new, skip_special_tokens=True)]

    return Inputs(run, streams, {}, cut)


def _cutting(model: Any, tokenizer: Any, generate: int) -> dict[str, Any]:
    """What tells the tokenizer to cut texts; nothing where neither it nor the model has a limit.

    Raises: UsageError where `generate` leaves no token of a text.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or _NO_LIMIT
    # What an encoder reads and what its decoder writes stand at positions of their own.
    written = 0 if model.config.is_encoder_decoder else generate
    most = min(positions - written, tokenizer.model_max_length)
    if most < 1:
        raise UsageError(
            f"--generate {generate} leaves no room for a text: the model has {positions} positions; let it write less"
        )
    return {"truncation": True, "max_length": most} if most < _NO_LIMIT // 2 else {}


def _two_streams(
    model: Any, tokenizer: Any, given: Any, tokens: list[list[str]], generate: int, cut: tuple[int, ...]
) -> Inputs:
    written: list[list[str]] = [[] for _ in tokens]
    streams = {"encoder": tokens, "decoder": written}

    def run() -> list[str]:
        found = model.generate(**given, max_new_tokens=generate or 32, do_sample=False)
        for one, ids in zip(written, found.tolist(), strict=True):
            one[:] = _words(tokenizer, ids[:-1])
        return [f"writes: {text!r}" for text in tokenizer.batch_decode(found, skip_special_tokens=True)]

    return Inputs(run, streams, {}, cut)


def _answers(model: Any, out: Any) -> list[str]:
    logits = getattr(out, "logits", None)
    if logits is None or logits.dim() != 2:
        return []
    labels = getattr(model.config, "id2label", {}) or {}
    shares, chosen = logits.softmax(-1).max(-1)
    return [
        f"{labels.get(index, index)} ({100 * share:.1f} %)"
        for index, share in zip(chosen.tolist(), shares.tolist(), strict=True)
    ]


def _words(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The tokens of ids; a model may write an id beyond its tokenizer's, which has no word."""
    words = tokenizer.convert_ids_to_tokens(list(ids))
    return [f"<{number}>" if word is None else word for number, word in zip(ids, words, strict=True)]
