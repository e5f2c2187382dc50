"""safetytwin hosts: the machines that a bridge knows."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.known_hosts import HostRow, all_hosts, shortest_ids
from safetytwin.models.printable import printable
from safetytwin.models.quantities import duration, percent
from safetytwin.models.timestamps import seconds_of

_STYLES = {"live": "green", "silent": "yellow", "conflict": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "List the machines that a bridge knows, with how they are and what ails them."
    parser.epilog = (
        "examples:\n  safetytwin hosts\n"
        "  safetytwin hosts --json | jq -r '.hosts[] | select(.status != \"live\") | .hostname'"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, as the bridge's API has them")
    add_bridge_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the machines."""
    hosts = all_hosts(BridgeApi.of(options))
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode({"hosts": hosts}), indent=2).decode() + "\n")
    elif hosts:
        print_hosts(hosts, time.time(), sys.stdout)
    else:
        sys.stderr.write("No machine has reported yet. Let one: safetytwin agent --bridge URL\n")
    return 0


def print_hosts(hosts: list[HostRow], now: float, out: TextIO) -> None:
    """Print a table of machines at the terminal's width (80 when piped); now is in seconds since 1970."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else 80)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, min_width=7)
    for _ in range(3):
        table.add_column(no_wrap=True, min_width=5, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis")
    titles = ["NAME", "ID", "STATUS", "SEEN", "CPU %", "MEM %", "DISK %", ""]
    table.add_row(*(Text(title, style="dim") for title in titles))
    short = shortest_ids(hosts)
    for row in hosts:
        about: dict[str, Any] = msgspec.json.decode(row.summary)
        table.add_row(
            Text(printable(row.hostname or "?"), style="bold"),
            Text(short[row.host_id], style="dim"),
            Text(row.status, style=_STYLES.get(row.status, "")),
            Text(duration(max(0.0, now - seconds_of(row.received_at)))),
            *(Text(percent(value)) for value in _usage(about)),
            _notes(about),
        )
    console.print(table)


def _usage(about: dict[str, Any]) -> Iterator[float | None]:
    yield about.get("cpu_percent")
    yield about.get("memory_percent")
    yield (about.get("worst_disk") or {}).get("usage_percent")


def _notes(about: dict[str, Any]) -> Any:
    from rich.text import Text

    ailing = [
        (about.get("units_failed"), "units failed"),
        (about.get("containers_unhealthy"), "containers unhealthy"),
        (sum(gpu.get("status") not in {None, "ok"} for gpu in about.get("gpus") or ()), "GPUs not well"),
        (len(about.get("collectors_failing") or ()), "collectors failing"),
    ]
    notes = Text(", ".join(f"{number} {what}" for number, what in ailing if number), style="red")
    serving = [
        f"{one.get('engine')}: {', '.join(str(model) for model in one.get('models') or ())}".removesuffix(": ")
        for one in about.get("workloads") or ()
    ]
    if serving:
        notes.append((" · " if notes else "") + printable(" · ".join(serving)), style="cyan")
    return notes
