"""What a look is to cost at most, and whether a run's medians reached it."""

from dataclasses import dataclass

Results = list[dict[str, object]]
OURS, OURS_WITH_FILES = "SafetyTwin", "SafetyTwin, open files"
FLOOR, PSUTIL, GOPSUTIL = "the kernel's floor (C)", "psutil", "gopsutil (Go)"
TOP_B, APPS_PLUGIN = "top -b (C)", "apps.plugin (C)"


@dataclass(frozen=True)
class Target:
    """A ratio of two peers' costs at one load."""

    size: int
    dear: str
    cheap: str
    at_least: float | None = None
    at_most: float | None = None
    first: bool = False
    """Of the first look instead of a later one."""


TARGETS = (
    Target(1000, PSUTIL, OURS_WITH_FILES, at_least=35),
    Target(1000, GOPSUTIL, OURS_WITH_FILES, at_least=40),
    Target(5000, PSUTIL, OURS_WITH_FILES, at_least=60),
    Target(5000, GOPSUTIL, OURS_WITH_FILES, at_least=60),
    Target(1000, OURS, FLOOR, at_most=2),
    *(Target(size, peer, OURS, at_least=1) for peer in (TOP_B, APPS_PLUGIN) for size in (200, 1000)),
    Target(1000, PSUTIL, OURS_WITH_FILES, at_least=2, first=True),
)


def cost(result: dict[str, object], *, first: bool = False) -> float | None:
    """Return the CPU in ms of the first look or the median of later ones; the mean where a program looks by itself."""
    value = result.get("first_ms") if first else result.get("median_ms", result.get("mean_ms"))
    return None if value is None else float(str(value))


def targets_table(results: Results) -> str:
    """Return the targets as a table in Markdown; what was not measured in this run says so."""
    found = {(result["load"], result["peer"]): result for result in results}
    lines = ["| target | wanted | measured | reached |", "|---|---|---|---|"]
    for target in TARGETS:
        dear = cost(found.get((target.size, target.dear), {}), first=target.first)
        cheap = cost(found.get((target.size, target.cheap), {}), first=target.first)
        name = f"{'first look' if target.first else 'look'} at {target.size:,}: {target.dear} over {target.cheap}"
        wanted = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        if not dear or not cheap:
            lines.append(f"| {name} | {wanted} | not measured | – |")
            continue
        ratio = dear / cheap
        reached = ratio >= (target.at_least or 0) and (target.at_most is None or ratio <= target.at_most)
        lines.append(f"| {name} | {wanted} | {ratio:.3g} | {'yes' if reached else 'no'} |")
    return "\n".join(lines) + "\n"
