"""How well AI workloads are recognised: precision and recall per role on the labelled set, beside a naive baseline.

The baseline is what public detectors do: substrings of executable, command line and names of open files.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))

LOOKS, PAUSE = 15, 0.7
NAIVE_WORDS = (
    "llama gpt bert torch tensorflow transformers ollama vllm openai claude whisper mistral diffusion langchain triton"
).split()
NAIVE_ENDINGS = (".bin", ".pt", ".gguf", ".pth", ".onnx", ".safetensors")


def naive(case: dict) -> bool:
    """Judge as a substring detector does."""
    texts = [case.get("exe") or "", *case["argv"], *case.get("maps", ()), *case.get("fds", ())]
    return any(word in text.lower() for word in NAIVE_WORDS for text in texts) or any(
        text.endswith(NAIVE_ENDINGS) for text in texts
    )


def rates(wanted: list[bool], given: list[bool]) -> tuple[float | None, float | None]:
    """Return precision and recall; None where nothing was given or wanted."""
    hits = sum(one and other for one, other in zip(wanted, given, strict=True))
    return (hits / sum(given) if any(given) else None, hits / sum(wanted) if any(wanted) else None)


def measure() -> dict:
    """Recognise the whole set on one machine made of it."""
    from parts.labelled import cases, is_related, recognised, role_and_engine  # noqa: PLC0415 - needs the path above

    everything = cases()
    with tempfile.TemporaryDirectory() as folder:
        processes, _, _ = recognised(folder, everything)
    roles = [role_and_engine(process)[0] for process in processes]
    wanted = [is_related(case["role"]) for case in everything]
    table = {
        "LLM related": rates(wanted, [bool(process.is_llm_related) for process in processes]),
        "naive substrings": rates(wanted, [naive(case) for case in everything]),
    }
    counts = Counter(case["role"] for case in everything)
    for role in sorted(role for role in counts if role is not None):
        table[role] = rates([case["role"] == role for case in everything], [given == role for given in roles])
    wrong = [
        {"case": case["name"], "wanted": case["role"], "given": given}
        for case, given in zip(everything, roles, strict=True)
        if case["role"] != given
    ]
    return {
        "cases": len(everything),
        "related": sum(wanted),
        "counts": {role or "none": number for role, number in counts.items()},
        "rates": {name: {"precision": one[0], "recall": one[1]} for name, one in table.items()},
        "wrong": wrong,
    }


def cost() -> dict:
    """Look at this machine again and again; CPU in milliseconds, median of the looks after the first three."""
    from safetytwin.agent.config import AgentConfig  # noqa: PLC0415 - only what is measured is imported
    from safetytwin.agent.observer import make_looker, make_recogniser  # noqa: PLC0415

    looker, recognise = make_looker(AgentConfig(), "bench"), make_recogniser(AgentConfig())
    assert recognise is not None
    looks, added, processes = [], [], 0
    for _ in range(LOOKS):
        began = time.process_time()
        state = looker.look()
        looked = time.process_time()
        recognise(state)
        looks.append(1000 * (looked - began))
        added.append(1000 * (time.process_time() - looked))
        processes = len(state.processes)
        time.sleep(PAUSE)
    looker.close()
    return {
        "processes": processes,
        "first_look_ms": looks[0],
        "first_added_ms": added[0],
        "look_ms": statistics.median(looks[3:]),
        "added_ms": statistics.median(added[3:]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    arguments = parser.parse_args()
    found = measure()
    found["cost"] = cost()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['cases']} labelled processes, {found['related']} of them LLM related")
    print(f"  {'':<18}{'cases':>6}{'precision':>11}{'recall':>8}")
    for name, one in found["rates"].items():
        shown = [f"{value:.3f}" if value is not None else "-" for value in (one["precision"], one["recall"])]
        print(f"  {name:<18}{found['counts'].get(name, found['cases']):>6}{shown[0]:>11}{shown[1]:>8}")
    spent = found["cost"]
    share = 100 * spent["added_ms"] / spent["look_ms"]
    print(
        f"  this machine, {spent['processes']} processes: a look {spent['look_ms']:.2f} ms of CPU, recognition", end=" "
    )
    print(f"{spent['added_ms']:.2f} ms more ({share:.0f} %); at first {spent['first_added_ms']:.0f} ms")
    for one in found["wrong"]:
        print(f"  wrong: {one['case']}: {one['given']} for {one['wanted']}")


if __name__ == "__main__":
    main()
