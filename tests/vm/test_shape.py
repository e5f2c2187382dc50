import msgspec
import pytest

from parts.shapes import GIB, machine, parsed
from parts.small_states import state
from safetytwin.models.hardware import BlockDevice, Cpu, Disk, Gpu, Interface, Memory
from safetytwin.vm.domain import Place, domain_xml, target_names
from safetytwin.vm.names import SYSTEM_DISK
from safetytwin.vm.scaling import Host
from safetytwin.vm.shape import shape
from safetytwin.vm.shape_records import Topology, VmDisk, VmInterface

HOSTILE = [
    "\"><disk/><a b='",
    "]]>&amp;<!--",
    "line\nbreak\r\ttab",
    "../../../etc/passwd",
    "$(reboot); `reboot` | reboot",
    "\x00\x1b[31m\ufffe\uffff\u202e",
    "ünïcode 日本",
    "x" * 5000,
    "",
]


def test_a_plain_machine():
    one = shape(machine())
    assert (one.name, one.hostname, one.machine, one.firmware) == ("safetytwin-host-1", "atlas", "q35", "bios")
    assert (one.vcpus, one.topology) == (2, Topology(2, 2, 1))
    assert (one.memory, one.max_memory) == (4 * GIB, 8 * GIB)
    assert one.disks == [VmDisk(SYSTEM_DISK, "sda", 40 * GIB), VmDisk("sdb", "sdb", 100 * GIB)]
    assert one.interfaces == [VmInterface("3c:ec:ef:00:00:01", "eth0", ["192.0.2.7/24"])]
    assert one.deviations == []
    assert one.at == machine().timestamp
    assert shape(machine(), at="2026-01-31T14:00:00Z").at == "2026-01-31T14:00:00Z"


def test_a_machine_of_which_nothing_is_known_says_so():
    one = shape(state())
    assert (one.vcpus, one.memory, one.disks) == (1, GIB, [VmDisk(SYSTEM_DISK)])
    assert {deviation.what for deviation in one.deviations} == {"architecture", "vcpus", "memory", "disk"}
    assert len(parsed(domain_xml(one)).findall("devices/disk[@device='disk']")) == 1


def test_512_cpus_and_12_terabytes_on_a_small_host_are_scaled_and_said():
    large = machine(
        cpu=Cpu(cores_logical=512, cores_physical=256, sockets=2, architecture="x86_64"), memory=Memory(total=12 << 40)
    )
    scaled = shape(large, host=Host(2, 8 * GIB))
    assert (scaled.vcpus, scaled.memory, scaled.max_memory) == (2, 4 * GIB, 4 * GIB)
    assert [(one.what, one.wanted, one.given) for one in scaled.deviations] == [
        ("vcpus", 512, 2),
        ("memory", 12 << 40, 4 * GIB),
    ]
    assert "the host has 2" in scaled.deviations[0].reason
    anywhere = shape(large)
    assert (anywhere.vcpus, anywhere.topology.vcpus, anywhere.memory) == (255, 255, 4 << 40)


@pytest.mark.parametrize(
    ("logical", "physical", "sockets", "topology"),
    [
        (8, 4, 1, Topology(2, 4, 2)),
        (8, 8, 2, Topology(4, 4, 1)),
        (3, 2, 1, Topology(6, 1, 1)),
        (4, None, None, Topology(8, 1, 1)),
        (4, 3, 2, Topology(8, 1, 1)),
        (16, 8, 1, Topology(1, 8, 2)),
    ],
)
def test_the_topology_is_the_machines_where_its_numbers_are_even(logical, physical, sockets, topology):
    cpu = Cpu(cores_logical=logical, cores_physical=physical, sockets=sockets)
    assert shape(machine(cpu=cpu), host=Host(20, 64 * GIB)).topology == topology


def test_an_efi_system_partition_makes_it_efi():
    esp = Disk("/boot/efi", device="/dev/sda1", fstype="vfat", kind="local")
    assert 'firmware="efi"' in domain_xml(shape(machine(disks=[esp])))


def test_the_root_below_lvm_is_found_and_what_has_no_medium_is_said():
    one = shape(
        machine(
            disks=[Disk("/", device="/dev/dm-0", kind="local")],
            block_devices=[
                BlockDevice("sda", kind="disk", size=GIB),
                BlockDevice("nvme0n1", kind="disk", size=2 * GIB),
                BlockDevice("nvme0n1p2", kind="partition", parent="nvme0n1", size=GIB),
                BlockDevice("dm-0", kind="dm", parent="nvme0n1p2", size=GIB),
                BlockDevice("sdb", kind="disk", size=GIB, removable=True),
                BlockDevice("sdc", kind="disk", size=0),
                BlockDevice("loop0", kind="loop", size=GIB),
                BlockDevice("sr0", kind="rom", size=GIB),
            ],
        )
    )
    assert [disk.of for disk in one.disks] == ["nvme0n1", "sda"]
    assert [(deviation.item, deviation.reason) for deviation in one.deviations] == [
        ("sdb", "removable"),
        ("sdc", "its size is not known, or it has no medium"),
    ]


