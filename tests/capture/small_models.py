"""Small models of transformers with random weights, and texts for them; skipped where it is not installed."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed: pip install 'attnkit[hf]'", allow_module_level=True)

import transformers

IDS = torch.randint(3, 100, (3, 11), generator=torch.Generator().manual_seed(0))
RIGHT = (torch.arange(11) < torch.tensor([11, 7, 3])[:, None]).long()
LEFT = RIGHT.flip(1)
SIZES: dict[str, Any] = {"vocab_size": 100, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": None}
ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
LLAMA = {**ENCODER, "num_key_value_heads": 2, **SIZES}


def drawn(kind: str, config: str, **settings: Any) -> Any:
    """A small model in evaluation mode, with weights large enough for its attention to be far from uniform."""
    torch.manual_seed(0)
    model = getattr(transformers, kind)(getattr(transformers, config)(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: drawn("BertModel", "BertConfig", vocab_size=100, **ENCODER),
    "llama": lambda: drawn("LlamaForCausalLM", "LlamaConfig", **LLAMA),
    "gpt-2": lambda: drawn("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, n_positions=64, **SIZES),
    "mistral": lambda: drawn("MistralForCausalLM", "MistralConfig", sliding_window=4, **LLAMA),
    "gemma 2": lambda: drawn(
        "Gemma2ForCausalLM", "Gemma2Config", sliding_window=4, head_dim=8, attn_logit_softcapping=2.0, **LLAMA
    ),
    "gpt-oss": lambda: drawn(
        "GptOssForCausalLM", "GptOssConfig", sliding_window=4, head_dim=8, num_local_experts=4, num_experts_per_tok=2,
        **LLAMA,
    ),
    "t5": lambda: drawn(
        "T5ForConditionalGeneration", "T5Config", d_model=32, num_layers=2, num_heads=4, d_kv=8, d_ff=48,
        vocab_size=100, decoder_start_token_id=0, eos_token_id=None,
    ),
    "bart": lambda: drawn(
        "BartForConditionalGeneration", "BartConfig", d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48,
        max_position_embeddings=64, decoder_start_token_id=1, forced_eos_token_id=None, **SIZES,
    ),
    "bloom": lambda: drawn("BloomForCausalLM", "BloomConfig", hidden_size=32, n_layer=2, n_head=4, **SIZES),
    "vit": lambda: drawn("ViTModel", "ViTConfig", image_size=16, patch_size=4, **ENCODER),
    "dinov2": lambda: drawn("Dinov2Model", "Dinov2Config", image_size=16, patch_size=4, **ENCODER),
}  # fmt: skip
