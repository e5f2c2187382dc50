"""Environments: names are kept, values only where they are plainly harmless or the configuration allows them."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from safetytwin.redaction.names import is_secret_name
from safetytwin.redaction.text import REDACTED, redact_text

_HARMLESS = (
    *(
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "LC_*",
        "TZ",
        "TERM",
        "HOSTNAME",
        "PWD",
        "OLDPWD",
        "SHLVL",
    ),
    *("*_VERSION", "DEBIAN_FRONTEND", "container", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTHONUNBUFFERED"),
    *("OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_KEEP_ALIVE", "OLLAMA_NUM_PARALLEL", "MODEL_ID", "LLAMA_ARG_MODEL"),
    *("LLAMA_ARG_HF_REPO", "HF_HOME", "HF_HUB_CACHE", "RANK", "LOCAL_RANK", "WORLD_SIZE"),
)


def redact_environment(environment: Mapping[str, str], allowed: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment with all values redacted but harmless ones and those whose names match allowed.

    allowed are shell patterns of names; a name that says secret stays redacted whatever they say.
    """
    shown = {}
    for name, value in environment.items():
        harmless = any(fnmatchcase(name, pattern) for pattern in (*_HARMLESS, *allowed))
        shown[name] = redact_text(value) if harmless and not is_secret_name(name) else REDACTED
    return shown