def test_without_block_devices_what_is_mounted_counts():
    mounts = [
        Disk("/data", device="/dev/sdb1", kind="local", total=GIB),
        Disk("/", device="/dev/sda1", kind="local", total=2 * GIB),
        Disk("/bind", device="/dev/sda1", kind="local", total=2 * GIB, bind_of="/"),
        Disk("/nfs", device="server:/x", kind="network", total=9 * GIB),
        Disk("/tmp", kind="memory", total=GIB),
    ]
    one = shape(machine(block_devices=None, disks=mounts))
    assert [(disk.of, disk.size) for disk in one.disks] == [("/dev/sda1", 2 * GIB), ("/dev/sdb1", GIB)]


def test_each_interface_has_a_hardware_address_of_its_own():
    macs = ["3c:ec:ef:00:00:01", "3c:ec:ef:00:00:01", "01:00:5e:00:00:01", "00:00:00:00:00:00", None, "'/>"]
    one = shape(machine(network=[Interface(f"e{n}", mac=mac, physical=True) for n, mac in enumerate(macs)]))
    made = [interface.mac for interface in one.interfaces]
    assert made[0] == macs[0]
    assert len(set(made)) == len(macs)
    assert all(mac.startswith("52:54:00:") for mac in made[1:])
    assert [deviation.item for deviation in one.deviations] == ["e1", "e2", "e3", "e4", "e5"]
    again = shape(machine(network=[Interface(f"e{n}", mac=mac, physical=True) for n, mac in enumerate(macs)]))
    assert again == one


def test_gpus_are_left_out_unless_one_is_passed_through():
    gpus = {"nvidia": [Gpu("GPU-1", "nvidia", name="H100", pci_bus_id="0000:01:00.0"), Gpu("GPU-2", "nvidia")]}
    left = shape(machine(gpu=gpus))
    assert [(one.what, one.item, one.choice) for one in left.deviations] == [
        ("gpu", "H100", "where the machine itself runs the twin: --pass-gpu 0000:01:00.0"),
        ("gpu", "GPU-2", None),
    ]
    passed = shape(machine(gpu=gpus), pass_gpus=["0000:01:00.0"])
    assert passed.passed_gpus == ["0000:01:00.0"]
    address = parsed(domain_xml(passed)).find("devices/hostdev/source/address")
    assert address.attrib == {"domain": "0x0000", "bus": "0x01", "slot": "0x00", "function": "0x0"}
    with pytest.raises(ValueError, match=r"no GPU at PCI address '0000:02:00\.0'"):
        shape(machine(gpu=gpus), pass_gpus=["0000:02:00.0"])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(text):
    one = shape(
        machine(
            hostname=text,
            cpu=Cpu(model=text, architecture=text, cores_logical=1),
            block_devices=[BlockDevice(text, kind="disk", size=GIB), BlockDevice("sda", kind="disk", size=GIB)],
            disks=[Disk(text, device=text, kind="local")],
            network=[Interface(text, mac=text, physical=True)],
            gpu={text: [Gpu(text, text, name=text, pci_bus_id=text)]},
        ),
        network=text,
    )
    domain = parsed(domain_xml(one))
    plain = parsed(domain_xml(shape(machine(network=[Interface("a", physical=True)]))))
    assert sorted(element.tag for element in domain.iter()) == sorted(element.tag for element in plain.iter())
    directory = f"{Place().directory}/safetytwin-host-1/"
    for source in domain.findall("devices/disk/source"):
        assert source.get("file").startswith(directory)
        assert "/" not in source.get("file").removeprefix(directory)
        assert len(source.get("file")) < 100


def test_a_host_id_of_dots_stays_in_its_directory():
    dots = msgspec.structs.replace(machine(), host_id="..")
    assert '"/var/lib/safetytwin/vm/safetytwin-../system.qcow2"' in domain_xml(shape(dots))


def test_disks_keep_their_names_while_others_come():
    one = shape(machine(block_devices=[BlockDevice(f"d{n}", kind="disk", size=GIB) for n in range(30)]))
    names = target_names(one, (("d3", "sdb"), ("gone", "sdc")))
    assert names["d3"] == "sdb"
    assert names["system"] == "sda"
    assert len(set(names.values())) == len(names) == 30
    assert "sdad" in names.values()
