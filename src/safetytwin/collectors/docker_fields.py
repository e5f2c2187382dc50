"""What an engine's answers say of a container: JSON values in, fields of a Service out.

Source: Docker Engine API v1.41, ContainerList and ContainerInspect; Podman answers in the same shape with other habits.
Whatever is not of the promised shape is unknown, never an error.
"""

from typing import Any

from safetytwin.models.fields import MAX_INTEGER, count
from safetytwin.models.service import Limits, Port, Volume
from safetytwin.models.timestamps import seconds_of, timestamp

RUNNING = frozenset(("running", "paused"))
SHORT_ID = 12

_UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 31 * 86400,
    "year": 366 * 86400,
}


def fields_of_list(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what /containers/json says of one container; entry has an Id."""
    container_id = entry["Id"]
    status = _text(entry.get("State"))
    settings = _dict(entry.get("NetworkSettings"))
    labels = _strings(entry.get("Labels"))
    created = entry.get("Created")
    return {
        "type": kind,
        "id": container_id,
        "name": _name(entry.get("Names")) or container_id[:SHORT_ID],
        "status": status.lower() if status else None,
        "image": _text(entry.get("Image")),
        "image_id": _text(entry.get("ImageID")),
        "created": timestamp(created) if isinstance(created, int | float) and created > 0 else None,
        "ports": [port for item in _list(entry.get("Ports")) if (port := _listed_port(_dict(item))) is not None],
        "volumes": _volumes(entry.get("Mounts"), None),
        "networks": sorted(_dict(settings.get("Networks"))),
        "labels": labels,
        "extra": _compose(labels) or None,
    }


def fields_of_inspect(kind: str, entry: dict[str, Any], inspected: dict[str, Any]) -> dict[str, Any]:
    """Return what the list and /containers/ID/json together say of one container."""
    state, config = _dict(inspected.get("State")), _dict(inspected.get("Config"))
    host, settings = _dict(inspected.get("HostConfig")), _dict(inspected.get("NetworkSettings"))
    fields = fields_of_list(kind, entry)
    status = (_text(state.get("Status")) or fields["status"] or "").lower() or None
    started, finished = _moment(state.get("StartedAt")), _moment(state.get("FinishedAt"))
    name = _text(inspected.get("Name"))
    labels = _strings(config.get("Labels")) or fields["labels"]
    restart = _dict(host.get("RestartPolicy"))
    runtime = _text(host.get("Runtime"))
    path = _text(inspected.get("Path"))
    fields |= {
        "name": (name or "").lstrip("/") or fields["name"],
        "hostname": _text(config.get("Hostname")),
        "status": status,
        "pid": _positive(state.get("Pid")),
        "start_time": started,
        "exit_code": _exit_code(status, started, state.get("ExitCode")),
        "restarts": count(_integer(inspected.get("RestartCount"))),
        "user": _text(config.get("User")),
        "image": _text(config.get("Image")) or fields["image"],
        "image_id": _text(inspected.get("Image")) or fields["image_id"],
        "command": ([path] if path else []) + [a for a in _list(inspected.get("Args")) if isinstance(a, str)] or None,
        "created": _moment(inspected.get("Created")) or fields["created"],
        "runtime": None if runtime == "oci" else runtime,  # Podman's word for whichever it is
        "ports": _ports(settings.get("Ports"), host.get("PortBindings"), config.get("ExposedPorts")),
        "volumes": _volumes(inspected.get("Mounts", entry.get("Mounts")), host.get("Tmpfs")),
        "networks": _networks(settings.get("Networks"), host.get("NetworkMode")),
        "links": _links(host.get("Links"), settings.get("Networks")),
        "environment": _environment(config["Env"]) if "Env" in config else None,
        "labels": labels,
        "health": _health(state.get("Health", state.get("Healthcheck"))),
        "restart_policy": (_text(restart.get("Name")) or "no") if "RestartPolicy" in host else None,
        "oom_killed": state.get("OOMKilled") if isinstance(state.get("OOMKilled"), bool) else None,
        "limits": _limits(host),
        "extra": _extra(labels, state, host, finished) or None,
    }
    return fields


def without_age(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a list entry such that two are equal unless something other than the time has changed.

    The ages in Status ("Up 5 minutes (healthy)", "Exited (1) 2 hours ago") go, and lists stand in one order, for
    engines give some in the order of a hash.
    """
    text = entry.get("Status")
    plain = dict(entry)
    if isinstance(text, str):
        if text.startswith("Up "):
            plain["Status"] = "Up " + "".join(text.partition("(")[1:])
        elif text.endswith(" ago"):
            plain["Status"] = text[: text.find(")") + 1]
    for name in ("Ports", "Mounts", "Names"):
        if isinstance(plain.get(name), list):
            plain[name] = sorted(plain[name], key=repr)
    return plain


def longest_age(status_text: str) -> int | None:
    """Return the most seconds that the age in Status can mean ("Up 4 minutes": less than 300), or None without one.

    Source: HumanDuration of docker/go-units, which rounds down, hours to the nearest.
    """
    words = status_text.removeprefix("Up ").partition(") ")[2] or status_text.removeprefix("Up ")
    if not (status_text.startswith("Up ") or status_text.endswith(" ago")):
        return None
    if words.startswith("Less than a second"):
        return 1
    if words.startswith(("About a minute", "About an hour")):
        return 120 if "minute" in words else 2 * 3600
    number, _, rest = words.partition(" ")
    unit = rest.split(" ")[0].removesuffix("s")
    return (int(number) + 1) * _UNITS[unit] if number.isdigit() and len(number) < 6 and unit in _UNITS else None


def _compose(labels: dict[str, str] | None) -> dict[str, Any]:
    known = {"compose_project": "com.docker.compose.project", "compose_service": "com.docker.compose.service"}
    return {name: labels[label] for name, label in known.items() if labels and labels.get(label)}


def _extra(
    labels: dict[str, str] | None, state: dict[str, Any], host: dict[str, Any], finished: str | None
) -> dict[str, Any]:
    extra = _compose(labels)
    if finished is not None:
        extra["finished_at"] = finished
    if error := _text(state.get("Error")):
        extra["error"] = error
    if host.get("Privileged") is True:
        extra["privileged"] = True
    requests = [_device_request(item) for item in map(_dict, _list(host.get("DeviceRequests")))]
    if requests:
        extra["device_requests"] = requests
    devices = [_text(_dict(item).get("PathOnHost")) for item in _list(host.get("Devices"))]
    if any(devices):
        extra["devices"] = [device for device in devices if device]
    return extra


def _device_request(item: dict[str, Any]) -> dict[str, Any]:
    """Return what `--gpus` asked for; count -1 is all."""
    capabilities = [name for names in _list(item.get("Capabilities")) for name in _list(names)]
    request = {
        "driver": _text(item.get("Driver")),
        "count": _integer(item.get("Count")) or None,
        "device_ids": [name for name in _list(item.get("DeviceIDs")) if isinstance(name, str)] or None,
        "capabilities": [name for name in capabilities if isinstance(name, str)] or None,
    }
    return {name: value for name, value in request.items() if value is not None}


def _exit_code(status: str | None, started: str | None, code: Any) -> int | None:
    number = _integer(code)
    if status in RUNNING or (started is None and not number):
        return None
    return number


def _limits(host: dict[str, Any]) -> Limits | None:
    nano, quota = _positive(host.get("NanoCpus")), _positive(host.get("CpuQuota"))
    cpus = nano / 1e9 if nano else None
    if cpus is None and quota:
        cpus = quota / (_positive(host.get("CpuPeriod")) or 100_000)
    limits = Limits(memory=_positive(host.get("Memory")), cpus=cpus, pids=_positive(host.get("PidsLimit")))
    return None if limits == Limits() else limits


def _ports(published: Any, configured: Any, exposed: Any) -> list[Port]:
    """Return the ports that are published, or would be where the container isn't running, and those only exposed."""
    bound = _dict(published) or _dict(configured)
    ports = []
    for key in sorted(set(bound) | set(_dict(exposed)), key=lambda text: (text.partition("/")[0].zfill(5), text)):
        number, _, protocol = key.partition("/")
        if not number.isdigit() or len(number) > 5:
            continue
        bindings = [_dict(item) for item in _list(bound.get(key))] or [{}]
        ports += [
            Port(
                container_port=int(number),
                protocol=protocol or None,
                host_ip=_text(binding.get("HostIp")),
                host_port=_port_number(binding.get("HostPort")),
            )
            for binding in bindings
        ]
    return ports


def _listed_port(item: dict[str, Any]) -> Port | None:
    inside = _port_number(item.get("PrivatePort"))
    if inside is None:
        return None
    return Port(
        container_port=inside,
        protocol=_text(item.get("Type")),
        host_ip=_text(item.get("IP")),
        host_port=_port_number(item.get("PublicPort")),
    )


def _port_number(value: Any) -> int | None:
    if isinstance(value, str):
        value = int(value) if value.isdigit() and len(value) <= 5 else None
    return _positive(value)


def _volumes(mounts: Any, tmpfs: Any) -> list[Volume]:
    volumes = []
    for item in map(_dict, _list(mounts)):
        target = _text(item.get("Destination"))
        if target is None:
            continue
        kind, writable = _text(item.get("Type")), item.get("RW")
        name = _text(item.get("Name")) if kind == "volume" else None
        read_only = not writable if isinstance(writable, bool) else None
        volumes.append(Volume(target=target, source=name or _text(item.get("Source")), kind=kind, read_only=read_only))
    targets = {volume.target for volume in volumes}
    for target, options in _dict(tmpfs).items():
        if target and target not in targets:
            words = options.split(",") if isinstance(options, str) else []
            volumes.append(Volume(target=target, kind="tmpfs", read_only="ro" in words))
    return sorted(volumes, key=lambda volume: volume.target)


def _networks(networks: Any, mode: Any) -> list[str]:
    names = sorted(_dict(networks))
    if not names and isinstance(mode, str) and mode.startswith(("container:", "host", "none", "ns:", "slirp4netns")):
        return [mode]
    return names


def _links(legacy: Any, networks: Any) -> list[str] | None:
    """Return links as name:alias; the engine writes the default bridge's as /name:/container/alias."""
    links = set()
    for link in _list(legacy):
        if isinstance(link, str):
            name, _, alias = link.partition(":")
            links.add(f"{name.lstrip('/')}:{alias.rpartition('/')[2] or name.lstrip('/')}")
    for network in _dict(networks).values():
        links.update(link for link in _list(_dict(network).get("Links")) if isinstance(link, str))
    return sorted(links) or None


def _environment(items: Any) -> dict[str, str]:
    pairs = (item.partition("=") for item in _list(items) if isinstance(item, str))
    return {name: value for name, _, value in pairs if name}


def _health(health: Any) -> str | None:
    status = _text(_dict(health).get("Status"))
    return None if status in (None, "none") else status


def _moment(value: Any) -> str | None:
    """Return an engine's moment as the state writes it; None for Go's zero time, the year 1."""
    if not isinstance(value, str) or value.startswith("0001-"):
        return None
    try:
        return timestamp(seconds_of(value))
    except (ValueError, OverflowError):
        return None


def _name(names: Any) -> str | None:
    """Return the container's own name: the one that is no link's (/other/alias)."""
    known = [name.removeprefix("/") for name in _list(names) if isinstance(name, str) and name.strip("/")]
    own = [name for name in known if "/" not in name]
    return next(iter(own or known), None)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _strings(value: Any) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER else None


def _positive(value: Any) -> int | None:
    number = _integer(value)
    return count(number) if number is not None and number > 0 else None
