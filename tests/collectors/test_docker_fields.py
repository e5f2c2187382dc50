import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.docker_fields import fields_of_inspect, fields_of_list, longest_age, without_age
from safetytwin.models.service import Limits, Port, Service, Volume

FIXTURES = Path(__file__).parents[1] / "fixtures" / "containers"
A = "a" * 64


def _service(name: str, kind: str = "docker") -> Service:
    entries = [e for e in json.loads((FIXTURES / name / "list.json").read_text()) if isinstance(e, dict)]
    entry = next(e for e in entries if e["Id"] == A)
    return Service(**fields_of_inspect(kind, entry, json.loads((FIXTURES / name / f"{A}.json").read_text())))


def test_newline_in_command_is_kept_and_stays_one_line_of_json() -> None:
    service = _service("newline-in-command")
    assert service.command == ["sh", "-c", "sleep 5\n# <b>\x1b[31m"]
    assert b"\n" not in msgspec.json.encode(service)


def test_name_among_links() -> None:
    service = _service("name-among-links")
    assert service.name == "db"
    assert service.links == ["a:b", "cache:redis", "log:log"]


def test_podman_habits() -> None:
    service = _service("podman-habits", "podman")
    assert service.name == "web"
    assert service.labels is None
    assert service.health is None
    assert service.runtime is None
    assert service.restart_policy == "no"
    assert service.limits == Limits(cpus=0.5, pids=2048)
    assert service.ports == [
        Port(container_port=80, protocol="tcp", host_port=8081),
        Port(container_port=99, protocol="tcp"),
    ]


def test_odd_shapes_are_unknown() -> None:
    assert _service("odd-shapes") == Service(
        type="docker",
        id=A,
        name=A[:12],
        image="bb:1",
        image_id="sha256:" + "9" * 64,
        command=["-v"],
        ports=[Port(container_port=80)],
        volumes=[Volume(target="/d", kind="bind")],
        networks=[],
    )


def test_start_failed_has_a_code_and_no_start() -> None:
    service = _service("start-failed")
    assert (service.status, service.exit_code, service.start_time) == ("created", 127, None)
    assert service.extra == {"error": 'exec: "nope": not found'}


def test_gpu_requested() -> None:
    extra = _service("gpu-requested").extra or {}
    assert extra["device_requests"] == [{"count": -1, "capabilities": ["gpu"]}]
    assert extra["devices"] == ["/dev/kfd"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Up Less than a second", 1),
        ("Up 1 second", 2),
        ("Up 59 seconds (healthy)", 60),
        ("Up About a minute (Paused)", 120),
        ("Up 4 minutes", 300),
        ("Up About an hour", 7200),
        ("Up 47 hours", 48 * 3600),
        ("Up 13 days", 14 * 86400),
        ("Up 3 weeks", 28 * 86400),
        ("Exited (137) 2 seconds ago", 3),
        ("Exited (0) About an hour ago", 7200),
        ("Restarting (1) Less than a second ago", 1),
        ("Created", None),
        ("Dead", None),
        ("Removal In Progress", None),
        ("Up", None),
        ("Up many days", None),
        ("", None),
    ],
)
def test_ages(text: str, seconds: int | None) -> None:
    assert longest_age(text) == seconds


def test_what_stays_of_a_status_without_its_age() -> None:
    def plain(text: str) -> str:
        status: str = without_age({"Id": A, "Status": text})["Status"]
        return status

    assert plain("Up 5 minutes") == plain("Up 2 hours")
    assert plain("Up 5 minutes (healthy)") == plain("Up 2 hours (healthy)")
    assert plain("Exited (1) 5 minutes ago") == plain("Exited (1) 2 hours ago")
    different = ["Up 1 second", "Up 1 second (healthy)", "Up 1 second (unhealthy)", "Up 1 second (Paused)"]
    different += [
        "Exited (0) 1 second ago",
        "Exited (1) 1 second ago",
        "Restarting (1) 1 second ago",
        "Created",
        "Dead",
    ]
    assert len({plain(text) for text in different}) == len(different)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _shaped(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, _JSON))


@given(
    _shaped("Names", "State", "Status", "Ports", "Mounts", "Labels", "NetworkSettings", "Created", "Image"),
    st.fixed_dictionaries(
        {},
        optional={
            "State": _shaped("Status", "Pid", "ExitCode", "StartedAt", "FinishedAt", "Health", "Error", "OOMKilled"),
            "HostConfig": _shaped("PortBindings", "Links", "Memory", "NanoCpus", "CpuQuota", "Tmpfs", "RestartPolicy"),
            "Config": _shaped("Env", "Labels", "ExposedPorts", "Hostname", "Image"),
            "NetworkSettings": _shaped("Ports", "Networks"),
            "Mounts": _JSON,
            "Created": _JSON,
            "RestartCount": _JSON,
        },
    ),
)
def test_any_json_makes_a_service_that_the_schema_allows(entry: dict[str, Any], inspected: dict[str, Any]) -> None:
    entry["Id"] = A
    without_age(entry)
    for fields in (fields_of_list("docker", entry), fields_of_inspect("docker", entry, inspected)):
        encoded = msgspec.json.encode(Service(**fields))
        assert msgspec.json.decode(encoded, type=Service).id == A
