"""Lists of CPU numbers as the kernel writes them (cpuset(7), formats), such as 0-3,6."""

_MOST_CPUS = 1 << 16


def parse_cpu_list(text: str) -> list[int]:
    """Return the numbers of a list, sorted; what is no number or range in it is left out."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            continue
        begin, end = int(first), int(last) if dash else int(first)
        if end < _MOST_CPUS:
            numbers.update(range(begin, end + 1))
    return sorted(numbers)


def format_cpu_list(numbers: list[int]) -> str:
    """Return sorted numbers as the kernel would write them."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
