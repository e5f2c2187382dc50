import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetytwin.collectors.base import AbsentError, Look, LookOptions
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.init_scripts import InitScriptsCollector
from safetytwin.collectors.init_supervise import TAI64_AT_1970, Supervised, parse_status
from safetytwin.collectors.init_supervisord import SupervisordError, services_of_answer
from safetytwin.models.service import Service

FIXTURES = Path(__file__).parent.parent / "fixtures/init"


def look_at(root: HostRoot) -> Look:
    return Look(root, LookOptions(), 0, {}, 1000.0, 1_800_000_000.0)


def collect(name: str) -> dict[str, Service]:
    services = InitScriptsCollector().collect(look_at(HostRoot.fixture(str(FIXTURES / name))))
    return {service.id: service for service in services}


def test_openrc_service_crashed() -> None:
    found = collect("openrc-service-crashed")
    assert {service.type for service in found.values()} == {"openrc"}
    states = {name: (service.status, service.sub_status, service.pid) for name, service in found.items()}
    assert states == {
        "sshd": ("active", "started", 812),
        "nginx": ("failed", "crashed", None),
        "broken": ("failed", "failed", None),
        "starting-one": ("activating", "starting", None),
        "hwclock": ("active", "started", None),
    }
    assert found["hwclock"].extra == {"runlevels": ["boot"]}
    assert found["hwclock"].unit_file_state == "enabled"
    assert found["starting-one"].unit_file_state == "disabled"


def test_sysv_pidfile_of_a_dead_process() -> None:
    found = collect("sysv-pidfile-of-a-dead-process")
    assert {service.type for service in found.values()} == {"sysv"}
    states = {name: (service.status, service.pid, service.unit_file_state) for name, service in found.items()}
    assert states == {
        "cron": ("active", 300, "enabled"),
        "dead": ("inactive", None, "enabled"),
        "database": ("active", 301, "disabled"),
        "hwclock.sh": (None, None, "disabled"),
    }
    assert found["cron"].description == "Regular background program processing daemon"


def test_sysv_script_not_utf8() -> None:
    service = collect("sysv-script-not-utf8")["cafe"]
    assert service.description == "caf\ufffd"
    assert service.status == "inactive"


def test_scripts_that_nobody_runs() -> None:
    with pytest.raises(AbsentError):
        collect("scripts-that-nobody-runs")


def test_scripts_beside_systemd_are_systemds_business(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/init.d").mkdir(parents=True)
    (tmp_path / "etc/init.d/cron").touch()
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("init\n")
    with pytest.raises(AbsentError):
        InitScriptsCollector().collect(look_at(HostRoot.fixture(str(tmp_path))))


def tai64n(seconds: int) -> bytes:
    return struct.pack(">QI", seconds + TAI64_AT_1970, 500_000_000)


def test_runit_status() -> None:
    data = tai64n(1_700_000_000) + struct.pack("<I", 77) + bytes((0, ord("u"), 0, 1))
    assert parse_status(data) == Supervised("runit", "active", "run", 77, 1_700_000_000.5)


def test_daemontools_status() -> None:
    data = tai64n(1_700_000_000) + struct.pack("<I", 0) + bytes((0, ord("d")))
    assert parse_status(data) == Supervised("daemontools", "inactive", "down", None, 1_700_000_000.5)


def test_s6_status_with_and_without_process_group() -> None:
    start = tai64n(1_700_000_000) * 2 + struct.pack(">Q", 77)
    running = Supervised("s6", "active", "ready", 77, 1_700_000_000.5)
    assert parse_status(start + struct.pack(">HB", 0, 16 | 8)) == running
    assert parse_status(start + struct.pack(">QHB", 77, 0, 16 | 8)) == running


def test_s6_status_of_what_a_signal_ended() -> None:
    data = tai64n(1_700_000_000) * 2 + struct.pack(">QQHB", 0, 0, 9, 0)
    assert parse_status(data) == Supervised("s6", "inactive", "down", None, 1_700_000_000.5, None, 9)


@given(st.one_of(st.binary(max_size=64), *(st.binary(min_size=size, max_size=size) for size in (18, 20, 35, 43))))
def test_any_status_file(data: bytes) -> None:
    found = parse_status(data)
    assert found is None or found.status in {"active", "inactive", "deactivating"}
    assert found is None or len(data) in {18, 20, 35, 43}


@given(st.binary(max_size=300))
def test_any_answer_of_supervisord(body: bytes) -> None:
    with pytest.raises(SupervisordError):
        services_of_answer(body)


def test_a_fault_of_supervisord_is_an_error() -> None:
    fault = "<member><name>faultCode</name><value><int>1</int></value></member>"
    with pytest.raises(SupervisordError, match="lists no programs"):
        services_of_answer(
            f"<methodResponse><fault><value><struct>{fault}</struct></value></fault></methodResponse>".encode()
        )


def test_values_nested_without_end_are_an_error() -> None:
    deep = "<array><data><value>" * 50 + "</value></data></array>" * 50
    body = f"<methodResponse><params><param><value>{deep}</value></param></params></methodResponse>"
    with pytest.raises(SupervisordError, match="too deep"):
        services_of_answer(body.encode())
