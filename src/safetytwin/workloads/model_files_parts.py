"""A model as a whole: a file with what lies beside it, its other parts and its configuration."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from safetytwin.models.fields import count as within_state
from safetytwin.workloads.formats.header import ModelHeader, Part, majority
from safetytwin.workloads.formats.transformers_config import described

_PART_NAME = re.compile(r"(?s)(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.\w+)")
"""How llama.cpp and Transformers name the parts of a split model."""
_MAX_PARTS = 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a model file: its path, and how a file in it is read as part of a model or as small JSON."""

    path: str
    part: Callable[[str], Part | None]
    json: Callable[[str], Any]


def whole_model(first: Part, path: str | None, folder: Folder | None) -> ModelHeader:
    """Return the model that a part belongs to; path is where the part was read, None where only a descriptor is had."""
    parts = {path: first} if path is not None else {}
    missing: list[str] = []
    if path is not None and folder is not None:
        for name in _names_of_parts(os.path.basename(path)):
            place = os.path.join(folder.path, name)
            part = first if place == path else folder.part(name)
            if part is None or part.header.format != first.header.format:
                missing.append(name)
            else:
                parts[place] = part
    elif first.count > 1:
        missing.append(f"all parts but {first.number} of {first.count}")
    header = _merged(sorted(parts.items()) or [("", first)], missing)
    if folder is not None and header.format in {"safetensors", "pytorch"}:
        header = described(header, first_packed(parts or {"": first}), folder.json)
    return replace(
        header, parameters=within_state(header.parameters), context_length=within_state(header.context_length)
    )


def first_packed(parts: Mapping[str, Part]) -> Mapping[str, int]:
    """Return the elements that hold several parameters each, of all parts, by type."""
    return _summed(part.packed for part in parts.values())


def _names_of_parts(name: str) -> list[str]:
    match = _PART_NAME.fullmatch(name)
    if match is None or not 1 <= int(match["count"]) <= _MAX_PARTS:
        return [name]
    count = int(match["count"])
    return [f"{match['stem']}-{number:05d}-of-{count:05d}{match['ending']}" for number in range(1, count + 1)]


def _merged(parts: list[tuple[str, Part]], missing: list[str]) -> ModelHeader:
    leading = parts[0][1].header
    elements = _summed(part.elements for _, part in parts)
    problems = [
        f"{os.path.basename(path)}: {part.header.problem}" if len(parts) > 1 else part.header.problem
        for path, part in parts
        if part.header.problem
    ]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        problems.append(f"parts are missing: {shown}")
    return replace(
        leading,
        size=sum(part.header.size for _, part in parts),
        parameters=None if missing else (sum(elements.values()) or leading.parameters),
        quantization=leading.quantization or majority(elements),
        problem="; ".join(filter(None, problems)) or None,
        files=tuple(path for path, _ in parts if path),
    )


def _summed(counts: Iterator[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total
