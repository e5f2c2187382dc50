import pytest

from parts.small_states import container, moment, process, state, step, unit
from safetytwin.changes.folding import EventFolder
from safetytwin.models.hardware import Disk, Interface


class Machine:
    """A machine whose states follow one another, and a folder that sees each change."""

    def __init__(self):
        self.folder = EventFolder()
        self.state = state()

    def becomes(self, second, **parts):
        new = state(second, **parts)
        made = self.folder.fold(step(self.state, new))
        self.state = new
        return [(one.kind, one.text) for one in made]


def test_what_happens_now_and_then_is_told_at_once():
    machine = Machine()
    assert machine.becomes(10, processes=(process(1),)) == [("process.started", "nginx started (process 1, root)")]
    assert machine.becomes(20) == [("process.exited", "nginx exited after 20 s")]


def test_what_runs_every_minute_is_one_event_for_each_window():
    machine = Machine()
    told = []
    for minute in range(60):
        one = process(minute + 1, "cron", started=minute * 60)
        told += machine.becomes(minute * 60 + 10, processes=(one,))
        told += machine.becomes(minute * 60 + 20)
    told += [(one.kind, one.text) for one in machine.folder.flush()]
    assert [kind for kind, _ in told[:4]] == ["process.started", "process.exited"] * 2
    assert told[4:] == [("process.ran", "cron ran 8 times"), *[("process.ran", "cron ran 10 times")] * 5]


def test_processes_of_one_name_within_one_change_are_one_event():
    machine = Machine()
    workers = tuple(process(pid, "worker") for pid in range(1, 61))
    assert machine.becomes(10, processes=workers) == [("process.started", "worker started 60 times")]
    assert machine.becomes(20) == [("process.exited", "worker exited 60 times")]


def test_a_folded_event_says_when_it_began_and_ended():
    machine = Machine()
    for turn in range(5):
        machine.becomes(10 + 20 * turn, network=[Interface("eth0", operstate="up")])
        machine.becomes(20 + 20 * turn, network=[Interface("eth0", operstate="down")])
    (downs, ups) = sorted(machine.folder.flush(), key=lambda one: one.kind)
    assert (downs.kind, downs.count, downs.at, downs.last_at) == ("interface.down", 3, moment(60), moment(100))
    assert (ups.kind, ups.count, ups.text) == ("interface.up", 2, "Interface eth0 is up (2 times)")


def test_what_was_quiet_for_a_window_is_told_at_once_again():
    machine = Machine()
    for turn in range(3):
        machine.becomes(10 + 20 * turn, processes=(process(turn + 1),))
        machine.becomes(20 + 20 * turn)
    assert machine.becomes(700) == [("process.ran", "nginx ran")]
    assert machine.becomes(1400) == []
    assert machine.becomes(1410, processes=(process(9),)) == [("process.started", "nginx started (process 9, root)")]


def test_the_end_of_a_long_run_is_told_among_short_ones_of_the_same_name():
    machine = Machine()
    training = process(1, "python3")
    machine.becomes(10, processes=(training,))
    for turn in range(5):
        second = 7000 + 20 * turn
        machine.becomes(second, processes=(training, process(turn + 2, "python3", started=second)))
        machine.becomes(second + 10, processes=(training,))
    assert machine.becomes(7200) == [("process.exited", "python3 exited after 2 h")]


def test_a_unit_that_restarts_in_a_loop_is_told_once_and_then_how_often():
    machine = Machine()
    told = []
    machine.becomes(0, services=(unit("a", restarts=0),))
    for turn in range(1, 31):
        told += machine.becomes(turn * 10, services=(unit("a", "activating", restarts=turn),))
    assert told == [
        ("unit.restarted", "a was restarted"),
        ("unit.restarted", "a was restarted"),
        ("unit.restart_loop", "a restarts in a loop: 3 times in 10 min"),
        ("unit.restart_loop", "a still restarts in a loop: once"),
    ]
    assert [(one.text, one.count) for one in machine.folder.flush()] == [("a still restarts in a loop: 26 times", 26)]
    assert machine.becomes(310, services=(unit("a", "failed", restarts=30),)) == [("unit.failed", "a failed: unknown")]


def test_many_restarts_between_two_looks_are_a_loop():
    machine = Machine()
    machine.becomes(0, services=(container("web", restarts=0),))
    assert machine.becomes(10, services=(container("web", "restarting", restarts=7),)) == [
        ("container.restart_loop", "web restarts in a loop: 7 times in 10 min")
    ]


def test_a_service_that_was_quiet_for_long_enough_loops_no_more():
    machine = Machine()
    machine.becomes(0, services=(container("web", restarts=0),))
    machine.becomes(10, services=(container("web", restarts=7),))
    assert machine.becomes(2000, services=(container("web", "exited", exit_code=1, restarts=7),)) == [
        ("container.died", "web died with code 1")
    ]


def test_a_clock_that_goes_back_holds_nothing_for_ever():
    machine = Machine()
    for turn in range(4):
        machine.becomes(100_000 + 20 * turn, processes=(process(turn + 1, started=100_000),))
        machine.becomes(100_010 + 20 * turn)
    assert machine.becomes(50) == [("process.ran", "nginx ran 2 times")]


@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_disk_that_hovers_around_a_threshold_is_told_once(what):
    def disk(percent):
        if what == "space":
            return [Disk("/", usage_percent=percent)]
        return [Disk("/", inodes_total=1000, inodes_used=int(percent * 10))]

    machine = Machine()
    machine.becomes(0, disks=disk(50.0))
    told = [
        (percent, kind)
        for number, percent in enumerate([89.0, 91.0, 89.0, 91.0, 86.0, 96.0, 94.0, 96.0, 89.0, 84.0, 50.0, 97.0, 10.0])
        for kind, _ in machine.becomes(number * 600, disks=disk(percent))
    ]
    assert told == [
        (91.0, "disk.nearly_full"),
        (96.0, "disk.full"),
        (89.0, "disk.nearly_full"),
        (84.0, "disk.recovered"),
        (97.0, "disk.full"),
        (10.0, "disk.recovered"),
    ]


def test_a_new_folder_takes_a_disk_that_was_full_before_for_told():
    full = [Disk("/", usage_percent=97.0)]
    assert EventFolder().fold(step(state(disks=full), state(10, disks=[Disk("/", usage_percent=98.0)]))) == []


@pytest.mark.parametrize("disk", [Disk("/snap", kind="image"), Disk("/ro", read_only=True), Disk("/b", bind_of="/")])
def test_disks_that_are_full_by_nature_are_not_told(disk):
    old = state(disks=[disk])
    new = state(
        disks=[type(disk)(**{name: getattr(disk, name) for name in disk.__struct_fields__} | {"usage_percent": 100.0})]
    )
    assert EventFolder().fold(step(old, new)) == []


def test_events_can_be_placed_on_another_clock():
    made = EventFolder().fold(step(state(), state(10, processes=(process(1),))), at="2020-01-01T00:00:00Z")
    assert [one.at for one in made] == ["2020-01-01T00:00:00Z"]
