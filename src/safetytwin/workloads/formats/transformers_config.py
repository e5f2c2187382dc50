"""The config.json beside a model of Hugging Face Transformers: architecture, quantisation, context."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from safetytwin.workloads.formats.header import MAX_TEXT, ModelHeader

_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "max_target_positions")
_BITS = {"I64": 64, "U64": 64, "I32": 32, "U32": 32, "I16": 16, "U16": 16, "I8": 8, "U8": 8}


def described(header: ModelHeader, packed: Mapping[str, int], json_of: Callable[[str], Any]) -> ModelHeader:
    """Return header with what config.json or adapter_config.json beside it adds; json_of reads one by its name."""
    adapter = json_of("adapter_config.json")
    if isinstance(adapter, dict) and "peft_type" in adapter:
        return replace(header, kind="adapter", architecture=_text(adapter.get("base_model_name_or_path")))
    config = json_of("config.json")
    if not isinstance(config, dict):
        return header
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        inner = {}
    quantization, bits = _quantization(
        config.get("quantization_config") or inner.get("quantization_config") or config.get("quantization")
    )
    parameters = header.parameters
    if quantization is not None and packed and parameters is not None:
        parameters = _unpacked(parameters, packed, bits)
    return replace(
        header,
        architecture=header.architecture or _architecture(config),
        quantization=quantization or header.quantization or _dtype(config),
        parameters=parameters,
        context_length=next((value for key in _CONTEXT if (value := _whole(config.get(key) or inner.get(key)))), None),
    )


def _architecture(config: dict[str, Any]) -> str | None:
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return _text(config.get("model_type")) or _text(first)


def _quantization(config: Any) -> tuple[str | None, int | None]:
    """Return the method with its bits, such as gptq 4-bit (MLX names no method), and the bits."""
    if not isinstance(config, dict):
        return None, None
    method = _text(config.get("quant_method"))
    bits = _whole(config.get("bits")) or _bits_of_groups(config.get("config_groups"))
    if config.get("load_in_4bit") is True or config.get("_load_in_4bit") is True:
        bits = 4
    elif config.get("load_in_8bit") is True or config.get("_load_in_8bit") is True:
        bits = 8
    if method == "mxfp4":
        bits = 4
    return " ".join(part for part in (method, f"{bits}-bit" if bits else None) if part) or None, bits


def _bits_of_groups(groups: Any) -> int | None:
    """Return the bits that all groups of compressed-tensors have, None where they differ."""
    found = set()
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        found.add(_whole(weights.get("num_bits")) if isinstance(weights, dict) else None)
    return found.pop() if len(found) == 1 else None


def _unpacked(parameters: int, packed: Mapping[str, int], bits: int | None) -> int | None:
    """Return the number of parameters where the packed elements hold several each; None where not known how many."""
    for name, number in packed.items():
        width = _BITS.get(name)
        if width is None or not bits or bits > width:
            return None
        parameters += number * width // bits - number
    return parameters


def _dtype(config: dict[str, Any]) -> str | None:
    return _text(config.get("dtype") or config.get("torch_dtype"))


def _text(value: Any) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
