"""Prometheus' text format, version 0.0.4: counters, histograms and the page that they are written on."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Counter:
    """A number that only grows, for each set of labels."""

    def __init__(self) -> None:
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1, **labels: str) -> None:
        """Add to the counter of these labels; their values must be few and never a client's text."""
        key = tuple(labels.items())
        self._values[key] = self._values.get(key, 0) + amount

    def samples(self) -> Iterable[tuple[Labels, float]]:
        """Return each set of labels with its value."""
        return self._values.items()

    def total(self, **labels: str) -> float:
        """Return the sum over all label sets that include these."""
        return sum(value for key, value in self._values.items() if labels.items() <= dict(key).items())


class Histogram:
    """How often a value fell below each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """Return for each bound, and then for infinity, how many values were at most that."""
        return list(accumulate(self._counts))


class Exposition:
    """Writes one page of metrics, family by family."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def counter(self, name: str, text: str, value: Counter | Mapping[Labels, float] | float) -> None:
        """Write a counter; its name ends in _total."""
        self._family(name, text, "counter", value.samples() if isinstance(value, Counter) else _samples(value))

    def gauge(self, name: str, text: str, value: float | Mapping[Labels, float] | None) -> None:
        """Write a gauge; one that is not known (None) is left out."""
        if value is not None:
            self._family(name, text, "gauge", _samples(value))

    def histogram(self, name: str, text: str, value: Histogram) -> None:
        """Write a histogram."""
        self._head(name, text, "histogram")
        counts = value.cumulative()
        for bound, count in zip([*map(_number, value.bounds), "+Inf"], counts, strict=True):
            self._lines.append(f'{name}_bucket{{le="{bound}"}} {count}')
        self._lines += [f"{name}_sum {_number(value.sum)}", f"{name}_count {counts[-1]}"]

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self._lines) + "\n"

    def _family(self, name: str, text: str, kind: str, samples: Iterable[tuple[Labels, float]]) -> None:
        self._head(name, text, kind)
        for labels, value in samples:
            inside = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
            self._lines.append(f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}")

    def _head(self, name: str, text: str, kind: str) -> None:
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        self._lines += [f"# HELP {name} {escaped}", f"# TYPE {name} {kind}"]


def _samples(value: Mapping[Labels, float] | float) -> Iterable[tuple[Labels, float]]:
    return value.items() if isinstance(value, Mapping) else [((), value)]


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))
