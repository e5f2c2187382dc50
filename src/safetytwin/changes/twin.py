"""apply, and the twin: a state that changes are folded into."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from safetytwin.changes.keys import Place, key_of, place_of, places
from safetytwin.changes.schema import identity_of
from safetytwin.changes.trees import ChangeError, Tree, canonical_bytes, merged, normal
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState

Touched = tuple[Tree | None, Tree | None]
"""An item before and after a change; None where it was not there."""

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Step:
    """What one change did: all that events and descriptions need of the states before and after."""

    old: Tree
    """The state before, its keyed collections empty; not to be modified, as all trees here."""
    new: Tree
    """The state after, its keyed collections empty."""
    items: Mapping[str, Mapping[str, Touched]]
    """The items that the change touched, by path and key, of the collections that were keyed before and after.

    Where two items share a key, before or after, none can be said to have come or gone.
    """


def apply(old: Mapping[str, Any], change: Change) -> Tree:
    """Return the state that a change makes of old; old is left as it is.

    Raises ChangeError where the change does not fit, or would make no valid state; ValidationError where old is none.
    """
    twin = Twin(old)
    twin.apply(change)
    return twin.tree()


class Twin:
    """A state folded from changes, small in memory: items are kept as the JSON that they are sent as.

    It always holds a valid state; a change that does not fit leaves it as it was.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        """Raise msgspec.ValidationError where the tree is no valid state."""
        msgspec.convert(tree, SystemState)
        rest, self._items, _ = _split(dict(tree), {}, {})
        self._rest: Tree = normal(rest)
        self._places = {place.path: (place, found) for place, found in places(self._rest) if place.path in self._items}

    @property
    def rest(self) -> Tree:
        """The state with its keyed collections empty; not to be modified."""
        return self._rest

    def counts(self) -> dict[str, int]:
        """Return how many items each keyed collection has, by path."""
        return {path: len(items) for path, items in self._items.items()}

    def item(self, path: str, key: str) -> Tree | None:
        """Return one item of a keyed collection, or None where there is none."""
        encoded = self._items.get(path, {}).get(key)
        return None if encoded is None else _decode(encoded)

    def items(self, path: str) -> dict[str, Tree]:
        """Return the items of a keyed collection by key, in their order; empty where there is no such collection."""
        return {key: _decode(encoded) for key, encoded in self._items.get(path, {}).items()}

    def tree(self) -> Tree:
        """Return the whole state as plain JSON; its items are the caller's own."""
        return self._whole({path: [_decode(item) for item in items.values()] for path, items in self._items.items()})

    def canonical_bytes(self) -> bytes:
        """Return what canonical_bytes makes of the whole state, without decoding its items."""
        return canonical_bytes(
            self._whole({path: [msgspec.Raw(item) for item in items.values()] for path, items in self._items.items()})
        )

    def apply(self, change: Change) -> Step:
        """Fold a change in and return what it did.

        Raises ChangeError, and leaves the twin as it was, where the change names an item that is not here or adds one
        that is, or would make no valid state.
        """
        rest, items, located = self._rest, self._items, self._places
        touched: dict[str, dict[str, Touched]] = {}
        if change.state:
            rest = merged(rest, change.state)
            _check(rest, SystemState, "the state")
            rest, items, located = _split(rest, items, located)
            for path in {**self._items, **items}:
                if items.get(path) is not self._items.get(path):
                    touched[path] = _replaced(self._items.get(path, {}), items.get(path, {}))
        items = dict(items)
        for path, collection in (change.collections or {}).items():
            place = place_of(path)
            if place is None or path not in items:
                raise ChangeError(f"the state has no keyed collection {path!r}")
            items[path], seen = _folded(place, items[path], collection)
            already = touched.get(path, {})
            touched[path] = {**already, **{key: (already.get(key, pair)[0], pair[1]) for key, pair in seen.items()}}
        whole = {place.path for tree in (self._rest, rest) for place, found in places(tree) if found}
        step = Step(self._rest, rest, {path: seen for path, seen in touched.items() if path not in whole})
        self._rest, self._items, self._places = rest, items, located
        return step

    def _whole(self, lists: Mapping[str, list[Any]]) -> Tree:
        whole = self._rest
        for path, items in lists.items():
            whole = _with(whole, self._places[path][0].steps, items)
        return whole if lists else dict(whole)


