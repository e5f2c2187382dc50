"""YAML that every reader takes for the same values, whether it reads YAML 1.1 (Ansible) or 1.2 (Docker Compose)."""

import re
from collections.abc import Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML carries no types

from safetytwin.models.printable import printable

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS_OF_YAML = frozenset("y n yes no on off true false null none nan inf".split())


class Unsafe(str):
    """Text in which Ansible must not look for templates (its tag !unsafe)."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML carries no types
    """Writes text plainly only where no reader could take it for something else, otherwise in double quotes."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write shared values out: Docker Compose and people read no anchors."""
        return True


def _text(dumper: Any, value: str) -> Any:
    plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS_OF_YAML
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _unsafe(dumper: Any, value: Unsafe) -> Any:
    return dumper.represent_scalar("!unsafe", str(value), style='"')


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Unsafe, _unsafe)


def yaml_text(document: Any, comments: Sequence[str] = ()) -> str:
    """Return a document of plain JSON values as YAML, after a line of comment for each of comments."""
    head = "".join(f"# {printable(line)}\n" if line else "#\n" for line in comments)
    body: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1_000_000
    )
    return head + body
