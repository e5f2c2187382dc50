"""What only a terminal shows: bars."""


def bar(value: float | None, width: int, *, full: str = "█", empty: str = "░") -> str:
    """Return a bar of width characters for 0-100; all empty where unknown."""
    filled = 0 if value is None else round(max(0.0, min(100.0, value)) / 100 * width)
    return full * filled + empty * (width - filled)
