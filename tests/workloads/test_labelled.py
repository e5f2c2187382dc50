"""The labelled set: what must be found, and what must not be called a running AI workload."""

import pytest

from parts.labelled import cases, is_related, recognised, role_and_engine

POSITIVES, NEGATIVES = cases("positives"), cases("negatives")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    everything = POSITIVES + NEGATIVES
    processes, state, _ = recognised(str(tmp_path_factory.mktemp("machine")), everything)
    return {case["name"]: process for case, process in zip(everything, processes, strict=True)}, state


def test_the_set_is_as_large_as_promised_and_names_each_case_once():
    names = [case["name"] for case in POSITIVES + NEGATIVES]
    assert len(names) == len(set(names))
    assert len(POSITIVES) >= 120
    assert len(NEGATIVES) >= 150


@pytest.mark.parametrize("case", POSITIVES, ids=lambda case: case["name"])
def test_found(shown, case):
    process = shown[0][case["name"]]
    role, engine = role_and_engine(process)
    assert role == case["role"]
    assert engine == case.get("engine", engine)
    assert process.is_llm_related is True
    assert process.extra["ai"]["workload"] in {workload.id for workload in shown[1].ai.workloads}


@pytest.mark.parametrize("case", NEGATIVES, ids=lambda case: case["name"])
def test_not_called_a_workload(shown, case):
    process = shown[0][case["name"]]
    assert role_and_engine(process)[0] == case["role"]
    assert process.is_llm_related is False


def test_precision_and_recall(shown):
    wanted = {case["name"]: is_related(case["role"]) for case in POSITIVES + NEGATIVES}
    given = {name: process.is_llm_related for name, process in shown[0].items()}
    hits = sum(given[name] and wanted[name] for name in wanted)
    assert hits / sum(given.values()) >= 0.99
    assert hits / sum(wanted.values()) >= 0.97