def _with(tree: Mapping[str, Any], steps: tuple[str, ...], value: Any) -> Tree:
    """Return tree with the value at the end of steps replaced, sharing the rest."""
    step, *further = steps
    return {**tree, step: _with(tree[step], tuple(further), value) if further else value}


_Split = tuple[Tree, dict[str, dict[str, bytes]], dict[str, tuple[Place, list[Any]]]]


def _split(tree: Tree, items: Mapping[str, dict[str, bytes]], located: Mapping[str, tuple[Place, list[Any]]]) -> _Split:
    """Take the items of keyed collections out of a tree, leaving [] in their place.

    items and located are those of the tree it was made from by merging: where a list is still the same object, its
    items are still the same.
    """
    new_items: dict[str, dict[str, bytes]] = {}
    new_located: dict[str, tuple[Place, list[Any]]] = {}
    for place, found in list(places(tree)):
        if place.path in located and located[place.path][1] is found:
            new_items[place.path] = items[place.path]
            new_located[place.path] = located[place.path]
            continue
        keyed = {key_of(place.record, item): canonical_bytes(normal(item)) for item in found}
        if len(keyed) == len(found):
            empty: list[Any] = []
            tree = _with(tree, place.steps, empty)
            new_items[place.path] = keyed
            new_located[place.path] = (place, empty)
    return tree, new_items, new_located


def _replaced(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, Touched]:
    touched: dict[str, Touched] = {key: (_decode(item), None) for key, item in old.items()}
    for key, item in new.items():
        if old.get(key) == item:
            del touched[key]
        else:
            touched[key] = (touched[key][0] if key in touched else None, _decode(item))
    return touched


def _folded(
    place: Place, old: Mapping[str, bytes], change: CollectionChange
) -> tuple[dict[str, bytes], dict[str, Touched]]:
    """Return the items after a change and those that it touched; raises ChangeError where it does not fit."""
    items = dict(old)
    identity = frozenset(identity_of(place.record))
    touched: dict[str, Touched] = {}
    for key in change.removed or ():
        if key not in items:
            raise ChangeError(f"{place.path}: {key!r} is removed and was not there")
        touched[key] = (_decode(items.pop(key)), None)
    for key, patch in (change.changed or {}).items():
        if key not in items:
            raise ChangeError(f"{place.path}: {key!r} is changed and is not there")
        before = _decode(items[key])
        after = merged(before, patch)
        _check(after, place.record, place.path)
        if not identity.isdisjoint(patch) and key_of(place.record, after) != key:
            raise ChangeError(f"{place.path}: {key!r} is changed into another item")
        touched[key] = (before, after)
        items[key] = canonical_bytes(after)
    added: dict[str, bytes] = {}
    for raw in change.added or ():
        item: Tree = normal(raw)
        _check(item, place.record, place.path)
        key = key_of(place.record, item)
        if key in items or key in added:
            raise ChangeError(f"{place.path}: {key!r} is added and was there")
        touched[key] = (touched[key][0] if key in touched else None, item)
        added[key] = canonical_bytes(item)
    return _ordered(place, items, added, change), touched


def _ordered(
    place: Place, stayed: dict[str, bytes], added: dict[str, bytes], change: CollectionChange
) -> dict[str, bytes]:
    if change.order is not None:
        items = {**stayed, **added}
        if len(change.order) != len(items) or set(change.order) != items.keys():
            raise ChangeError(f"{place.path}: order does not name each item once")
        return {key: items[key] for key in change.order}
    if change.at is None:
        stayed.update(added)
        return stayed
    if len(change.at) != len(added) or not _ascends(change.at, len(stayed) + len(added)):
        raise ChangeError(f"{place.path}: at must give one index for each added item, ascending, within the new list")
    pairs = list(stayed.items())
    for index, pair in zip(change.at, added.items(), strict=True):
        pairs.insert(index, pair)
    return dict(pairs)


def _ascends(indexes: Iterable[int], end: int) -> bool:
    last = -1
    for index in indexes:
        if not last < index < end:
            return False
        last = index
    return True


def _check(tree: Tree, record: type[Record], where: str) -> None:
    try:
        msgspec.convert(tree, record)
    except msgspec.ValidationError as error:
        raise ChangeError(f"{where}: {error}") from error
