"""diff: what changed between two states."""

from collections.abc import Container, Mapping, Sequence
from itertools import compress, count, filterfalse
from operator import attrgetter, is_not
from typing import Any

import msgspec

from safetytwin.changes.keys import Place, are_keys_unique, key_of, places
from safetytwin.changes.schema import identity_of, open_fields_of
from safetytwin.changes.trees import Tree, merge_patch, normal, same
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState

_SCALARS = frozenset({str, int, float, bool})


def tree_of(state: SystemState) -> Tree:
    """Return a state as plain JSON in normal form, as full frames carry it and as apply makes it."""
    rest, keyed = _split(state)
    for place, items in keyed.values():
        parent: Any = rest
        for step in place.steps[:-1]:
            parent = parent[step]
        parent[place.steps[-1]] = [item_tree(item) for item in items]
    return rest


def item_tree(item: Record) -> Tree:
    """Return a record as plain JSON in normal form; only its own open fields can need it."""
    tree: Tree = msgspec.to_builtins(item)
    for name in open_fields_of(type(item)):
        if name in tree:
            tree[name] = normal(tree[name], 1)
    return tree


def diff(old: SystemState, new: SystemState) -> Change:
    """Return the change that makes new of old, exactly: apply gives back the very tree of new.

    Items that are the same object in both states cost next to nothing, so that a look that shares what did not change
    is cheap to compare with the one before.
    """
    shared = _lists(old) & _lists(new)
    old_rest, old_keyed = _split(old, shared)
    new_rest, new_keyed = _split(new, shared)
    changes: dict[str, CollectionChange] = {}
    for path, (place, items) in new_keyed.items():
        before = old_keyed[path][1] if path in old_keyed else []
        if items is before:
            continue
        change = _collection_change(place.record, before, items)
        if change is not None:
            changes[path] = change
    return Change(state=merge_patch(old_rest, new_rest) or None, collections=changes or None)


def _lists(state: SystemState) -> set[tuple[str, int]]:
    return {(place.path, id(items)) for place, items in places(state)}


def _split(
    state: SystemState, shared: Container[tuple[str, int]] = ()
) -> tuple[Tree, dict[str, tuple[Place, list[Any]]]]:
    """Return the state without the items of its keyed collections, which are [] there, and those collections.

    A collection in which two items share a key is no keyed collection and stays in the state; but not one that is
    among shared, by path and id: the other state has the very same list, nothing of it changed.
    """
    found = list(places(state))
    keyed = {
        place.path: (place, items)
        for place, items in found
        if (place.path, id(items)) in shared or are_keys_unique(place.record, items)
    }
    bare: Any = state
    for place, _ in keyed.values():
        bare = _emptied(bare, place.steps)
    rest = item_tree(bare)
    return (rest if len(keyed) == len(found) else normal(rest)), keyed


def _emptied(value: Any, steps: Sequence[str]) -> Any:
    step, *further = steps
    if isinstance(value, Mapping):
        return {**value, step: _emptied(value[step], further) if further else []}
    inner = _emptied(getattr(value, step), further) if further else []
    return msgspec.structs.replace(value, **{step: inner})


def _collection_change(record: type[Record], old: list[Any], new: list[Any]) -> CollectionChange | None:
    """Compare two lists of items with unique keys; return None where they are the same."""
    if len(old) == len(new):
        differing = list(compress(zip(old, new, strict=True), map(is_not, old, new)))
        identity = attrgetter(*identity_of(record))
        if all(identity(before) == identity(after) for before, after in differing):
            return _change(changed=_patches(record, differing))
    return _general_change(record, old, new)


def _general_change(record: type[Record], old: list[Any], new: list[Any]) -> CollectionChange | None:
    """Compare lists of which items came, went or moved; objects that both share are told apart by id alone."""
    old_ids, new_ids = list(map(id, old)), list(map(id, new))
    only_old, only_new = set(old_ids).difference(new_ids), set(new_ids).difference(old_ids)
    gone = {key_of(record, item): item for item in compress(old, map(only_old.__contains__, old_ids))}
    come = {key_of(record, item): item for item in compress(new, map(only_new.__contains__, new_ids))}
    pairs = [(gone[key], item) for key, item in come.items() if key in gone]
    added = {id(item): item for key, item in come.items() if key not in gone}
    removed = {id(item): key for key, item in gone.items() if key not in come}
    stands_for = {id(after): id(before) for before, after in pairs}
    stayed_before = list(filterfalse(removed.__contains__, old_ids))
    stayed_after = list(filterfalse(added.__contains__, new_ids))
    if stands_for:
        stayed_after = [stands_for.get(one, one) for one in stayed_after]
    order = at = None
    if stayed_before != stayed_after:
        order = [key_of(record, item) for item in new]
    elif added:
        at = list(compress(count(), map(added.__contains__, new_ids)))
        if at[0] == len(new) - len(added):
            at = None
    return _change(
        added=[item_tree(item) for item in added.values()],
        at=at,
        changed=_patches(record, pairs),
        removed=list(removed.values()),
        order=order,
    )


def _patches(record: type[Record], pairs: Sequence[tuple[Any, Any]]) -> dict[str, Tree]:
    values_of = attrgetter(*record.__struct_fields__)
    patches = {}
    for before, after in pairs:
        patch = _item_patch(record, values_of(before), values_of(after))
        if patch:
            patches[key_of(record, after)] = patch
    return patches


def _item_patch(record: type[Record], old: tuple[Any, ...], new: tuple[Any, ...]) -> Tree:
    """Return the merge patch between two items, given as the values of all fields; only what differs is converted."""
    patch: Tree = {}
    for name, before, after in zip(record.__struct_fields__, old, new, strict=True):
        if before is after:
            continue
        if after is None:
            patch[name] = None
        elif after.__class__ in _SCALARS:
            if not same(before, after):
                patch[name] = after
        else:
            trees = (
                {name: msgspec.to_builtins(before)} if before is not None else {},
                {name: msgspec.to_builtins(after)},
            )
            if name in open_fields_of(record):
                trees = normal(trees[0]), normal(trees[1])
            patch.update(merge_patch(*trees))
    return patch


def _change(
    *,
    changed: dict[str, Tree],
    added: list[Tree] | None = None,
    at: list[int] | None = None,
    removed: list[str] | None = None,
    order: list[str] | None = None,
) -> CollectionChange | None:
    if not (changed or added or removed or order):
        return None
    return CollectionChange(added=added or None, at=at, changed=changed or None, removed=removed or None, order=order)
