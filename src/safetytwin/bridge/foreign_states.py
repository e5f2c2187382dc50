"""States as other programs write them, understood as ours.

Existing agents and scripts spell fields in their own ways; foreign_spellings.py is the list of those. Here a value is
walked along the models: known spellings are renamed, values are brought to the type of the field, and what no field is
for is kept under `extra`. Pure: a decoded JSON value in, a SystemState out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from safetytwin.bridge import foreign_spellings as spellings
from safetytwin.bridge.foreign_names import ALIASES
from safetytwin.changes.schema import fields_of
from safetytwin.models.fields import MAX_INTEGER, Record
from safetytwin.models.system_state import SCHEMA_VERSION, SystemState
from safetytwin.models.timestamps import timestamp

_SIZES = {"_bytes": 1, "_kb": 1 << 10, "_mb": 1 << 20, "_gb": 1 << 30, "_tb": 1 << 40}
"""As psutil's and gopsutil's users divide: by 1024."""
_AS_WRITTEN = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,9})?Z\Z", re.ASCII)
"""A moment as states write it: it stays as it is, for a state of ours must not be changed by being sent."""
_HOST_ID = re.compile(r"[^a-z0-9._-]+", re.ASCII)


class ForeignStateError(ValueError):
    """A value that can't be understood."""

    def __init__(self, field: str, expected: str, found: Any, example: str | None = None) -> None:
        self.field = field
        self.example = example
        super().__init__(f"{field}: expected {expected}, found {_shown(found)}.")


def understand(value: Any, received_at: float) -> SystemState:
    """Return the state that a decoded JSON value means; received_at is seconds since 1970.

    Raises ForeignStateError, which names the field, what is expected there and an example.
    """
    if not isinstance(value, Mapping):
        raise ForeignStateError("$", "an object, a whole state", value, spellings.EXAMPLE)
    state = _record(value, SystemState, ("$",), _Leftovers())
    _complete(state, received_at)
    try:
        return msgspec.convert(state, SystemState)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        raise ForeignStateError(path.rstrip("`") or "$", text, None, spellings.EXAMPLE) from None


def _complete(state: dict[str, Any], received_at: float) -> None:
    """Give a state what every state has and this one lacks."""
    given = state.setdefault("schema", SCHEMA_VERSION)
    if given > SCHEMA_VERSION:
        raise ForeignStateError(
            "$.schema", f"at most {SCHEMA_VERSION}: upgrade this bridge", given, str(SCHEMA_VERSION)
        )
    state.setdefault("seq", 0)
    state.setdefault("hardware", {})
    state.setdefault("services", [])
    state.setdefault("processes", [])
    state.setdefault("timestamp", timestamp(received_at))
    agent = state.setdefault("agent", {})
    agent.setdefault("version", "0")
    agent.setdefault("backend", "foreign")
    agent.setdefault("collectors", {})
    if "host_id" not in state:
        hostname = state["hardware"].get("hostname")
        host_id = _HOST_ID.sub("-", str(hostname or "").strip().lower())[:64].strip("-")
        if not host_id:
            raise ForeignStateError(
                "$.host_id", "a host_id, or hardware.hostname to make one of", hostname, '{"host_id": "atlas"}'
            )
        state["host_id"] = host_id


