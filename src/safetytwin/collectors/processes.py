"""The processes of the machine: the hot path of a look.

Each look lists /proc and asks of every process the cheapest question there is, whether it has run since (a pread of a
kept descriptor, below a microsecond), and reads on only where it has, or where a sweep is due. A process of which
nothing changed is the same object as in the look before. docs/look-cost.md says what is promised and what it costs.
"""

import os
import time

from safetytwin.collectors.base import AbsentError, DeniedError, Look
from safetytwin.collectors.host_root import read_bytes
from safetytwin.collectors.process_facts import Malformed
from safetytwin.collectors.process_machine import Machine
from safetytwin.collectors.process_reading import (
    GONE,
    KeptFiles,
    folder_size_counts_descriptors,
    has_schedstat,
    is_full,
    link_or_none,
)
from safetytwin.collectors.process_tracking import WHOLE_LOOKS, Tracked
from safetytwin.collectors.sockets import SocketTable
from safetytwin.models.process import Process

_HINT = (
    "run as root or give CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to see every process, "
    "with its executable, folder, I/O and sockets"
)
_HINT_TO_ROOT = "the kernel guards them even from root: another user namespace or a security module"


class ProcessesCollector:
    """Looks at all processes; where sockets is False their connections are left out."""

    def __init__(self, *, sockets: bool = True) -> None:
        self._want_sockets = sockets
        self._machine: Machine | None = None
        self._table: SocketTable | None = None
        self._tracked: dict[str, Tracked] = {}
        self._number = -1
        self._gates_read_at = 0.0
        self._clock_offset = 0.0
        self._searched: dict[int, int] = {}
        """How often the owner of a socket was searched in vain, by inode."""

    def collect(self, look: Look) -> list[Process]:
        """Return the processes by pid; raises AbsentError without /proc, DeniedError where it may not be listed."""
        self._number += 1
        if self._machine is None:
            self._machine = self._begin(look)
        machine = self._machine
        names = self._list_pids(machine)
        self._follow_machine(machine, look)
        read, awake, ended = self._follow(machine, names, look)
        if ended:
            self._adopt(ended)
        if self._table is not None:
            self._connect(machine, self._table, read, awake, look)
        if machine.files.starved:
            self._give_back(machine)
        self._say_what_is_hidden(names, look)
        return [process.process for process in self._tracked.values()]

    def close(self) -> None:
        """Give back the kept descriptors and the netlink socket."""
        for process in self._tracked.values():
            process.release()
        self._tracked = {}
        if self._table is not None:
            self._table.close()

    def _begin(self, look: Look) -> Machine:
        root, live = look.root, look.root.live
        machine = Machine(root.proc, root.etc, KeptFiles.within_limit() if live else KeptFiles(0))
        machine.want_open_files = look.options.open_files
        machine.want_environment = look.options.environment
        if live:
            machine.clock_ticks = os.sysconf("SC_CLK_TCK")
            machine.page_size = os.sysconf("SC_PAGE_SIZE")
            machine.schedstat = has_schedstat(root.proc)
            machine.size_counts_descriptors = folder_size_counts_descriptors(root.proc)
            if self._want_sockets:
                machine.want_sockets = True
                machine.network_namespace = link_or_none(f"{root.proc}/self/ns/net")
                self._table = SocketTable(root.proc)
        return machine

    def _list_pids(self, machine: Machine) -> list[str]:
        try:
            return _pids_of(machine.proc)
        except OSError:  # no descriptor left to list with
            self._give_back(machine)
            return _pids_of(machine.proc)

    def _give_back(self, machine: Machine) -> None:
        """Give all kept descriptors back, for the program ran out of them, and keep half as many from now on."""
        kept = len(machine.files.kept)
        for process in self._tracked.values():
            process.release()
        machine.files.recover(kept)

    def _follow_machine(self, machine: Machine, look: Look) -> None:
        """Take note of what changed in the machine: its clock, its memory, the names of its users."""
        changed = False
        offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if look.root.live else 0.0
        if self._number == 0 or abs(offset - self._clock_offset) > 0.5:
            self._clock_offset = offset
            boot_time = _first_number(f"{machine.proc}/stat", b"btime ")
            if boot_time is not None and boot_time != machine.boot_time:
                machine.boot_time = boot_time
                changed = True
                for process in self._tracked.values():
                    process.name_creation()
        if self._number % WHOLE_LOOKS == 0:
            kilobytes = _first_number(f"{machine.proc}/meminfo", b"MemTotal:")
            if kilobytes is not None and kilobytes * 1024 != machine.memory:
                machine.memory = kilobytes * 1024
                changed = True
        if machine.users.refresh():
            changed = True
            for process in self._tracked.values():
                process.username = machine.users.name_of(process.uid)
        if changed:
            for process in self._tracked.values():
                process.rebuild()

    def _follow(self, machine: Machine, names: list[str], look: Look) -> tuple[list[Tracked], list[Tracked], set[int]]:
        """Look at every process; return those that were read, those of them that ran, and who is no parent any more."""
        number, tracked = self._number, self._tracked
        unrun_since, self._gates_read_at = self._gates_read_at, time.monotonic()
        pread = os.pread
        following: dict[str, Tracked] = {}
        read: list[Tracked] = []
        awake: list[Tracked] = []
        ended: set[int] = set()
        hidden = malformed = 0
        again: set[str] = set()
        names = names.copy()
        for name in names:
            try:
                process = tracked.get(name)
                if process is not None:
                    try:
                        file = process.gate_file
                        gate = pread(file, process.gate_size, 0) if file >= 0 else process.read_gate()
                        ran = gate != process.gate or (process.gate_is_stat and process.descriptors_moved())
                        if ran or process.due <= number:
                            was = process.stat.status
                            process.refresh(gate, number, unrun_since, ran=ran)
                            read.append(process)
                            if ran:
                                awake.append(process)
                            if process.stat.status == "zombie" and was != "zombie":
                                ended.add(process.pid)
                        following[name] = process
                        continue
                    except GONE:
                        process.release()
                        ended.add(process.pid)
                        process = None
                process = Tracked(machine, int(name), number)
                following[name] = process
                read.append(process)
            except GONE:
                look.vanished += 1
                ended.add(int(name))
            except Malformed:
                malformed += 1
            except OSError as error:
                if not is_full(error):
                    hidden += 1
                elif name not in again:
                    again.add(name)
                    names.append(name)
                    for kept in following.values():
                        kept.release()
                    self._give_back(machine)
                    if process is not None:
                        process.distrust()  # its reading broke off
                elif process is not None:
                    following[name] = process
        if again:
            following = dict(sorted(following.items(), key=lambda item: item[1].pid))
        if following.keys() != tracked.keys():
            for name in tracked.keys() - following.keys():
                tracked[name].release()
                ended.add(tracked[name].pid)
        self._tracked = following
        if hidden:
            look.notes.append(f"restricted: {hidden} processes are listed but may not be read")
            look.hint = _HINT
        if malformed:
            look.notes.append(f"{malformed} processes were left out: their stat file cannot be understood")
        return read, awake, ended

    def _adopt(self, ended: set[int]) -> None:
        """Read again whose children the children of ended processes are now."""
        for process in self._tracked.values():
            if process.stat.ppid in ended:
                try:
                    process.reread_parent()
                except OSError:
                    process.distrust()  # the next look finds it gone, or reads it then

    def _connect(
        self, machine: Machine, table: SocketTable, read: list[Tracked], awake: list[Tracked], look: Look
    ) -> None:
        """Give the processes their sockets, and search the owners of sockets that nobody has."""
        connections = table.connections
        try:
            changed = table.refresh()
            connections = table.connections
        except OSError as error:
            look.notes.append(f"connections are not known: {error.strerror or error}")
            for process in self._tracked.values():
                if process.connect(None):
                    process.rebuild()
            return
        if changed or any(times < 2 for times in self._searched.values()):
            owned: set[int] = set()
            for process in self._tracked.values():
                if process.sockets:
                    owned.update(process.sockets)
            searched = {inode: self._searched.get(inode, 0) for inode in connections.keys() - owned}
            unowned = {inode for inode, times in searched.items() if times < 2}
            if unowned:
                try:
                    read = read + self._search(unowned, awake)
                except OSError:  # no descriptor left to search with
                    machine.files.starved = True
                searched.update({inode: searched[inode] + 1 for inode in unowned})
            self._searched = searched
        for process in self._tracked.values() if changed else read:
            if process.connect(connections):
                process.rebuild()

    def _search(self, unowned: set[int], awake: list[Tracked]) -> list[Tracked]:
        """Read the descriptors of those again that may have taken a socket; return who was read but did not run.

        Candidates are those that ran, then those of several threads, of which the gate may tell too little. A process
        that took its socket after it was read has run by the next look: so each socket is searched in two looks.
        """
        others = [p for p in self._tracked.values() if p.gate_is_stat and p.sockets is not None]
        for candidates in (awake, others):
            for process in candidates:
                if process.sockets is not None:
                    process.read_descriptors()
                    unowned = unowned.difference(process.sockets or ())
            if not unowned:
                return others if candidates is others else []
        return others

    def _say_what_is_hidden(self, names: list[str], look: Look) -> None:
        denied = sum(process.denied for process in self._tracked.values())
        if denied:
            look.notes.append(f"restricted: {denied} of {len(names)} processes show only a part of themselves")
            look.hint = _HINT_TO_ROOT if os.geteuid() == 0 else _HINT
        if "1" not in names:
            hidepid = _hidepid(look.root.proc)
            if hidepid is not None:
                look.notes.append(f"restricted: /proc is mounted with {hidepid}, {len(names)} processes can be seen")
                look.hint = _HINT


