"""The keyed collections of a state, and the keys of their items; both follow from the models.

A collection is a field that lists records with identity fields. An item's key is the text of those fields joined by
"/", such as 812/33401 or systemd/ssh.service; within all but the last, "~" is written ~0 and "/" ~1 as in a JSON
Pointer (RFC 6901), so that no two items share a key by accident.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from safetytwin.changes.schema import fields_of, identity_of
from safetytwin.models.fields import Record
from safetytwin.models.system_state import SystemState


@dataclass(frozen=True, slots=True)
class Collection:
    """One keyed collection, or a family of them."""

    steps: tuple[str, ...]
    """The fields that lead to it."""
    record: type[Record]
    named: bool
    """A map of lists (GPUs by vendor): one collection for each name, the name being the last step of its path."""

    @property
    def path(self) -> str:
        """The steps joined by dots, such as hardware.cpu.cores."""
        return ".".join(self.steps)


@dataclass(frozen=True, slots=True)
class Place:
    """One collection of one state."""

    path: str
    steps: tuple[str, ...]
    record: type[Record]


@functools.cache
def collections() -> tuple[Collection, ...]:
    """Return all keyed collections that a state may have."""
    return tuple(_collections(SystemState, ()))


def _collections(record: type[Record], steps: tuple[str, ...]) -> Iterator[Collection]:
    for name, field in fields_of(record).items():
        here = (*steps, name)
        if field.record is None:
            continue
        if field.shape == "record":
            yield from _collections(field.record, here)
        elif field.shape in {"list", "map of lists"} and identity_of(field.record):
            yield Collection(here, field.record, field.shape == "map of lists")


@functools.cache
def _by_path() -> Mapping[str, Place]:
    return {c.path: Place(c.path, c.steps, c.record) for c in collections() if not c.named}


def place_of(path: str) -> Place | None:
    """Return the place that a path such as hardware.gpu.nvidia names, or None where it names none."""
    place = _by_path().get(path)
    if place is not None:
        return place
    for collection in collections():
        prefix = collection.path + "."
        if collection.named and path.startswith(prefix):
            return Place(path, (*collection.steps, path.removeprefix(prefix)), collection.record)
    return None


def places(state: SystemState | Mapping[str, Any]) -> Iterator[tuple[Place, list[Any]]]:
    """Yield each keyed collection that a state, a record or plain JSON, has, with its items."""
    for collection in collections():
        found = _at(state, collection.steps)
        if found is None:
            continue
        if not collection.named:
            yield _by_path()[collection.path], found
            continue
        for name, items in found.items():
            yield Place(f"{collection.path}.{name}", (*collection.steps, name), collection.record), items


def _at(state: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        state = state.get(step) if isinstance(state, Mapping) else getattr(state, step)
        if state is None:
            return None
    return state


def key_of(record: type[Record], item: Record | Mapping[str, Any]) -> str:
    """Return the key of an item of a collection of record, given as a record or as plain JSON."""
    names = identity_of(record)
    if isinstance(item, Record):
        return key_text([getattr(item, name) for name in names])
    return key_text([item[name] for name in names])


def key_text(identity: Sequence[Any]) -> str:
    """Return the key for the values of the identity fields, in their order."""
    *before, last = map(str, identity)
    return "/".join([*map(_escaped, before), last])


def _escaped(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


def are_keys_unique(record: type[Record], items: Sequence[Record]) -> bool:
    """Say whether no two items share a key; cheap where one identity field alone tells them apart."""
    names = identity_of(record)
    getters: list[Callable[[Any], Any]] = [attrgetter(name) for name in names]
    if len(names) > 1:
        getters.append(attrgetter(*names))
    return any(len(set(map(getter, items))) == len(items) for getter in getters)
