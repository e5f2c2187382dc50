"""Looks are evenly spaced, never pile up, and a clock that jumps or a suspend does no harm."""

from safetytwin.agent.schedule import Schedule


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _run(schedule: Schedule, clock: _Clock, took: float) -> float:
    clock.now += schedule.wait_seconds()
    began = clock.now
    clock.now += took
    schedule.looked(began)
    return began


def test_the_second_look_is_in_a_phase_of_its_own_and_then_evenly() -> None:
    phases = set()
    for _ in range(50):
        clock = _Clock()
        schedule = Schedule(10, clock)
        clock.now += 0.5
        schedule.looked(100.0)
        second = _run(schedule, clock, 0.5)
        assert 103 <= second <= 110
        phases.add(round(second, 1))
        assert _run(schedule, clock, 0.5) == second + 10
        assert schedule.skipped == 0
    assert len(phases) > 10


def test_a_look_longer_than_the_interval_leaves_looks_out() -> None:
    clock = _Clock()
    schedule = Schedule(10, clock)
    schedule.looked(100.0)
    began = _run(schedule, clock, 35)
    assert schedule.skipped == 3
    assert _run(schedule, clock, 1) == began + 40


def test_after_a_suspend_one_look_is_due_at_once_and_no_flood_follows() -> None:
    clock = _Clock()
    schedule = Schedule(10, clock)
    schedule.looked(100.0)
    _run(schedule, clock, 0.1)
    clock.now += 8 * 3600
    assert schedule.wait_seconds() == 0
    began = _run(schedule, clock, 0.1)
    assert began == clock.now - 0.1
    assert schedule.wait_seconds() > 0
    assert schedule.skipped == 0
