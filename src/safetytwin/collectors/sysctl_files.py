"""The language of sysctl.d(5). Bytes in, values out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_SWAP = str.maketrans("./", "/.")
_PATTERN = frozenset("*?[")
_SECRET_ENDINGS = ("secret", "_key")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line: a name or pattern, and the value; None where the line takes the name out of the patterns."""

    name: str
    value: str | None


def parse_sysctl(text: str) -> Iterator[Setting]:
    """Yield the settings of a file in their order; comments, and lines that are no setting, are passed over."""
    for line in text.split("\n"):
        line = line.strip()  # noqa: PLW2901 - the line without its surroundings
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        is_optional = name.startswith("-")
        name = name.lstrip("-").strip()
        if name and (equals or is_optional):
            yield Setting(_dotted(name), value.strip() if equals else None)


def _dotted(name: str) -> str:
    """Return a name with dots between its parts; where a slash comes first, slashes part and dots are letters."""
    first = next((character for character in name if character in "./"), ".")
    return name.translate(_SWAP) if first == "/" else name


def proc_path(name: str) -> str:
    """Return where a setting lies below /proc/sys; no part of a name leads out of there."""
    path = name.translate(_SWAP)
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)


def setting_name(path: str) -> str:
    """Return the name of the setting that lies at a path below /proc/sys."""
    return path.translate(_SWAP)


def is_secret(name: str) -> bool:
    """Say whether a setting's value is a key: net.ipv4.tcp_fastopen_key, net.ipv6.conf.*.stable_secret."""
    return name.endswith(_SECRET_ENDINGS)


def merged(
    settings: Iterable[tuple[Setting, str]], matching: Callable[[str], Iterable[str]]
) -> dict[str, tuple[Setting, str]]:
    """Return what holds after all settings, by name, each with the file it came from.

    Of several for one name the last holds. A pattern sets what matching returns for it, but no name that stands by
    itself in any file.
    """
    patterns: dict[str, tuple[Setting, str]] = {}
    plain: dict[str, tuple[Setting, str]] = {}
    for setting, file in settings:
        chosen = patterns if _PATTERN.intersection(setting.name) else plain
        chosen.pop(setting.name, None)
        chosen[setting.name] = setting, file
    found: dict[str, tuple[Setting, str]] = {}
    for pattern, (setting, file) in patterns.items():
        found.update({name: (Setting(name, setting.value), file) for name in matching(pattern) if name not in plain})
    found.update(plain)
    return {name: (setting, file) for name, (setting, file) in found.items() if setting.value is not None}
