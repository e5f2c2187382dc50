"""A simulated machine: looks that follow each other as a real one's do, the same for the same seed."""

import random
from collections.abc import Iterator

import msgspec

from safetytwin.models.hardware import Cpu, CpuCore, Disk, Gpu, Hardware, Interface, Memory, OperatingSystem
from safetytwin.models.process import MemoryInfo, Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import Agent, CollectorStatus, SystemState
from safetytwin.models.timestamps import timestamp

_COMMANDS = (
    "nginx sshd postgres python3 java node containerd-shim bash systemd-journald redis-server kworker/u8:1-events "
    "dockerd gnome-shell ollama prometheus cron rsyslogd chronyd"
).split()
_BUSY_SHARE = 0.06
"""Share of a server's processes that use CPU within ten seconds; the others sleep."""
_LIFE_LOOKS = 30
"""Looks between two short-lived processes."""


class Machine:
    """Yields looks; objects of what did not change are shared between them."""

    def __init__(
        self, host_id: str, *, seed: int = 0, processes: int = 300, start: float = 1.8e9, interval: float = 10.0
    ) -> None:
        self._random = random.Random(f"{seed}/{host_id}")  # noqa: S311 - a simulation
        self._host_id = host_id
        self._interval = interval
        self._now = start
        self._seq = -1
        self._next_pid = 1
        self._processes = [self._process() for _ in range(processes)]
        self._busy = self._random.sample(range(processes), max(1, int(processes * _BUSY_SHARE)))
        self._services = [
            Service(
                type="systemd", id=f"unit-{n}.service", name=f"unit-{n}.service", status="active", sub_status="running",
                load_state="loaded", unit_file_state="enabled", description=f"Service number {n}", pid=n + 1,
                cpu_seconds=float(n), memory=4096 * n, tasks=1 + n % 7,
            )
            for n in range(max(1, processes // 4))
        ]  # fmt: skip
        self._hardware = self._first_hardware()

    @property
    def now(self) -> float:
        """The moment of the last look, in seconds since 1970."""
        return self._now

    def looks(self) -> Iterator[SystemState]:
        """Yield one look after another, for ever."""
        while True:
            yield self.look()

    def look(self) -> SystemState:
        """Return the next look."""
        self._seq += 1
        self._now += self._interval if self._seq else 0.0
        self._move()
        return SystemState(
            schema=1,
            host_id=self._host_id,
            seq=self._seq,
            timestamp=timestamp(self._now) or "",
            hardware=self._hardware,
            services=list(self._services),
            processes=list(self._processes),
            agent=Agent(
                version="0.1.0",
                backend="proc",
                interval=self._interval,
                collectors={
                    name: CollectorStatus(status="ok", duration=round(self._random.uniform(0.001, 0.009), 4))
                    for name in ("cpu", "memory", "disks", "network", "processes", "systemd")
                },
                cpu_percent=round(self._random.uniform(0.1, 0.4), 2),
                rss=26_000_000 + 4096 * self._random.randrange(20),
            ),
            boot_id="6a1f0f2e-2f0c-4a57-9a3b-6f3f5a0b7c11",
        )

    def _move(self) -> None:
        rng = self._random
        for index in self._busy:
            one = self._processes[index]
            memory = one.memory_info or MemoryInfo(rss=0)
            self._processes[index] = msgspec.structs.replace(
                one,
                cpu_percent=round(rng.expovariate(0.4), 1),
                cpu_seconds=round((one.cpu_seconds or 0.0) + rng.expovariate(4), 2),
                memory_info=msgspec.structs.replace(
                    memory, rss=((memory.rss or 0) + 4096 * rng.randrange(-8, 9)) % (1 << 33)
                ),
            )
        for index in range(0, len(self._services), 6):
            unit = self._services[index]
            self._services[index] = msgspec.structs.replace(
                unit,
                cpu_seconds=round((unit.cpu_seconds or 0.0) + rng.expovariate(5), 2),
                memory=(unit.memory or 0) + 4096 * rng.randrange(8),
            )
        if self._seq % _LIFE_LOOKS == 0:
            self._processes.append(self._process())
        elif self._seq % _LIFE_LOOKS == _LIFE_LOOKS // 2 and self._seq > _LIFE_LOOKS // 2:
            self._processes.pop()
        self._hardware = self._next_hardware()

    def _process(self) -> Process:
        rng, pid = self._random, self._next_pid
        self._next_pid += rng.randrange(1, 40)
        name = rng.choice(_COMMANDS)
        return Process(
            pid=pid,
            start_ticks=pid * 97,
            ppid=1,
            name=name,
            exe=f"/usr/bin/{name}",
            cmdline=[f"/usr/bin/{name}", "--config", f"/etc/{name}/{pid}.conf"],
            username=rng.choice(("root", "www-data", "postgres", "alice")),
            status="sleeping",
            create_time=timestamp(self._now),
            cpu_percent=0.0,
            cpu_seconds=round(rng.uniform(0, 500), 2),
            memory_percent=round(rng.uniform(0, 2), 2),
            memory_info=MemoryInfo(rss=4096 * rng.randrange(100, 90_000), vms=4096 * rng.randrange(90_000, 900_000)),
            num_threads=rng.randrange(1, 30),
            num_fds=rng.randrange(4, 90),
            cgroup=f"/system.slice/unit-{pid % 70}.service",
            service=f"systemd/unit-{pid % 70}.service",
        )

    def _first_hardware(self) -> Hardware:
        return Hardware(
            hostname=self._host_id,
            platform="Linux",
            kernel_version="6.1.0-18-amd64",
            os=OperatingSystem(id="debian", name="Debian GNU/Linux 12 (bookworm)", version="12"),
            uptime=1000.0,
            cpu=Cpu(model="Simulated CPU", cores_logical=8, cores=[CpuCore(id=n) for n in range(8)]),
            memory=Memory(total=32 << 30, used=9 << 30),
            disks=[
                Disk(mountpoint="/", device="/dev/sda1", fstype="ext4", kind="local", total=100 << 30, used=40 << 30),
                Disk(
                    mountpoint="/data", device="/dev/sdb1", fstype="xfs", kind="local", total=900 << 30, used=500 << 30
                ),
            ],
            network=[
                Interface(name=name, kind=kind, rx_bytes=0, tx_bytes=0)
                for name, kind in (("lo", "loopback"), ("eth0", "ethernet"))
            ],
            gpu={"nvidia": [Gpu(uuid="GPU-5f8a9c2e", vendor="nvidia", name="NVIDIA L4", memory_total=24 << 30)]},
        )

    def _next_hardware(self) -> Hardware:
        rng, old = self._random, self._hardware
        usage = [round(min(100.0, rng.expovariate(0.08)), 1) for _ in range(8)]
        used = (9 << 30) + 4096 * rng.randrange(40_000)
        return msgspec.structs.replace(
            old,
            uptime=1000.0 + self._seq * self._interval,
            cpu=msgspec.structs.replace(
                old.cpu or Cpu(),
                usage_percent=round(sum(usage) / 8, 1),
                cores=[CpuCore(id=n, usage_percent=one) for n, one in enumerate(usage)],
                load_average=[round(rng.uniform(0.2, 2), 2), 0.8, 0.7],
            ),
            memory=msgspec.structs.replace(
                old.memory or Memory(),
                used=used,
                available=(32 << 30) - used,
                usage_percent=round(used / (32 << 30) * 100, 1),
            ),
            disks=[
                msgspec.structs.replace(
                    disk,
                    used=(disk.used or 0) + 4096 * rng.randrange(30),
                    usage_percent=round((disk.used or 0) / (disk.total or 1) * 100, 1),
                )
                for disk in old.disks or ()
            ],
            network=[
                msgspec.structs.replace(
                    one,
                    rx_bytes=(one.rx_bytes or 0) + rng.randrange(900_000),
                    tx_bytes=(one.tx_bytes or 0) + rng.randrange(300_000),
                    rx_bytes_per_second=round(rng.uniform(0, 90_000), 1),
                    tx_bytes_per_second=round(rng.uniform(0, 30_000), 1),
                )
                for one in old.network or ()
            ],
            gpu={
                "nvidia": [
                    msgspec.structs.replace(
                        gpu,
                        utilization_percent=float(rng.randrange(100)),
                        memory_used=(6 << 30) + 1048576 * rng.randrange(900),
                        temperature_celsius=float(rng.randrange(40, 70)),
                        power_watts=round(rng.uniform(20, 70), 1),
                    )
                    for gpu in (old.gpu or {}).get("nvidia", [])
                ]
            },
        )
