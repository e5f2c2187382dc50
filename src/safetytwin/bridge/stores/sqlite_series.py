"""Series in SQLite: every look as packed columns, and minutes, hours and days rolled up from them."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from safetytwin.bridge.stores.base import Points, StoredFrame
from safetytwin.bridge.stores.blobs import DamagedBlobError, opened, sealed
from safetytwin.bridge.stores.sqlite_frames import rows
from safetytwin.bridge.stores.sqlite_schema import StoreConnection

ROLLUPS = {60: 3600, 3600: 86400, 86400: 30 * 86400}
"""Seconds of a step, and of the block that its steps are kept in together."""

_LEVEL = 6
_EMPTY = math.nan
_Bucket = list[float]
"""sum, min, max, count."""


def write_series(connection: StoreConnection, host: int, frames: Sequence[StoredFrame]) -> None:
    """Keep the gauges of frames at full resolution, and add them to the rollups."""
    plotted = [frame for frame in frames if frame.gauges]
    if not plotted:
        return
    names = sorted({name for frame in plotted for name in frame.gauges})
    columns = {name: array("f", [_rounded(frame.gauges.get(name)) for frame in plotted]).tobytes() for name in names}
    first, last = plotted[0].at, plotted[-1].at
    value = (array("d", [frame.at for frame in plotted]).tobytes(), columns)
    connection.execute(
        "INSERT OR REPLACE INTO series (host, step, first_at, last_at, blob) VALUES (?, 0, ?, ?, ?)",
        (host, first, last, sealed(value, series_place(host, 0, first), level=_LEVEL)),
    )
    for step, block in ROLLUPS.items():
        _roll_up(connection, host, step, block, plotted)


def series_place(host: int, step: int, first_at: float) -> str:
    """Return what a block's blob is sealed with."""
    return f"series {host}/{step} {first_at!r}"


def _opened(connection: StoreConnection, host: int, step: int, first_at: float, blob: bytes) -> Any:
    """Return what is in a block, None where it is damaged."""
    place = series_place(host, step, first_at)
    try:
        return opened(blob, place)
    except DamagedBlobError:
        connection.damage.note(place)
        return None


def _rounded(value: float | None) -> float:
    """Return a value with the four digits that a chart can show, for they compress well."""
    return _EMPTY if value is None else float(f"{value:.4g}")