def _pids_of(proc: str) -> list[str]:
    try:
        entries = os.listdir(proc)
    except PermissionError as error:
        raise DeniedError(f"{proc} may not be listed: {error.strerror}", _HINT) from error
    except OSError as error:
        if is_full(error):
            raise
        raise AbsentError(f"there is no {proc}: {error.strerror}") from error
    names = [name for name in entries if name.isdecimal()]
    if not names and not os.path.exists(f"{proc}/stat"):
        raise AbsentError(f"{proc} holds no processes: it is not mounted")
    numbers = list(map(int, names))
    ordered = sorted(numbers)
    return names if numbers == ordered else list(map(str, ordered))


def _first_number(path: str, label: bytes) -> int | None:
    """Return the number behind label in a file of /proc, None where there is none."""
    try:
        data = b"\n" + read_bytes(path)
    except OSError:
        return None
    words = data.partition(b"\n" + label)[2].split(maxsplit=1)
    return int(words[0]) if words and words[0].isdigit() else None


def _hidepid(proc: str) -> str | None:
    """Return the hidepid option that proc is mounted with, None without one."""
    try:
        mounts = read_bytes(f"{proc}/mounts").decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(mounts):
        fields = line.split(" ")
        if len(fields) > 3 and fields[2] == "proc" and fields[1] in {proc, "/proc"}:
            options = (option for option in fields[3].split(",") if option.startswith("hidepid="))
            return next((option for option in options if option not in {"hidepid=0", "hidepid=off"}), None)
    return None
