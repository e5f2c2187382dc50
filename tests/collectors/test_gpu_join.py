"""Processes and the GPUs that they use."""

from safetytwin.collectors.gpu_join import with_gpus
from safetytwin.models.hardware import Gpu, GpuProcess
from safetytwin.models.process import Process, ProcessGpu


def gpu(uuid: str, *processes: GpuProcess) -> Gpu:
    return Gpu(uuid=uuid, vendor="nvidia", processes=list(processes))


FIRST = Process(pid=10, start_ticks=100, name="vllm")
SECOND = Process(pid=11, start_ticks=110, name="bash")


def test_a_process_on_two_gpus_has_both():
    gpus = [
        gpu("A", GpuProcess(pid=10, start_ticks=100, memory=5, sm_percent=9.0)),
        gpu("B", GpuProcess(pid=10, start_ticks=100)),
    ]
    joined = with_gpus([FIRST, SECOND], gpus)
    assert joined[0].gpu == [ProcessGpu(uuid="A", memory=5, sm_percent=9.0), ProcessGpu(uuid="B")]
    assert joined[1] is SECOND


def test_a_pid_that_is_anothers_by_now_is_not_joined():
    assert with_gpus([FIRST], [gpu("A", GpuProcess(pid=10, start_ticks=99, memory=5))]) == [FIRST]


def test_a_gpus_process_whose_start_is_unknown_is_joined_by_pid():
    """Where there is no /proc, such as on Windows."""
    (joined,) = with_gpus([FIRST], [gpu("A", GpuProcess(pid=10, memory=5))])
    assert joined.gpu == [ProcessGpu(uuid="A", memory=5)]


def test_no_gpu_leaves_the_list_as_it_is():
    processes = [FIRST, SECOND]
    assert with_gpus(processes, []) is processes
    assert with_gpus(processes, [gpu("A"), Gpu(uuid="B", vendor="amd")]) is processes


def test_slices_of_one_gpu_are_one_use_of_it():
    """A process on two MIG slices holds the memory of both."""
    users = [
        GpuProcess(pid=10, start_ticks=100, memory=5, gpu_instance_id=1, compute_instance_id=0),
        GpuProcess(pid=10, start_ticks=100, memory=7, gpu_instance_id=2, compute_instance_id=0),
    ]
    (joined,) = with_gpus([FIRST], [gpu("A", *users)])
    assert joined.gpu == [ProcessGpu(uuid="A", memory=12)]
