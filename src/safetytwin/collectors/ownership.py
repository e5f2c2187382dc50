"""Which unit or container a process belongs to, told from the text of /proc/PID/cgroup (cgroups(7))."""

import re
from typing import NamedTuple


class Owner(NamedTuple):
    """A unit or container, named as the services of the state are."""

    type: str
    """systemd, docker, podman, containerd, cri-o, kubernetes, lxc, nspawn, garden, or container (engine not told)."""
    id: str
    """Unit name, user/UID/unit for a unit of a user's manager, or the container's id or name."""

    @property
    def key(self) -> str:
        """The key of the service: type/id."""
        return f"{self.type}/{self.id}"


_SCOPE = re.compile(
    r"^(?:[^/:]*:)?(docker|libpod|libpod-payload|crio|cri-containerd|nerdctl)[-:]([0-9a-f]{64})(?:\.scope)?$"
)
_ENGINES = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "crio": "cri-o",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
}
_BARE_ID = re.compile(r"^[0-9a-f]{64}$")
_PARENTS = {
    "docker": "docker",
    "libpod_parent": "podman",
    "default": "containerd",
    "k8s.io": "containerd",
    "buildkit": "buildkit",
}
_UNIT_TYPES = (".service", ".scope", ".socket", ".mount", ".swap")
_USER_MANAGER = re.compile(r"^user@([0-9]+)\.service$")
_NSPAWN_UNIT = re.compile(r"^systemd-nspawn@(.+)\.service$")
_MACHINE_SCOPE = re.compile(r"^machine-(.+)\.scope$")
_LIBVIRT_LXC = re.compile(r"^lxc-[0-9]+-(.+)$")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def cgroup_path(cgroup_text: str) -> str | None:
    """Return the path that says most: the v2 one unless it is the root, then memory's, then systemd's, then any.

    None where the text holds no path.
    """
    paths = _paths(cgroup_text)
    for path in paths:
        if path != "/":
            return path
    return paths[0] if paths else None


def owner_of(cgroup_text: str) -> Owner | None:
    """Return what a process belongs to: the innermost container, else the systemd unit, else None.

    cgroup v1, v2 and hybrid, the systemd and cgroupfs drivers of the engines; the engines' own monitors (conmon, the
    LXC monitor) are not the container, and belong to the unit they run in.
    """
    split = [[part for part in path.split("/") if part not in {"", ".."}] for path in _paths(cgroup_text)]
    for parts in split:
        found = _container(parts)
        if found is not None:
            return found
    for parts in split:
        found = _unit(parts)
        if found is not None:
            return found
    return None


def _paths(text: str) -> list[str]:
    """Return the hierarchies' paths, the most telling hierarchy first, without doubles."""
    ranked: list[tuple[int, str]] = []
    for line in text.split("\n"):
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not separator or not path.startswith("/"):
            continue
        path = path.removesuffix(" (deleted)")
        if number == "0" and not controllers:
            rank = 0
        elif "memory" in controllers.split(","):
            rank = 1
        elif controllers == "name=systemd":
            rank = 2
        else:
            rank = 3
        ranked.append((rank, path))
    ranked.sort(key=lambda item: item[0])
    return list(dict.fromkeys(path for _, path in ranked))


def _container(parts: list[str]) -> Owner | None:
    for place in range(len(parts) - 1, -1, -1):
        found = _container_at(parts, place)
        if found is not None:
            return found
    return None


def _container_at(parts: list[str], place: int) -> Owner | None:
    part = parts[place]
    parent = parts[place - 1] if place else ""
    scope = _SCOPE.match(part)
    if scope is not None:
        return Owner(_ENGINES[scope[1]], scope[2])
    if _BARE_ID.match(part):
        if any(above.startswith("kubepods") for above in parts[:place]):
            return Owner("kubernetes", part)
        if "ecs" in parts[:place]:
            return Owner("docker", part)
        return Owner(_PARENTS.get(parent, "container"), part)
    if part.startswith("lxc.payload."):
        return Owner("lxc", part.removeprefix("lxc.payload."))
    if parent in {"lxc", "lxc.payload"} and place == 1:
        return Owner("lxc", part)
    if parent == "garden":
        return Owner("garden", part)
    nspawn = _NSPAWN_UNIT.match(part)
    if nspawn is not None:
        return Owner("nspawn", _unescaped(nspawn[1]))
    machine = _MACHINE_SCOPE.match(part)
    if machine is not None and parent == "machine.slice":
        name = _unescaped(machine[1])
        libvirt = _LIBVIRT_LXC.match(name)
        if libvirt is not None:
            return Owner("lxc", libvirt[1])
        if not name.startswith("qemu-"):
            return Owner("nspawn", name)
    return None


def _unit(parts: list[str]) -> Owner | None:
    """Return the unit as systemd finds it: the first part below the slices (cg_path_get_unit of systemd)."""
    unit, below = _first_unit(parts)
    if unit is None:
        return None
    manager = _USER_MANAGER.match(unit)
    if manager is not None:
        inner, _ = _first_unit(below)
        if inner is not None and inner != "init.scope":
            return Owner("systemd", f"user/{manager[1]}/{inner}")
    return Owner("systemd", unit)


def _first_unit(parts: list[str]) -> tuple[str | None, list[str]]:
    for place, part in enumerate(parts):
        if part.endswith(".slice"):
            continue
        name = part.removeprefix("_")
        return (name if name.endswith(_UNIT_TYPES) else None), parts[place + 1 :]
    return None, []


def _unescaped(name: str) -> str:
    r"""Return a name with systemd's \xNN escapes undone (systemd.unit(5))."""
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
    return plain.encode("latin-1", "replace").decode("utf-8", "replace") if plain != name else name
