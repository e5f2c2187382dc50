from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from parts.shapes import machine, parsed
from parts.states import states
from safetytwin.models.hardware import Address, BlockDevice, Cpu, Interface, Memory
from safetytwin.vm.domain import Place, domain_xml
from safetytwin.vm.domain_reading import DomainError, read_domain
from safetytwin.vm.plan import Line, left_out, plan
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape

GIB = 1 << 30


def lines(before, after, **place):
    return [
        (line.when, line.action, line.what, line.item)
        for line in plan(shape(after), domain_xml(shape(before), Place(**place)))
    ]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(states())
def test_the_domain_of_a_shape_is_as_the_shape(state):
    for host in (None, Host(2, 4 * GIB)):
        one = shape(state, host=host)
        assert plan(one, domain_xml(one)) == []
        present = read_domain(domain_xml(one))
        assert list(present.disks.values()) == one.disks
        assert list(present.interfaces.values()) == one.interfaces


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(states(), states())
def test_any_two_shapes_have_a_plan_that_is_json(before, after):
    planned = plan(shape(after), domain_xml(shape(before)))
    assert msgspec.json.decode(msgspec.json.encode(planned), type=list[Line]) == planned


def test_without_a_domain_all_is_created():
    created = plan(shape(machine()), None)
    assert {line.action for line in created} == {"create"}
    assert {line.when for line in created} == {"at next boot"}
    assert [line.what for line in created] == ["domain", "vcpus", "memory", "disk", "disk", "interface"]


def test_memory_within_the_ceiling_is_live_and_beyond_it_waits():
    small = machine(memory=Memory(total=4 * GIB))
    assert lines(small, machine(memory=Memory(total=8 * GIB))) == [("live", "change", "memory", None)]
    assert lines(small, machine(memory=Memory(total=9 * GIB))) == [("at next boot", "change", "memory", None)]
    assert lines(machine(memory=Memory(total=9 * GIB)), small) == [("live", "change", "memory", None)]


def test_a_cpu_more_is_live_and_one_less_only_with_kvm():
    two, four = (machine(cpu=Cpu(cores_logical=count, architecture="x86_64")) for count in (2, 4))
    assert lines(two, four) == [("live", "change", "vcpus", None)]
    assert lines(four, two) == [("live", "change", "vcpus", None)]
    assert lines(four, two, accelerator="qemu") == [("at next boot", "change", "vcpus", None)]
    five = machine(cpu=Cpu(cores_logical=5, architecture="x86_64"))
    assert lines(two, five) == [("at next boot", "change", "vcpus", None)]


def test_disks_come_grow_and_go_live_but_never_shrink():
    def with_data(size):
        data = [] if size is None else [BlockDevice("sdb", kind="disk", size=size)]
        return machine(block_devices=[BlockDevice("sda", kind="disk", size=40 * GIB), *data])

    assert lines(with_data(None), with_data(GIB)) == [("live", "add", "disk", "sdb")]
    assert lines(with_data(GIB), with_data(2 * GIB)) == [("live", "change", "disk", "sdb")]
    assert lines(with_data(2 * GIB), with_data(GIB)) == [("cannot", "change", "disk", "sdb")]
    assert lines(with_data(GIB), with_data(None)) == [("live", "remove", "disk", "sdb")]


def test_interfaces_come_and_go_live_and_addresses_are_noted():
    def with_interfaces(*names, address="10.0.0.1"):
        return machine(
            network=[
                Interface(
                    name, mac=f"52:54:00:00:00:0{number}", physical=True, addresses=[Address(address, "ipv4", 24)]
                )
                for number, name in enumerate(names)
            ]
        )

    one, two = with_interfaces("eth0"), with_interfaces("eth0", "eth1")
    assert lines(one, two) == [("live", "add", "interface", "52:54:00:00:00:01")]
    assert lines(two, one) == [("live", "remove", "interface", "52:54:00:00:00:01")]
    moved = with_interfaces("eth0", address="10.0.0.2")
    assert lines(one, moved) == [("live", "change", "addresses", "52:54:00:00:00:00")]


def test_what_a_person_added_to_the_domain_is_left_alone():
    one = shape(machine())
    domain = parsed(domain_xml(one))
    devices = domain.find("devices")
    disk = ET.SubElement(devices, "disk", {"type": "file", "device": "disk"})
    ET.SubElement(disk, "target", {"dev": "sdq"})
    ET.SubElement(disk, "serial").text = "mine"
    interface = ET.SubElement(devices, "interface", {"type": "user"})
    ET.SubElement(interface, "mac", {"address": "52:54:00:99:99:99"})
    ET.SubElement(interface, "source")
    assert plan(one, ET.tostring(domain, encoding="unicode")) == []


def test_libvirts_own_spelling_is_understood():
    one = shape(machine())
    spelt = domain_xml(one).replace('machine="q35"', 'machine="pc-q35-7.2"')
    spelt = spelt.replace(f'<memory unit="KiB">{one.max_memory >> 10}', f'<memory unit="MiB">{one.max_memory >> 20}')
    assert plan(one, spelt) == []


@pytest.mark.parametrize("xml", ["", "<", "<network/>", "<domain/>", "<domain><os><type/></os><vcpu>x</vcpu></domain>"])
def test_what_is_no_domain_is_refused(xml):
    with pytest.raises(DomainError, match="domain's XML"):
        plan(shape(machine()), xml)


def test_what_is_left_out_has_its_reason():
    scaled = shape(machine(memory=Memory(total=12 << 40)), host=Host(2, 4 * GIB))
    line = next(line for line in left_out(scaled.deviations) if line.what == "memory")
    assert (line.when, line.before, line.after) == ("cannot", 12 << 40, 2 * GIB)
    assert line.reason == "a twin gets at most half of the host's"
