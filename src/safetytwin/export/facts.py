"""What a machine is, without what it measures: the parts of a state that an export carries."""

from typing import Any

import msgspec

from safetytwin.changes.schema import fields_of
from safetytwin.models.fields import Record
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState

REDACTED = "[redacted]"
"""What stands in a state in place of a secret."""


def without_gauges(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON with its identity and state fields only, at every depth."""
    tree: dict[str, Any] = {}
    for name, field in fields_of(type(record)).items():
        value = getattr(record, name)
        if field.kind != "gauge" and value is not None:
            tree[name] = _plain(value)
    return tree


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return without_gauges(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return msgspec.to_builtins(value)


def machine_name(state: SystemState) -> str:
    """Return the machine's name for people: its hostname, else its id."""
    return state.hardware.hostname or state.host_id


def containers_of(state: SystemState) -> list[Service]:
    """Return the containers that were made from an image, by name."""
    return sorted((one for one in state.services if one.image), key=lambda one: (one.name, one.type, one.id))