class _Leftovers:
    """Where what no field is for goes: the `extra` of the nearest record around it that has one."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self._steps: tuple[str, ...] = ()
        self._root = self

    def below(self, *steps: str) -> "_Leftovers":
        inner = _Leftovers()
        inner._steps, inner._root = (*self._steps, *steps), self._root
        return inner

    def keep(self, values: Mapping[str, Any]) -> None:
        place = self._root.kept
        for step in self._steps:
            place = place.setdefault(step, {})
        place.update(values)


def _record(value: Any, record: type[Record], path: tuple[str, ...], leftovers: _Leftovers) -> dict[str, Any]:
    """Return an object with the fields of a record only; path is as it was written, for errors."""
    value = spellings.prepare(record, value)
    if not isinstance(value, Mapping):
        raise ForeignStateError(_text(path), f"an object ({record.__doc__})", value, spellings.example_of(record))
    own = _Leftovers() if "extra" in record.__struct_fields__ else leftovers
    types = _types(record)
    result: dict[str, Any] = {}
    for name, item in value.items():
        field, scale = _field_of(record, name)
        if item is None:
            continue
        if field is None:
            own.keep({name: _normal(item)})
        elif field == name or (field not in result and value.get(field) is None):
            # A field under its own name is stronger than one under another spelling, whichever comes first.
            scaled = item * scale if scale != 1 and _is_number(item) else item
            understood = _value(scaled, types[field], field, (*path, name), own.below(field))
            if understood is not None:
                result[field] = understood
    if own is not leftovers and own.kept:
        result["extra"] = {**own.kept, **result.get("extra", {})}
    return result


def _value(value: Any, kind: inspect.Type, name: str, path: tuple[str, ...], leftovers: _Leftovers) -> Any:
    """Return a value as the field called name wants it, None where it says that it is not known."""
    if isinstance(kind, inspect.Metadata):
        return _value(value, kind.type, name, path, leftovers)
    if isinstance(kind, inspect.UnionType):
        kinds = [inner for inner in kind.types if not isinstance(inner, inspect.NoneType)]
        return _value(value, kinds[0], name, path, leftovers)
    if isinstance(kind, inspect.StructType):
        return _record(value, kind.cls, path, leftovers)  # type: ignore[arg-type]  # all our structs are Records
    if isinstance(kind, inspect.ListType):
        if isinstance(value, Mapping) and isinstance(kind.item_type, inspect.StructType):
            value = spellings.named_items(kind.item_type.cls, value)  # type: ignore[arg-type]  # all are Records
        elif isinstance(value, str):
            value = spellings.split_text(name, value)
        if not isinstance(value, list):
            raise ForeignStateError(_text(path), "a list", value, "[]")
        pairs = [(str(i), item) for i, item in enumerate(value)]
        return [item for _, item in _items(pairs, kind.item_type, name, path, leftovers)]
    if isinstance(kind, inspect.DictType):
        if isinstance(value, list):
            value = spellings.named_pairs(name, value)
        if not isinstance(value, Mapping):
            raise ForeignStateError(_text(path), "an object", value, "{}")
        if isinstance(kind.value_type, inspect.AnyType):
            return _normal(value)
        return dict(_items(list(value.items()), kind.value_type, name, path, leftovers))
    if name in spellings.MOMENTS:
        return _moment(value, path)
    if isinstance(kind, inspect.IntType):
        return _integer(value, path, may_be_negative=name in spellings.MAY_BE_NEGATIVE)
    reader = _SCALARS.get(type(kind))
    return reader(value, path) if reader is not None else value


def _items(
    pairs: list[tuple[str, Any]], kind: inspect.Type, name: str, path: tuple[str, ...], leftovers: _Leftovers
) -> list[tuple[str, Any]]:
    walked = [
        (key, _value(item, kind, name, (*path, key), leftovers.below(key))) for key, item in pairs if item is not None
    ]
    return [(key, item) for key, item in walked if item is not None]


def _types(record: type[Record]) -> dict[str, inspect.Type]:
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - a Record is a Struct
    return {field.name: field.type for field in info.fields}


def _field_of(record: type[Record], name: str) -> tuple[str | None, int]:
    """Return the field that a name means, and by how much its value is to be multiplied."""
    fields = fields_of(record)
    if name in fields:
        return name, 1
    known = ALIASES.get(record.__name__, {})
    if name in known:
        return known[name], 1
    for suffix, scale in _SIZES.items():
        stem = name.removesuffix(suffix)
        if stem != name:
            field = known.get(stem, stem)
            if field in fields and fields[field].unit == "By":
                return field, scale
    return None, 1


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _integer(value: Any, path: tuple[str, ...], *, may_be_negative: bool) -> int | None:
    number = _number(value, path)
    if number is None:
        return None
    whole = int(value) if isinstance(value, int) else round(number)
    return whole if abs(whole) <= MAX_INTEGER and (whole >= 0 or may_be_negative) else None


def _number(value: Any, path: tuple[str, ...]) -> float | None:
    if _is_number(value):
        return float(value) if abs(value) <= 1e300 else None
    if isinstance(value, str):
        text = value.strip().removesuffix("%").strip()
        if text.lower() in spellings.UNKNOWN:
            return None
        if re.fullmatch(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", text, re.ASCII):
            return float(text)
    raise ForeignStateError(_text(path), "a number", value, "42")


def _string(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    if _is_number(value):
        return str(value)
    raise ForeignStateError(_text(path), "text", value, '"text"')


def _boolean(value: Any, path: tuple[str, ...]) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in {"true", "false", "yes", "no"}:
        return value.lower() in {"true", "yes"}
    raise ForeignStateError(_text(path), "true or false", value, "true")


def _moment(value: Any, path: tuple[str, ...]) -> str | None:
    if isinstance(value, str) and _AS_WRITTEN.match(value):
        return value
    try:
        return spellings.moment(value)
    except ValueError:
        raise ForeignStateError(
            _text(path), "a moment: RFC 3339 or seconds since 1970", value, '"2026-01-31T14:00:00Z"'
        ) from None


_SCALARS: dict[type[inspect.Type], Callable[[Any, tuple[str, ...]], Any]] = {
    inspect.FloatType: _number,
    inspect.StrType: _string,
    inspect.BoolType: _boolean,
}


def _normal(value: Any) -> Any:
    """Return any JSON without nulls in objects and without integers that readers disagree on."""
    if isinstance(value, Mapping):
        return {str(name): _normal(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return str(value)
    return value


def _text(path: tuple[str, ...]) -> str:
    return "".join(f"[{step}]" if step.isdecimal() else f".{step}" if i else step for i, step in enumerate(path))


def _shown(value: Any) -> str:
    try:
        text = msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
