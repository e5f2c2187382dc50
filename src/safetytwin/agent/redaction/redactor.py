"""Redacts whole states, and does not look again at what is the same object as in the look before."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from safetytwin.agent.redaction.argv import redact_argv
from safetytwin.agent.redaction.environment import redact_environment
from safetytwin.agent.redaction.text import redact_text, redact_value
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState

_T = TypeVar("_T", bound=msgspec.Struct)

_ARGV_FIELDS = frozenset({"cmdline", "command", "argv", "exec_start"})
_ENVIRONMENT_FIELDS = frozenset({"environment"})
_PLAIN_FIELDS: Mapping[type, frozenset[str]] = {
    # What the kernel and the engines choose among their own words can hold no secret: not scanned, for speed.
    Process: frozenset({"username", "status", "create_time", "connections", "memory_info", "io_counters", "gpu"}),
    Service: frozenset(
        {"type", "status", "sub_status", "load_state", "unit_file_state", "created", "start_time", "limits"}
    ),
}


class Redactor:
    """Redacts states one after the other.

    What holds no secret is passed on as the same object, and what is the same object as in the state before is not
    scanned again: a look in which little moved costs little here, and the diff that follows sees what did not change.
    """

    def __init__(self, allowed_environment: Sequence[str] = ()) -> None:
        self._allowed = tuple(allowed_environment)
        self._processes: dict[tuple[int, int], tuple[Process, Process]] = {}
        self._services: dict[tuple[str, str], tuple[Service, Service]] = {}

    def redact(self, state: SystemState) -> SystemState:
        """Return the state without secrets."""
        processes = [self._again(one, self._processes.get((one.pid, one.start_ticks))) for one in state.processes]
        services = [self._again(one, self._services.get((one.type, one.id))) for one in state.services]
        self._processes = {
            (raw.pid, raw.start_ticks): (raw, shown) for raw, shown in zip(state.processes, processes, strict=True)
        }
        self._services = {(raw.type, raw.id): (raw, shown) for raw, shown in zip(state.services, services, strict=True)}
        rest = msgspec.structs.replace(state, processes=[], services=[])
        shown_rest = cast("SystemState", self._value("", rest))
        return msgspec.structs.replace(shown_rest, processes=processes, services=services)

    def _again(self, item: _T, before: tuple[_T, _T] | None) -> _T:
        """Redact an item, reusing what was found for its fields that are still the same objects."""
        if before is not None and item is before[0]:
            return before[1]
        plain = _PLAIN_FIELDS[type(item)]
        changed: dict[str, Any] = {}
        for name in item.__struct_fields__:
            value = getattr(item, name)
            if value is None or name in plain or isinstance(value, int | float):
                continue
            if before is not None and value is getattr(before[0], name):
                shown = getattr(before[1], name)
            else:
                shown = self._value(name, value)
            if shown is not value:
                changed[name] = shown
        return msgspec.structs.replace(item, **changed) if changed else item

    def _value(self, name: str, value: Any) -> Any:
        """Return value as it may be shown under its field's or key's name; the same object where nothing was secret."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return _same(redact_text(value), value)
        if isinstance(value, msgspec.Struct):
            changed = {}
            for field in value.__struct_fields__:
                inner = getattr(value, field)
                shown = self._value(field, inner)
                if shown is not inner:
                    changed[field] = shown
            return msgspec.structs.replace(value, **changed) if changed else value
        if isinstance(value, dict):
            if name in _ENVIRONMENT_FIELDS:
                return _same(redact_environment(value, self._allowed), value)
            return _same({key: self._named(key, inner) for key, inner in value.items()}, value)
        if isinstance(value, list | tuple):
            if name in _ARGV_FIELDS and all(isinstance(argument, str) for argument in value):
                return _same(redact_argv(value), value)
            return _same([self._value(name, inner) for inner in value], value)
        return value

    def _named(self, key: Any, value: Any) -> Any:
        if isinstance(key, str) and isinstance(value, str):
            return redact_value(key, value)
        return self._value(str(key), value)


def _same(shown: Any, value: Any) -> Any:
    return value if shown == value else shown
