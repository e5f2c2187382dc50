"""States as existing agents and scripts write them."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from parts.bridge_http import bare_state, problem_of, running
from parts.states import json_values, states
from safetytwin.bridge.foreign_names import ALIASES
from safetytwin.bridge.foreign_spellings import moment
from safetytwin.bridge.foreign_states import ForeignStateError, understand
from safetytwin.changes.schema import fields_of
from safetytwin.models import hardware, process, service, system_state

NOW = 1_769_868_000.0
FIXTURES = Path(__file__).parents[1] / "fixtures" / "foreign_states"


def understood(**parts):
    state = {"hardware": {"hostname": "atlas"}} | parts
    return msgspec.to_builtins(understand(state, NOW))


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_a_state_of_another_program_means_this(path):
    case = json.loads(path.read_text())
    assert msgspec.to_builtins(understand(case["sent"], NOW)) == case["means"]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(states())
def test_our_own_states_are_left_as_they_are(state):
    tree = msgspec.json.decode(msgspec.json.encode(state))
    try:
        again = understand(tree, NOW)
    except ForeignStateError as error:
        # Any text may stand where ours always writes a moment or a number; that it is refused is right.
        assert "a moment" in str(error) or "at most" in str(error)  # noqa: PT017 - either outcome is right
        return
    assert set(msgspec.to_builtins(again)) == set(msgspec.to_builtins(state))


def test_a_state_of_our_own_agent_is_left_exactly_as_it_is():
    state = bare_state(
        boot_id="b",
        hardware={"hostname": "atlas", "cpu": {"cores_logical": 8, "cores": [{"id": 0, "usage_percent": 1.0}]}},
        services=[{"type": "docker", "id": "abc", "name": "web", "ports": [{"container_port": 80, "protocol": "tcp"}]}],
        processes=[{"pid": 1, "start_ticks": 7, "name": "a", "status": "sleeping", "nice": -5, "extra": {"ai": "x"}}],
    )
    assert msgspec.to_builtins(understand(state, NOW)) == state


@given(json_values)
def test_any_json_is_understood_or_refused_with_the_field(value):
    for candidate in (
        value,
        {"hardware": value},
        {"host_id": "a", "processes": value},
        {"host_id": "a", "services": [value]},
    ):
        try:
            understand(candidate, NOW)
        except ForeignStateError as error:
            assert str(error).startswith(error.field)  # noqa: PT017 - either outcome is right


def test_a_spelling_names_a_field_that_there_is():
    modules = (hardware, process, service, system_state)
    records = {cls.__name__: cls for module in modules for cls in vars(module).values()
               if isinstance(cls, type) and issubclass(cls, msgspec.Struct)}  # fmt: skip
    for record, names in ALIASES.items():
        fields = fields_of(records[record])
        assert set(names.values()) <= set(fields), record
        assert not set(names) & set(fields), record


@pytest.mark.parametrize(
    ("hostname", "host_id"),
    [("atlas", "atlas"), ("Atlas Box", "atlas-box"), ("WEB_01.example.org", "web_01.example.org")],
)
def test_the_host_id_is_made_of_the_hostname(hostname, host_id):
    assert understood(hardware={"hostname": hostname})["host_id"] == host_id
    assert understood(hardware={}, hostname=hostname)["host_id"] == host_id


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1769868000, "2026-01-31T14:00:00.000Z"),
        (1769868000.5, "2026-01-31T14:00:00.500Z"),
        (1769868000000, "2026-01-31T14:00:00.000Z"),
        (1769868000000000000, "2026-01-31T14:00:00.000Z"),
        ("1769868000", "2026-01-31T14:00:00.000Z"),
        ("2026-01-31T14:00:00", "2026-01-31T14:00:00.000Z"),
        ("2026-01-31 14:00:00", "2026-01-31T14:00:00.000Z"),
        ("2026-01-31T15:00:00.123456789+01:00", "2026-01-31T14:00:00.123Z"),
        ("2026-01-31T14:00:00.123456", "2026-01-31T14:00:00.123Z"),
        ("0001-01-01T00:00:00Z", None),
        (0, None),
        ("", None),
        ("N/A", None),
    ],
)
def test_moments_in_other_spellings(value, written):
    assert moment(value) == written


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-13-01", True, [], {}, -5, "31.01.2026", float("inf"), float("nan")]
)
def test_what_is_no_moment(value):
    with pytest.raises(ValueError, match=r".*"):
        moment(value)


@pytest.mark.parametrize(
    ("ports", "means"),
    [
        ([80], [{"container_port": 80}]),
        (["80/tcp"], [{"container_port": 80, "protocol": "tcp"}]),
        (["8080:80"], [{"container_port": 80, "host_port": 8080}]),
        (["127.0.0.1:8080->80/tcp"],
         [{"container_port": 80, "protocol": "tcp", "host_ip": "127.0.0.1", "host_port": 8080}]),
        ({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
         [{"container_port": 80, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 8080},
          {"container_port": 443, "protocol": "tcp"}]),
        ([{"container_port": "53/udp", "host_port": "53"}],
         [{"container_port": 53, "protocol": "udp", "host_port": 53}]),
        ([{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "::"}],
         [{"container_port": 80, "host_port": 8080, "protocol": "tcp", "host_ip": "::"}]),
        ([{"container_port": "80/tcp", "host_port": ""}], [{"container_port": 80, "protocol": "tcp"}]),
    ],
)  # fmt: skip
def test_ports_in_each_spelling(ports, means):
    assert (
        understood(services=[{"type": "docker", "id": "a", "name": "a", "ports": ports}])["services"][0]["ports"]
        == means
    )


@pytest.mark.parametrize(
    ("memory", "means"),
    [
        ({"total_gb": 2, "percent": 50.0}, {"total": 2 << 30, "usage_percent": 50.0}),
        ({"total_mb": 512}, {"total": 512 << 20}),
        ({"total_kb": 1024}, {"total": 1 << 20}),
        ({"total_bytes": 77}, {"total": 77}),
        ({"virtual": {"total": 5, "used": 2}, "swap": {"total": 3, "used": 1}},
         {"total": 5, "used": 2, "swap": {"total": 3, "used": 1}}),
        ({"total": 5, "swap_total_gb": 1, "swap_used_gb": 0}, {"total": 5, "swap": {"total": 1 << 30, "used": 0}}),
        ({"total": 5, "swap_total_gb": 0, "swap_used_gb": 0, "swap_percent": 0}, {"total": 5}),
        (5, {"total": 5}),
        ({"total": 18446744073709551615}, {}),
        ({"total": -1}, {}),
        ({"total": "N/A", "used": "7"}, {"used": 7}),
    ],
)  # fmt: skip
def test_memory_in_each_spelling(memory, means):
    assert understood(hardware={"hostname": "a", "memory": memory})["hardware"]["memory"] == means


def test_a_field_under_its_own_name_is_stronger_than_another_spelling():
    cpu = {"physical_cores": 1, "cores_physical": 2, "count_physical": 3}
    for order in (cpu, dict(reversed(cpu.items()))):
        assert understood(hardware={"hostname": "a", "cpu": order})["hardware"]["cpu"] == {"cores_physical": 2}


def test_the_same_process_has_the_same_key_in_each_state_and_another_of_its_pid_another():
    def key(create_time):
        return understood(processes=[{"pid": 7, "name": "a", "create_time": create_time}])["processes"][0][
            "start_ticks"
        ]

    assert key(1769868000) == key("2026-01-31T14:00:00Z") == key(1769868000000)
    assert key(1769868000) != key(1769868001)


@pytest.mark.parametrize(
    ("parts", "field", "expected"),
    [
        ({"hardware": 5}, "$.hardware", "an object"),
        ({"hardware": {}}, "$.host_id", "hardware.hostname"),
        ({"host_id": "Über"}, "$.host_id", "matching regex"),
        ({"processes": "many"}, "$.processes", "a list"),
        ({"processes": [5]}, "$.processes[0]", "an object"),
        ({"processes": [{"name": "a"}]}, "$.processes[0]", "pid"),
        ({"processes": [{"pid": "x", "name": "a"}]}, "$.processes[0].pid", "a number"),
        ({"processes": [{"pid": 1, "name": []}]}, "$.processes[0].name", "text"),
        ({"services": [{"name": "a", "is_llm_related": "perhaps"}]}, "$.services[0].is_llm_related", "true or false"),
        ({"hardware": {"hostname": "a", "cpu": {"physical_cores": []}}}, "$.hardware.cpu.physical_cores", "a number"),
        ({"timestamp": "soon"}, "$.timestamp", "RFC 3339"),
        ({"schema": 99}, "$.schema", "upgrade"),
    ],
)
def test_what_can_not_be_understood_is_named(parts, field, expected):
    with pytest.raises(ForeignStateError, match=expected) as caught:
        understood(**parts)
    assert caught.value.field == field


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("data")) as client:
        yield client


def test_curl_sends_a_state_as_it_does_by_default(client):
    answer = client.post(
        "/api/v1/update_state",
        content=json.dumps({"hardware": {"hostname": "Curly"}}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["status"] == "updated"
    assert answer.json()["host_id"] == "curly"
    again = client.post("/api/v1/update_state", json={"hardware": {"hostname": "Curly"}, "timestamp": 1769868000})
    assert again.json()["status"] in {"updated", "no_changes"}
    third = client.post("/api/v1/update_state", json={"hardware": {"hostname": "Curly"}, "timestamp": 1769868000})
    assert third.json()["status"] == "no_changes"


def test_secrets_that_a_script_sends_are_not_kept(client):
    state = bare_state(
        host_id="leaky",
        processes=[{"pid": 1, "start_ticks": 1, "name": "a", "cmdline": ["a", "--password", "hunter2hunter2"]}],
        services=[{"type": "docker", "id": "a", "name": "a", "environment": ["API_KEY=hunter2hunter2"]}],
    )
    assert client.post("/api/v1/update_state", json=state).status_code == 200
    shown = client.get("/api/v1/hosts/leaky").text
    assert "hunter2" not in shown
    assert "API_KEY" in shown


def test_over_http_the_field_and_an_example_are_told(client):
    answer = client.post("/api/v1/update_state", json={"host_id": "a", "processes": [{"pid": "x", "name": "a"}]})
    details = problem_of(answer)
    assert (details.status, details.field, details.example) == (422, "$.processes[0].pid", "42")
    assert "expected a number" in details.detail
