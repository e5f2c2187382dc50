"""The fields that a question may ask of: a table, one row each, which docs/fleet.md shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from safetytwin.changes.trees import Tree
from safetytwin.questions.amounts import Kind
from safetytwin.questions.view import View

_FAILING = frozenset({"denied", "timeout", "failed", "stale"})
_ENGINES = frozenset({"docker", "podman", "containerd", "cri-o", "kubernetes", "lxc"})
_NOT_ON_DISK = frozenset({"image", "memory"})


class Found(NamedTuple):
    """Values of a field, and why there may be others that are not known; None where these are all."""

    values: Sequence[Any]
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Items that a question may ask several things of at once, in brackets."""

    name: str
    items: Callable[[View], Found]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: of a machine, or of each item of a group."""

    name: str
    kind: Kind
    about: str
    of_machine: Callable[[View], Found] | None = None
    group: str = ""
    of_item: Callable[[Tree], Found] | None = None

    def read(self, view: View, item: Tree | None = None) -> Found:
        """Return the values: of one item of its group, or of the machine."""
        if self.of_machine is not None:
            return self.of_machine(view)
        if self.of_item is None:
            raise ValueError(f"{self.name} is a family of fields: its NAME is to be written")
        if item is not None:
            return self.of_item(item)
        items, missing = GROUPS[self.group].items(view)
        values: list[Any] = []
        for one in items:
            found = self.of_item(one)
            values += found.values
            missing = missing or found.missing
        return Found(values, missing)


def field_named(name: str, group: str = "") -> Field | None:
    """Return the field of that name, which within a group's brackets may be short; None where there is none."""
    if group:
        return next(
            (f for f in FIELDS if f.group == group and name in {f.name, f.name.removeprefix(f"{group}.")}), None
        )
    family, dot, rest = name.partition(".")
    if dot and rest and family == "label":
        return Field(name, "text", "", lambda view: _label(view, rest))
    if dot and rest and family == "package":
        return Field(name, "version", "", lambda view: _package(view, rest))
    return next((field for field in FIELDS if field.name == name and "NAME" not in name), None)


def _known(value: Any, what: str) -> Found:
    return Found((), f"{what} is not known") if value is None else Found((value,))


def _at(*steps: str) -> Callable[[View], Found]:
    return lambda view: _known(view.at(*steps), ".".join(steps))


def _of(name: str, what: str) -> Callable[[Tree], Found]:
    return lambda item: _known(item.get(name), f"{name} of a {what}")


def _os(view: View) -> Found:
    system = view.at("hardware", "os") or {}
    values = [system[name] for name in ("id", "name") if system.get(name) is not None]
    return Found(values, None if values else "hardware.os is not known")


def _label(view: View, name: str) -> Found:
    labels = view.at("labels") or {}
    return Found([labels[name]] if name in labels else ())


def _package(view: View, name: str) -> Found:
    named = [one for one in view.items("software.packages") if one["name"] == name]
    versions = [one["version"] for one in named if one.get("version") is not None]
    unversioned = None if len(versions) == len(named) else f"the version of {name} is not known"
    return Found(versions, view.not_looked("packages") or unversioned)


def _gpus(view: View) -> Found:
    paths = [path for path in view.twin.counts() if path.startswith("hardware.gpu.")]
    return Found([gpu for path in paths for gpu in view.items(path)], view.not_looked("nvidia", "amd", "intel"))


def _workloads(view: View) -> Found:
    return Found(view.items("ai.workloads"), None if view.at("ai") else "its agent did not look for AI workloads")


def _models(workload: Tree) -> Found:
    models = workload.get("models")
    if models is None and workload["role"] in {"server", "trainer"}:
        return Found((), f"the models of a {workload['role']} are not known")
    return Found([model.get("name") or model["id"] for model in models or ()])


def _engine(workload: Tree) -> Found:
    # Not every workload has an engine; one that serves does.
    if workload.get("engine") is None and workload["role"] != "server":
        return Found(())
    return _known(workload.get("engine"), "engine of a server")


def _units(view: View) -> Found:
    units = [one for one in view.items("services") if one["type"] not in _ENGINES]
    return Found(units, view.not_looked("systemd", "init_scripts"))


