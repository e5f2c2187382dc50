import msgspec
import pytest

from parts.small_states import container, moment, process, state, unit
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.trees import canonical_bytes, normal, same
from safetytwin.changes.twin import apply
from safetytwin.models.change import Change, CollectionChange
from safetytwin.models.hardware import Cpu, CpuCore, Disk, Gpu, Memory


def test_only_the_changed_fields_travel():
    old = state(processes=(process(1), process(2, num_threads=3)), memory=Memory(total=100, used=1))
    new = state(10, processes=(old.processes[0], process(2, num_threads=4)), memory=Memory(total=100, used=2))
    assert diff(old, new) == Change(
        state={"seq": 1, "timestamp": moment(10), "hardware": {"memory": {"used": 2}}},
        collections={"processes": CollectionChange(changed={"2/20": {"num_threads": 4}})},
    )


def test_items_come_and_go_by_key():
    a, b, c = process(1), process(2), process(3)
    change = diff(state(processes=(a, b)), state(processes=(b, c)))
    assert change.collections == {"processes": CollectionChange(added=[tree_of_process(3)], removed=["1/10"])}


def tree_of_process(pid):
    return msgspec.to_builtins(process(pid))


def test_an_item_in_the_middle_says_where():
    a, b, c = process(1), process(2), process(3)
    change = diff(state(processes=(a, c)), state(processes=(a, b, c)))
    assert change.collections["processes"].at == [1]
    assert change.collections["processes"].order is None


def test_another_order_lists_the_keys():
    a, b = process(1), process(2)
    change = diff(state(processes=(a, b)), state(processes=(b, a)))
    assert change.collections == {"processes": CollectionChange(order=["2/20", "1/10"])}


def test_a_value_that_is_no_longer_known_is_null():
    change = diff(state(processes=(process(1, num_fds=3),)), state(processes=(process(1),)))
    assert change.collections["processes"].changed == {"1/10": {"num_fds": None}}


@pytest.mark.parametrize(("old", "new"), [(None, []), ([], None), (None, [Disk("/")]), ([Disk("/")], None)])
def test_absent_and_empty_collections_are_told_apart(old, new):
    before, after = state(disks=old), state(disks=new)
    assert apply(tree_of(before), diff(before, after)) == tree_of(after)
    assert ("disks" in tree_of(after)["hardware"]) == (new is not None)


def test_a_collection_that_comes_up_adds_its_items_by_key():
    change = diff(state(), state(cpu=Cpu(cores=[CpuCore(0)])))
    assert change.state == {"hardware": {"cpu": {"cores": []}}}
    assert change.collections == {"hardware.cpu.cores": CollectionChange(added=[{"id": 0}])}


def test_a_collection_where_two_items_share_a_key_is_replaced_whole():
    old, new = state(disks=[Disk("/")]), state(disks=[Disk("/", device="a"), Disk("/", device="b")])
    change = diff(old, new)
    assert change.collections is None
    assert change.state == {
        "hardware": {"disks": [{"mountpoint": "/", "device": "a"}, {"mountpoint": "/", "device": "b"}]}
    }
    assert apply(tree_of(old), change) == tree_of(new)
    assert apply(tree_of(new), diff(new, old)) == tree_of(old)


def test_gpus_are_keyed_by_vendor_and_uuid():
    old = state(gpu={"nvidia": [Gpu("GPU-1", "nvidia")], "a.b": []})
    new = state(gpu={"nvidia": [Gpu("GPU-1", "nvidia", status="lost")], "a.b": [Gpu("x/y", "a.b")]})
    assert set(diff(old, new).collections) == {"hardware.gpu.nvidia", "hardware.gpu.a.b"}
    assert diff(old, new).collections["hardware.gpu.nvidia"].changed == {"GPU-1": {"status": "lost"}}
    assert apply(tree_of(old), diff(old, new)) == tree_of(new)


def test_units_and_containers_live_in_one_collection():
    old = state(services=(unit("ssh.service"), container("web")))
    new = state(services=(unit("ssh.service", "failed"), container("web", "exited", exit_code=1)))
    assert diff(old, new).collections["services"].changed == {
        "systemd/ssh.service": {"status": "failed"},
        "docker/c0ffee": {"status": "exited", "exit_code": 1},
    }


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ([1], [True]), ({"a": 0}, {"a": False})])
def test_what_python_holds_equal_but_json_does_not_is_a_change(one, other):
    assert not same(one, other)
    old, new = state(processes=(process(1, extra={"x": one}),)), state(processes=(process(1, extra={"x": other}),))
    assert canonical_bytes(apply(tree_of(old), diff(old, new))) == canonical_bytes(tree_of(new))
    assert diff(old, new).collections is not None


def test_the_order_of_names_is_no_change():
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    old, new = (
        state(services=(unit("a", environment=names),)) for names in ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})
    )
    assert diff(old, new) == Change()


def test_what_a_state_cannot_hold_is_left_out():
    deep = inner = {}
    for _ in range(100):
        inner["x"] = inner = {}
    foreign = {"nan": float("nan"), "huge": 2**64, "none": None, "list": [None, float("inf")], "deep": deep}
    tree = normal(foreign)
    assert tree.keys() == {"list", "deep"}
    assert tree["list"] == [None, None]
    msgspec.json.decode(canonical_bytes(tree))
