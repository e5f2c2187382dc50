from parts.small_states import container, process, state, unit
from safetytwin.changes.describe import describe
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.significance import significant
from safetytwin.changes.twin import Twin
from safetytwin.models.hardware import BlockDevice, Disk, Gpu, Memory
from safetytwin.models.process import MemoryInfo
from safetytwin.models.workload import Ai, AiModel, Workload


def lines(old, new, *, gauges=False):
    change = diff(old, new)
    step = Twin(tree_of(old)).apply(change)
    return describe(change if gauges else significant(change, step), step)


def test_what_came_changed_and_went():
    old = state(
        processes=(process(812), process(813)),
        services=(unit("ssh.service"), container("web")),
        disks=[Disk("/mnt/x")],
        gpu={"nvidia": [Gpu("GPU-1", "nvidia", name="H100", status="ok")]},
        memory=Memory(total=16 * 2**30),
    )
    new = state(
        10,
        processes=(process(813, exe_deleted=True), process(900, "python3")),
        services=(unit("ssh.service", "failed"), container("shop")),
        disks=[],
        gpu={"nvidia": [Gpu("GPU-1", "nvidia", name="H100", status="lost")]},
        memory=Memory(total=32 * 2**30),
        ai=Ai(workloads=[Workload("900/9000", "server", 1.0, [], name="vLLM")], models=[AiModel("/m.gguf")]),
    )
    assert lines(old, new) == [
        "~ hardware.memory.total: 16.0 GiB → 32.0 GiB",
        "- disk /mnt/x",
        "~ GPU GPU-1 H100  status: ok → lost",
        "~ unit ssh.service  status: active → failed",
        "~ docker shop  name: web → shop",
        "+ process 900 python3",
        "~ process 813 nginx  exe_deleted: unknown → yes",
        "- process 812 nginx",
        "+ workload 900/9000 vLLM",
        "+ model /m.gguf",
    ]


def test_a_collection_that_is_no_longer_known_names_what_was_in_it():
    assert lines(state(disks=[Disk("/mnt/x")]), state()) == ["- disk /mnt/x"]
    assert lines(state(ai=Ai(workloads=[], models=[AiModel("/m.gguf")])), state()) == ["- model /m.gguf"]


def test_a_collection_where_two_items_share_a_key_is_shown_whole():
    shown = lines(state(disks=[Disk("/")]), state(disks=[Disk("/"), Disk("/", device="b")]))
    assert shown == ['~ hardware.disks: unknown → [{"mountpoint":"/"},{"mountpoint":"/","device":"b"}]']


def test_measurements_are_in_peoples_units():
    old = state(uptime=59.0, processes=(process(1, memory_info=MemoryInfo(rss=2**20), cpu_percent=1.5),))
    new = state(0, uptime=7200.0, processes=(process(1, memory_info=MemoryInfo(rss=2**21), cpu_percent=2.0),))
    assert lines(old, new, gauges=True) == [
        "~ hardware.uptime: 59 s → 2 h",
        "~ process 1 nginx  cpu_percent: 1.5 % → 2 %, memory_info.rss: 1.00 MiB → 2.00 MiB",
    ]


def test_what_is_no_longer_known_is_unknown_and_never_zero():
    old, new = (state(block_devices=[BlockDevice("sda", size=size)]) for size in (512, None))
    assert lines(old, new) == ["~ block device sda  size: 512 B → unknown"]


def test_a_collectors_trouble_is_named():
    old, new = state(collectors={"docker": "ok"}), state(collectors={"docker": "denied", "gpu": "absent"})
    assert lines(old, new) == [
        "~ agent.collectors.docker.status: ok → denied",
        '~ agent.collectors.gpu: unknown → {"status":"absent"}',
    ]


def test_nothing_of_a_machine_reaches_the_terminal_as_a_command():
    old = state(processes=(process(1, "\x1b[2J\nfake line", exe="a"),))
    new = state(
        processes=(process(1, "\x1b[2J\nfake line", exe="\x9b31m\u202e"), process(2, "\r\x07")), hostname="\x1b]0;x\x07"
    )
    shown = lines(old, new)
    assert len(shown) == 3
    assert all(line.isprintable() for line in shown)


def test_another_order_is_said_where_all_is_asked_for():
    a, b = process(1), process(2)
    assert lines(state(processes=(a, b)), state(processes=(b, a)), gauges=True) == ["~ processes: in another order"]
    assert lines(state(processes=(a, b)), state(processes=(b, a))) == []
