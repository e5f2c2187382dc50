"""The summary: one machine on one screen."""

import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safetytwin.cli.format import bar
from safetytwin.models.hardware import Disk, Gpu, Hardware, Interface
from safetytwin.models.printable import printable
from safetytwin.models.process import Process
from safetytwin.models.quantities import duration, of_total, percent, rate, size
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState

_SHOWN_PROCESSES = 8
_SHOWN_DISKS = 4
_SHOWN_CONTAINERS = 6
_SHOWN_INTERFACES = 3
_SHOWN_PROBLEMS = 5


def print_summary(state: SystemState, out: TextIO | None = None) -> None:
    """Print the summary of a redacted state; colour on a terminal only, at the terminal's width (80 when piped)."""
    stream = out or sys.stdout
    terminal = stream.isatty()
    console = Console(file=stream, highlight=False, soft_wrap=False, width=None if terminal else 80)
    plain = (stream.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16"}
    if plain and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(
            errors="replace"
        )  # a terminal without our signs shows "?" for them rather than nothing at all
    for line in _lines(state, console.width, plain=plain):
        if isinstance(line, Text):
            console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            console.print(line)


def _lines(state: SystemState, width: int, *, plain: bool) -> Iterator[Text | Table]:
    hardware = state.hardware
    yield _title(hardware)
    yield Text()
    yield _meters(hardware, width, plain=plain)
    if state.ai is not None and state.ai.workloads:
        from safetytwin.cli.summary_ai import workloads_table

        yield Text()
        yield workloads_table(state.ai)
    if state.processes:
        yield Text()
        yield _processes(state.processes, width)
    services = list(_services(state.services))
    if services:
        yield Text()
        yield from services
    unseen = list(_not_seen(state, width))
    if unseen:
        yield Text()
        yield from unseen


def _title(hardware: Hardware) -> Text:
    about = [
        hardware.os.name if hardware.os else hardware.platform,
        f"{hardware.platform} {hardware.kernel_version}" if hardware.platform and hardware.kernel_version else None,
        hardware.cpu.architecture if hardware.cpu else None,
        hardware.virtualization if hardware.virtualization not in {None, "none"} else None,
        f"up {duration(hardware.uptime)}" if hardware.uptime is not None else None,
    ]
    title = Text(printable(hardware.hostname or "this machine"), style="bold")
    title.append("  " + printable(" · ".join(part for part in about if part)), style="not bold dim")
    return title


def _meters(hardware: Hardware, width: int, *, plain: bool) -> Table:
    bar_width = 12 if width < 100 else 20
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=10, no_wrap=True, overflow="ellipsis")
    table.add_column(width=bar_width, no_wrap=True)
    table.add_column(width=5, no_wrap=True, justify="right")
    table.add_column(width=width - bar_width - 21, no_wrap=True, overflow="ellipsis")

    def meter(name: str, value: float | None, detail: str, *, alarm: bool = True) -> None:
        shown = bar(value, bar_width, full="#", empty=".") if plain else bar(value, bar_width)
        style = _alarm(value) if alarm else "cyan"
        number = Text(f"{percent(value)}%" if value is not None else "–", style=style)
        table.add_row(Text(printable(name)), Text(shown, style=style), number, Text(printable(detail), style="dim"))

    cpu, memory = hardware.cpu, hardware.memory
    if cpu is not None:
        load = " ".join(f"{value:.2f}" for value in cpu.load_average or ())
        cores = (
            f"{cpu.cores_physical} cores, {cpu.cores_logical} threads"
            if cpu.cores_physical
            else f"{cpu.cores_logical} CPUs"
        )
        meter(
            "CPU",
            cpu.usage_percent,
            " · ".join(part for part in (cores, f"load {load}" if load else "", cpu.model) if part),
        )
    if memory is not None:
        swap = memory.swap
        detail = of_total(memory.used, memory.total)
        meter(
            "Memory",
            memory.usage_percent,
            detail + (f" · swap {of_total(swap.used, swap.total)}" if swap else " · no swap"),
        )
    for disk in _disks(hardware.disks or ()):
        if disk.status not in {None, "ok"}:
            meter(disk.mountpoint, None, f"{disk.status}: {disk.fstype} {disk.device}")
        else:
            meter(
                disk.mountpoint, disk.usage_percent, f"{of_total(disk.used, disk.total)} · {disk.fstype} {disk.device}"
            )
    for gpu in _gpus(hardware):
        meter(
            f"GPU {gpu.index if gpu.index is not None else gpu.uuid}",
            gpu.utilization_percent,
            _gpu_detail(gpu),
            alarm=False,
        )
    for interface in _interfaces(hardware.network or ()):
        traffic = f"in {rate(interface.rx_bytes_per_second)}, out {rate(interface.tx_bytes_per_second)}"
        detail = printable(f"{traffic} · {_addresses(interface)}")
        table.add_row(Text(printable(interface.name)), Text(printable(_link(interface))), "", Text(detail, style="dim"))
    return table


