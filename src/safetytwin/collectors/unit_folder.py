"""One folder of unit files as systemd.unit(5) lays it out: files, drop-ins, aliases, links that enable."""

import os
from dataclasses import dataclass, field

from safetytwin.collectors.host_root import HostRoot, list_dir, text_of

_SUFFIXES = (
    *(".service", ".socket", ".device", ".mount", ".automount", ".swap"),
    *(".target", ".path", ".timer", ".slice", ".scope"),
)
_ENABLING = (".wants", ".requires", ".upholds")
_LOAD_PATH = (
    *("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/lib/systemd/system"),
)
_INSTALLING = frozenset((b"WantedBy", b"RequiredBy", b"UpheldBy", b"Alias"))
_INDIRECT = frozenset((b"Also", b"DefaultInstance"))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file: its path on the machine, where it lies for us, and what kind of file it is."""

    path: str
    place: str
    unit: str
    is_drop_in: bool = False
    is_masked: bool = False
    target: str | None = None
    """Where a link leads to that is no alias of a unit."""


@dataclass(slots=True)
class UnitFolder:
    """What lies in one folder."""

    exists: bool
    files: list[FoundFile] = field(default_factory=list)
    enabled: set[str] = field(default_factory=set)
    """Units that links here enable."""
    watched: list[str] = field(default_factory=list)
    """Files and folders that change when any of this does."""


def scan(path: str, place: str, root: HostRoot) -> UnitFolder:
    """Return what is in the folder at path on the machine, which lies at place for us; contents are not read."""
    found = UnitFolder(os.path.isdir(place), watched=[place])
    for name in list_dir(place):
        entry = os.path.join(place, name)
        if os.path.islink(entry):
            _take_link(found, _shown(f"{path}/{name}"), entry, root)
        elif os.path.isdir(entry):
            _take_folder(found, f"{path}/{name}", entry)
        elif name.endswith(_SUFFIXES):
            found.files.append(FoundFile(_shown(f"{path}/{name}"), entry, _shown(name)))
    found.watched += [file.place for file in found.files if not file.is_masked]
    return found


def _take_link(found: UnitFolder, path: str, entry: str, root: HostRoot) -> None:
    name = os.path.basename(path)
    if not name.endswith(_SUFFIXES):
        return
    target = _shown(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(entry))))
    if target == "/dev/null":
        found.files.append(FoundFile(path, entry, name, is_masked=True))
    elif os.path.dirname(target) in _LOAD_PATH:
        found.enabled.add(os.path.basename(target))
    else:
        place = os.path.join(root.root, target.lstrip("/"))
        found.files.append(FoundFile(path, place, name, target=target))


def _take_folder(found: UnitFolder, path: str, entry: str) -> None:
    unit, kind = os.path.splitext(os.path.basename(path))
    if kind == ".d":
        found.watched.append(entry)
        found.files += [
            FoundFile(_shown(f"{path}/{name}"), os.path.join(entry, name), _shown(unit), is_drop_in=True)
            for name in list_dir(entry)
            if name.endswith(".conf") and os.path.isfile(os.path.join(entry, name))
        ]
    elif kind in _ENABLING:
        found.watched.append(entry)
        found.enabled.update(map(_shown, list_dir(entry)))


def template_of(unit: str) -> str | None:
    """Return the template that a unit is an instance of, such as getty@.service, or None."""
    template, at, instance = unit.partition("@")
    name, suffix = os.path.splitext(instance)
    return f"{template}@{suffix}" if at and name else None


def install_state(data: bytes) -> str:
    """Return disabled, indirect or static: what a unit that no link enables is by its own [Install] section."""
    section, keys = b"", set()
    for line in data.split(b"\n"):
        line = line.strip()  # noqa: PLW2901 - the line without its surroundings
        if line.startswith(b"["):
            section = line
        elif section == b"[Install]" and line[:1] not in b"#;":
            key, _, value = line.partition(b"=")
            if value.strip():
                keys.add(key.strip())
    if _INSTALLING & keys:
        return "disabled"
    return "indirect" if _INDIRECT & keys else "static"


def _shown(name: str) -> str:
    return text_of(os.fsencode(name))
