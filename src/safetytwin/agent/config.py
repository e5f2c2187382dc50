"""What the agent is told: a TOML file, the environment and flags, each stronger than the one before."""

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any

import msgspec
from msgspec import Meta

ENVIRONMENT_PREFIX = "SAFETYTWIN_"

LabelName = A[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?\Z")]
LabelValue = A[str, Meta(max_length=200)]


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every key of the agent's configuration, with its default."""

    # fmt: off
    bridge: A[str | None, Meta(description="URL of the bridge, such as https://bridge.example:5678; none: only look")] = None
    interval: A[float, Meta(ge=0.1, le=86400, description="seconds between two looks")] = 10.0
    token_file: A[str | None, Meta(description="file with the token that the bridge asks for; never the token itself")] = None
    ca_file: A[str | None, Meta(description="file with the certificates that the bridge's TLS is checked against")] = None
    state_directory: A[str | None, Meta(description="where the identity and the spool are kept")] = None
    spool_max_bytes: A[int, Meta(ge=0, description="most bytes that wait on disk while the bridge is away")] = 64 * 1024 * 1024
    cpu_budget_percent: A[float, Meta(gt=0, le=100, description="CPU of one core that the agent may use on average")] = 5.0
    memory_budget_bytes: A[int, Meta(gt=0, description="resident memory that the agent may use")] = 256 * 1024 * 1024
    backend: A[str, Meta(pattern="^(proc|psutil)$", description="proc reads /proc, psutil works anywhere")] = "proc" if sys.platform.startswith("linux") else "psutil"
    without: A[list[str], Meta(description="collectors to leave out, by name")] = msgspec.field(default_factory=list)
    open_files: A[bool, Meta(description="list the open files of each process (dearer)")] = False
    environment: A[bool, Meta(description="list the processes' environments, values redacted")] = False
    allow_environment: A[list[str], Meta(description="names (shell patterns) whose values in environments may be shown")] = msgspec.field(default_factory=list)
    user_units: A[bool, Meta(description="list the units of the users' systemd managers too")] = False
    unit_file_contents: A[bool, Meta(description="show what is in the unit files that the administrator wrote, redacted")] = False
    docker_socket: A[str | None, Meta(description="the Docker engine's socket, if not the usual one")] = None
    podman_socket: A[str | None, Meta(description="Podman's socket, if not the usual one")] = None
    system_bus: A[str | None, Meta(description="the D-Bus system bus's socket, if not the usual one")] = None
    recognise: A[bool, Meta(description="recognise AI workloads and the models they use")] = True
    model_directories: A[list[str], Meta(description="directories to look for model files in, beside the engines' own stores")] = msgspec.field(default_factory=list)
    ai_catalogue: A[str | None, Meta(description="TOML file with engines of your own; docs/catalogue.md")] = None
    labels: A[dict[LabelName, LabelValue], Meta(description="what to call this machine by in questions to a fleet, such as role=web")] = msgspec.field(default_factory=dict)
    ask_engines: A[bool, Meta(description="ask engines on loopback which models they hold: only GETs that load nothing")] = False
    # fmt: on


class ConfigError(Exception):
    """A configuration that can't be used; the text names the source, the key and the mend."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration that holds, and where each value came from."""

    config: AgentConfig
    sources: Mapping[str, str]
    """By key: default, the file's path, the variable's name, or the flag."""


def keys() -> dict[str, str]:
    """Return every key with its description."""
    return {field.name: _meta(field.type).description or "" for field in msgspec.structs.fields(AgentConfig)}


def default_path() -> str:
    """Return where the configuration file is looked for: /etc for root, else the XDG configuration directory."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return "/etc/safetytwin/agent.toml"
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "safetytwin", "agent.toml")


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Configured:
    """Return the configuration from a file (the default one where path is None and it exists), environment and flags.

    Raises ConfigError; a key that does not exist names the nearest that does.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(keys(), "default")
    for source, given in (
        _from_file(path),
        *((name, {key: value}) for name, key, value in _from_environment(environment)),
        *((flag_of(key), {key: value}) for key, value in flags.items() if value is not None),
    ):
        for key, value in given.items():
            _check(source, key, value)
            values[key] = value
            sources[key] = source
    return Configured(msgspec.convert(values, AgentConfig), sources)


def _from_file(path: str | None) -> tuple[str, dict[str, Any]]:
    chosen = path or default_path()
    try:
        with open(chosen, "rb") as file:
            return chosen, tomllib.load(file)
    except FileNotFoundError:
        if path is None:
            return chosen, {}
        raise ConfigError(f"there is no file {path}") from None
    except OSError as error:
        raise ConfigError(f"{chosen} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{chosen} is not TOML: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, Any]]:
    found = []
    names = keys()
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        _known(name, key, names)
        found.append((name, key, _from_text(name, key, text)))
    return found


def _from_text(source: str, key: str, text: str) -> Any:
    kind = type_of(key)
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.strip().lower()]
        if kind is list:
            return [part.strip() for part in text.split(",") if part.strip()]
        if kind is dict:
            return dict(label_of(part) for part in text.split(",") if part.strip())
        return kind(text) if kind in {int, float} else text
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number", dict: "NAME=VALUE,NAME=VALUE"}[kind]
        raise ConfigError(f"{source}: {text!r} is not {wanted}") from None


def label_of(text: str) -> tuple[str, str]:
    """Return the name and the value of a label that is written NAME=VALUE; raises ValueError where it is not."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"{text!r} is no label; write NAME=VALUE, such as role=web")
    return name.strip(), value.strip()


def flag_of(key: str) -> str:
    """Return the flag that sets a key; one that may be repeated gives one label at a time."""
    return "--label" if key == "labels" else "--" + key.replace("_", "-")


def value_of(key: str, value: Any) -> Any:
    """Return value as the key's type; raises ValueError where it can't be."""
    field = next(field for field in msgspec.structs.fields(AgentConfig) if field.name == key)
    return msgspec.convert(value, field.type)


def _check(source: str, key: str, value: Any) -> None:
    _known(source, key, keys())
    try:
        value_of(key, value)
    except ValueError as error:
        raise ConfigError(f"{source}: {key} = {value!r}: {error}") from error


def _known(source: str, key: str, known: Mapping[str, str]) -> None:
    if key in known:
        return
    import difflib  # noqa: PLC0415 - only for the message

    close = difflib.get_close_matches(key, known, 1, 0.5)
    nearest = f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}"
    raise ConfigError(f"{source}: there is no key {key!r}; {nearest}")


def _meta(annotated: Any) -> Meta:
    meta: Meta = annotated.__metadata__[0]
    return meta


def type_of(key: str) -> type:
    """Return the plain type of a key's value: dict, bool, list, float, int or str."""
    field = next(field for field in msgspec.structs.fields(AgentConfig) if field.name == key)
    text = str(field.type.__origin__)
    for name, kind in (("dict", dict), ("bool", bool), ("list", list), ("float", float), ("int", int)):
        if name in text:
            return kind
    return str