def _unit_names(view: View) -> Found:
    units, missing = _units(view)
    return Found([unit["name"] for unit in units], missing)


def _failed(view: View) -> Found:
    units, missing = _units(view)
    return Found([unit["name"] for unit in units if unit.get("status") == "failed"], missing)


def _containers(view: View) -> Found:
    found = [one for one in view.items("services") if one["type"] in _ENGINES]
    return Found(found, view.not_looked("docker", "podman", "cgroup_containers"))


def _container_names(view: View) -> Found:
    found, missing = _containers(view)
    return Found([one["name"] for one in found], missing)


def _images(view: View) -> Found:
    found, missing = _containers(view)
    images = [one["image"] for one in found if one.get("image") is not None]
    unnamed = None if len(images) == len(found) else "the image of a container is not known"
    return Found(images, missing or unnamed)


def _disk_usage(view: View) -> Found:
    disks = [disk for disk in view.items("hardware.disks") if "bind_of" not in disk]
    disks = [disk for disk in disks if disk.get("kind") not in _NOT_ON_DISK]
    values = [disk["usage_percent"] for disk in disks if disk.get("usage_percent") is not None]
    unmeasured = None if len(values) == len(disks) else "the usage of a disk is not known"
    return Found(values, view.not_looked("disks") or unmeasured)


def _failing(view: View) -> Found:
    collectors = view.at("agent", "collectors") or {}
    return Found(sorted(name for name, one in collectors.items() if one.get("status") in _FAILING))


GROUPS = {group.name: group for group in (Group("gpu", _gpus), Group("workload", _workloads))}

FIELDS = (
    Field("hostname", "text", "name of the machine", _at("hardware", "hostname")),
    Field("host_id", "text", "its id", lambda view: Found((view.host_id,))),
    Field("label.NAME", "text", "the label NAME that its agent gives it"),
    Field("status", "text", "live, silent or conflict", lambda view: Found((view.status,))),
    Field("os", "text", "distribution: its id (debian) and its name", _os),
    Field("kernel", "version", "release of the kernel", _at("hardware", "kernel_version")),
    Field("agent.version", "version", "version of its agent", _at("agent", "version")),
    Field("uptime", "duration", "time since it was booted", _at("hardware", "uptime")),
    Field("cpu.usage", "percent", "CPU in use, of the machine", _at("hardware", "cpu", "usage_percent")),
    Field("cpu.cores", "number", "logical CPUs online", _at("hardware", "cpu", "cores_logical")),
    Field("memory.usage", "percent", "memory in use", _at("hardware", "memory", "usage_percent")),
    Field("memory.total", "size", "memory it has", _at("hardware", "memory", "total")),
    Field("memory.available", "size", "memory to be had without swapping", _at("hardware", "memory", "available")),
    Field("disk.usage", "percent", "each file system on a disk, as df says", _disk_usage),
    Field("gpu.vendor", "text", "each GPU: nvidia, amd, intel", group="gpu", of_item=_of("vendor", "GPU")),
    Field("gpu.name", "text", "each GPU's product name", group="gpu", of_item=_of("name", "GPU")),
    Field("gpu.memory_free", "size", "each GPU's free memory", group="gpu", of_item=_of("memory_free", "GPU")),
    Field("gpu.memory_total", "size", "each GPU's memory", group="gpu", of_item=_of("memory_total", "GPU")),
    Field(
        "gpu.utilization",
        "percent",
        "time in which each GPU computes",
        group="gpu",
        of_item=_of("utilization_percent", "GPU"),
    ),
    Field("model", "text", "each model that a workload uses", group="workload", of_item=_models),
    Field("engine", "text", "each workload's engine, such as vllm", group="workload", of_item=_engine),
    Field(
        "workload.role",
        "text",
        "each workload's role, such as server",
        group="workload",
        of_item=_of("role", "workload"),
    ),
    Field("unit", "text", "each unit (or init script's service)", _unit_names),
    Field("unit.failed", "text", "each unit that has failed", _failed),
    Field("container", "text", "each container's name", _container_names),
    Field("image", "text", "each container's image", _images),
    Field("package.NAME", "version", "each installed version of the package NAME"),
    Field("collector.failing", "text", "each collector that is denied, timeout, failed or stale", _failing),
)
