"""Redacts whole states, and does not look again at what is the same object as in the look before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, TypeVar, cast

import msgspec

from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.software import Package
from safetytwin.models.system_state import SystemState
from safetytwin.redaction.argv import redact_argv
from safetytwin.redaction.environment import redact_environment
from safetytwin.redaction.text import redact_text, redact_value
from safetytwin.redaction.unit_file import redact_unit_file

_ARGV_FIELDS = frozenset({"cmdline", "command", "argv", "exec_start"})
_ENVIRONMENT_FIELDS = frozenset({"environment"})
_UNIT_FILE_FIELDS = frozenset({"content"})
# Of packages, what their distribution publishes: libsecret-token:amd64 hides nothing.
_PLAIN_TYPES: frozenset[type] = frozenset({type(None), bool, int, float, Package})
_PLAIN_FIELDS: Mapping[type[msgspec.Struct], frozenset[str]] = {
    # What the kernel and the engines choose among their own words can hold no secret: not scanned, for speed.
    Process: frozenset(
        {
            *("pid", "start_ticks", "ppid", "exe_deleted", "username", "uid", "status", "create_time", "nice"),
            *("kernel_thread", "cpu_percent", "cpu_seconds", "memory_percent", "memory_info", "num_threads", "num_fds"),
            *("io_counters", "connections", "gpu", "is_llm_related"),
        }
    ),
    Service: frozenset(
        {"type", "status", "sub_status", "load_state", "unit_file_state", "created", "start_time", "limits"}
    ),
}
_SCANNED: Mapping[type, tuple[str, ...]] = {
    record: tuple(name for name in record.__struct_fields__ if name not in plain)
    for record, plain in _PLAIN_FIELDS.items()
}
_KEYS: Mapping[type, Callable[[Any], Any]] = {
    Process: attrgetter("pid", "start_ticks"),
    Service: attrgetter("type", "id"),
}

_Pair = tuple[Any, Any]
"""What stood somewhere in the state before, and how it was shown."""

Part = TypeVar("Part", bound=msgspec.Struct)


class Redactor:
    """Redacts states one after the other.

    What holds no secret is passed on as the same object, and what equals what stood there in the state before is not
    scanned again: a look in which little moved costs little here, and the diff that follows sees what did not change.
    """

    def __init__(self, allowed_environment: Sequence[str] = ()) -> None:
        self._allowed = tuple(allowed_environment)
        self._known: dict[type, dict[Any, _Pair]] = {Process: {}, Service: {}}
        self._rest: _Pair | None = None

    def redact(self, state: SystemState) -> SystemState:
        """Return the state without secrets."""
        processes = self._items(Process, state.processes)
        services = self._items(Service, state.services)
        rest = msgspec.structs.replace(state, processes=[], services=[])
        shown: SystemState = self._value("", rest, self._rest)
        self._rest = (rest, shown)
        return msgspec.structs.replace(shown, processes=processes, services=services)

    def redact_part(self, part: Part) -> Part:
        """Return any other record (a part of a state, an explanation) without secrets."""
        return cast("Part", self._value("", part))

    def _items(self, record: type, items: Sequence[Any]) -> list[Any]:
        known, key_of = self._known[record], _KEYS[record]
        shown = []
        for item in items:
            key = key_of(item)
            pair = known.get(key)
            if pair is None or pair[0] is not item:
                pair = known[key] = (item, self._item(item, pair))
            shown.append(pair[1])
        if len(known) > len(items):
            self._known[record] = {key: known[key] for key in map(key_of, items)}
        return shown

    def _item(self, item: Any, before: _Pair | None) -> Any:
        changed: dict[str, Any] = {}
        for name in _SCANNED[type(item)]:
            value = getattr(item, name)
            if value.__class__ in _PLAIN_TYPES:
                continue
            pair = None if before is None else (getattr(before[0], name), getattr(before[1], name))
            shown = self._value(name, value, pair)
            if shown is not value:
                changed[name] = shown
        return msgspec.structs.replace(item, **changed) if changed else item

    def _value(self, name: str, value: Any, before: _Pair | None = None) -> Any:
        """Return value as it may be shown under its field's or key's name; the same object where nothing was secret."""
        if value.__class__ in _PLAIN_TYPES:
            return value
        if before is not None and value.__class__ is before[0].__class__ and value == before[0]:
            return value if before[1] is before[0] else before[1]
        if isinstance(value, str):
            return _same(redact_unit_file(value) if name in _UNIT_FILE_FIELDS else redact_text(value), value)
        if isinstance(value, msgspec.Struct):
            return self._struct(value, before)
        if isinstance(value, dict):
            if name in _ENVIRONMENT_FIELDS:
                return _same(redact_environment(value, self._allowed), value)
            if before is None or before[0].__class__ is not dict:
                return _same({key: self._named(key, inner) for key, inner in value.items()}, value)
            was, shown = before
            return _same(
                {
                    key: self._named(key, inner, (was[key], shown[key]) if key in was else None)
                    for key, inner in value.items()
                },
                value,
            )
        if isinstance(value, list | tuple):
            if name in _ARGV_FIELDS and all(isinstance(argument, str) for argument in value):
                return _same(redact_argv(value), value)
            pairs: Iterable[_Pair | None] = repeat(None)
            if before is not None and before[0].__class__ is list and len(before[0]) == len(before[1]) == len(value):
                pairs = zip(*before, strict=True)
            return _same([self._value(name, inner, pair) for inner, pair in zip(value, pairs, strict=False)], value)
        return value

    def _struct(self, value: msgspec.Struct, before: _Pair | None) -> msgspec.Struct:
        changed = {}
        comparable = before is not None and before[0].__class__ is value.__class__
        for field in value.__struct_fields__:
            inner = getattr(value, field)
            if inner.__class__ in _PLAIN_TYPES:
                continue
            pair = (getattr(before[0], field), getattr(before[1], field)) if before is not None and comparable else None
            shown = self._value(field, inner, pair)
            if shown is not inner:
                changed[field] = shown
        return msgspec.structs.replace(value, **changed) if changed else value

    def _named(self, key: Any, value: Any, before: _Pair | None = None) -> Any:
        if isinstance(key, str) and isinstance(value, str):
            return redact_value(key, value)
        return self._value(str(key), value, before)


def _same(shown: Any, value: Any) -> Any:
    return value if shown == value else shown
