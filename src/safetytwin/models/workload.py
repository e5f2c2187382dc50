"""AI workloads and models: what serves which model, and how we know."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

from safetytwin.models.fields import Count, Number, Record, gauge_field, identity_field, state_field


class Evidence(Record, frozen=True):
    """One thing that was seen, and what it speaks for."""

    family: A[str, state_field("exe, argv, title, parent, library, model_file, device, placement (cgroup, unit, image, label), listener or api.")]
    source: A[str, state_field("Where it was read, such as /proc/PID/maps.")]
    locator: A[str, state_field("What was found there.")]
    says: A[str, state_field("What it speaks for, such as engine:vllm or role:server.")]
    weight: A[Number, state_field("How much, negative where it contradicts; log-odds.")]


class Endpoint(Record, frozen=True):
    """Where a workload answers."""

    address: A[str | None, state_field("Listening address; null for a unix socket.")] = None
    port: A[Count | None, state_field("Port.")] = None
    path: A[str | None, state_field("Path of a unix socket.")] = None
    published: A[str | None, state_field("Where a container publishes it, host:port.")] = None
    exposed: A[bool | None, state_field("Reachable from beyond loopback.")] = None
    authenticated: A[bool | None, state_field("A key is asked for; null where not known.")] = None


class WorkloadGpu(Record, frozen=True):
    """What a workload holds of one GPU."""

    uuid: A[str, state_field("The GPU.", otel="hw.id")]
    memory: A[Count | None, gauge_field("GPU memory, all its processes.", unit="By")] = None
    sm_percent: A[Number | None, gauge_field("Share of the compute engines.", unit="%")] = None


class ModelUse(Record, frozen=True):
    """One model as a workload uses it."""

    id: A[str, state_field("Key of the model in ai.models.")]
    name: A[str | None, state_field("Name for people.")] = None
    state: A[str | None, state_field("at_rest, listed, loaded or serving.")] = None


class Workload(Record, frozen=True):
    """One AI workload: a root process with its workers, or a container."""

    id: A[str, identity_field("Root process as pid/start_ticks, or type/id of the container.")]
    role: A[str, state_field("server, gateway, ui, orchestrator, vector-db, notebook, trainer, agent, mcp-server, client, installer, ml, ml-other, gpu-other, …")]
    confidence: A[Number, state_field("How sure the verdict is, 0 to 1.", unit="1")]
    evidence: A[list[Evidence], state_field("For and against, strongest first.")]
    engine: A[str | None, state_field("Engine, such as vllm.")] = None
    engine_version: A[str | None, state_field("Its version.")] = None
    name: A[str | None, state_field("Name for people.")] = None
    state: A[str | None, state_field("running, starting, stopped.")] = None
    pid: A[Count | None, state_field("Root process.")] = None
    workers: A[list[Count] | None, state_field("Its other processes.")] = None
    service: A[str | None, state_field("Key of its unit or container.")] = None
    models: A[list[ModelUse] | None, state_field("Models it serves, trains or holds.")] = None
    endpoints: A[list[Endpoint] | None, state_field("Where it answers.")] = None
    gpus: A[list[WorkloadGpu] | None, gauge_field("GPUs it holds.")] = None
    cpu_percent: A[Number | None, gauge_field("CPU of the group, of one core.", unit="%")] = None
    rss: A[Count | None, gauge_field("Resident memory of the group.", unit="By")] = None
    missing: A[list[str] | None, state_field("What could not be read, and what would make it sure.")] = None
    findings: A[list[str] | None, state_field("What deserves attention: exposed without a key, orphaned.")] = None


class AiModel(Record, frozen=True):
    """Weights: one model, on disk or known by name."""

    id: A[str, identity_field("Path of its (first) file, or engine:name where no file is known.")]
    name: A[str | None, state_field("Name for people.")] = None
    name_source: A[str | None, state_field("Where the name came from: api, header, manifest, path, argv, file.")] = None
    path: A[str | None, state_field("File or directory.")] = None
    format: A[str | None, state_field("gguf, ggml, safetensors, pytorch, onnx, tflite, hdf5, keras, savedmodel, ctranslate2.")] = None
    architecture: A[str | None, state_field("Such as llama or qwen2.")] = None
    parameters: A[Count | None, state_field("Number of parameters.", unit="1")] = None
    quantization: A[str | None, state_field("Such as Q4_K_M or BF16.")] = None
    context_length: A[Count | None, state_field("Tokens that it was made for.", unit="1")] = None
    size: A[Count | None, state_field("Bytes on disk, all its files.", unit="By")] = None
    kind: A[str | None, state_field("model, projector, adapter, tokenizer, draft.")] = None
    state: A[str | None, state_field("at_rest, listed, loaded or serving.")] = None
    store: A[str | None, state_field("ollama, huggingface, lmstudio, llama.cpp or a directory.")] = None
    used_by: A[list[str] | None, state_field("Keys of the workloads that use it.")] = None
    problem: A[str | None, state_field("What is wrong with a broken or unfinished one.")] = None
    last_seen: A[str | None, gauge_field("When it was last seen open or mapped, RFC 3339 UTC.")] = None


class Ai(Record, frozen=True):
    """AI workloads and models of a machine."""

    workloads: A[list[Workload], state_field("Workloads.")]
    models: A[list[AiModel], state_field("Models.")]
