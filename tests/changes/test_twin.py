import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.small_states import process, state, unit
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.trees import ChangeError, canonical_bytes
from safetytwin.changes.twin import Twin, apply
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.hardware import Cpu, CpuCore, Disk

OLD = state(processes=(process(1), process(2)), services=(unit("a"),), cpu=Cpu(cores=[CpuCore(0)]), disks=[Disk("/")])
PROCESS = msgspec.to_builtins(process(3))


def nested(levels):
    value = {}
    for _ in range(levels):
        value = {"x": value}
    return value


def of_processes(**change):
    return Change(collections={"processes": CollectionChange(**change)})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (of_processes(removed=["9/9"]), "'9/9' is removed and was not there"),
        (of_processes(removed=["1/10", "1/10"]), "'1/10' is removed and was not there"),
        (of_processes(changed={"9/9": {}}), "'9/9' is changed and is not there"),
        (of_processes(removed=["1/10"], changed={"1/10": {}}), "'1/10' is changed and is not there"),
        (of_processes(changed={"1/10": {"pid": 7}}), "'1/10' is changed into another item"),
        (of_processes(changed={"1/10": {"pid": "1"}}), "Expected `int`"),
        (of_processes(changed={"1/10": {"name": None}}), "missing required field `name`"),
        (of_processes(changed={"1/10": {"num_threads": -1}}), "num_threads"),
        (of_processes(changed={"1/10": {"extra": nested(100)}}), "nested deeper than 64"),
        (of_processes(added=[PROCESS, PROCESS]), "'3/30' is added and was there"),
        (of_processes(added=[msgspec.to_builtins(process(1))]), "'1/10' is added and was there"),
        (of_processes(added=[{"pid": 3}]), "missing required field"),
        (of_processes(added=[{**PROCESS, "name": "\0" * 3, "pid": True}]), "Expected `int`"),
        (of_processes(added=[PROCESS], at=[]), "one index for each added item"),
        (of_processes(added=[PROCESS], at=[3]), "one index for each added item"),
        (of_processes(at=[0]), "one index for each added item"),
        (of_processes(order=["1/10"]), "order does not name each item once"),
        (of_processes(order=["1/10", "1/10"]), "order does not name each item once"),
        (Change(collections={"nonsense": CollectionChange()}), "no keyed collection 'nonsense'"),
        (Change(collections={"hardware.network": CollectionChange(added=[{"name": "lo"}])}), "no keyed collection"),
        (Change(collections={"hardware.gpu.x": CollectionChange(removed=[])}), "no keyed collection"),
        (Change(state={"hardware": None}), "missing required field `hardware`"),
        (Change(state={"processes": 5}), "Expected `array`"),
        (Change(state={"host_id": "../x"}), "host_id"),
        (Change(state={"extra": nested(100)}), "nested deeper than 64"),
        (Change(state={"hardware": {"cpu": None}}, collections={"hardware.cpu.cores": CollectionChange()}), "no keyed"),
    ],
)
def test_a_change_that_does_not_fit_says_why_and_leaves_the_twin_as_it_was(change, says):
    twin = Twin(tree_of(OLD))
    before = twin.canonical_bytes()
    good = CollectionChange(changed={"systemd/a": {"status": "failed"}})
    both = Change(
        state={"seq": 5, **(change.state or {})}, collections={"services": good, **(change.collections or {})}
    )
    for one in (change, both):
        with pytest.raises(ChangeError, match=re.escape(says)):
            twin.apply(one)
        assert twin.canonical_bytes() == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["hardware", "processes", "services", "cpu", "cores", "extra", "pid", "start_ticks", "agent"])
wild = st.dictionaries(
    names, st.recursive(json_values, lambda inner: st.dictionaries(names, inner, max_size=3)), max_size=4
)
keys = st.sampled_from(["1/10", "2/20", "3/30", "systemd/a", "/", "0"])
paths = st.sampled_from(["processes", "services", "hardware.disks", "hardware.cpu.cores", "hardware.gpu.", "ai.models"])


@given(
    st.none() | wild,
    st.dictionaries(
        paths,
        st.fixed_dictionaries(
            {},
            optional={
                "added": st.lists(wild | st.just(PROCESS), max_size=2),
                "at": st.lists(st.integers(0, 5), max_size=2),
                "changed": st.dictionaries(keys, wild, max_size=2),
                "removed": st.lists(keys, max_size=2),
                "order": st.lists(keys, max_size=3),
            },
        ),
        max_size=3,
    ),
)
def test_a_hostile_change_is_refused_or_makes_a_valid_state(patch, collections):
    twin = Twin(tree_of(OLD))
    change = Change(state=patch, collections={path: CollectionChange(**one) for path, one in collections.items()})
    before = twin.canonical_bytes()
    try:
        twin.apply(change)
    except ChangeError:
        assert twin.canonical_bytes() == before
    else:
        msgspec.convert(twin.tree(), type(OLD))
        assert canonical_bytes(twin.tree()) == twin.canonical_bytes()


def test_a_tree_that_is_no_state_is_no_twin():
    with pytest.raises(msgspec.ValidationError):
        Twin({"schema": 1})


def test_fields_of_a_newer_agent_are_kept():
    tree = tree_of(OLD)
    tree["new_section"] = {"a": 1}
    tree["processes"][0]["new_field"] = [1, None]
    twin = Twin(tree)
    twin.apply(diff(OLD, state(10, processes=(OLD.processes[1], process(1, num_fds=2)))))
    assert twin.tree()["new_section"] == {"a": 1}
    assert twin.item("processes", "1/10")["new_field"] == [1, None]


def test_apply_leaves_the_old_tree_as_it_is():
    tree = tree_of(OLD)
    before = canonical_bytes(tree)
    apply(tree, diff(OLD, state(10, processes=(process(2, extra={"a": 1}),))))
    assert canonical_bytes(tree) == before


def test_a_step_shows_each_touched_item_before_and_after():
    new = state(10, processes=(process(2, num_fds=1), process(3)), services=(unit("a"),), cpu=Cpu())
    step = Twin(tree_of(OLD)).apply(diff(OLD, new))
    plain = msgspec.to_builtins
    assert step.items["processes"] == {
        "1/10": (plain(process(1)), None),
        "2/20": (plain(process(2)), plain(process(2, num_fds=1))),
        "3/30": (None, plain(process(3))),
    }
    assert step.items["hardware.disks"] == {"/": ({"mountpoint": "/"}, None)}
    assert step.items["hardware.cpu.cores"] == {"0": ({"id": 0}, None)}
    assert "services" not in step.items
    assert (step.old["seq"], step.new["seq"]) == (0, 1)
    assert step.new["processes"] == []


def test_a_twin_counts_and_finds_its_items():
    twin = Twin(tree_of(OLD))
    assert twin.counts() == {"processes": 2, "services": 1, "hardware.disks": 1, "hardware.cpu.cores": 1}
    assert list(twin.items("processes")) == ["1/10", "2/20"]
    assert twin.item("processes", "9/9") is None
    assert twin.items("ai.models") == {}
    assert twin.rest["processes"] == []
