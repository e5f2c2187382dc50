"""One process."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any

from safetytwin.models.fields import Count, Number, Record, gauge_field, identity_field, state_field


class MemoryInfo(Record, frozen=True):
    """Memory of a process (proc_pid_statm(5), proc_pid_status(5))."""

    rss: A[Count | None, gauge_field("Resident set.", unit="By", otel="process.memory.usage")] = None
    vms: A[Count | None, gauge_field("Virtual size.", unit="By", otel="process.memory.virtual")] = None
    shared: A[Count | None, gauge_field("Resident pages backed by files or shared memory.", unit="By")] = None
    text: A[Count | None, gauge_field("Code.", unit="By")] = None
    data: A[Count | None, gauge_field("Data and stack.", unit="By")] = None
    swap: A[Count | None, gauge_field("Swapped out; null where it was not read.", unit="By")] = None


class IoCounters(Record, frozen=True):
    """I/O of a process since it started (proc_pid_io(5)); needs the same user or CAP_SYS_PTRACE."""

    read_count: A[Count | None, gauge_field("read calls.", unit="1")] = None
    write_count: A[Count | None, gauge_field("write calls.", unit="1")] = None
    read_bytes: A[Count | None, gauge_field("Read from storage.", unit="By", otel="process.disk.io")] = None
    write_bytes: A[Count | None, gauge_field("Written to storage.", unit="By", otel="process.disk.io")] = None
    read_chars: A[Count | None, gauge_field("Read through calls, page cache included.", unit="By")] = None
    write_chars: A[Count | None, gauge_field("Written through calls.", unit="By")] = None


class OpenFile(Record, frozen=True):
    """One open file descriptor that is a path."""

    fd: A[Count, state_field("Descriptor.")]
    path: A[str, state_field("What it points to.")]


class Connection(Record, frozen=True):
    """One socket of a process in the agent's network namespace."""

    family: A[str, state_field("ipv4, ipv6 or unix.", otel="network.type")]
    type: A[str, state_field("tcp or udp.", otel="network.transport")]
    local_address: A[str | None, state_field("Local address.", otel="network.local.address")] = None
    local_port: A[Count | None, state_field("Local port.", otel="network.local.port")] = None
    remote_address: A[str | None, state_field("Peer's address.", otel="network.peer.address")] = None
    remote_port: A[Count | None, state_field("Peer's port.", otel="network.peer.port")] = None
    status: A[str | None, state_field("TCP state: LISTEN, ESTABLISHED, …", otel="network.connection.state")] = None


class ProcessGpu(Record, frozen=True):
    """What a process holds of one GPU."""

    uuid: A[str, state_field("The GPU.", otel="hw.id")]
    memory: A[Count | None, gauge_field("GPU memory.", unit="By")] = None
    sm_percent: A[Number | None, gauge_field("Share of the compute engines.", unit="%")] = None


class Process(Record, frozen=True):
    """One process; within a boot, pid and start_ticks together are never used twice."""

    pid: A[Count, identity_field("Process id.", otel="process.pid")]
    start_ticks: A[Count, identity_field("Start, in clock ticks after boot (field 22 of proc_pid_stat(5)).")]
    name: A[str, state_field("Name that the kernel keeps (comm, 15 characters at most).", otel="process.executable.name")]
    ppid: A[Count | None, state_field("Parent.", otel="process.parent_pid")] = None
    exe: A[str | None, state_field("Path of the executable; null for kernel threads and where it may not be read.", otel="process.executable.path")] = None
    exe_deleted: A[bool | None, state_field("True where the executable was replaced or removed since the start.")] = None
    cmdline: A[list[str] | None, state_field("Arguments, exact, secrets redacted; [] for zombies and kernel threads.", otel="process.command_args")] = None
    cwd: A[str | None, state_field("Working directory.", otel="process.working_directory")] = None
    username: A[str | None, state_field("Owner (real user); the uid as text where it has no name.", otel="process.owner")] = (None)
    uid: A[Count | None, state_field("Owner's number.", otel="process.real_user.id")] = None
    status: A[str | None, gauge_field("running, sleeping, disk-sleep, stopped, tracing-stop, zombie, dead, idle, parked.", otel="process.state")] = None
    create_time: A[str | None, state_field("Start, RFC 3339 UTC.", otel="process.creation.time")] = None
    nice: A[int | None, state_field("Nice value, -20 to 19.")] = None
    kernel_thread: A[bool | None, state_field("True for kernel threads.")] = None
    cpu_percent: A[Number | None, gauge_field("CPU between two looks, of one core, to a tenth: 250 is two and a half cores; null at first sight.", unit="%", otel="process.cpu.utilization")] = None
    cpu_seconds: A[Number | None, gauge_field("CPU used since the start, user and system.", unit="s", otel="process.cpu.time")] = None
    memory_percent: A[Number | None, gauge_field("Resident set of the machine's memory.", unit="%", otel="process.memory.utilization")] = None
    memory_info: A[MemoryInfo | None, gauge_field("Memory.")] = None
    num_threads: A[Count | None, gauge_field("Threads.", unit="1", otel="process.thread.count")] = None
    num_fds: A[Count | None, gauge_field("Open file descriptors.", unit="1", otel="process.unix.file_descriptor.count")] = (None)
    io_counters: A[IoCounters | None, gauge_field("I/O since the start.")] = None
    open_files: A[list[OpenFile] | None, gauge_field("Open files; only where asked for.")] = None
    connections: A[list[Connection] | None, gauge_field("TCP and UDP sockets; null where they can't be told.")] = None
    environment: A[dict[str, str] | None, state_field("Environment, redacted; only where asked for.")] = None
    cgroup: A[str | None, state_field("Control group path.", otel="process.linux.cgroup")] = None
    service: A[str | None, state_field("Key of the unit or container it belongs to, such as systemd/ssh.service.")] = None
    gpu: A[list[ProcessGpu] | None, gauge_field("GPUs it uses.")] = None
    is_llm_related: A[bool | None, state_field("Serves, trains, embeds or converses with models; null where not yet judged.")] = None
    extra: A[dict[str, Any] | None, state_field("Whatever else is known; extra.ai points to the workload.")] = None
