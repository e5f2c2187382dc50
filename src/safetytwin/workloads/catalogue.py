"""The catalogue: which AI workloads there are and by what each is known; data, read from catalogue.toml.

A user's own file may add tables or replace one of the same name. docs/catalogue.md explains every key.
"""

# ruff: noqa: E501 - a key a line: a table to read

import os
import tomllib
from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each
from typing import Any, Literal

import msgspec
from msgspec import Meta, field

ROLES = (
    *("server", "inference", "gateway", "ui", "orchestrator", "vector-db", "notebook", "trainer", "agent"),
    *("mcp-server", "ml"),
)
"""Roles of what serves, trains, embeds or converses with models, or programs that run on PyTorch and its like."""
OTHER_ROLES = ("client", "installer", "ml-other", "gpu-other")
"""Roles of what only asks, fetches, bundles a runtime or computes on a GPU."""

Names = list[str]
Role = Literal[
    "server", "inference", "gateway", "ui", "orchestrator", "vector-db", "notebook", "trainer", "agent", "mcp-server",
    "ml", "client", "installer", "ml-other", "gpu-other",
]  # fmt: skip


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GET that an engine answers without loading or generating anything."""

    # fmt: off
    path: A[str, Meta(pattern="^/[A-Za-z0-9_./-]*$", description="path; no query is ever sent")]
    list: A[str | None, Meta(description="key of the answer that holds a list of models; none: the answer is one")] = None
    name: A[str | None, Meta(description="key of a model's name")] = None
    version: A[str | None, Meta(description="key of the engine's version")] = None
    state: A[Literal["listed", "loaded", "serving"] | None, Meta(description="what being named there means")] = None
    state_key: A[str | None, Meta(description="key of a model that holds its state")] = None
    states: A[dict[str, Literal["listed", "loaded", "serving"]], Meta(description="what that key's values mean")] = field(default_factory=dict)
    # fmt: on


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine or other kind of AI program. All patterns are shell patterns."""

    # fmt: off
    title: A[str, Meta(min_length=1, description="name for people")]
    role: A[Role, Meta(description="what it does, where no program or verb says otherwise")]
    confirmed: A[bool, Meta(description="false: general knowledge, not checked in the engine's source")] = True
    unconfirmed: A[Names, Meta(description="keys of this table that are general knowledge")] = field(default_factory=list)
    exe: A[Names, Meta(description="names of its own executables")] = field(default_factory=list)
    exe_paths: A[Names, Meta(description="whole paths of executables that are its")] = field(default_factory=list)
    scripts: A[Names, Meta(description="names of scripts that Python or Node runs")] = field(default_factory=list)
    files: A[Names, Meta(description="ends of a script's path, where the name alone says nothing")] = field(default_factory=list)
    modules: A[Names, Meta(description="modules run by python -m")] = field(default_factory=list)
    packages: A[Names, Meta(description="Python packages (import names) that it is")] = field(default_factory=list)
    distributions: A[Names, Meta(description="installed distributions, where named otherwise than the package")] = field(default_factory=list)
    apps: A[Names, Meta(description="module:name that uvicorn, gunicorn or hypercorn serve")] = field(default_factory=list)
    node_packages: A[Names, Meta(description="npm packages")] = field(default_factory=list)
    node_titles: A[Names, Meta(description="titles that its Node program gives itself")] = field(default_factory=list)
    java_classes: A[Names, Meta(description="main classes")] = field(default_factory=list)
    titles: A[Names, Meta(description="titles that its workers give themselves")] = field(default_factory=list)
    ambiguous: A[bool, Meta(description="other programs have the same name")] = False
    needs_runtime: A[bool, Meta(description="counts only with an ML runtime mapped or a GPU in use")] = False
    verbs: A[dict[str, Role], Meta(description="first argument (or first two) to role")] = field(default_factory=dict)
    verbs_of: A[Names, Meta(description="programs that take the verbs; none: all")] = field(default_factory=list)
    without_verb: A[dict[str, Role], Meta(description="program (or *) to role, where no verb is given")] = field(default_factory=dict)
    program_roles: A[dict[str, Role], Meta(description="program to role")] = field(default_factory=dict)
    free_arguments: A[bool, Meta(description="any text may stand in a verb's place")] = False
    model_flags: A[Names, Meta(description="flags before a model")] = field(default_factory=list)
    projector_flags: A[Names, Meta(description="flags before a projector")] = field(default_factory=list)
    adapter_flags: A[Names, Meta(description="flags before an adapter (LoRA)")] = field(default_factory=list)
    draft_flags: A[Names, Meta(description="flags before a draft model")] = field(default_factory=list)
    positional_model: A[Names, Meta(description="verbs behind which the model stands without a flag; empty text: no verb")] = field(default_factory=list)
    served_name_flags: A[Names, Meta(description="flags before the name that clients use")] = field(default_factory=list)
    port_flags: A[Names, Meta(description="flags before the port")] = field(default_factory=list)
    host_flags: A[Names, Meta(description="flags before the address")] = field(default_factory=list)
    socket_flags: A[Names, Meta(description="flags before the path of a unix socket")] = field(default_factory=list)
    key_flags: A[Names, Meta(description="flags that make it ask for a key")] = field(default_factory=list)
    key_env: A[Names, Meta(description="variables that make it ask for a key")] = field(default_factory=list)
    keyless: A[bool, Meta(description="it can't ask for a key")] = False
    flags: A[Names, Meta(description="other flags by which its command line is known")] = field(default_factory=list)
    env_models: A[Names, Meta(description="variables that name the model")] = field(default_factory=list)
    worker_env: A[Names, Meta(description="variables of its workers")] = field(default_factory=list)
    libraries: A[dict[str, float], Meta(description="ends of mapped paths, with their weight")] = field(default_factory=dict)
    runs_on: A[Names, Meta(description="runtimes, one of which it maps once it runs")] = field(default_factory=list)
    units: A[Names, Meta(description="systemd units")] = field(default_factory=list)
    images: A[Names, Meta(description="images, without tag")] = field(default_factory=list)
    labels: A[Names, Meta(description="names of labels of its containers")] = field(default_factory=list)
    ports: A[list[A[int, Meta(ge=1, le=65535)]], Meta(description="its ports by default")] = field(default_factory=list)
    asks: A[list[Ask], Meta(description="what may be asked of it, where asking is allowed")] = field(default_factory=list)
    # fmt: on


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Libraries that programs compute with, and what mapping them means."""

    # fmt: off
    libraries: A[Names, Meta(description="ends of mapped paths")]
    role: A[Literal["ml", "ml-other", "text", "distributed", "gpu"], Meta(description="role of a program that maps it; text, distributed and gpu only support one")]
    weight: A[float, Meta(ge=0, le=10, description="log-odds")]
    # fmt: on


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All families and runtimes by name."""

    family: dict[str, Family] = field(default_factory=dict)
    runtime: dict[str, Runtime] = field(default_factory=dict)


