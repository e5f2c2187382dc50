"""The table of workloads in the summary."""

import io

from rich.console import Console

from safetytwin.cli.summary_ai import workloads_table
from safetytwin.models.workload import Ai, AiModel, Endpoint, ModelUse, Workload, WorkloadGpu


def shown(*workloads, width=100):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(workloads_table(Ai(list(workloads), [AiModel(id="m")])))
    return out.getvalue()


def workload(**fields):
    return Workload(**({"id": "1/2", "role": "server", "confidence": 0.982, "evidence": []} | fields))


def test_a_server_with_its_model_gpu_and_place():
    text = shown(
        workload(
            name="vLLM",
            models=[ModelUse(id="m", name="Qwen/Qwen3-8B", state="serving")],
            endpoints=[Endpoint(address="0.0.0.0", port=8000)],
            gpus=[WorkloadGpu(uuid="GPU-1", memory=8 << 30)],
            rss=2 << 30,
            findings=["exposed without a key: 0.0.0.0:8000 answers anyone who reaches it"],
        )
    )
    for part in (
        "vLLM server",
        "Qwen/Qwen3-8B",
        "2.00 GiB",
        "8.00 GiB",
        "0.0.0.0:8000 · 98 %",
        "! vLLM: exposed without",
    ):
        assert part in text


def test_servers_come_first_and_what_is_not_known_is_left_out():
    text = shown(workload(role="agent", name="Claude Code", id="1/1"), workload(name="Ollama", id="2/2"))
    assert text.index("Ollama") < text.index("Claude Code")
    assert "None" not in text


def test_a_name_with_control_characters_moves_no_cursor():
    assert "\x1b" not in shown(workload(name="\x1b[2Jx", models=[ModelUse(id="\x1b]0;x\x07")]))


def test_many_are_counted():
    assert "and 8 more" in shown(*(workload(id=f"{number}/1", name=f"w{number}") for number in range(20)))
