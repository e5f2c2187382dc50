"""The spellings of other programs: names of fields, shapes of values; one table or one small function for each."""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from safetytwin.models.fields import Record
from safetytwin.models.timestamps import timestamp

EXAMPLE = (
    '{"host_id": "atlas", "timestamp": "2026-01-31T14:00:00Z", "hardware": {"hostname": "atlas"}, '
    '"services": [], "processes": []}'
)

MOMENTS = frozenset({"timestamp", "create_time", "start_time", "boot_time", "created", "last_seen"})
MAY_BE_NEGATIVE = frozenset({"nice", "exit_code"})
UNKNOWN = frozenset({"", "-", "n/a", "[n/a]", "none", "null", "nan", "unknown", "not supported", "[not supported]"})

_UNIT = re.compile(r"\.(service|socket|timer|mount|automount|swap|target|path|slice|scope|device)\Z")
_STATUS_LETTERS = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
    "P": "parked",
    "sleep": "sleeping",
}
_ADDRESS_FAMILIES = {
    "2": "ipv4",
    "10": "ipv6",
    "23": "ipv6",
    "30": "ipv6",
    "1": "unix",
    "af_inet": "ipv4",
    "af_inet6": "ipv6",
    "af_unix": "unix",
    "inet": "ipv4",
    "inet6": "ipv6",
}
_SOCKET_TYPES = {"1": "tcp", "2": "udp", "sock_stream": "tcp", "sock_dgram": "udp"}
_PS_AUX = re.compile(
    r"(\S+)\s+(\d+)\s+([\d.]+)\s+([\d.]+)\s+(\d+)\s+(\d+)\s+\S+\s+(\S+)\s+\S+\s+\S+\s+(.+)\Z", re.ASCII
)
_LATEST_SECONDS = 253402300799


