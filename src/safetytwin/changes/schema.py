"""What the models say of their own fields: kind, unit and the records inside; read once from the annotations."""

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from safetytwin.models.fields import Record

Kind = Literal["identity", "state", "gauge"]
Shape = Literal["value", "record", "list", "map", "map of lists", "open"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record."""

    kind: Kind
    unit: str | None
    shape: Shape
    """value: a scalar, or a list or map of scalars; record, list, map, map of lists: of record; open: any JSON."""
    record: type[Record] | None


@functools.cache
def fields_of(record: type[Record]) -> Mapping[str, Field]:
    """Return the fields of a record in their order."""
    hints = typing.get_type_hints(record, include_extras=True)
    return types.MappingProxyType({name: _field(hints[name]) for name in record.__struct_fields__})


@functools.cache
def identity_of(record: type[Record]) -> tuple[str, ...]:
    """Return the names of the fields that are an item's key, in their order; empty where it has none."""
    return tuple(name for name, field in fields_of(record).items() if field.kind == "identity")


@functools.cache
def open_fields_of(record: type[Record]) -> tuple[str, ...]:
    """Return the names of the fields that hold any JSON."""
    return tuple(name for name, field in fields_of(record).items() if field.shape == "open")


def _field(hint: Any) -> Field:
    described: dict[str, Any] = {}
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            described.update(meta.extra_json_schema or {})
    shape, record = _shape(hint)
    return Field(described.get("x-kind", "state"), described.get("x-unit"), shape, record)


def _shape(hint: Any) -> tuple[Shape, type[Record] | None]:
    hint = _bare(hint)
    if isinstance(hint, type) and issubclass(hint, Record):
        return "record", hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or (origin is dict and arguments[1] is Any):
        return "open", None
    if origin is list:
        shape, record = _shape(arguments[0])
        return ("list", record) if shape == "record" else ("value", None)
    if origin is dict:
        shape, record = _shape(arguments[1])
        return {"record": ("map", record), "list": ("map of lists", record)}.get(shape, ("value", None))  # type: ignore[return-value]  # the keys of the dictionary are Shapes
    return "value", None


def _bare(hint: Any) -> Any:
    """Return a type without its annotations and without None."""
    if typing.get_origin(hint) is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        others = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(others) == 1:
            return _bare(others[0])
    return hint
