"""hypothesis strategies for whole, valid states, made from the models' own annotations."""

import types
import typing
from typing import Any

import msgspec
from hypothesis import strategies as st

from safetytwin.changes.schema import identity_of
from safetytwin.models.fields import MAX_INTEGER, Record
from safetytwin.models.system_state import SystemState

NAMES = [
    "",
    "a",
    "a/b",
    "b",
    "~",
    "~1",
    "a.b",
    "hardware.gpu",
    "ünïcode",
    "日本",
    "\u0000",
    "\x1b[31m",
    "</script>",
    "null",
]

texts = st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
counts = st.sampled_from([0, 1, 2, 3, MAX_INTEGER]) | st.integers(0, MAX_INTEGER)
numbers = st.sampled_from([0.0, -0.0, 1.0, 1e22, 0.1, 5e-324]) | st.floats(-1e300, 1e300)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def states() -> st.SearchStrategy[SystemState]:
    """Any valid state: unicode, odd keys, empty and absent collections, foreign extra, items that share a key."""
    return records(SystemState)


@st.composite
def pairs_of_states(draw: st.DrawFn) -> tuple[SystemState, SystemState]:
    """Two states, the second often made from the first, so that items stay, change, go, come and change places."""
    old = draw(states())
    if draw(st.integers(0, 3)) == 3:
        return old, draw(states())
    return old, _altered(draw, old)


def records(record: type[Record]) -> st.SearchStrategy[Any]:
    """Any valid record; a field with a default is left out half of the time."""
    return st.deferred(lambda: _records(record))


@st.composite
def _records(draw: st.DrawFn, record: type[Record]) -> Any:
    hints = typing.get_type_hints(record, include_extras=True)
    required = record.__struct_fields__[: len(record.__struct_fields__) - len(record.__struct_defaults__)]
    optional = [name for name in record.__struct_fields__ if name not in required]
    chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=6)) if optional else []
    return record(**{name: draw(_values(hints[name])) for name in (*required, *chosen)})


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated(hint)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([_values(argument) for argument in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_values(arguments[0]), max_size=4)
    if origin is dict:
        return st.dictionaries(texts, _values(arguments[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Record):
        return records(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        Any: json_values,
        str: texts,
        bool: st.booleans(),
        int: st.integers(-MAX_INTEGER, MAX_INTEGER),
        float: numbers,
        type(None): st.none(),
    }
    return simple[hint]


def _annotated(hint: Any) -> st.SearchStrategy[Any]:
    inner, *metas = typing.get_args(hint)
    constraints = {
        name: getattr(meta, name)
        for meta in metas
        for name in ("pattern", "ge", "le")
        if getattr(meta, name, None) is not None
    }
    if "pattern" not in constraints:
        return counts if inner is int and constraints else _values(inner)
    if "T" in constraints["pattern"]:
        return st.sampled_from(["2026-01-31T14:00:00Z", "2026-01-31T14:00:00.125Z", "1970-01-01T00:00:00Z"])
    return st.sampled_from(["a", "host-1", "x" * 64])


def _altered(draw: st.DrawFn, value: Any) -> Any:
    """Return a valid relative of a record: some fields drawn anew, some lists shuffled, thinned and extended."""
    hints = typing.get_type_hints(type(value), include_extras=True)
    changed = {}
    names = [name for name in value.__struct_fields__ if name not in identity_of(type(value))]
    for name in draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=6)) if names else []:
        before = getattr(value, name)
        if isinstance(before, Record):
            changed[name] = _altered(draw, before)
        elif isinstance(before, list) and before and draw(st.integers(0, 4)) != 4:
            changed[name] = _altered_list(draw, before, hints[name])
        else:
            changed[name] = draw(_values(hints[name]))
    return msgspec.structs.replace(value, **changed)


def _altered_list(draw: st.DrawFn, items: list[Any], hint: Any) -> list[Any]:
    kept = [item for item in items if draw(st.integers(0, 3)) != 3]
    kept = [_altered(draw, item) if isinstance(item, Record) and draw(st.booleans()) else item for item in kept]
    fresh = draw(_values(hint)) if draw(st.booleans()) else []
    if isinstance(fresh, list):
        for item in fresh:
            kept.insert(draw(st.integers(0, len(kept))), item)
    return draw(st.permutations(kept)) if draw(st.booleans()) else kept
