"""safetytwin explain PID|UNIT|CONTAINER: why something is, or is not, taken for an AI workload."""

import argparse
import sys
from collections.abc import Iterator
from typing import TextIO

import msgspec

from safetytwin.agent.observer import make_looker
from safetytwin.cli.agent_options import add_config_arguments, configured
from safetytwin.cli.errors import UserError
from safetytwin.models.printable import printable
from safetytwin.models.quantities import percent, size
from safetytwin.models.workload import Workload
from safetytwin.redaction import Redactor
from safetytwin.workloads.explanation import Explanation, Unknown, explain
from safetytwin.workloads.machine import recogniser_of

_EXAMPLES = """examples:
  safetytwin explain 4711               a process
  safetytwin explain ollama.service     a unit
  safetytwin explain open-webui         a container, by name or id
  safetytwin explain 4711 --json        the same for a program

Weights are log-odds: they add up, on -4.0 for a process of which nothing is known; above 0 is a verdict, where more
than one weak kind of evidence supports it. docs/recognition.md tells more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.description = (
        "Say what a process, unit or container is to AI, how sure that is, and what speaks for and against."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("subject", metavar="PID|UNIT|CONTAINER", help="what to explain")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Look once and explain."""
    config = configured(options).config
    try:
        looker = make_looker(config, "explain")
        recogniser = recogniser_of(
            model_directories=config.model_directories, own_catalogue=config.ai_catalogue, ask=config.ask_engines
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        state = recogniser.recognise(looker.look())
    finally:
        looker.close()
    try:
        found = explain(state, options.subject, recogniser.judgement_of)
    except Unknown as error:
        raise UserError(str(error)) from error
    shown = Redactor(config.allow_environment).redact_part(found)
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n")
    else:
        print_explanation(shown, sys.stdout)
    return 0


def print_explanation(found: Explanation, out: TextIO) -> None:
    """Print an explanation for a person."""
    out.writelines(printable(line) + "\n" for line in _lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    yield found.subject
    engine = f", {found.title}" if found.title else ""
    version = f" {found.workload.engine_version}" if found.workload and found.workload.engine_version else ""
    if found.role is None:
        yield "  Not an AI workload."
    else:
        yield f"  {found.role}{engine}{version}: {percent(100 * found.confidence)} % sure"
        yield f"  LLM related: {'yes' if found.is_llm_related else 'no'}"
    if found.workload is not None:
        yield from _workload_lines(found.workload)
    yield ""
    for heading, items in (
        ("For", [one for one in found.evidence if one.weight > 0]),
        ("Against", [one for one in found.evidence if one.weight < 0]),
    ):
        if items:
            yield heading
            for one in items:
                yield f"  {one.weight:+5.1f}  {one.family}: {one.says}"
                yield f"         {one.locator}  ({one.source})"
    if not found.evidence:
        yield "Nothing speaks for it: no executable, command line, library, model file or image of the catalogue."
    yield f"  {found.prior:+5.1f}  to begin with; {found.score:+.1f} in all"
    for heading, sentences in (("What is missing", found.missing), ("What would make it sure", found.surer)):
        if sentences:
            yield ""
            yield heading
            yield from (f"  {sentence}" for sentence in sentences)


def _workload_lines(workload: Workload) -> Iterator[str]:
    if workload.workers:
        yield f"  root process {workload.pid}, workers {', '.join(map(str, workload.workers))}"
    for model in workload.models or ():
        yield f"  model {model.name or model.id} ({model.state})"
    for endpoint in workload.endpoints or ():
        where = endpoint.path or endpoint.published or f"{endpoint.address or ''}:{endpoint.port}"
        reach = {True: "exposed", False: "local only", None: "reach not known"}[endpoint.exposed]
        key = {True: ", asks for a key", False: ", asks for no key", None: ""}[endpoint.authenticated]
        yield f"  answers at {where} ({reach}{key})"
    for gpu in workload.gpus or ():
        yield f"  GPU {gpu.uuid}, {size(gpu.memory)}"
    for finding in workload.findings or ():
        yield f"  ! {finding}"
