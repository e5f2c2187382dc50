"""The AI workloads in the summary: what serves which model, where, and how sure that is."""

from rich.table import Table
from rich.text import Text

from safetytwin.models.printable import printable
from safetytwin.models.quantities import percent, size
from safetytwin.models.workload import Ai, Endpoint, Workload

_SHOWN = 12
_MODELS = 2


def workloads_table(ai: Ai) -> Table:
    """Return the workloads as a table, those that serve first; findings stand below their workload."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
    table.add_row(*(Text(title, style="dim") for title in ("AI WORKLOAD", "MODEL", "MEMORY", "GPU", "WHERE, HOW SURE")))
    ordered = sorted(ai.workloads, key=lambda one: (one.role != "server", not one.models, -(one.rss or 0), one.id))
    for workload in ordered[:_SHOWN]:
        table.add_row(*_row(workload))
        for finding in workload.findings or ():
            table.add_row("", Text(f"! {printable(finding)}", style="yellow"), "", "", "")
    if len(ordered) > _SHOWN:
        table.add_row(Text(f"and {len(ordered) - _SHOWN} more", style="dim"), "", "", "", "")
    return table


def _row(workload: Workload) -> tuple[Text, Text, str, str, Text]:
    name = Text(printable(workload.name or workload.engine or workload.id), style="bold")
    name.append(f" {printable(workload.role)}", style="not bold dim")
    models = [printable(model.name or model.id) for model in workload.models or ()]
    shown = ", ".join(models[:_MODELS]) + (f" and {len(models) - _MODELS} more" if len(models) > _MODELS else "")
    held = [gpu.memory for gpu in workload.gpus or () if gpu.memory is not None]
    gpu = size(sum(held)) if held else str(len(workload.gpus)) if workload.gpus else ""
    where = ", ".join(_where(endpoint) for endpoint in (workload.endpoints or ())[:1])
    about = " · ".join(part for part in (where, f"{percent(100 * workload.confidence)} %") if part)
    return name, Text(shown), size(workload.rss), gpu, Text(printable(about), style="dim")


def _where(endpoint: Endpoint) -> str:
    if endpoint.path is not None:
        return endpoint.path
    if endpoint.published is not None:
        return endpoint.published
    return f"{endpoint.address or ''}:{endpoint.port}"
