"""How pieces of evidence are weighed together.

Weights are log-odds: 4.6 takes even odds to 100 to 1. They add up on a prior that says how rare AI programs are among
processes. One weak family of evidence never makes a verdict, however much there is of it.
"""

import math
from collections.abc import Iterable

from safetytwin.models.workload import Evidence

PRIOR = -4.0
"""About one process in fifty of a machine that has any: the odds before anything is known."""
STRONG = 3.5
"""What a single family must weigh to make a verdict alone."""


def score(evidence: Iterable[Evidence]) -> float:
    """Return the log-odds of a verdict; evidence that only names something (weight 0) adds nothing."""
    return PRIOR + sum(one.weight for one in evidence)


def confidence(log_odds: float) -> float:
    """Return log-odds as a probability from 0 to 1, to three decimals; never quite 0 or 1."""
    return min(0.999, max(0.001, round(1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds)))), 3)))


def convinces(evidence: Iterable[Evidence]) -> bool:
    """Tell whether evidence makes a verdict: more likely than not, from two families or one strong one."""
    items = list(evidence)
    if score(items) < 0:
        return False
    by_family: dict[str, float] = {}
    for one in items:
        by_family[one.family] = by_family.get(one.family, 0.0) + one.weight
    supporting = [weight for weight in by_family.values() if weight > 0]
    return len(supporting) > 1 or max(supporting, default=0.0) >= STRONG


def ordered(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return evidence strongest first, for or against; of what is alike the first."""
    unique = dict.fromkeys((one.family, one.source, one.locator, one.says, one.weight) for one in evidence)
    items = [Evidence(*facts) for facts in unique]
    return sorted(items, key=lambda one: (-abs(one.weight), one.family, one.locator))
