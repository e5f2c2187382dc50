"""A document of a machine: what it is and what runs on it, in tables."""

from collections.abc import Callable, Iterator, Sequence

from safetytwin.export.facts import containers_of, machine_name
from safetytwin.export.markdown_software import SOFTWARE_SECTIONS
from safetytwin.export.markdown_text import escaped, table
from safetytwin.models.quantities import size
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState

Rows = Sequence[Sequence[object]]
Section = tuple[str, Sequence[str], Callable[[SystemState], Rows]]


def markdown_text(state: SystemState) -> str:
    """Return the document; a section of which the state knows nothing is left out."""
    lines = [f"# {escaped(machine_name(state))}", ""]
    lines += [f"As it was at {escaped(state.timestamp)}; host id {escaped(state.host_id)}.", ""]
    for title, headings, rows_of in (*_SECTIONS, *SOFTWARE_SECTIONS, _UNSEEN):
        rows = rows_of(state)
        if rows:
            lines += [f"## {title}", "", *table(headings, rows), ""]
    return "\n".join(lines)


def _machine(state: SystemState) -> Rows:
    hardware = state.hardware
    cpu, memory, os, dmi = hardware.cpu, hardware.memory, hardware.os, hardware.dmi
    facts: list[tuple[str, object]] = [
        ("Hostname", hardware.hostname),
        ("Operating system", (os and os.name) or hardware.platform),
        ("Kernel", hardware.kernel_version),
        ("Booted", hardware.boot_time),
        ("Runs on", hardware.virtualization),
        ("Product", dmi and " ".join(part for part in (dmi.vendor, dmi.product) if part)),
        ("Processor", cpu and cpu.model),
        ("Architecture", cpu and cpu.architecture),
        ("Logical CPUs", cpu and cpu.cores_logical),
        ("Physical cores", cpu and cpu.cores_physical),
        ("Memory", size(memory.total) if memory and memory.total is not None else None),
        ("Swap", size(memory.swap.total) if memory and memory.swap and memory.swap.total is not None else None),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


def _file_systems(state: SystemState) -> Rows:
    return [
        (disk.mountpoint, disk.device, disk.fstype, size(disk.total), size(disk.used), disk.kind, disk.read_only)
        for disk in state.hardware.disks or ()
    ]


def _drives(state: SystemState) -> Rows:
    return [
        (drive.name, drive.kind, drive.model, size(drive.size), drive.rotational)
        for drive in state.hardware.block_devices or ()
        if drive.kind != "partition"
    ]


def _interfaces(state: SystemState) -> Rows:
    return [
        (
            one.name,
            one.kind,
            one.mac,
            one.operstate,
            [
                address.address if address.prefix is None else f"{address.address}/{address.prefix}"
                for address in one.addresses or ()
            ],
        )
        for one in state.hardware.network or ()
    ]


def _gpus(state: SystemState) -> Rows:
    return [
        (gpu.index, gpu.name, gpu.vendor, size(gpu.memory_total), gpu.driver_version, gpu.status, gpu.uuid)
        for devices in (state.hardware.gpu or {}).values()
        for gpu in devices
    ]


def _workloads(state: SystemState) -> Rows:
    if state.ai is None:
        return []
    return [
        (
            one.name or one.engine,
            one.role,
            one.engine,
            [model.name or model.id for model in one.models or ()],
            [f"{point.address or ''}:{point.port}" if point.port else point.path for point in one.endpoints or ()],
            one.service or one.id,
        )
        for one in state.ai.workloads
    ]


def _models(state: SystemState) -> Rows:
    if state.ai is None:
        return []
    return [
        (one.name or one.id, one.format, one.architecture, one.quantization, size(one.size), one.state, one.path)
        for one in state.ai.models
    ]


def _containers(state: SystemState) -> Rows:
    return [
        (one.name, one.type, one.image, one.status, _ports(one), _mounts(one), one.restart_policy)
        for one in containers_of(state)
    ]


def _ports(container: Service) -> list[str]:
    return [
        f"{port.host_ip or ''}:{port.host_port} to {port.container_port}/{port.protocol or 'tcp'}"
        for port in container.ports or ()
        if port.host_port
    ]


def _mounts(container: Service) -> list[str]:
    return [f"{volume.source or volume.kind or ''} at {volume.target}" for volume in container.volumes or ()]


def _services(state: SystemState) -> Rows:
    return [
        (one.name, one.type, one.status, one.sub_status, one.unit_file_state, one.description)
        for one in state.services
        if not one.image and (one.status in {"active", "failed"} or one.unit_file_state == "enabled")
    ]


def _unseen(state: SystemState) -> Rows:
    return list(_unseen_rows(state))


def _unseen_rows(state: SystemState) -> Iterator[Sequence[object]]:
    for name, collector in sorted(state.agent.collectors.items()):
        if collector.status in {"denied", "timeout", "failed", "stale"}:
            yield name, collector.status, collector.error, collector.hint
        elif collector.notes:
            yield name, collector.status, collector.notes, collector.hint


_SECTIONS: tuple[Section, ...] = (
    ("Machine", ("What", "Value"), _machine),
    ("File systems", ("Mounted at", "Device", "Type", "Size", "Used", "Kind", "Read-only"), _file_systems),
    ("Drives", ("Name", "Kind", "Model", "Size", "Rotational"), _drives),
    ("Network", ("Interface", "Kind", "Hardware address", "State", "Addresses"), _interfaces),
    ("GPUs", ("Index", "Name", "Vendor", "Memory", "Driver", "Status", "UUID"), _gpus),
    ("AI workloads", ("Name", "Role", "Engine", "Models", "Answers at", "Runs as"), _workloads),
    ("AI models", ("Name", "Format", "Architecture", "Quantization", "Size", "State", "Path"), _models),
    ("Containers", ("Name", "Engine", "Image", "Status", "Ports", "Mounts", "Restart"), _containers),
    ("Services", ("Name", "Kind", "Status", "Detail", "At boot", "Description"), _services),
)
_UNSEEN: Section = ("What could not be seen", ("Collector", "Status", "Why", "How to mend it"), _unseen)
