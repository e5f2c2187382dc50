"""The governor sheds the dearest collector before the budget is exceeded, says which, and takes it back."""

from safetytwin.agent.governor import Governor
from safetytwin.models.system_state import CollectorStatus

COSTS = {"host": 5.0, "cpu": 4.0, "memory": 4.0, "docker": 0.2, "processes": 0.1, "network": 0.01}
STATUSES = {name: CollectorStatus(status="ok", duration=cost) for name, cost in COSTS.items()}


def _looks(
    governor: Governor, number: int, percent: float, at: float, used: float, rss: int = 0
) -> tuple[float, float]:
    for _ in range(number):
        governor.after_look(STATUSES, rss, now=at, used=used)
        at, used = at + 10, used + percent / 10
    return at, used


def test_within_the_budget_nothing_is_shed() -> None:
    governor = Governor(5.0, 1 << 30)
    _looks(governor, 100, 1.0, 0, 0)
    assert governor.shed == ()
    assert governor.cpu_percent is not None
    assert round(governor.cpu_percent, 6) == 1.0


def test_the_dearest_goes_first_and_what_is_small_and_needed_stays() -> None:
    governor = Governor(5.0, 1 << 30)
    at, used = _looks(governor, 8, 4.5, 0, 0)
    assert governor.shed == ("docker",)
    _looks(governor, 8, 4.5, at, used)
    assert governor.shed == ("docker", "processes")


def test_memory_counts_too() -> None:
    governor = Governor(5.0, 1000)
    _looks(governor, 8, 0.1, 0, 0, rss=1001)
    assert governor.shed == ("docker",)


def test_it_comes_back_after_a_calm_time() -> None:
    governor = Governor(5.0, 1 << 30)
    at, used = _looks(governor, 8, 4.5, 0, 0)
    assert governor.shed == ("docker",)
    _looks(governor, 50, 0.5, at, used)
    assert governor.shed == ()


def test_the_first_looks_are_no_measure() -> None:
    governor = Governor(5.0, 1 << 30)
    _looks(governor, 5, 90.0, 0, 0)
    assert governor.shed == ()
