"""How amounts look to people: bytes, rates, durations."""

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(value: float | None) -> str:
    """Return bytes with a binary unit and three significant digits, such as 1.50 GiB; a dash where unknown."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in _BINARY[:-1]:
        if abs(amount) < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{_three_digits(amount)} {unit}"
        amount /= 1024
    return f"{_three_digits(amount)} {_BINARY[-1]}"


def rate(value: float | None) -> str:
    """Return bytes per second, such as 12.0 MiB/s; a dash where unknown."""
    return "–" if value is None else f"{size(value)}/s"


def of_total(used: float | None, total: float | None) -> str:
    """Return used of total in the total's unit, such as 3.1 of 23.4 GiB."""
    if used is None or total is None:
        return f"{size(used)} of {size(total)}"
    power = 0
    while total / 1024**power >= 999.5 and power < len(_BINARY) - 1:
        power += 1
    return f"{_three_digits(used / 1024**power)} of {_three_digits(total / 1024**power)} {_BINARY[power]}"


def percent(value: float | None) -> str:
    """Return a percentage without decimals, with one below ten; a dash where unknown."""
    if value is None:
        return "–"
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units, such as 3 d 4 h; a dash where unknown."""
    if seconds is None:
        return "–"
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length or (unit == "s" and not parts):
            parts.append(f"{left // length} {unit}")
            left %= length
        elif parts:
            break
    return " ".join(parts[:2])


def _three_digits(amount: float) -> str:
    if amount == 0:
        return "0"
    if abs(amount) < 9.995:
        return f"{amount:.2f}"
    return f"{amount:.1f}" if abs(amount) < 99.95 else f"{amount:.0f}"
