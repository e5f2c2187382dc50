"""The units of one systemd manager from look to look: what may have changed is asked again, the rest is kept."""

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from safetytwin.collectors.base import Look
from safetytwin.collectors.cgroups import CgroupReader
from safetytwin.collectors.dbus_connection import DBusError
from safetytwin.collectors.host_root import list_dir
from safetytwin.collectors.systemd_gauges import UnitGauges
from safetytwin.collectors.systemd_manager import BATCH, SystemdManager, unit_path
from safetytwin.collectors.systemd_units import (
    Scope,
    UnitFacts,
    UnitRow,
    facts_of_file,
    facts_of_properties,
    facts_of_row,
    is_installed,
    is_of_this_host,
)
from safetytwin.models.service import Service

READ_BUDGET = 1.5
"""Seconds of a look that reading units' properties may take; thousands of new ones are spread over the looks."""
ANSWER_TIMEOUT = 3.0
"""Seconds to wait for an answer; a manager that is reloading answers when it has done so."""
FILES_EVERY = 360
"""Looks after which the unit files are listed again, though nobody said that they changed."""
GAUGES_EVERY = 30
"""Looks after which a unit's memory and tasks are read again, though it has had no CPU."""
UNCOUNTED_EVERY = 6
"""Looks after which they are read again where its CPU isn't counted (cgroup v1 without CPUAccounting=)."""


@dataclass(slots=True)
class _Unit:
    """One unit: how it is listed, what its properties said, and its gauges."""

    listed: UnitRow | tuple[str, str]
    """Its row of the list of units or, where it isn't loaded, path and state of its file."""
    facts: UnitFacts
    path: str
    gauges: UnitGauges = field(default_factory=UnitGauges)
    gone_pid: int | None = None
    """A main process that isn't seen though systemd says it lives: it is in a PID namespace that isn't ours."""