def moment(value: Any) -> str | None:
    """Return a moment as the state writes it, or None where it says "unknown"; raises ValueError.

    Numbers are seconds since 1970, or milli-, micro- or nanoseconds where they would be beyond the year 9999.
    Text without a time zone is UTC.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in UNKNOWN or text.startswith("0001-01-01"):  # Go's zero time
            return None
        if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,9})?", text, re.ASCII):
            # Python reads six digits of a second at most, and engines write nine.
            parsed = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text.replace(" UTC", "Z")))
            return timestamp((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("no moment")  # noqa: TRY004 - one kind of error for whatever is no moment
    if value == 0:
        return None
    if not math.isfinite(value):
        raise ValueError("no moment")
    while value > _LATEST_SECONDS:
        value /= 1000
    written = timestamp(value)
    if written is None or value < 0:
        raise ValueError("outside the years 1970 to 9999")
    return written


def prepare(record: type[Record], value: Any) -> Any:
    """Return an item as an object with fields of the record under one of their names, where it has another shape."""
    shape = _SHAPES.get(record.__name__)
    return shape(dict(value) if isinstance(value, Mapping) else value) if shape is not None else value


def example_of(record: type[Record]) -> str | None:
    """Return an item of a record as it would be right."""
    return {
        "Process": '{"pid": 812, "start_ticks": 33401, "name": "sshd"}',
        "Service": '{"type": "systemd", "id": "ssh.service", "name": "ssh.service", "status": "active"}',
        "Port": '{"container_port": 80, "protocol": "tcp", "host_port": 8080}',
        "Disk": '{"mountpoint": "/", "total": 1000000000}',
        "Interface": '{"name": "eth0"}',
    }.get(record.__name__)


def named_items(record: type[Record], value: Mapping[str, Any]) -> list[Any]:
    """Return a map of items as the list of them, the name being a field: {"eth0": {...}}, {"80/tcp": [{...}]}."""
    key = {
        "Interface": "name",
        "Disk": "mountpoint",
        "Service": "name",
        "Port": "container_port",
        "Volume": "source",
        "CpuCore": "id",
    }.get(record.__name__)
    if key is None:
        return [value]
    items: list[Any] = []
    for name, item in value.items():
        inner = item if isinstance(item, list) else [item]
        # The engine's own way to say that a port is exposed and not published is null or [].
        items += [
            {key: name, **(part if isinstance(part, Mapping) else _bare(record, part))} for part in inner or [None]
        ]
    return items


def _bare(record: type[Record], part: Any) -> dict[str, Any]:
    if part is None:
        return {}
    return {{"Port": "host_port", "Volume": "target", "CpuCore": "usage_percent"}.get(record.__name__, "value"): part}


def named_pairs(name: str, value: list[Any]) -> Any:
    """Return a list as the map that a field wants: ["NAME=value"], and GPUs by vendor."""
    if name == "gpu":
        vendors: dict[str, list[Any]] = {}
        for item in value:
            vendor = (
                str(item.get("vendor") or _vendor(str(item.get("name", ""))))
                if isinstance(item, Mapping)
                else "unknown"
            )
            vendors.setdefault(vendor.lower(), []).append(item)
        return vendors
    if all(isinstance(item, str) for item in value):
        return {item.partition("=")[0]: item.partition("=")[2] for item in value}
    return value


def split_text(name: str, value: str) -> Any:
    """Return text as the list that a field wants."""
    if name in {"cmdline", "command"}:
        try:
            return shlex.split(value)
        except ValueError:
            return value.split()
    if name in {"flags", "options", "links", "networks", "id_like", "load_average", "addresses", "ports", "volumes"}:
        return [part for part in re.split(r"[|,\s]+", value) if part]
    return value


def _vendor(name: str) -> str:
    lower = name.lower()
    known = {
        "nvidia": "nvidia",
        "geforce": "nvidia",
        "tesla": "nvidia",
        "quadro": "nvidia",
        "amd": "amd",
        "radeon": "amd",
        "intel": "intel",
    }
    return next((vendor for word, vendor in known.items() if word in lower), "unknown")


def _state(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    containers = value.pop("containers", None)
    if isinstance(containers, list):
        services = value.get("services")
        typed = [{"type": "docker", **item} if isinstance(item, Mapping) else item for item in containers]
        value["services"] = [*(services if isinstance(services, list) else []), *typed]
    hostname = value.pop("hostname", None)
    if hostname is not None:
        hardware = value.get("hardware")
        value["hardware"] = {"hostname": hostname, **(hardware if isinstance(hardware, Mapping) else {})}
    return value


def _hardware(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("os"), str):
            value["os"] = {"name": value["os"]}
        for name in ("cpu", "memory", "mem", "ram"):
            if isinstance(value.get(name), str):
                value[name] = {"model": value[name]} if name == "cpu" else {"total": value[name]}
        if isinstance(value.get("gpu"), Mapping):
            value["gpu"] = {vendor: _of_vendor(vendor, items) for vendor, items in value["gpu"].items()}
        swap = value.pop("swap", None)
        memory = value.get("memory")
        if isinstance(swap, Mapping) and isinstance(memory, Mapping):
            value["memory"] = {"swap": swap, **memory}
    return value


def _of_vendor(vendor: str, items: Any) -> Any:
    if not isinstance(items, list):
        return items
    return [{"vendor": vendor, **item} if isinstance(item, Mapping) else item for item in items]


def _cpu(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"usage_percent": value}
    if isinstance(value, dict):
        if isinstance(value.get("cores"), int):
            value.setdefault("cores_logical", value.pop("cores"))
        frequency = value.pop("frequency", None)
        if isinstance(frequency, Mapping):
            value |= {f"{name}_mhz": number for name, number in frequency.items()}
        elif frequency is not None:
            value["mhz"] = frequency
        for name in ("cores", "per_cpu"):
            if isinstance(value.get(name), list):
                value[name] = [
                    {"id": i, **core} if isinstance(core, Mapping) else {"id": i, "usage_percent": core}
                    for i, core in enumerate(value[name])
                ]
        for name in ("load_average", "loadavg", "load_avg", "load"):
            if isinstance(value.get(name), Mapping):
                value[name] = list(value[name].values())
    return value


def _memory(value: Any) -> Any:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return {"total": value}
    if isinstance(value, dict):
        for name in ("virtual", "virtual_memory", "ram", "physical", "main"):
            if isinstance(value.get(name), Mapping):
                value |= value.pop(name)
        for name in ("swap_memory",):
            if isinstance(value.get(name), Mapping):
                value["swap"] = value.pop(name)
        swap = {name.removeprefix("swap_"): value.pop(name) for name in list(value) if name.startswith("swap_")}
        if swap:
            nested = value.get("swap")
            value["swap"] = {**swap, **(nested if isinstance(nested, Mapping) else {})}
        if isinstance(value.get("swap"), dict) and not any(value["swap"].values()):
            del value["swap"]  # a machine without swap, in the words of those who write 0 for it
    return value


def _address(value: Any) -> Any:
    if isinstance(value, str):
        value = {"address": value}
    if isinstance(value, dict) and isinstance(text := value.get("address", value.get("addr", value.get("ip"))), str):
        address, _, prefix = text.partition("/")
        value["address"] = address.partition("%")[0]
        if prefix.isdecimal():
            value.setdefault("prefix", int(prefix))
        value["family"] = _ADDRESS_FAMILIES.get(str(value.get("family", "")).lower()) or (
            "ipv6" if ":" in address else "ipv4"
        )
    return value


def _gpu(value: Any) -> Any:
    if isinstance(value, dict):
        value.setdefault("vendor", _vendor(str(value.get("name", value.get("model", "")))))
        if value.get("uuid") is None and value.get("id") is None:
            value["uuid"] = str(value.get("pci_bus_id") or f"index:{value.get('index', 0)}")
    return value


def _service(value: Any) -> Any:
    if isinstance(value, str):
        value = {"name": value, "type": "systemd"}
    if not isinstance(value, dict):
        return value
    name = value.get("name", value.get("unit", value.get("service")))
    if isinstance(value.get("active"), bool):
        value["active"] = "active" if value["active"] else "inactive"
    if isinstance(value.get("enabled"), bool):
        value["enabled"] = "enabled" if value["enabled"] else "disabled"
    if value.get("type") is None and value.get("kind") is None:
        value["type"] = "docker" if value.get("image") or value.get("container_id") else "systemd"
    if value.get("type", value.get("kind")) in {"systemd", "service"}:
        value["type"] = "systemd"
        if isinstance(name, str) and name:
            name = name if _UNIT.search(name) else f"{name}.service"
            value["name"] = name
            given = value.get("id")
            value["id"] = given if isinstance(given, str) and _UNIT.search(given) else name
    elif isinstance(name, str):
        value["name"] = name.removeprefix("/") or name
    if value.get("id") is None and value.get("container_id") is None:
        value["id"] = value.get("name")
    if value.get("name") is None:
        value["name"] = value.get("id", value.get("container_id"))
    return value


def _port(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"container_port": value}
    if isinstance(value, str):
        # As docker ps and compose write them: 80, 80/tcp, 8080:80, 127.0.0.1:8080->80/tcp.
        published, _, inside = value.replace("->", ":").rpartition(":")
        host_ip, _, host_port = published.rpartition(":")
        value = {"container_port": inside, "host_ip": host_ip.strip("[]") or None, "host_port": host_port or None}
    if isinstance(value, dict):
        for name in ("container_port", "port", "private_port", "PrivatePort"):
            if isinstance(value.get(name), str) and "/" in value[name]:
                value[name], _, protocol = value[name].partition("/")
                value.setdefault("protocol", protocol)
        if value.get("host_port") in {"", 0, "0"}:
            del value["host_port"]
    return value


def _volume(value: Any) -> Any:
    if isinstance(value, str):
        source, _, rest = value.partition(":")
        target, _, mode = rest.partition(":")
        return {"source": source if rest else None, "target": target or source, "read_only": "ro" in mode.split(",")}
    if isinstance(value, dict) and value.get("read_only") is None and isinstance(value.get("RW"), bool):
        value["read_only"] = not value.pop("RW")
    return value


def _process(value: Any) -> Any:
    if isinstance(value, str) and (match := _PS_AUX.match(value)):
        user, pid, cpu, mem, vsz, rss, stat, command = match.groups()
        value = {
            "username": user, "pid": int(pid), "cpu_percent": float(cpu), "memory_percent": float(mem),
            "memory_info": {"vms": int(vsz) << 10, "rss": int(rss) << 10}, "status": stat[:1],
            "cmdline": command, "name": command.split()[0].rpartition("/")[2][:15],
        }  # fmt: skip
    if not isinstance(value, dict):
        return value
    for name in ("status", "state", "stat"):
        if isinstance(value.get(name), str):
            value[name] = _STATUS_LETTERS.get(value[name], value[name])
    flat = {name: value.pop(name) for name in ("rss", "vms") if name in value}
    if flat:
        value["memory_info"] = {**flat, **(value.get("memory_info") or {})}
    if isinstance(value.get("memory"), (int, float)):
        value["memory_percent"] = value.get("memory_percent", value.pop("memory"))
    if value.get("start_ticks") is None:
        value["start_ticks"] = _start_ticks(value)
    return value


def _start_ticks(process: Mapping[str, Any]) -> int:
    """Return hundredths of a second since 1970 in place of clock ticks after boot, 0 where the start is not known.

    What matters is that the same process has the same number in each state, and another process of its pid another.
    """
    given = next((process[n] for n in ("create_time", "started", "start_time", "started_at") if process.get(n)), None)
    try:
        written = moment(given)
    except ValueError:
        return 0
    return round(datetime.fromisoformat(written).timestamp() * 100) if written is not None else 0


def _connection(value: Any) -> Any:
    if isinstance(value, dict):
        for side in ("local", "remote"):
            address = value.pop(f"{side[0]}addr", None) or value.get(f"{side}_address")
            if isinstance(address, Mapping):
                value[f"{side}_address"], value[f"{side}_port"] = address.get("ip"), address.get("port")
            elif isinstance(address, list) and len(address) == 2:
                value[f"{side}_address"], value[f"{side}_port"] = address
            elif isinstance(address, str) and value.get(f"{side}_port") is None:
                host, _, port = address.rpartition(":")
                if host and port.isdecimal():
                    value[f"{side}_address"], value[f"{side}_port"] = host.strip("[]"), int(port)
            elif address is not None:
                value[f"{side}_address"] = address
        for name, words in (("family", _ADDRESS_FAMILIES), ("type", _SOCKET_TYPES)):
            if name in value:
                text = str(value[name]).lower()
                value[name] = words.get(text, text)
    return value


def _open_file(value: Any) -> Any:
    return {"path": value, "fd": 0} if isinstance(value, str) else value


_SHAPES: dict[str, Callable[[Any], Any]] = {
    "SystemState": _state, "Hardware": _hardware, "Cpu": _cpu, "Memory": _memory, "Address": _address, "Gpu": _gpu,
    "Service": _service, "Port": _port, "Volume": _volume, "Process": _process, "Connection": _connection,
    "OpenFile": _open_file,
}  # fmt: skip
