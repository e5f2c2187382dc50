import pytest

from parts.small_states import process, state
from safetytwin.changes.diff import tree_of
from safetytwin.changes.keys import are_keys_unique, collections, key_of, place_of, places
from safetytwin.changes.schema import fields_of
from safetytwin.models.hardware import Disk, Gpu
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import SystemState


def test_the_collections_follow_from_the_models():
    assert {collection.path for collection in collections()} == {
        "hardware.cpu.cores",
        "hardware.disks",
        "hardware.block_devices",
        "hardware.network",
        "hardware.sensors",
        "hardware.gpu",
        "services",
        "processes",
        "ai.workloads",
        "ai.models",
        "software.packages",
        "software.users",
        "software.groups",
        "software.sysctl",
        "software.unit_files",
    }


@pytest.mark.parametrize(
    ("record", "item", "key"),
    [
        (Process, Process(812, 33401, "nginx"), "812/33401"),
        (Service, Service("systemd", "ssh.service", "ssh"), "systemd/ssh.service"),
        (Service, Service("systemd", "user/1000/a.service", "a"), "systemd/user/1000/a.service"),
        (Service, Service("a/b", "c~/d", "x"), "a~1b/c~/d"),
        (Service, Service("a~1b", "c", "x"), "a~01b/c"),
        (Disk, Disk("/"), "/"),
        (Gpu, Gpu("GPU-1", "nvidia"), "GPU-1"),
    ],
)
def test_a_key_is_the_text_of_the_identity(record, item, key):
    assert key_of(record, item) == key
    assert key_of(record, {name: getattr(item, name) for name in item.__struct_fields__}) == key


def test_no_two_services_share_a_key_by_accident():
    services = [Service("a/b", "c", "x"), Service("a", "b/c", "x"), Service("a~1b", "c", "x")]
    assert len({key_of(Service, service) for service in services}) == 3
    assert are_keys_unique(Service, services)
    assert not are_keys_unique(Service, [services[0], services[0]])


def test_places_are_the_same_in_a_record_and_in_its_tree():
    machine = state(processes=(process(1),), disks=[Disk("/")], gpu={"amd": [Gpu("pci:1", "amd")], "x.y": []})
    of_record = {place.path: len(items) for place, items in places(machine)}
    assert of_record == {
        "hardware.disks": 1,
        "hardware.gpu.amd": 1,
        "hardware.gpu.x.y": 0,
        "services": 0,
        "processes": 1,
    }
    assert of_record == {place.path: len(items) for place, items in places(tree_of(machine))}
    for path in of_record:
        assert place_of(path).path == path


def test_what_is_left_out_of_a_record_is_always_none():
    seen, waiting = set(), [SystemState]
    while waiting:
        record = waiting.pop()
        seen.add(record)
        assert set(record.__struct_defaults__) <= {None}, record
        waiting += {field.record for field in fields_of(record).values() if field.record} - seen
    assert {Process, Service, Disk, Gpu} <= seen


@pytest.mark.parametrize("path", ["", "hardware", "hardware.gpu", "hardware.cpu", "process", "extra", "__class__"])
def test_other_paths_name_no_place(path):
    assert place_of(path) is None
