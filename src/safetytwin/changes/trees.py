"""Trees: states as plain JSON values, their normal form, and merge patches between them (RFC 7396)."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from safetytwin.models.fields import MAX_INTEGER

MAX_DEPTH = 64
"""Levels of nesting within the state's fields or within one item; a state of the models has fewer than ten."""

Tree = dict[str, Any]

_encoder = msgspec.json.Encoder(order="sorted")


class ChangeError(ValueError):
    """A change that does not fit the state it was applied to, or is no change at all."""


def canonical_bytes(value: Any) -> bytes:
    """Return a state, as a record or as a tree, as JSON with sorted names: equal states are equal bytes."""
    return _encoder.encode(value)


def normal(value: Any, depth: int = 0) -> Any:
    """Return plain JSON in the normal form of a tree: objects without nulls.

    What a state can't hold becomes null first: NaN, infinities, integers beyond 2^53, what is nested deeper than
    MAX_DEPTH.
    """
    kind = value.__class__
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -MAX_INTEGER <= value <= MAX_INTEGER else None
    if kind is float:
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return None
    if kind is list:
        return [normal(item, depth + 1) for item in value]
    kept = {}
    for name, item in value.items():
        item = normal(item, depth + 1)  # noqa: PLW2901 - the same item in its normal form
        if item is not None:
            kept[name] = item
    return kept


def same(old: Any, new: Any) -> bool:
    """Say whether two values are the same JSON, which Python's == does not: there 1 == 1.0 == True and 0.0 == -0.0."""
    if old is new:
        return True
    kind = old.__class__
    if kind is not new.__class__ or old != new:
        return False
    if kind is str or kind is int or kind is bool:
        return True
    if kind is float:
        return math.copysign(1.0, old) == math.copysign(1.0, new)
    return _encoder.encode(old) == _encoder.encode(new)


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Tree:
    """Return the merge patch that makes new of old, both in normal form; empty where they are the same."""
    patch: Tree = {}
    for name, value in new.items():
        before = old.get(name)
        if before is value:
            continue
        if before.__class__ is dict and value.__class__ is dict:
            inner = merge_patch(before, value)
            if inner:
                patch[name] = inner
        elif not same(before, value):
            patch[name] = value
    for name in old:
        if name not in new:
            patch[name] = None
    return patch


def merged(old: Any, patch: Mapping[str, Any], depth: int = 0) -> Tree:
    """Return old with a merge patch applied; old is left as it is and shared where the patch does not touch it.

    Raises ChangeError where the patch is nested deeper than MAX_DEPTH.
    """
    if depth >= MAX_DEPTH:
        raise ChangeError(f"a change is nested deeper than {MAX_DEPTH} levels")
    result: Tree = dict(old) if old.__class__ is dict else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif value.__class__ is dict:
            result[name] = merged(result.get(name), value, depth + 1)
        else:
            result[name] = normal(value, depth + 1)
    return result
