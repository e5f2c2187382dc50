"""Which models a workload uses: what its processes name and hold, joined with what lies in the stores."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from safetytwin.models.workload import AiModel, ModelUse
from safetytwin.workloads.judgement import Judgement, ModelReference
from safetytwin.workloads.model_names import is_hub_name, name_in_path, name_of_file, same_model

_RANKS = {"at_rest": 0, "listed": 1, "loaded": 2, "serving": 3, None: -1}


class Asked(NamedTuple):
    """A model that an engine named when it was asked."""

    name: str
    state: str
    """listed, loaded or serving."""


class StoredModels:
    """The models that lie on the machine, by path and by name."""

    def __init__(self, models: Sequence[AiModel]) -> None:
        self.models = models
        self._by_path: dict[str, AiModel] = {}
        self._by_name: dict[str, AiModel] = {}
        for model in models:
            for path in {model.id, model.path or model.id}:
                self._by_path[path] = model
            if model.name is not None:
                self._by_name.setdefault(model.name.lower(), model)

    def at(self, path: str) -> AiModel | None:
        """Return the model whose file or folder lies at path, links resolved."""
        found = self._by_path.get(path)
        if found is None and self._by_path:
            found = self._by_path.get(os.path.realpath(path)) or self._by_path.get(os.path.dirname(path))
        return found

    def named(self, name: str) -> AiModel | None:
        """Return the model of that name."""
        return self._by_name.get(name.lower())


def models_of_workload(
    engine: str | None,
    judgements: Iterable[Judgement],
    stored: StoredModels,
    sightings: Mapping[str, str],
    asked: Sequence[Asked],
    *,
    serving: bool,
) -> list[AiModel]:
    """Return the models of a workload, state and all; serving tells that it answers on a socket.

    sightings say when a file was last seen mapped or open (RFC 3339), by path.
    """
    verdicts = list(judgements)
    served = next((verdict.served_names[0] for verdict in verdicts if verdict.served_names), None)
    found: dict[str, AiModel] = {}
    references = [reference for verdict in verdicts for reference in verdict.models]
    for reference in references:
        model = _resolved(engine, reference, stored, served, sightings, serving=serving)
        before = found.get(model.id)
        if before is None or _RANKS[model.state] > _RANKS[before.state]:
            found[model.id] = model
    _drop_names_of_files(found)
    for one in asked:
        _take_answer(found, one, engine, stored)
    return list(found.values())


def _resolved(
    engine: str | None,
    reference: ModelReference,
    stored: StoredModels,
    served: str | None,
    sightings: Mapping[str, str],
    *,
    serving: bool,
) -> AiModel:
    file = reference.file
    held = file is not None and file.how in {"mapped", "open"}
    state = "serving" if serving else "loaded" if held else "listed"
    if file is None:
        known = stored.named(reference.value)
        if known is not None:
            return msgspec.structs.replace(known, state=state)
        from_path = name_of_file(reference.value) if reference.value.startswith(("/", ".")) else reference.value
        name = served if served and not is_hub_name(reference.value) else from_path
        path = reference.value if reference.value.startswith("/") else None
        identity = path or f"{engine or 'unknown'}:{reference.value}"
        kind = None if reference.kind == "model" else reference.kind
        return AiModel(id=identity, name=name, name_source="argv", path=path, kind=kind, state=state)
    known = stored.at(file.path)
    header = file.header
    seen = sightings.get(file.path)
    if known is not None:
        return msgspec.structs.replace(known, state=state, last_seen=seen)
    in_path = name_in_path(file.path)
    choices = (
        (header.name if header is not None and not file.broken else None, "header"),
        (reference.name, "manifest"),
        (in_path, "path"),
        (served, "argv"),
        (name_of_file(file.path), "file"),
    )
    name, source = next(((text, where) for text, where in choices if text), (None, None))
    kind = reference.kind
    if header is not None and header.kind and kind == "model":
        kind = header.kind
    return AiModel(
        id=file.path,
        name=name,
        name_source=source,
        path=file.path,
        format=header.format if header is not None else None,
        architecture=header.architecture if header is not None else None,
        parameters=header.parameters if header is not None else None,
        quantization=header.quantization if header is not None else None,
        context_length=header.context_length if header is not None else None,
        size=header.size if header is not None else None,
        kind=kind,
        state=state,
        store="ollama" if reference.name else "huggingface" if "/models--" in file.path else None,
        problem=header.problem if header is not None else None,
        last_seen=seen,
    )


def _drop_names_of_files(found: dict[str, AiModel]) -> None:
    """Drop a model that is known by name only where the same one is known by its file."""
    names = [
        name
        for model in found.values()
        if model.path is not None
        for name in (model.name, name_in_path(model.path))
        if name is not None
    ]
    for key, model in list(found.items()):
        if model.path is None and model.name is not None and any(same_model(model.name, name) for name in names):
            del found[key]


def _take_answer(found: dict[str, AiModel], asked: Asked, engine: str | None, stored: StoredModels) -> None:
    """Take what an engine answered: its name of a model comes first of all names, its word on the state counts."""
    for key, model in found.items():
        names = {model.name, key.partition(":")[2], name_in_path(model.path or ""), name_of_file(model.path or "")}
        if any(name is not None and same_model(name, asked.name) for name in names) or model.path == asked.name:
            found[key] = msgspec.structs.replace(model, name=asked.name, name_source="api", state=asked.state)
            return
    loaded = [key for key, model in found.items() if model.kind in {None, "model"}]
    if len(loaded) == 1 and asked.state in {"loaded", "serving"} and found[loaded[0]].name_source != "api":
        model = found[loaded[0]]
        found[loaded[0]] = msgspec.structs.replace(model, name=asked.name, name_source="api", state=asked.state)
        return
    known = stored.named(asked.name) or stored.named(asked.name.removesuffix(":latest"))
    if known is not None:
        found[known.id] = msgspec.structs.replace(known, name=asked.name, name_source="api", state=asked.state)
        return
    identity = f"{engine or 'unknown'}:{asked.name}"
    found[identity] = AiModel(id=identity, name=asked.name, name_source="api", state=asked.state)


def uses_of(models: Iterable[AiModel]) -> list[ModelUse]:
    """Return models as the workload's record names them."""
    return [ModelUse(id=model.id, name=model.name, state=model.state) for model in models]


def joined(stored: Sequence[AiModel], used: Mapping[str, Sequence[AiModel]]) -> list[AiModel]:
    """Return all models once: those in the stores, and those that workloads (by key) use with who uses them."""
    all_models = {model.id: model for model in stored}
    users: dict[str, list[str]] = {}
    for workload, models in used.items():
        for model in models:
            before = all_models.get(model.id)
            if before is None or _RANKS[model.state] > _RANKS[before.state]:
                all_models[model.id] = model
            users.setdefault(model.id, []).append(workload)
    return [
        msgspec.structs.replace(model, used_by=users[key]) if key in users else model
        for key, model in sorted(all_models.items())
    ]
