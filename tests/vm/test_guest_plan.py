"""What the inside of a twin should become, from a machine's units and containers and what the guest has."""

import base64

import pytest

from parts.small_states import state
from safetytwin.models.service import Service
from safetytwin.vm.driver import DriverError
from safetytwin.vm.guest import Guest, GuestFacts
from safetytwin.vm.guest_plan import steps, unfollowed
from safetytwin.vm.recorder import Recorder


def unit(name, status="active", sub="running", file_state=None):
    return Service("systemd", name, name, status=status, sub_status=sub, unit_file_state=file_state)


def container(name, status, engine="docker"):
    return Service(engine, f"id-{name}", name, status=status)


def argvs(services, facts):
    return [step.argv for step in steps(state(services=tuple(services)), "atlas", facts)]


def test_units_that_both_have_are_started_stopped_and_enabled():
    facts = GuestFacts(
        hostname="atlas",
        active={"nginx.service": "inactive/dead", "cron.service": "active/running", "same.service": "active/running"},
        unit_files={"nginx.service": "disabled", "cron.service": "enabled", "new.service": "disabled"},
    )
    services = [
        unit("nginx.service", file_state="enabled"),
        unit("cron.service", "inactive", "dead", "enabled"),
        unit("same.service"),
        unit("new.service"),
        unit("absent.service"),
    ]
    assert argvs(services, facts) == [
        ("systemctl", "start", "--no-block", "--", "nginx.service"),
        ("systemctl", "enable", "--", "nginx.service"),
        ("systemctl", "stop", "--no-block", "--", "cron.service"),
        ("systemctl", "start", "--no-block", "--", "new.service"),
    ]
    left = unfollowed(state(services=tuple(services)), facts)
    assert [(line.what, line.item, line.reason) for line in left] == [
        ("unit", "absent.service", "the image does not have it")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "--now.service",
        "a b.service",
        "$(reboot).service",
        "../x.service",
        "x.service\n",
        "x.mount",
        "",
        "systemd-networkd.service",
        "qemu-guest-agent.service",
        "serial-getty@ttyS0.service",
        "user/1000/x.service",
    ],
)
def test_what_is_no_unit_or_carries_the_twin_is_never_touched(name):
    facts = GuestFacts(hostname="atlas", active={name: "active/running"}, unit_files={name: "enabled"})
    assert argvs([unit(name, "inactive", "dead", "disabled")], facts) == []


def test_states_between_two_are_waited_out():
    facts = GuestFacts(hostname="atlas", active={"a.service": "activating/start", "b.service": "active/running"})
    assert argvs([unit("a.service"), unit("b.service", "deactivating", "stop")], facts) == []


def test_containers_that_the_guest_has_are_started_and_stopped():
    facts = GuestFacts(hostname="atlas", containers={"web": "exited", "db": "running", "-rf": "exited"})
    services = [container("web", "running"), container("db", "exited"), container("-rf", "running")]
    assert argvs([*services, container("gone", "running")], facts) == [
        ("docker", "start", "--", "web"),
        ("docker", "stop", "--", "db"),
    ]
    left = unfollowed(state(services=(container("gone", "running"),)), facts)
    assert [line.reason for line in left] == ["the guest does not have it"]
    without = unfollowed(state(services=(container("gone", "running"),)), GuestFacts())
    assert [line.reason for line in without] == ["the guest has no engine"]


def test_the_hostname_follows():
    assert argvs([], GuestFacts(hostname="other")) == [("hostnamectl", "set-hostname", "--", "atlas")]
    assert argvs([], GuestFacts()) == []


def test_programs_are_run_without_a_shell_and_awaited():
    asked = []

    def answer(command):
        asked.append(command)
        if command["execute"] == "guest-exec":
            return {"pid": 7}
        done = sum(one["execute"] == "guest-exec-status" for one in asked) > 1
        return {"exited": done, "exitcode": 3, "out-data": base64.b64encode(b"said").decode()}

    recorder = Recorder(answer)
    recorder.define("<domain><name>d</name></domain>")
    recorder.start("d")
    assert Guest(recorder, "d").run(["systemctl", "start", "--", "$(x); y"]) == (3, "said")
    assert asked[0]["arguments"] == {"path": "systemctl", "arg": ["start", "--", "$(x); y"], "capture-output": True}
    assert len(asked) == 3


def test_without_an_agent_nothing_is_asked():
    with pytest.raises(DriverError, match="guest agent is not connected"):
        Guest(Recorder(), "d").run(["true"])
    assert not Guest(Recorder(), "d").answers()