def _alarm(value: float | None) -> str:
    if value is None:
        return "dim"
    return "red" if value >= 90 else "yellow" if value >= 75 else "green"


def _disks(disks: Iterable[Disk]) -> list[Disk]:
    own = [disk for disk in disks if disk.bind_of is None and disk.kind not in {"memory", "image"} and disk.total]
    return sorted(own, key=lambda disk: (disk.mountpoint != "/", -(disk.usage_percent or 0.0)))[:_SHOWN_DISKS]


def _gpus(hardware: Hardware) -> list[Gpu]:
    return [gpu for devices in (hardware.gpu or {}).values() for gpu in devices]


def _gpu_detail(gpu: Gpu) -> str:
    if gpu.status not in {None, "ok"}:
        return f"{gpu.status}: {gpu.name or gpu.uuid}"
    parts = [gpu.name, of_total(gpu.memory_used, gpu.memory_total) if gpu.memory_total else None]
    if gpu.temperature_celsius is not None:
        parts.append(f"{gpu.temperature_celsius:.0f} °C")
    if gpu.power_watts is not None:
        parts.append(f"{gpu.power_watts:.0f} W")
    return " · ".join(part for part in parts if part)


def _interfaces(interfaces: Iterable[Interface]) -> list[Interface]:
    up = [one for one in interfaces if one.kind != "loopback" and "up" in (one.flags or ()) and one.addresses]
    return sorted(up, key=lambda one: (not one.physical, one.kind in {"bridge", "veth"}, one.name))[:_SHOWN_INTERFACES]


def _link(interface: Interface) -> str:
    if interface.speed_mbps:
        return f"{interface.speed_mbps} Mbit/s"
    return interface.operstate if interface.operstate not in {None, "unknown"} else "up"


def _addresses(interface: Interface) -> str:
    return ", ".join(address.address for address in interface.addresses or () if address.scope != "link")


def _processes(processes: list[Process], width: int) -> Table:
    own = [process for process in processes if not process.kernel_thread]
    running = sum(process.status == "running" for process in processes)
    owned = width >= 100
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=7, justify="right", no_wrap=True)
    table.add_column(width=9, no_wrap=True, overflow="ellipsis")
    table.add_column(width=5, justify="right", no_wrap=True)
    table.add_column(width=8, justify="right", no_wrap=True)
    if owned:
        table.add_column(width=18, no_wrap=True, overflow="ellipsis")
    table.add_column(width=width - 39 - (20 if owned else 0), no_wrap=True, overflow="ellipsis")
    kernel_threads = len(processes) - len(own)
    heading = f"{len(own)} processes, {running} running" + (
        f", {kernel_threads} of the kernel" if kernel_threads else ""
    )
    titles = ["PID", "USER", "CPU %", "MEMORY", *(["SERVICE"] if owned else []), heading]
    table.add_row(*(Text(title, style="dim") for title in titles))
    busiest = sorted(
        own, key=lambda one: (-(one.cpu_percent or 0.0), -((one.memory_info and one.memory_info.rss) or 0), one.pid)
    )
    for process in busiest[:_SHOWN_PROCESSES]:
        command = " ".join(process.cmdline) if process.cmdline else f"[{process.name}]"
        owner = [Text(printable((process.service or "").partition("/")[2]))] if owned else []
        table.add_row(
            str(process.pid),
            Text(printable(process.username or "–")),
            percent(process.cpu_percent),
            size(process.memory_info.rss if process.memory_info else None),
            *owner,
            Text(printable(command)),
        )
    return table


