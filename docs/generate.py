"""Writes the pages of docs/ that are made from the code: python docs/generate.py. A test fails when they are stale."""

import os
from collections.abc import Iterator
from typing import Any

from safetytwin.changes.kinds import page as events_page
from safetytwin.models.schema import state_schema
from safetytwin.workloads.catalogue_page import catalogue_page

HERE = os.path.dirname(os.path.abspath(__file__))

_STATE_HEAD = """# The state, field by field

One look makes one state. This page is made from the records in `src/safetytwin/models`; `safetytwin schema` prints the
same as JSON Schema. Units are written as in UCUM (`By` bytes, `s` seconds, `%` percent from 0 to 100, `1` a number of
things). What is not known is left out, never 0.

Each field is of one **kind**: *identity* is part of an item's key and never changes; *state* is what people, events and
the virtual machine follow; a *gauge* moves by itself and is kept but never counts as a change.
"""


def _records(name: str, definitions: dict[str, Any], seen: list[str]) -> None:
    if name in seen:
        return
    seen.append(name)
    for field in definitions[name]["properties"].values():
        for reference in _references(field):
            _records(reference, definitions, seen)


def _references(field: Any) -> Iterator[str]:
    if isinstance(field, dict):
        for key, value in field.items():
            if key == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from _references(value)
    elif isinstance(field, list):
        for value in field:
            yield from _references(value)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if field.get("items") else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"map to {_type(values)}" if isinstance(values, dict) and values else "map"
    return str(field.get("type", "any"))


def state_page() -> str:
    """Return docs/state.md."""
    schema = state_schema()
    definitions = schema["$defs"]
    names: list[str] = []
    _records("SystemState", definitions, names)
    lines = [_STATE_HEAD]
    for name in names:
        record = definitions[name]
        lines += [
            f"## {name}",
            "",
            record.get("description", ""),
            "",
            "| field | type | unit | kind | meaning | OpenTelemetry |",
        ]
        lines.append("|---|---|---|---|---|---|")
        for field, facts in record["properties"].items():
            cells = (
                f"`{field}`" + ("" if field in record.get("required", ()) else " ?"),
                _type(facts),
                facts.get("x-unit", ""),
                facts.get("x-kind", ""),
                facts.get("description", ""),
                f"`{facts['x-otel']}`" if "x-otel" in facts else "",
            )
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines.append("A `?` marks a field that is left out where it is not known.")
    return "\n".join(lines) + "\n"


PAGES = {"state.md": state_page, "events.md": events_page, "catalogue.md": catalogue_page}


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as page:
            page.write(make())


if __name__ == "__main__":
    main()