class CatalogueError(Exception):
    """A catalogue that can't be used; the text names the file, the place and what is wrong there."""


def load_catalogue(own_file: str | None = None) -> Catalogue:
    """Return the catalogue, with the tables of a user's own file added; raises CatalogueError."""
    shipped = _read(os.path.join(os.path.dirname(__file__), "catalogue.toml"))
    if own_file is None:
        return _checked(shipped, "catalogue.toml")
    own = _checked(_read(own_file), own_file, against=shipped)
    both = msgspec.convert(shipped, Catalogue)
    return Catalogue(both.family | own.family, both.runtime | own.runtime)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise CatalogueError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path} is not TOML: {error}") from error


def _checked(tables: dict[str, Any], path: str, against: dict[str, Any] | None = None) -> Catalogue:
    try:
        catalogue = msgspec.convert(tables, Catalogue)
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{path}: {error}") from error
    runtimes = catalogue.runtime.keys() | (against or {}).get("runtime", {}).keys()
    for name, family in catalogue.family.items():
        place = f"{path}: [family.{name}]"
        for runtime in family.runs_on:
            if runtime not in runtimes:
                raise CatalogueError(
                    f"{place} runs_on names {runtime!r}; the runtimes are {', '.join(sorted(runtimes))}"
                )
        for key in family.unconfirmed:
            if key not in Family.__struct_fields__:
                raise CatalogueError(f"{place} unconfirmed names {key!r}, which is no key of a family")
        for flag in (*family.model_flags, *family.key_flags, *family.port_flags, *family.host_flags, *family.flags):
            if not flag.startswith("-"):
                raise CatalogueError(f"{place} has the flag {flag!r}: a flag begins with -")
        if not _identities(family):
            raise CatalogueError(f"{place} has nothing it could be known by, such as exe, scripts, modules or images")
    return catalogue


def _identities(family: Family) -> list[str]:
    """Return all that a family can be known by alone."""
    return [
        *family.exe, *family.exe_paths, *family.scripts, *family.files, *family.modules, *family.packages,
        *family.apps, *family.node_packages, *family.java_classes, *family.titles, *family.libraries, *family.images,
    ]  # fmt: skip
