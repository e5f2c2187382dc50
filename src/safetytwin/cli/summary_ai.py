"""The AI workloads in the summary: what serves which model, where, and how sure that is."""

from rich.table import Table
from rich.text import Text

from safetytwin.models.printable import printable
from safetytwin.models.quantities import percent, size
from safetytwin.models.workload import Ai, Endpoint, Workload

_SHOWN = 12
_MODELS = 2


def workloads_table(ai: Ai) -> Table:
    """Return the workloads as a table, those that serve first; what deserves attention stands below."""
    ordered = sorted(ai.workloads, key=lambda one: (one.role != "server", not one.models, -(one.rss or 0), one.id))
    shown = ordered[:_SHOWN]
    on_gpu = any(workload.gpus for workload in shown)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=20, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(width=8, no_wrap=True, justify="right")
    if on_gpu:
        table.add_column(width=8, no_wrap=True, justify="right")
    table.add_column(width=21, no_wrap=True, overflow="ellipsis")
    titles = ["AI WORKLOAD", "MODEL", "MEMORY", *(["ON GPU"] if on_gpu else []), "WHERE, HOW SURE"]
    table.add_row(*(Text(title, style="dim") for title in titles))
    for workload in shown:
        name, models, memory, gpu, about = _row(workload)
        table.add_row(name, models, memory, *([gpu] if on_gpu else []), about)
    whole = Table.grid(expand=True)
    whole.add_row(table)
    for workload in shown:
        for finding in workload.findings or ():
            whole.add_row(Text(printable(f"! {workload.name or workload.id}: {finding}"), style="yellow"))
    if len(ordered) > _SHOWN:
        whole.add_row(Text(f"and {len(ordered) - _SHOWN} more", style="dim"))
    return whole


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
