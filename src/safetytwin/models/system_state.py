"""The state: what one look found."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec

from safetytwin.models.fields import Count, Number, Record, gauge_field, state_field
from safetytwin.models.hardware import Hardware
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.software import Software
from safetytwin.models.workload import Ai

SCHEMA_VERSION = 1

Status = Literal["ok", "absent", "denied", "timeout", "failed", "stale"]
HostId = A[str, msgspec.Meta(pattern=r"^(?!\.{1,2}\Z)[a-z0-9._-]{1,64}\Z")]
Timestamp = A[
    str,
    msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z", max_length=30),
]


class CollectorStatus(Record, frozen=True):
    """How one collector fared in this look."""

    status: A[Status, state_field("ok; absent: the machine has no such thing; denied: it may not be read; timeout: no answer in time; failed: an error; stale: an earlier answer is shown.")]
    duration: A[Number | None, gauge_field("Time it took, to the millisecond.", unit="s")] = None
    error: A[str | None, state_field("What went wrong.")] = None
    hint: A[str | None, state_field("How to see it, such as: run as root.")] = None
    notes: A[list[str] | None, gauge_field("What could not be seen, though the collector worked.")] = None
    vanished: A[Count | None, gauge_field("Items that were gone before they could be read.", unit="1")] = None


class Agent(Record, frozen=True):
    """The agent that looked."""

    version: A[str, state_field("Version of SafetyTwin.")]
    backend: A[str, state_field("proc or psutil.")]
    collectors: A[dict[str, CollectorStatus], state_field("How each collector fared.")]
    interval: A[Number | None, state_field("Time between two looks; null for a single look.", unit="s")] = None
    pid: A[Count | None, state_field("Its process.")] = None
    root: A[bool | None, state_field("It runs with all privileges.")] = None
    duration: A[Number | None, gauge_field("Time that the look took, to the millisecond.", unit="s")] = None
    cpu_percent: A[Number | None, gauge_field("Its own CPU between two looks, of one core.", unit="%")] = None
    rss: A[Count | None, gauge_field("Its own resident memory.", unit="By")] = None
    looks_skipped: A[Count | None, gauge_field("Looks left out since it started, for they would have piled up.", unit="1")] = None
    frames_dropped: A[Count | None, gauge_field("Frames that the spool had no room for.", unit="1")] = None
    frames_spooled: A[Count | None, gauge_field("Frames that wait for the bridge.", unit="1")] = None
    shed: A[list[str] | None, state_field("Collectors that the governor has switched off to stay within its budget.")] = None


class SystemState(Record, frozen=True):
    """A machine at one moment."""

    schema: A[Count, state_field("Version of this schema.")]
    host_id: A[HostId, state_field("Which installation of the agent looked.", otel="host.id")]
    seq: A[Count, gauge_field("Number of the look since the agent started.")]
    timestamp: A[Timestamp, gauge_field("When the look ended, RFC 3339 UTC.")]
    hardware: A[Hardware, state_field("The machine.")]
    services: A[list[Service], state_field("systemd units, other services and containers.")]
    processes: A[list[Process], state_field("Processes.")]
    agent: A[Agent, state_field("The agent and its collectors.")]
    boot_id: A[str | None, state_field("Which boot: /proc/sys/kernel/random/boot_id.")] = None
    ai: A[Ai | None, state_field("AI workloads and models.")] = None
    software: A[Software | None, state_field("Installed packages, users, kernel settings, the administrator's units.")] = None
    extra: A[dict[str, Any] | None, state_field("What collectors of other packages found, by collector.")] = None
    labels: A[dict[str, str] | None, state_field("What the agent's configuration calls the machine by, such as role: web.")] = None
