"""What a family's command line says: verb and role, models, names, where it listens, whether it asks for a key."""

from collections.abc import Mapping
from typing import NamedTuple

from safetytwin.workloads.argv_grammar import Invocation, has_flag, positionals, values_of
from safetytwin.workloads.catalogue import Family
from safetytwin.workloads.judgement import Listener, ModelReference

_LONGEST_NAME = 1024
"""Characters of a model's name or path; what is longer is none."""
_HELP = frozenset({"--help", "--version", "-V"})


class Told(NamedTuple):
    """What a program is told to do."""

    role: str | None
    """None: no verb that the family knows."""
    verb: str | None = None
    stranger: bool = False
    """It has an argument that the family does not take."""


def told(family: Family, invocation: Invocation) -> Told:
    """Return what role the command line of a family gives itself."""
    arguments = invocation.arguments
    program = invocation.program
    if any(word in _HELP for word in arguments[:2]):
        return Told("client", arguments[0])
    plain = positionals(arguments, _valued(family))
    if invocation.kind == "code":
        return Told("inference" if family.role == "server" else family.role)
    if family.verbs and _takes_verbs(family, program, invocation):
        for words in (2, 1):
            verb = " ".join(plain[:words])
            if len(plain) >= words and verb in family.verbs:
                return Told(family.verbs[verb], verb)
        if not plain or family.free_arguments:
            known = family.without_verb.get(program) or family.without_verb.get("*")
            return Told(known, stranger=_odd(plain))
        if program in family.without_verb:
            return Told(family.without_verb[program])
        return Told(None, plain[0], stranger=True)
    role = family.program_roles.get(program) or family.role
    return Told(role, stranger=_odd(plain))


def _takes_verbs(family: Family, program: str, invocation: Invocation) -> bool:
    if invocation.kind == "module":
        # python -m vllm is the program vllm; python -m vllm.entrypoints.x is a program of its own.
        return program.partition(".")[0] in family.verbs_of and program.count(".") == 0
    if invocation.kind in {"title", "java"}:
        return False
    return not family.verbs_of or program in family.verbs_of


def _odd(plain: list[str]) -> bool:
    """Tell whether the only plain argument is a number, as of sleep; no AI program takes one."""
    return len(plain) == 1 and plain[0].replace(".", "", 1).isdigit()


def _valued(family: Family) -> set[str]:
    return {
        *family.model_flags, *family.projector_flags, *family.adapter_flags, *family.draft_flags,
        *family.served_name_flags, *family.port_flags, *family.host_flags, *family.socket_flags, *family.key_flags,
    }  # fmt: skip


def models_of(family: Family, invocation: Invocation, environment: Mapping[str, str]) -> list[ModelReference]:
    """Return the models that a command line or the environment names."""
    arguments = invocation.arguments
    found = [ModelReference(value, "argv", "model") for value in values_of(arguments, family.model_flags)]
    if not found:
        found += _positional(family, invocation)
    for flags, kind in (
        (family.projector_flags, "projector"),
        (family.adapter_flags, "adapter"),
        (family.draft_flags, "draft"),
    ):
        found += [ModelReference(value, "argv", kind) for value in values_of(arguments, flags)]
    if not any(one.kind == "model" for one in found):
        given = dict(word.partition("=")[::2] for word in invocation.assignments) | dict(environment)
        values = [given[name] for name in family.env_models if given.get(name)]
        found += [ModelReference(value, "environment", "model") for value in values[:1]]
    return list(dict.fromkeys(one for one in found if len(one.value) <= _LONGEST_NAME))


def _positional(family: Family, invocation: Invocation) -> list[ModelReference]:
    plain = positionals(invocation.arguments, _valued(family))
    for verb in family.positional_model:
        words = verb.split()
        if plain[: len(words)] == words and len(plain) > len(words):
            value = plain[len(words)]
            if not (not words and value in family.positional_model):
                return [ModelReference(value, "argv", "model")]
    return []


def served_names(family: Family, invocation: Invocation) -> list[str]:
    """Return the names under which clients ask for the model."""
    return values_of(invocation.arguments, family.served_name_flags)


def listener_of(family: Family, invocation: Invocation) -> Listener:
    """Return where the command line has the program listen."""
    hosts = values_of(invocation.arguments, family.host_flags)
    ports = values_of(invocation.arguments, family.port_flags)
    sockets = values_of(invocation.arguments, family.socket_flags)
    host = hosts[-1] if hosts else None
    if host is not None and (host.endswith(".sock") or host.startswith(("unix:", "/"))):
        sockets.append(host.removeprefix("unix://").removeprefix("unix:"))
        host = None
    port = _port(ports[-1]) if ports else None
    return Listener(host, port, sockets[-1] if sockets else None)


def _port(text: str) -> int | None:
    number = text.rpartition(":")[2]
    return int(number) if number.isdecimal() and 0 < int(number[:6]) < 65536 else None


def asks_for_key(family: Family, invocation: Invocation, environment: Mapping[str, str] | None) -> bool | None:
    """Tell whether the engine asks for a key; None where that can't be told. The key itself is never kept."""
    if family.keyless:
        return False
    if not family.key_flags and not family.key_env:
        return None
    if has_flag(invocation.arguments, family.key_flags):
        return True
    if any(word.partition("=")[0] in family.key_env for word in invocation.assignments):
        return True
    if environment is not None and any(environment.get(name) for name in family.key_env):
        return True
    if environment is None and family.key_env:
        return None
    return False if invocation.kind in {"program", "script", "module", "package"} else None
