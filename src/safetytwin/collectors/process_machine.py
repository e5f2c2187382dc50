"""What reading a process needs to know of the machine."""

import os

from safetytwin.collectors.host_root import text_of
from safetytwin.collectors.ownership import cgroup_path, owner_of
from safetytwin.collectors.process_reading import KeptFiles
from safetytwin.collectors.users import Users


class Machine:
    """What reading a process needs to know of the machine."""

    def __init__(self, proc: str, etc: str, files: KeptFiles) -> None:
        self.proc = proc
        self.files = files
        self.own_pid = os.getpid()
        self.users = Users(etc)
        self.clock_ticks = 100
        self.page_size = 4096
        self.most_cpu_percent = 100.0 * (os.cpu_count() or 1)
        """Between two looks that are few ticks apart, a tick too many would say more."""
        self.memory: int | None = None
        """Bytes of memory."""
        self.boot_time: float | None = None
        """When the machine started, in seconds since 1970."""
        self.schedstat = False
        self.size_counts_descriptors = False
        self.network_namespace: str | None = None
        self.want_sockets = False
        self.want_open_files = False
        self.want_environment = False
        self._owners: dict[bytes, tuple[bytes, str | None, str | None]] = {}

    def owner(self, cgroup: bytes) -> tuple[bytes, str | None, str | None]:
        """Return (the bytes of a cgroup file, control group path, key of the owning unit or container).

        For equal bytes these are the same objects, so that the processes of a group share them.
        """
        known = self._owners.get(cgroup)
        if known is None:
            if len(self._owners) > 4096:
                self._owners.clear()
            text = text_of(cgroup)
            owner = owner_of(text)
            known = self._owners[cgroup] = (cgroup, cgroup_path(text), owner.key if owner is not None else None)
        return known
