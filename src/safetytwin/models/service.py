"""One service: a systemd unit, an init script's service or a container."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any

from safetytwin.models.fields import Count, Number, Record, gauge_field, identity_field, state_field


class Port(Record, frozen=True):
    """One port of a container."""

    container_port: A[Count, state_field("Port inside.")]
    protocol: A[str | None, state_field("tcp, udp or sctp.", otel="network.transport")] = None
    host_ip: A[str | None, state_field("Address it is published on.")] = None
    host_port: A[Count | None, state_field("Port it is published on; null where it is only exposed.")] = None


class Volume(Record, frozen=True):
    """One mount of a container."""

    target: A[str, state_field("Path inside.")]
    source: A[str | None, state_field("Path on the host, or the volume's name.")] = None
    kind: A[str | None, state_field("bind, volume or tmpfs.")] = None
    read_only: A[bool | None, state_field("Mounted read-only.")] = None


class Limits(Record, frozen=True):
    """What a service may use."""

    memory: A[Count | None, state_field("Memory.", unit="By")] = None
    cpus: A[Number | None, state_field("CPUs.", unit="1")] = None
    pids: A[Count | None, state_field("Tasks.", unit="1")] = None


class Service(Record, frozen=True):
    """One service; systemd's and the container engines' own words are kept."""

    type: A[str, identity_field("systemd, docker, podman, containerd, cri-o, kubernetes, lxc, openrc, sysv, runit, s6, supervisord, …")]
    id: A[str, identity_field("Unit name (system manager), user/UID/unit (a user's manager), container id, or the init system's name.")]
    name: A[str, state_field("Name for people: the unit, or the container's name.", otel="container.name")]
    hostname: A[str | None, state_field("Hostname inside a container.")] = None
    timestamp: A[str | None, gauge_field("When it was seen, where older than the look (a stale answer), RFC 3339 UTC.")] = (None)
    status: A[str | None, state_field("A unit's ActiveState; a container's state in the engine's words: created, running, paused, restarting, removing, exited, dead.")] = None
    sub_status: A[str | None, state_field("A unit's SubState, such as running, exited, dead.")] = None
    load_state: A[str | None, state_field("A unit's LoadState.")] = None
    unit_file_state: A[str | None, state_field("A unit's UnitFileState: enabled, disabled, static, masked, …")] = None
    description: A[str | None, state_field("Description.")] = None
    pid: A[Count | None, state_field("Main process; null where there is none.")] = None
    start_time: A[str | None, state_field("When it last started, RFC 3339 UTC.")] = None
    uptime_seconds: A[Number | None, gauge_field("Since then, while it is active; of an idle one exact to 1 %.", unit="s", otel="container.uptime")] = None
    cpu_percent: A[Number | None, gauge_field("CPU between two looks, of one core.", unit="%", otel="container.cpu.usage")] = None
    cpu_seconds: A[Number | None, gauge_field("CPU since its cgroup was made.", unit="s", otel="container.cpu.time")] = None
    memory: A[Count | None, gauge_field("Memory in use, reclaimable page cache taken off.", unit="By", otel="container.memory.usage")] = None
    memory_percent: A[Number | None, gauge_field("Of its limit, or of the machine where it has none.", unit="%")] = None
    read_bytes: A[Count | None, gauge_field("Read from block devices.", unit="By", otel="container.disk.io")] = None
    write_bytes: A[Count | None, gauge_field("Written to block devices.", unit="By", otel="container.disk.io")] = None
    tasks: A[Count | None, gauge_field("Processes and threads.", unit="1")] = None
    cgroup: A[str | None, state_field("Control group path.")] = None
    exit_code: A[int | None, state_field("Exit code of the last run; null while it has not exited.")] = None
    result: A[str | None, state_field("A unit's Result: success, exit-code, signal, oom-kill, timeout, …")] = None
    restarts: A[Count | None, state_field("Restarts by the service manager or engine.", unit="1")] = None
    user: A[str | None, state_field("User it runs as.")] = None
    image: A[str | None, state_field("Image.", otel="container.image.name")] = None
    image_id: A[str | None, state_field("Image id.", otel="container.image.id")] = None
    command: A[list[str] | None, state_field("Command of a container, a unit's first ExecStart=; redacted.", otel="container.command_args")] = None
    created: A[str | None, state_field("When it was created, RFC 3339 UTC.")] = None
    runtime: A[str | None, state_field("OCI runtime.", otel="container.runtime.name")] = None
    ports: A[list[Port] | None, state_field("Ports.")] = None
    volumes: A[list[Volume] | None, state_field("Mounts.")] = None
    networks: A[list[str] | None, state_field("Networks it is on.")] = None
    links: A[list[str] | None, state_field("Links to other containers, name:alias; a unit's requirements.")] = None
    environment: A[dict[str, str] | None, state_field("Names of the environment; values only where plainly harmless, else [redacted].")] = None
    labels: A[dict[str, str] | None, state_field("Labels, redacted.", otel="container.label")] = None
    health: A[str | None, state_field("healthy, unhealthy or starting; null without a health check.")] = None
    restart_policy: A[str | None, state_field("no, always, on-failure, unless-stopped; a unit's Restart=.")] = None
    oom_killed: A[bool | None, state_field("Killed for memory.")] = None
    limits: A[Limits | None, state_field("What it may use.")] = None
    is_llm_related: A[bool | None, state_field("Serves, trains, embeds or converses with models; null where not yet judged.")] = None
    extra: A[dict[str, Any] | None, state_field("Whatever else is known.")] = None
