"""Where on a machine models are kept: by Ollama, Hugging Face, LM Studio and llama.cpp, and in named directories."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from safetytwin.collectors.host_root import HostRoot, read_bytes, text_of
from safetytwin.workloads.model_stores_unit import environment_of_unit

_MAX_HOMES = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which models are looked for."""

    store: str
    """ollama, huggingface, lmstudio, llama.cpp or directory."""
    path: str
    named: bool = False
    """Whether a person named it: then its absence is worth a word."""


def places(root: HostRoot, environment: Mapping[str, str], directories: Sequence[str]) -> list[Place]:
    """Return the folders to look in, whether they exist or not; those that a person named first.

    environment is that of the process that asks: what the engines' variables say there holds.
    """
    found: dict[str, Place] = {}
    for place in (*_named(environment, directories), *_of_units(root), *_usual(root, environment)):
        path = os.path.normpath(os.path.join(root.root, place.path.lstrip("/")))
        found.setdefault(path, Place(place.store, path, place.named))
    return list(found.values())


def _named(environment: Mapping[str, str], directories: Sequence[str]) -> Iterator[Place]:
    for directory in directories:
        yield Place("directory", os.path.abspath(directory), named=True)
    if models := environment.get("OLLAMA_MODELS"):
        yield Place("ollama", models)
    if hub := _hub(environment):
        yield Place("huggingface", hub)
    if cache := environment.get("LLAMA_CACHE"):
        yield Place("llama.cpp", cache)


def _of_units(root: HostRoot) -> Iterator[Place]:
    if models := environment_of_unit(root, "ollama.service").get("OLLAMA_MODELS"):
        yield Place("ollama", models)


def _hub(environment: Mapping[str, str]) -> str | None:
    """Return the Hugging Face cache that the environment names (huggingface_hub, constants.py)."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(name):
            return value
    if home := environment.get("HF_HOME"):
        return os.path.join(home, "hub")
    if cache := environment.get("XDG_CACHE_HOME"):
        return os.path.join(cache, "huggingface/hub")
    return None


def _usual(root: HostRoot, environment: Mapping[str, str]) -> Iterator[Place]:
    for home in _homes(root, environment):
        yield Place("ollama", f"{home}/.ollama/models")
        yield Place("huggingface", f"{home}/.cache/huggingface/hub")
        yield Place("lmstudio", f"{home}/.lmstudio/models")
        yield Place("lmstudio", f"{home}/.cache/lm-studio/models")
        yield Place("llama.cpp", f"{home}/.cache/llama.cpp")
    yield Place("ollama", "/usr/share/ollama/.ollama/models")


def _homes(root: HostRoot, environment: Mapping[str, str]) -> list[str]:
    """Return the home folders of passwd(5) and the caller's own; those that no one lives in (/, /nonexistent) aside."""
    homes: dict[str, None] = {}
    if root.live and environment.get("HOME"):
        homes[environment["HOME"].rstrip("/")] = None
    try:
        data = read_bytes(os.path.join(root.etc, "passwd"))
    except OSError:
        data = b""
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 7 and fields[5].startswith(b"/") and fields[5].strip(b"/") and len(homes) < _MAX_HOMES:
            homes[text_of(fields[5]).rstrip("/")] = None
    return [home for home in homes if home.startswith("/")]
