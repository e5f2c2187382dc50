"""Says a change in lines for people: what came (+), what changed (~), what is gone (-)."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from safetytwin.changes.keys import collections, place_of
from safetytwin.changes.schema import Field, fields_of, identity_of
from safetytwin.changes.trees import Tree
from safetytwin.changes.twin import Step, Touched
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.fields import Record
from safetytwin.models.printable import printable
from safetytwin.models.quantities import duration, rate, size
from safetytwin.models.system_state import SystemState

_LONGEST_VALUE = 120

_NOUNS = {
    "processes": "process",
    "services": "service",
    "hardware.disks": "disk",
    "hardware.block_devices": "block device",
    "hardware.network": "interface",
    "hardware.sensors": "sensor",
    "hardware.cpu.cores": "CPU",
    "ai.workloads": "workload",
    "ai.models": "model",
}


def describe(change: Change, step: Step) -> list[str]:
    """Return a change in lines that are safe to print; step is what the change did, from Twin.apply.

    The machine comes first, then each collection. Amounts are shown in people's units, what is not known as unknown.
    """
    patch, old = _without_collections(change.state or {}, SystemState), _without_collections(step.old, SystemState)
    lines = [f"~ {name}: {values}" for name, values in _differences(patch, old, SystemState)]
    for path in sorted(step.items, key=_position):
        lines += _collection_lines(path, (change.collections or {}).get(path, CollectionChange()), step.items[path])
    return lines


def _position(path: str) -> tuple[int, str]:
    """Return where a collection comes in the models' order."""
    numbers = {collection.steps: number for number, collection in enumerate(collections())}
    place = place_of(path)
    steps = () if place is None else place.steps
    return numbers.get(steps, numbers.get(steps[:-1], len(numbers))), path


def _without_collections(tree: Mapping[str, Any], record: type[Record]) -> Tree:
    """Return the tree or patch of a record without keyed collections, which are told item by item."""
    fields = fields_of(record)
    kept: Tree = {}
    for name, value in tree.items():
        field = fields.get(name)
        if field is None or field.record is None:
            kept[name] = value
        elif field.shape == "record" and isinstance(value, dict):
            inner = _without_collections(value, field.record)
            if inner:
                kept[name] = inner
        elif not identity_of(field.record):
            kept[name] = value
        elif isinstance(value, list) and value:
            kept[name] = value  # two of its items share a key
    return kept


def _collection_lines(path: str, change: CollectionChange, items: Mapping[str, Touched]) -> Iterator[str]:
    place = place_of(path)
    if place is None:
        return
    yield from (f"+ {_title(path, after)}" for before, after in items.values() if before is None and after is not None)
    for key, patch in (change.changed or {}).items():
        before, after = items[key]
        shown = ", ".join(f"{name}: {values}" for name, values in _differences(patch, before or {}, place.record))
        yield f"~ {_title(path, after or before or {})}  {shown}"
    yield from (f"- {_title(path, before)}" for before, after in items.values() if after is None and before is not None)
    if change.order is not None:
        yield f"~ {path}: in another order"


def _title(path: str, item: Tree) -> str:
    noun = _NOUNS.get(path, "GPU")
    if path == "services":
        noun = "unit" if item.get("type") == "systemd" else str(item.get("type"))
    place = place_of(path)
    names = identity_of(place.record) if place is not None else ()
    words = [str(item[name]) for name in names if name not in {"start_ticks", "type"} and name in item]
    name = item.get("name")
    if path == "services" and name is not None:
        words = [str(name)]
    elif name is not None and str(name) not in words:
        words.append(str(name))
    return printable(" ".join([noun, *words]))


def _differences(
    patch: Mapping[str, Any], old: Mapping[str, Any], record: type[Record] | None, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the dotted name of each value that a patch sets, and the value before and after."""
    fields = fields_of(record) if record is not None else {}
    for name, value in patch.items():
        field, before = fields.get(name), old.get(name)
        if value is None and before is None:
            continue  # a record of nothing but collections
        dotted = prefix + printable(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if field is not None and field.shape == "map":
                for key, inner in value.items():
                    one = Field(field.kind, None, "record", field.record)
                    yield from _map_entry(f"{dotted}.{printable(key)}", inner, before.get(key), one)
            else:
                inside = field.record if field is not None and field.shape == "record" else None
                yield from _differences(value, before, inside, f"{dotted}.")
        else:
            unit = field.unit if field is not None else None
            yield dotted, f"{_shown(before, unit)} → {_shown(value, unit)}"


def _map_entry(dotted: str, value: Any, before: Any, field: Field) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and isinstance(before, dict):
        yield from _differences(value, before, field.record, f"{dotted}.")
    else:
        yield dotted, f"{_shown(before, None)} → {_shown(value, None)}"


def _shown(value: Any, unit: str | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _amount(value, unit)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = printable(text)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _amount(value: float, unit: str | None) -> str:
    if unit == "By":
        return size(value)
    if unit == "By/s":
        return rate(value)
    if unit == "s":
        return duration(value) if value >= 1 else f"{value * 1000:.3g} ms"
    number = f"{value:.6g}" if isinstance(value, float) else str(value)
    return number if unit in {None, "1"} else f"{number} {unit}"
