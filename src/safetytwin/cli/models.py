"""safetytwin models: which models lie on this machine."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Literal, TextIO

import msgspec

from safetytwin.cli.errors import UserError
from safetytwin.collectors.host_root import HostRoot
from safetytwin.models.printable import printable
from safetytwin.models.quantities import size
from safetytwin.models.workload import AiModel
from safetytwin.redaction.text import redact_text
from safetytwin.workloads.model_stores import ModelInventory

_EXAMPLES = """examples:
  safetytwin models                          what lies in the stores of Ollama, Hugging Face, LM Studio and llama.cpp
  safetytwin models --directory /srv/models  and below a directory of your own
  safetytwin models --json | jq '.models[] | select(.parameters > 7e9) | .path'

Files are known by their content, not their names; nothing in them is run. Exit code 1 where --directory can't be read.
Run as root to see the stores of all users."""
_SECONDS = 60.0
"""What one store may take: a person waits longer than a look may."""
_TITLES = ("NAME", "SIZE", "PARAMETERS", "QUANTISATION", "ARCHITECTURE", "CONTEXT", "FORMAT", "STORE")
_JUSTIFIED: tuple[Literal["left", "right"], ...] = (
    *("left", "right", "right", "left"),
    *("left", "right", "left", "left"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = "List the AI models that lie on this machine, verified by what is in their files."
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="print JSON: models, total bytes, what was not looked at")
    parser.add_argument(
        "--directory", metavar="DIR", action="append", default=[], help="look below DIR too; may be repeated"
    )


def run(options: argparse.Namespace) -> int:
    """Print the models."""
    for directory in options.directory:
        if not os.path.isdir(directory):
            raise UserError(f"{directory} is no directory; --directory names one that holds models")
        if not os.access(directory, os.R_OK | os.X_OK):
            raise UserError(f"{directory} may not be read by this user; try as root")
    inventory = ModelInventory(HostRoot(), os.environ, options.directory, seconds=_SECONDS)
    models = [_redacted(model) for model in inventory.look()]
    show = print_json if options.json else print_table
    show(models, [redact_text(note) for note in inventory.notes], sys.stdout)
    return 0


def _redacted(model: AiModel) -> AiModel:
    texts = {name: value for name, value in msgspec.structs.asdict(model).items() if isinstance(value, str)}
    return msgspec.structs.replace(model, **{name: redact_text(text) for name, text in texts.items()})


def print_json(models: Sequence[AiModel], notes: Sequence[str], out: TextIO) -> None:
    """Print the models as the state has them, with the total of their bytes."""
    data = msgspec.json.encode({"models": models, "size": _total(models), "notes": notes})
    out.write(msgspec.json.format(data, indent=2).decode() + "\n")


def print_table(models: Sequence[AiModel], notes: Sequence[str], out: TextIO) -> None:
    """Print a line a model, largest first, then what is wrong with which, the total, and what was not looked at."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False, width=None if out.isatty() else 120)
    if models:
        rows = [_cells(model) for model in sorted(models, key=lambda model: (-(model.size or 0), model.id))]
        table = Table.grid(padding=(0, 2, 0, 0))
        for justify, width in zip(_JUSTIFIED, _widths(rows, console.width), strict=True):
            table.add_column(justify=justify, width=width, no_wrap=True, overflow="ellipsis")
        table.add_row(*(Text(title, style="dim") for title in _TITLES))
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for model in models:
        if model.problem is not None:
            text = f"✗ {model.path}: {model.problem}"
            console.print(Text(printable(text), style="yellow"), soft_wrap=True)
    console.print(Text(_summary(models), style="bold"), soft_wrap=True)
    for note in notes:
        console.print(Text(printable(note), style="yellow"), soft_wrap=True)


def _widths(rows: Sequence[tuple[str, ...]], whole: int) -> list[int]:
    """Return the columns' widths: numbers whole, names and stores in what is left of the line."""
    widths = [min(max(map(len, column)), 24) for column in zip(_TITLES, *rows, strict=True)]
    widths[0], widths[-1] = (max(len(row[at]) for row in (_TITLES, *rows)) for at in (0, -1))
    left = whole - sum(widths[1:-1]) - 2 * len(widths)
    widths[0] = min(widths[0], max(left * 2 // 3, 12))
    widths[-1] = min(widths[-1], max(left - widths[0], 12))
    return widths


def _cells(model: AiModel) -> tuple[str, ...]:
    kind = "" if model.kind in {None, "model"} else f" ({model.kind})"
    cells = (
        f"{model.name}{kind}",
        size(model.size),
        _parameters(model.parameters),
        model.quantization or "–",
        model.architecture or "–",
        str(model.context_length) if model.context_length is not None else "–",
        model.format or "–",
        model.store or "–",
    )
    return tuple(map(printable, cells))


def _parameters(number: int | None) -> str:
    """Return a number of parameters as models are named by it, such as 8.03 B."""
    if number is None:
        return "–"
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return str(number)


def _summary(models: Sequence[AiModel]) -> str:
    if not models:
        return "No models in the usual places; --directory adds others."
    damaged = sum(model.problem is not None for model in models)
    text = f"{len(models)} model{'s' if len(models) > 1 else ''}, {size(_total(models))}"
    return text + (f"; {damaged} with a problem" if damaged else "")


def _total(models: Sequence[AiModel]) -> int:
    return sum(model.size or 0 for model in models)
