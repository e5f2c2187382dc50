"""One process through the looks: what of it is read again, and when.

Everything read is either provably unchanged (the process has not run), or read again within a promised number of looks;
docs/look-cost.md has the promises.
"""

import os
import time

from safetytwin.collectors.process_facts import Facts
from safetytwin.collectors.process_machine import Machine
from safetytwin.collectors.process_reading import read_file

RECHECK_LOOKS = 6
"""After a process ran, what it may have changed of itself unseen is read again at most this many looks later."""
LIGHT_LOOKS = 30
"""What others change in a process (nice, control group, memory reclaimed) is seen at most this many looks later."""
WHOLE_LOOKS = 180
"""Everything is read again at most this many looks after it was read."""
_NEVER = 1 << 62


class Tracked(Facts):
    """A process that is looked at again and again."""

    __slots__ = (
        "_light_at",
        "_ran_at",
        "_ran_since_read",
        "_recheck_at",
        "_whole_at",
        "due",
        "gate",
        "gate_file",
        "gate_is_stat",
        "gate_size",
    )

    def __init__(self, machine: Machine, pid: int, look: int) -> None:
        """Read all of a process for the first time; raises GONE, Malformed, or another OSError where it is hidden."""
        self._machine = machine
        self.base = f"{machine.proc}/{pid}/"
        self._hot_files = None
        self.gate_file = -1
        try:
            self._open_gate(alone=machine.schedstat)
            super().__init__(machine, pid)
        except BaseException:
            self.release()
            raise
        if self.stat.threads != 1 and not self.gate_is_stat:
            self._open_gate(alone=False)
        if self.gate_is_stat:
            self.gate = self._stat_raw
        self._ran_at = look
        self._ran_since_read = False
        self._recheck_at = _NEVER
        self._light_at = look + 1 + pid % LIGHT_LOOKS
        self._whole_at = look + 1 + pid % WHOLE_LOOKS
        self.due = look + 1

    def _open_gate(self, *, alone: bool) -> None:
        """Keep the file whose bytes tell whether the process ran: schedstat of one thread alone, else stat.

        Without a kept descriptor it is stat, whose start ticks tell a reused pid.
        """
        files = self._machine.files
        files.give_back(self.gate_file)
        self.gate_file = -1
        self.gate_is_stat = True
        self.gate_size = 4096
        self.gate = b""
        self.gate_file = files.keep(self.base + ("schedstat" if alone else "stat"))
        if self.gate_file >= 0 and alone:
            self.gate_is_stat = False
            self.gate_size = 80  # three numbers of 20 digits at most; a small buffer is the cheaper one
            self.gate = os.pread(self.gate_file, 80, 0)

    def _choose_gate(self) -> None:
        """Open the gate that fits the number of threads, or the one that there was no room for; then it is not trusted.

        What the process did before it was opened is read in the next look.
        """
        alone = self._machine.schedstat and self.stat.threads == 1
        if alone == self.gate_is_stat if self.gate_file >= 0 else self._machine.files.has_room():
            self._open_gate(alone=alone)
            self.gate = b""

    def release(self) -> None:
        """Give all kept descriptors back; the process is then told by its stat, read by path."""
        self._machine.files.give_back(self.gate_file)
        self.gate_file = -1
        self.gate_is_stat = True
        self.gate = b""
        self.cool_down()

    def read_gate(self) -> bytes:
        """Return the gate's bytes now; raises GONE where the process ended."""
        if self.gate_file >= 0:
            return os.pread(self.gate_file, self.gate_size, 0)
        return read_file(self.base + "stat")

    def descriptors_moved(self) -> bool:
        """Tell whether the number of descriptors changed, where asking is cheap."""
        if not self._machine.size_counts_descriptors or self.stat.kernel_thread:
            return False
        try:
            return os.stat(self.base + "fd").st_size != self.num_fds
        except OSError:
            return False

    def refresh(self, gate: bytes, look: int, unrun_since: float, *, ran: bool) -> None:
        """Read what may have changed, given what the gate says now; raises GONE where the process ended.

        unrun_since (monotonic seconds) is when the gates were read in the look before: a process whose gate was shut
        then had not run until then.
        """
        whole = look >= self._whole_at
        light = whole or look >= self._light_at
        if ran:
            if self._ran_at == look - 1 and self._hot_files is None:
                self.warm_up()
            self._ran_at = look
            self._ran_since_read = True
            if self._recheck_at == _NEVER:
                self._recheck_at = look + RECHECK_LOOKS - (look - self.pid) % RECHECK_LOOKS  # spread over the looks
        recheck = whole or look >= self._recheck_at or (light and self.gate_is_stat)
        now = time.monotonic()
        if ran or light:
            raw = gate if self.gate_is_stat else self._read_hot(0, "stat")
            replaced = self.take_stat(raw)
            self.gate = gate
            self._choose_gate()
            if replaced:
                whole = light = recheck = True
        self.measure_cpu(now, unrun_since)
        if whole:
            self.read_all()
            self._ran_since_read = False
        elif ran or light or recheck:
            descriptors = light and (self.gate_is_stat or self._ran_since_read)
            self.read_moving(ran=ran, recheck=recheck, light=light, descriptors=descriptors)
            if descriptors:
                self._ran_since_read = False  # what it did after its gate was read is told by the next gate
        if recheck:
            self._recheck_at = _NEVER
        if light:
            self._light_at = look + LIGHT_LOOKS
            if self._hot_files is not None and self._ran_at < look - LIGHT_LOOKS:
                self.cool_down()
        if whole:
            self._whole_at = look + WHOLE_LOOKS
        settled = self.cpu_percent == 0.0
        self.due = min(self._light_at, self._whole_at, self._recheck_at) if settled else look + 1
        self.rebuild()

    def distrust(self) -> None:
        """Have everything read again in the next look."""
        self._whole_at = self.due = 0

    def reread_parent(self) -> None:
        """Read whose child the process is now; raises GONE where it ended."""
        if self.take_stat(read_file(self.base + "stat")):
            self.distrust()  # another program by now
        self.rebuild()
