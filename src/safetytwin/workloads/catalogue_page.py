"""The page of the catalogue, made from the data and from the keys' own descriptions."""

from collections.abc import Iterator

import msgspec

from safetytwin.workloads.catalogue import Ask, Catalogue, Family, Runtime, load_catalogue

_HEAD = """# The catalogue

What is recognised is data: `src/safetytwin/workloads/catalogue.toml`, from which this page is made. Adding an engine is
adding a table. A file of your own, named by the key `ai_catalogue` of the configuration (or `--ai-catalogue FILE`), may
add tables, and replaces a table of the same name:

```toml
[family.acme]
title = "Acme LLM server"
role = "server"
exe = ["acme-llm"]
model_flags = ["--weights"]
port_flags = ["--port"]
libraries = { "libacme_infer.so*" = 5.0 }
images = ["registry.example/acme/llm"]
ports = [9900]
asks = [{ path = "/v1/models", list = "data", name = "id", state = "serving" }]
```

A file that can't be used is an error that names the table and the key. All patterns are shell patterns.
`safetytwin explain PID` shows what a table does to a process. How evidence is weighed: [recognition](recognition.md).
"""


def _keys(record: type[msgspec.Struct]) -> Iterator[str]:
    yield "| key | meaning |"
    yield "|---|---|"
    for field in msgspec.structs.fields(record):
        meta = field.type.__metadata__[0] if hasattr(field.type, "__metadata__") else None
        yield f"| `{field.name}`{' (needed)' if field.required else ''} | {(meta and meta.description) or ''} |"


def _families(catalogue: Catalogue) -> Iterator[str]:
    yield "| family | role | known by | models named by | asked | confirmed |"
    yield "|---|---|---|---|---|---|"
    for name, family in sorted(catalogue.family.items(), key=lambda item: (item[1].role, item[0])):
        known = [*family.exe, *family.exe_paths, *family.scripts, *family.modules, *family.files, *family.node_packages]
        known += [*family.titles, *family.libraries, *family.images]
        shown = ", ".join(f"`{one}`" for one in known[:6]) + (" …" if len(known) > 6 else "")
        models = [
            *family.model_flags,
            *(f"{verb} MODEL".strip() for verb in family.positional_model),
            *family.env_models,
        ]
        asked = ", ".join(f"`{ask.path}`" for ask in family.asks)
        confirmed = "yes" if family.confirmed else "no"
        if family.confirmed and family.unconfirmed:
            confirmed = "but " + ", ".join(f"`{key}`" for key in family.unconfirmed)
        cells = (f"`{name}`", family.role, shown, ", ".join(f"`{one}`" for one in models[:4]), asked, confirmed)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def catalogue_page() -> str:
    """Return docs/catalogue.md."""
    catalogue = load_catalogue()
    lines = [_HEAD, "## Keys of a family", "", *_keys(Family), ""]
    lines += ["## Keys of what may be asked", "", *_keys(Ask), ""]
    lines += ["## Keys of a runtime", "", *_keys(Runtime), ""]
    lines += ["## Runtimes", "", "| runtime | role | weight | libraries |", "|---|---|---|---|"]
    for name, runtime in catalogue.runtime.items():
        shown = ", ".join(f"`{one}`" for one in runtime.libraries[:4])
        lines.append(f"| `{name}` | {runtime.role} | {runtime.weight:g} | {shown} |")
    lines += ["", "## Families", ""]
    lines += ["*confirmed* tells whether a family's facts were checked in its source; *no* is general knowledge.", ""]
    lines += [*_families(catalogue), ""]
    return "\n".join(lines)
