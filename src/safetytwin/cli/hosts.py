"""safetytwin hosts: the machines that a bridge knows."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from safetytwin.cli.bridge_api import BridgeApi, add_bridge_arguments
from safetytwin.cli.known_hosts import HostRow, Matching, hosts_where, shortest_ids
from safetytwin.models.printable import printable
from safetytwin.models.quantities import duration, percent
from safetytwin.models.timestamps import seconds_of

_LONGEST_NAME = 20
_NAMED = 5
"""Reasons, and machines of one reason, that are named where machines could not be judged."""
_STYLES = {"live": "green", "silent": "yellow", "conflict": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "List the machines that a bridge knows, with how they are and what ails them."
    parser.epilog = (
        "examples:\n  safetytwin hosts\n"
        "  safetytwin hosts --where 'model ~ \"llama\" and gpu.memory_free > 8GiB'\n"
        "  safetytwin hosts --where 'status != live or has unit.failed'\n"
        "  safetytwin hosts --json | jq -r '.hosts[] | select(.status != \"live\") | .hostname'"
    )
    parser.add_argument(
        "--where",
        metavar="QUESTION",
        help="only machines that this is true of; docs/fleet.md has the fields and operators",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, as the bridge's API has them")
    add_bridge_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the machines."""
    found = hosts_where(BridgeApi.of(options), options.where)
    if options.json:
        answer = {"hosts": found.hosts} if options.where is None else found
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
        return 0
    if found.hosts:
        print_hosts(found.hosts, time.time(), sys.stdout)
    elif options.where is not None:
        sys.stderr.write("No machine is known to match.\n")
    else:
        sys.stderr.write("No machine has reported yet. Let one: safetytwin agent --bridge URL\n")
    if found.unknown_count:
        sys.stderr.write(_unjudged(found))
    return 0


def _unjudged(found: Matching) -> str:
    """Return which machines could not be judged, and why, each reason once."""
    names: dict[str, list[str]] = {}
    for one in found.unknown:
        names.setdefault(one.because, []).append(printable(one.hostname or one.host_id))
    reasons = "; ".join(
        f"{printable(because)} ({', '.join(several[:_NAMED])}{', …' if len(several) > _NAMED else ''})"
        for because, several in list(names.items())[:_NAMED]
    )
    machines = "1 machine" if found.unknown_count == 1 else f"{found.unknown_count} machines"
    return f"{machines} could not be judged: {reasons}\n"


def print_hosts(hosts: list[HostRow], now: float, out: TextIO) -> None:
    """Print machines at the terminal's width (80 when piped), what ails one below it; now is in seconds since 1970."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else 80)
    names = {row.host_id: printable(row.hostname or "?") for row in hosts}
    short = shortest_ids(hosts)
    columns = [
        (min(_LONGEST_NAME, max(map(cell_len, names.values()))), "left"),
        (max(map(len, short.values())), "left"),
    ]
    columns += [(8, "left"), (9, "right"), (5, "right"), (5, "right"), (5, "right")]

    def line(*cells: tuple[str, str]) -> None:
        text = Text()
        for (content, style), (width, justify) in zip(cells, columns, strict=True):
            cell = Text(content, style=style)
            cell.truncate(width, overflow="ellipsis")
            cell.align("right" if justify == "right" else "left", width)
            text.append_text(cell).append("  ")
        text.rstrip()
        console.print(text, no_wrap=True, overflow="ellipsis", crop=True)

    line(*((title, "dim") for title in ("NAME", "ID", "STATUS", "SEEN", "CPU", "MEM", "DISK")))
    for row in hosts:
        about: dict[str, Any] = msgspec.json.decode(row.summary)
        line(
            (names[row.host_id], "bold"),
            (short[row.host_id], "dim"),
            (row.status, _STYLES.get(row.status, "")),
            (duration(max(0.0, now - seconds_of(row.received_at))), ""),
            *((f"{percent(value)}%" if value is not None else "–", "") for value in _usage(about)),
        )
        if notes := _notes(about):
            console.print(Text("  ").append_text(notes), no_wrap=True, overflow="ellipsis", crop=True)


def _usage(about: dict[str, Any]) -> Iterator[float | None]:
    yield about.get("cpu_percent")
    yield about.get("memory_percent")
    yield (about.get("worst_disk") or {}).get("usage_percent")


def _notes(about: dict[str, Any]) -> Text:
    """Return what ails a machine and which models it serves."""
    ailing = [
        (about.get("units_failed"), "failed unit", "failed units"),
        (about.get("containers_unhealthy"), "unhealthy container", "unhealthy containers"),
        (
            sum(gpu.get("status") not in {None, "ok"} for gpu in about.get("gpus") or ()),
            "GPU in trouble",
            "GPUs in trouble",
        ),
        (len(about.get("collectors_failing") or ()), "collector that fails", "collectors that fail"),
    ]
    said = ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in ailing if number)
    notes = Text(said, style="red")
    serving = [
        f"{one.get('engine')}: {', '.join(str(model) for model in one.get('models') or ())}".removesuffix(": ")
        for one in about.get("workloads") or ()
    ]
    if serving:
        notes.append((" · " if notes else "") + printable(" · ".join(serving)), style="cyan")
    return notes
