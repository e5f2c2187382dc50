"""What of a change people, events and the VM follow: existence, identity and state, never what moves by itself."""

from collections.abc import Mapping
from typing import Any

from safetytwin.changes.keys import place_of
from safetytwin.changes.schema import Field, fields_of
from safetytwin.changes.trees import Tree, same
from safetytwin.changes.twin import Step
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState


def significant(change: Change, step: Step) -> Change:
    """Return the change without gauges; step is what the change did, from Twin.apply.

    Items of which only gauges changed are left out, and so is the order of items.
    """
    state = significant_patch(change.state or {}, step.old, SystemState)
    collections = {}
    for path, collection in (change.collections or {}).items():
        kept = _significant_items(path, collection, step)
        if kept != CollectionChange():
            collections[path] = kept
    return Change(state=state or None, collections=collections or None)


def _significant_items(path: str, change: CollectionChange, step: Step) -> CollectionChange:
    place = place_of(path)
    if place is None:
        return CollectionChange()
    changed = {}
    for key, patch in (change.changed or {}).items():
        before, _ = step.items.get(path, {}).get(key, (None, None))
        kept = significant_patch(patch, before or {}, place.record)
        if kept:
            changed[key] = kept
    return CollectionChange(added=change.added, at=change.at, changed=changed or None, removed=change.removed)


def significant_patch(patch: Mapping[str, Any], old: Mapping[str, Any], record: type[Record]) -> Tree:
    """Return a merge patch of a record without the fields that are gauges; old is the record before."""
    fields = fields_of(record)
    kept: Tree = {}
    for name, value in patch.items():
        field = fields.get(name)
        if field is None or field.shape in {"value", "open"}:
            if field is None or field.kind != "gauge":
                kept[name] = value
        elif field.kind != "gauge":
            _keep_records(kept, name, value, old.get(name), field)
    return kept


def _keep_records(kept: Tree, name: str, value: Any, before: Any, field: Field) -> None:
    """Put what is significant of a field that holds records into kept."""
    record = field.record
    if value is None or record is None:
        kept[name] = value
    elif field.shape == "record":
        if before is None:
            kept[name] = _without_gauges(value, field)
        elif inner := significant_patch(value, before, record):
            kept[name] = inner
    elif field.shape == "list":
        after = _without_gauges(value, field)
        if before is None or not same(_without_gauges(before, field), after):
            kept[name] = after
    elif before is None:
        kept[name] = _without_gauges(value, field)
    else:
        inner = {}
        one = Field(field.kind, field.unit, "record" if field.shape == "map" else "list", record)
        for key, item in value.items():
            _keep_records(inner, key, item, before.get(key), one)
        if inner:
            kept[name] = inner


def _without_gauges(value: Any, field: Field) -> Any:
    """Return the value of a field that holds records, without the gauges in them."""
    if field.record is None or value is None:
        return value
    if isinstance(value, list):
        return [_without_gauges(item, field) for item in value]
    if field.shape not in {"record", "list"}:
        one = Field(field.kind, field.unit, "record" if field.shape == "map" else "list", field.record)
        return {key: _without_gauges(item, one) for key, item in value.items()}
    inner = fields_of(field.record)
    return {
        name: _without_gauges(item, inner[name]) if name in inner else item
        for name, item in value.items()
        if name not in inner or inner[name].kind != "gauge"
    }