class ManagerView:
    """Looks at one manager again and again, on a connection that is made anew when it was lost.

    socket is that of the system bus or, for a user's manager, the manager's own.
    """

    def __init__(self, socket: str, scope: Scope, cgroups: CgroupReader) -> None:
        self.socket = socket
        self.calls = 0
        """D-Bus calls of the last look."""
        self._scope = scope
        self._cgroups = cgroups
        self._manager: SystemdManager | None = None
        self._units: dict[str, _Unit] = {}
        self._rows: list[UnitRow] = []
        self._files: dict[str, tuple[str, str]] = {}
        self._files_look: int | None = None
        self._unread: dict[str, None] = {}
        self._sweep: list[str] = []
        self._services: list[Service] = []
        self._connected_once = False

    def services(self, look: Look) -> list[Service]:
        """Return the units; where the bus was lost and isn't back yet, those of the look before, and look.stale is set.

        Raises what SystemdManager does where the bus has never answered.
        """
        try:
            self._ask(look)
        except (OSError, DBusError, ValueError) as error:
            self._disconnect()
            if not self._connected_once:
                raise
            look.stale = True
            look.notes.append(f"{self.socket} does not answer ({error}); its units are shown as they were last seen")
            return self._services
        self._services = self._measured(look)
        return self._services

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()

    def _disconnect(self) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _ask(self, look: Look) -> None:
        if self._manager is None:
            self._connect(look)
            return
        try:
            self._update(self._manager, look)
        except (ConnectionError, DBusError):
            self._disconnect()
            self._connect(look)
            look.notes.append(f"the connection to {self.socket} was lost and made anew")

    def _connect(self, look: Look) -> None:
        self._manager = SystemdManager(self.socket, ANSWER_TIMEOUT, is_peer=self._scope.uid is not None)
        self._files_look = None
        self._unread = dict.fromkeys(self._units)
        self._update(self._manager, look)
        self._connected_once = True

    def _update(self, manager: SystemdManager, look: Look) -> None:
        deadline = time.monotonic() + READ_BUDGET
        calls = manager.calls
        rows = manager.units(ANSWER_TIMEOUT)
        news = manager.news()
        if rows is not None:
            self._rows = [row for row in rows if is_of_this_host(row.load_state, row.active_state)]
        has_new_files = news.files_changed or news.reloaded or self._files_are_old(look.number)
        if has_new_files:
            files = manager.unit_files(ANSWER_TIMEOUT)
            self._files = {os.path.basename(path): (path, state) for path, state in files if is_installed(path, state)}
            self._files_look = look.number
        if rows is not None or has_new_files:
            self._list_units()
        self._unread |= dict.fromkeys(self._units if news.reloaded else (u for u in news.units if u in self._units))
        self._unread |= dict.fromkeys(self._without_main_process(look.root.proc))
        if not self._unread:
            self._unread |= dict.fromkeys(self._next_of_sweep())
        self._read_properties(manager, look, deadline)
        self.calls = manager.calls - calls

    def _files_are_old(self, look_number: int) -> bool:
        return self._files_look is None or look_number - self._files_look >= FILES_EVERY

    def _list_units(self) -> None:
        """Bring the units in line with the lists; those that are new or listed otherwise are to be read."""
        listed: dict[str, UnitRow | tuple[str, str]] = {**self._files, **{row.name: row for row in self._rows}}
        units: dict[str, _Unit] = {}
        for name in sorted(listed):
            entry = listed[name]
            unit = self._units.get(name)
            if unit is None:
                unit = self._new_unit(name, entry)
                self._unread[name] = None
            elif unit.listed != entry:
                unit.listed = entry
                self._unread[name] = None
            units[name] = unit
        self._units = units
        self._unread = {name: None for name in self._unread if name in units}

    def _new_unit(self, name: str, entry: UnitRow | tuple[str, str]) -> _Unit:
        if isinstance(entry, UnitRow):
            return _Unit(entry, facts_of_row(self._scope, entry), entry.path)
        return _Unit(entry, facts_of_file(self._scope, name, *entry), unit_path(name))

    def _without_main_process(self, proc: str) -> Iterable[str]:
        """Return units whose main process is gone: they may have been restarted between two looks."""
        present = set(list_dir(proc))
        if "1" not in present:
            return []  # no /proc, or one that hides other users' processes
        gone = []
        for name, unit in self._units.items():
            pid = unit.facts.service.pid
            if pid is not None and pid != unit.gone_pid and str(pid) not in present:
                unit.gone_pid = pid
                gone.append(name)
        return gone

    def _next_of_sweep(self) -> Iterable[str]:
        """Return one running unit, another each time: limits that are set at run time change without a sign."""
        if not self._sweep:
            self._sweep = [name for name, unit in self._units.items() if unit.facts.service.cgroup is not None]
        while self._sweep:
            name = self._sweep.pop()
            if name in self._units:
                return [name]
        return []

    def _read_properties(self, manager: SystemdManager, look: Look, deadline: float) -> None:
        while self._unread and time.monotonic() < deadline:
            names = list(itertools.islice(self._unread, BATCH))
            answers = manager.properties([self._units[name].path for name in names], ANSWER_TIMEOUT)
            for name, properties in zip(names, answers, strict=True):
                del self._unread[name]
                if properties is None:
                    look.vanished += 1
                    continue
                unit = self._units[name]
                facts = facts_of_properties(self._scope, name, properties)
                if facts != unit.facts:
                    unit.facts = facts
        if self._unread:
            look.notes.append(f"{len(self._unread)} units are new or changed and will be read in the next looks")

    def _measured(self, look: Look) -> list[Service]:
        total = getattr(look.found.get("memory"), "total", None)
        return [
            unit.gauges.measured(
                unit.facts,
                self._cgroups.usage,
                look.monotonic,
                total,
                thoroughly=(look.number + index) % (GAUGES_EVERY if unit.gauges.counts_cpu else UNCOUNTED_EVERY) == 0,
            )
            for index, unit in enumerate(self._units.values())
        ]
