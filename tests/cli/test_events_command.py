"""safetytwin events against a bridge with a history."""

import json
import subprocess
import sys
import threading

import pytest

from parts.bridge import bridge_here, free_port, until
from parts.bridge_history import ALPHA, BROKEN, CRON, HEALTHY, SSH, History
from parts.small_states import process, state, unit


def _events(out):
    return [json.loads(line) for line in out.splitlines()]


def test_what_happened_the_newest_last(safetytwin, told) -> None:
    code, out, err = safetytwin("events", "alpha", "--bridge", told.url)
    assert (code, err) == (0, "")
    first, *others = out.splitlines()
    assert "host.up" in first
    assert any("unit.failed" in line and "ssh.service failed" in line for line in others)
    assert "alpha" not in others[-1], "of one machine its name need not be said on each line"
    assert "\x1b" not in out
    assert "\x07" not in out


def test_of_all_machines_each_is_named(safetytwin, told) -> None:
    code, out, _ = safetytwin("events", "--bridge", told.url)
    assert code == 0
    assert "  alpha  unit.failed  " in out
    assert "  beta\\x1b[31m\\u202eevil\\n  host.up  " in out


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [("unit.failed", {"unit.failed"}), ("process.*,host.up", {"process.started", "process.exited", "host.up"})],
)
def test_only_some_kinds(safetytwin, told, kind: str, kinds: set[str]) -> None:
    code, out, _ = safetytwin("events", "alpha", "--kind", kind, "--json", "--bridge", told.url)
    assert code == 0
    assert {event["kind"] for event in _events(out)} == kinds


def test_a_kind_that_there_is_not(safetytwin) -> None:
    code, _, err = safetytwin("events", "--kind", "unit.fialed")
    assert code == 2
    assert "there is no kind of event 'unit.fialed'; did you mean 'unit.failed'?" in err


def test_since_a_moment(safetytwin, told) -> None:
    _, out, _ = safetytwin("events", "alpha", "--since", told.before, "--json", "--bridge", told.url)
    kinds = [event["kind"] for event in _events(out)]
    assert "unit.failed" in kinds
    assert "host.up" not in kinds
    assert safetytwin("events", "alpha", "--since", told.after, "--json", "--bridge", told.url)[1] == ""


def test_since_a_moment_may_be_many_pages(safetytwin, tmp_path) -> None:
    with bridge_here(tmp_path / "bridge") as url:
        report = History(url, "", "", str(tmp_path / "spool")).reporter(ALPHA)
        report(state(0))
        units = tuple(unit(f"u{number}.service") for number in range(1200))
        report(state(10, services=units))
        report(state(20, services=tuple(unit(one.name, "failed", result="exit-code") for one in units)))
        _, out, _ = safetytwin("events", "--since", "-1h", "--kind", "unit.failed", "--json", "--bridge", url)
        events = _events(out)
        assert {event["subject"] for event in events} == {f"services/systemd/{one.name}" for one in units}
        assert len(events) == 1200
        assert [event["id"] for event in events] == sorted(event["id"] for event in events)


class _Following:
    """safetytwin events --follow as a process, its lines in a list."""

    def __init__(self, url, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "safetytwin", "events", "--follow", "--json", "--bridge", url, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events = []
        self.said = []
        self._readers = [
            threading.Thread(target=lambda: self.events.extend(map(json.loads, self.process.stdout))),
            threading.Thread(target=lambda: self.said.extend(self.process.stderr)),
        ]
        for reader in self._readers:
            reader.start()

    def kinds(self):
        return [event["kind"] for event in list(self.events)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


@pytest.mark.parametrize("host", [[], ["alpha"]])
def test_they_are_followed_through_a_restart_of_the_bridge_each_once(tmp_path, host) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    report = History(url, "", "", str(tmp_path / "spool")).reporter(ALPHA)
    with bridge_here(tmp_path / "bridge", port):
        report(HEALTHY)
        following = _Following(url, *host)
        until(lambda: following.events, "what was is told first")
        report(BROKEN)
        until(lambda: "unit.failed" in following.kinds(), "what happens is told")
    with following:
        until(lambda: following.said, "the bridge's absence is said")
        with bridge_here(tmp_path / "bridge", port):
            report(state(20, processes=(process(10),), services=(CRON, SSH)))
            until(lambda: "unit.started" in following.kinds(), "what happened meanwhile is told")
        ids = [event["id"] for event in following.events]
        assert ids == sorted(set(ids))
        assert following.said[0].startswith("safetytwin events: no bridge answers at ")


def test_following_can_be_of_some_kinds(tmp_path) -> None:
    with bridge_here(tmp_path / "bridge") as url:
        report = History(url, "", "", str(tmp_path / "spool")).reporter(ALPHA)
        report(HEALTHY)
        with _Following(url, "--kind", "host.up,unit.*") as following:
            until(lambda: following.events, "what was is told first")
            report(BROKEN)
            until(lambda: "unit.failed" in following.kinds(), "what happens is told")
            assert following.kinds() == ["host.up", "unit.failed"]


def test_without_a_bridge_following_does_not_begin(safetytwin) -> None:
    code, _, err = safetytwin("events", "--follow", "--bridge", f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "Start one with `safetytwin up`" in err