def _services(services: list[Service]) -> Iterator[Text]:
    containers = [service for service in services if service.image is not None or service.type in {"docker", "podman"}]
    units = [service for service in services if service not in containers]
    if units:
        states = Counter(unit.status or "unknown" for unit in units)
        failed = [unit for unit in units if unit.status == "failed"]
        yield _counted("Services", states)
        for unit in failed[:_SHOWN_PROBLEMS]:
            why = f"{unit.result or 'failed'}" + (f", code {unit.exit_code}" if unit.exit_code else "")
            yield Text(f"  ✗ {printable(unit.name)}  {printable(why)}", style="red")
        if len(failed) > _SHOWN_PROBLEMS:
            yield Text(f"  and {len(failed) - _SHOWN_PROBLEMS} more failed", style="red")
    if containers:
        yield _counted("Containers", Counter(container.status or "unknown" for container in containers))
        # Those in trouble first, then the busiest.
        ordered = sorted(containers, key=lambda one: (not _is_in_trouble(one), -(one.cpu_percent or 0.0), one.name))
        for container in ordered[:_SHOWN_CONTAINERS]:
            yield _container(container)
        if len(containers) > _SHOWN_CONTAINERS:
            yield Text(f"  and {len(containers) - _SHOWN_CONTAINERS} more", style="dim")


def _counted(name: str, states: Counter[str]) -> Text:
    line = Text(f"{name}  ", style="bold")
    line.append(", ".join(f"{number} {printable(state)}" for state, number in states.most_common()), style="not bold")
    return line


def _is_in_trouble(container: Service) -> bool:
    broken = container.status in {"dead", "restarting"} or (container.status == "exited" and bool(container.exit_code))
    return broken or container.health == "unhealthy" or container.oom_killed is True


def _container(container: Service) -> Text:
    mark, style = (
        ("✗", "red") if _is_in_trouble(container) else ("●", "green") if container.status == "running" else ("○", "dim")
    )
    state = container.health or container.status or "unknown"
    if container.exit_code and container.status == "exited":
        state += f" ({container.exit_code})"
    usage = "" if container.memory is None else f"  {percent(container.cpu_percent)} % CPU  {size(container.memory)}"
    ports = ", ".join(f"{port.host_port}→{port.container_port}" for port in container.ports or () if port.host_port)
    line = Text(f"  {mark} ", style=style)
    line.append(printable(f"{container.name}  {state}{usage}  {container.image or ''}  {ports}"), style="default")
    return line


def _not_seen(state: SystemState, width: int) -> Iterator[Text]:
    hints: dict[str, list[str]] = {}
    for name, collector in state.agent.collectors.items():
        said = list(collector.notes or ())
        if collector.status not in {"ok", "absent"}:
            said.append(collector.error or collector.status)
        for sentence in said:
            hint = f" ({collector.hint})" if collector.hint else ""
            hints.setdefault(f"{sentence}{hint}", []).append(name)
    if hints:
        yield Text("Not seen", style="bold yellow")
    for sentence, names in hints.items():
        for line in wrap(printable(f"{', '.join(names)}: {sentence}"), width - 4):
            yield Text(f"  {line}", style="yellow")
