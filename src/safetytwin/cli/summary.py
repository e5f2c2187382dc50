"""The summary: one machine on one screen."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safetytwin.cli.format import bar, duration, of_total, percent, rate, size
from safetytwin.models.hardware import Disk, Gpu, Hardware, Interface
from safetytwin.models.printable import printable
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState

_BAR_WIDTH = 20
_SHOWN_PROCESSES = 8
_SHOWN_DISKS = 4
_SHOWN_INTERFACES = 3
_SHOWN_PROBLEMS = 5


def print_summary(state: SystemState, out: TextIO | None = None) -> None:
    """Print the summary of a redacted state; colour on a terminal only, at the terminal's width (80 when piped)."""
    stream = out or sys.stdout
    terminal = stream.isatty()
    console = Console(file=stream, highlight=False, soft_wrap=False, width=None if terminal else 80)
    plain = (stream.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16"}
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
        yield _processes(state.processes)
    services = list(_services(state.services))
    if services:
        yield Text()
        yield from services
    unseen = list(_not_seen(state))
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
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(20, width - _BAR_WIDTH - 26))

    def meter(name: str, value: float | None, detail: str, *, alarm: bool = True) -> None:
        shown = bar(value, _BAR_WIDTH, full="#", empty=".") if plain else bar(value, _BAR_WIDTH)
        style = _alarm(value) if alarm else "cyan"
        number = Text(f"{percent(value)} %" if value is not None else "–", style=style)
        table.add_row(printable(name), Text(shown, style=style), number, Text(printable(detail), style="dim"))

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
        traffic = f"↓ {rate(interface.rx_bytes_per_second)}  ↑ {rate(interface.tx_bytes_per_second)}"
        if plain:
            traffic = traffic.replace("↓", "in").replace("↑", "out")
        table.add_row(
            printable(interface.name), Text(traffic, overflow="ellipsis"), "", Text(_addresses(interface), style="dim")
        )
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


def _addresses(interface: Interface) -> str:
    addresses = [address.address for address in interface.addresses or () if address.scope != "link"]
    speed = f"{interface.speed_mbps} Mbit/s · " if interface.speed_mbps else ""
    return printable(speed + ", ".join(addresses))


def _processes(processes: list[Process]) -> Table:
    own = [process for process in processes if not process.kernel_thread]
    running = sum(process.status == "running" for process in processes)
    table = Table(box=None, padding=(0, 1), pad_edge=False, expand=False, header_style="dim")
    table.add_column("PID", justify="right", no_wrap=True)
    table.add_column("USER", no_wrap=True, max_width=10, overflow="ellipsis")
    table.add_column("CPU %", justify="right", no_wrap=True)
    table.add_column("MEMORY", justify="right", no_wrap=True)
    table.add_column("OF", no_wrap=True, max_width=18, overflow="ellipsis")
    heading = f"COMMAND   ({len(own)} processes, {running} running, {len(processes) - len(own)} kernel threads)"
    table.add_column(heading, no_wrap=True, overflow="ellipsis")
    busiest = sorted(
        own, key=lambda one: (-(one.cpu_percent or 0.0), -((one.memory_info and one.memory_info.rss) or 0), one.pid)
    )
    for process in busiest[:_SHOWN_PROCESSES]:
        command = " ".join(process.cmdline) if process.cmdline else f"[{process.name}]"
        table.add_row(
            str(process.pid),
            printable(process.username or "–"),
            percent(process.cpu_percent),
            size(process.memory_info.rss if process.memory_info else None),
            printable((process.service or "").partition("/")[2][:18]),
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
        for container in sorted(containers, key=lambda one: (one.status == "running", one.name))[:_SHOWN_PROCESSES]:
            yield _container(container)


def _counted(name: str, states: Counter[str]) -> Text:
    line = Text(f"{name}  ", style="bold")
    line.append(", ".join(f"{number} {printable(state)}" for state, number in states.most_common()), style="not bold")
    return line


def _container(container: Service) -> Text:
    trouble = container.health == "unhealthy" or container.oom_killed or container.status in {"dead", "restarting"}
    mark, style = ("✗", "red") if trouble else ("●", "green") if container.status == "running" else ("○", "dim")
    state = container.health or container.status or "unknown"
    if container.exit_code and container.status == "exited":
        state += f" ({container.exit_code})"
    usage = (
        f"  {percent(container.cpu_percent)} % CPU  {size(container.memory)}" if container.status == "running" else ""
    )
    ports = ", ".join(f"{port.host_port}→{port.container_port}" for port in container.ports or () if port.host_port)
    line = Text(f"  {mark} ", style=style)
    line.append(printable(f"{container.name}  {state}{usage}  {container.image or ''}  {ports}"), style="default")
    return line


def _not_seen(state: SystemState) -> Iterator[Text]:
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
        yield Text(printable(f"  {', '.join(names)}: {sentence}"), style="yellow")