def _roll_up(connection: StoreConnection, host: int, step: int, block: int, frames: Iterable[StoredFrame]) -> None:
    blocks: dict[float, dict[str, dict[int, _Bucket]]] = {}
    for frame in frames:
        start = frame.at // block * block
        series = blocks.setdefault(start, {})
        index = int((frame.at - start) // step)
        for name, value in frame.gauges.items():
            _add(series.setdefault(name, {}), index, [value, value, value, 1])
    for start, added in blocks.items():
        series = _read_block(connection, host, step, start)
        for name, buckets in added.items():
            into = series.setdefault(name, {})
            for index, bucket in buckets.items():
                _add(into, index, bucket)
        packed = {name: _packed(series[name]) for name in sorted(series)}
        connection.execute(
            "INSERT OR REPLACE INTO series (host, step, first_at, last_at, blob) VALUES (?, ?, ?, ?, ?)",
            (host, step, start, start + block, sealed(packed, series_place(host, step, start))),
        )


def _add(buckets: dict[int, _Bucket], index: int, more: _Bucket) -> None:
    before = buckets.get(index)
    if before is None:
        buckets[index] = list(more)
        return
    before[0] += more[0]
    before[1] = min(before[1], more[1])
    before[2] = max(before[2], more[2])
    before[3] += more[3]


def _packed(buckets: Mapping[int, _Bucket]) -> tuple[bytes, ...]:
    ordered = sorted(buckets.items())
    columns = [array("f", [_rounded(bucket[0] / bucket[3]) for _, bucket in ordered])]
    columns += [array("f", [_rounded(bucket[which]) for _, bucket in ordered]) for which in (1, 2)]
    counts = array("I", [int(bucket[3]) for _, bucket in ordered])
    return (
        array("H", [index for index, _ in ordered]).tobytes(),
        *(one.tobytes() for one in columns),
        counts.tobytes(),
    )


def _unpacked(columns: Sequence[bytes]) -> dict[int, _Bucket]:
    indexes, means, lows, highs, counts = (array(code, column) for code, column in zip("HfffI", columns, strict=True))
    return {
        index: [mean * count, low, high, count]
        for index, mean, low, high, count in zip(indexes, means, lows, highs, counts, strict=True)
    }


def _read_block(connection: StoreConnection, host: int, step: int, start: float) -> dict[str, dict[int, _Bucket]]:
    row = connection.execute(
        "SELECT blob FROM series WHERE host = ? AND step = ? AND first_at = ?", (host, step, start)
    ).fetchone()
    if row is None:
        return {}
    packed: dict[str, Any] = _opened(connection, host, step, start, row[0]) or {}
    return {name: _unpacked(columns) for name, columns in packed.items()}


def read_names(connection: StoreConnection, host_id: str, host: int) -> list[str]:
    """Return the names of the series of the last two days with looks, and of what was not rolled up yet."""
    found: set[str] = set()
    for start, blob in connection.execute(
        "SELECT first_at, blob FROM series WHERE host = ? AND step = 3600 ORDER BY first_at DESC LIMIT 2", (host,)
    ):
        found |= (_opened(connection, host, 3600, start, blob) or {}).keys()
    for frame in rows(connection, host_id, host, "ORDER BY at"):
        if frame is not None:
            found |= frame.gauges.keys()
    return sorted(found)


def read_series(
    connection: StoreConnection, host_id: str, host: int, names: Sequence[str], begin: float, end: float, step: float
) -> dict[str, Points]:
    """Return series in steps of at least step seconds, the finest that is kept for the whole time from begin on."""
    base = max((one for one in (0, *ROLLUPS) if one <= step), default=0)
    if base == 0 and not _reaches(connection, host, begin):
        base = 60
        step = max(step, 60)
    buckets: dict[str, dict[int, _Bucket]] = {name: {} for name in names}
    exact: dict[str, Points] = {name: Points([], [], [], []) for name in names}
    samples = (
        _looks(connection, host, names, begin, end) if base == 0 else _rolled(connection, host, base, names, begin, end)
    )
    for name, at, bucket in [*samples, *_fresh(connection, host_id, host, names, begin, end)]:
        if step <= 0:
            _append(exact[name], at, bucket)
        else:
            _add(buckets[name], int(at // step), bucket)
    for name, found in buckets.items():
        for index, bucket in sorted(found.items()):
            _append(exact[name], index * step, bucket)
    return exact


def _append(points: Points, at: float, bucket: _Bucket) -> None:
    points.at.append(at)
    points.mean.append(bucket[0] / bucket[3])
    points.min.append(bucket[1])
    points.max.append(bucket[2])


def _reaches(connection: StoreConnection, host: int, begin: float) -> bool:
    """Say whether looks are kept from begin on, or from as long ago as anything is."""
    first = "SELECT min(first_at) FROM series WHERE host = ? AND step = ?"
    looks = connection.execute(first, (host, 0)).fetchone()[0]
    rolled = connection.execute(first, (host, 60)).fetchone()[0]
    return rolled is None or (looks is not None and looks <= max(begin, rolled + 3600))


def _looks(
    connection: StoreConnection, host: int, names: Sequence[str], begin: float, end: float
) -> Iterator[tuple[str, float, _Bucket]]:
    for start, blob in connection.execute(
        "SELECT first_at, blob FROM series WHERE host = ? AND step = 0 AND first_at <= ? AND last_at >= ? "
        "ORDER BY first_at",
        (host, end, begin),
    ):
        block = _opened(connection, host, 0, start, blob)
        if block is None:
            continue
        moments, columns = block
        times = array("d", moments)
        for name in names:
            if name in columns:
                for at, value in zip(times, array("f", columns[name]), strict=True):
                    if begin <= at <= end and not math.isnan(value):
                        yield name, at, [value, value, value, 1]


def _rolled(
    connection: StoreConnection, host: int, step: int, names: Sequence[str], begin: float, end: float
) -> Iterator[tuple[str, float, _Bucket]]:
    for start, blob in connection.execute(
        "SELECT first_at, blob FROM series WHERE host = ? AND step = ? AND first_at <= ? AND last_at >= ? "
        "ORDER BY first_at",
        (host, step, end, begin),
    ):
        packed = _opened(connection, host, step, start, blob) or {}
        for name in names:
            for index, bucket in _unpacked(packed[name]).items() if name in packed else ():
                at = start + index * step
                if begin - step < at <= end:
                    yield name, at, bucket


def _fresh(
    connection: StoreConnection, host_id: str, host: int, names: Sequence[str], begin: float, end: float
) -> Iterator[tuple[str, float, _Bucket]]:
    """Yield what frames that are still rows add: they are in no block yet."""
    for frame in rows(connection, host_id, host, "AND at BETWEEN ? AND ? ORDER BY at", begin, end):
        for name in names if frame is not None else ():
            value = frame.gauges.get(name) if frame is not None else None
            if value is not None:
                yield name, frame.at, [value, value, value, 1]  # type: ignore[union-attr]  # seen above
