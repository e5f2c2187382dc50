"""What the page knows of a state's fields: kind, unit, meaning, and how collections are keyed; all from the models."""

from typing import Any, get_type_hints

import msgspec

from safetytwin.changes.keys import collections
from safetytwin.changes.schema import fields_of, identity_of
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState


def page_fields() -> dict[str, Any]:
    """Return the collections with their identity fields, and for each record what each of its fields is."""
    records: dict[str, Any] = {}
    _describe(SystemState, records)
    return {
        "collections": [
            {"path": one.path, "named": one.named, "record": one.record.__name__, "identity": identity_of(one.record)}
            for one in collections()
        ],
        "records": records,
    }


def _describe(record: type[Record], records: dict[str, Any]) -> None:
    if record.__name__ in records:
        return
    hints = get_type_hints(record, include_extras=True)
    described: dict[str, Any] = {}
    records[record.__name__] = described
    for name, field in fields_of(record).items():
        entry = {
            "kind": field.kind,
            "unit": field.unit,
            "record": field.record.__name__ if field.record is not None else None,
            "about": _description(hints[name]),
        }
        described[name] = {key: value for key, value in entry.items() if value is not None}
        if field.record is not None:
            _describe(field.record, records)


def _description(hint: Any) -> str | None:
    found: str | None = None
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            found = meta.description or found
    return found
