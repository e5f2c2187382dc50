"""Several bridges on one store in NATS: what is killed, cut off and started again loses nothing and doubles nothing."""

import contextlib
import os
import shutil
import subprocess

import pytest

from parts.bridge import until
from parts.bridges import Bridge, Fleet
from parts.nats import NatsServer, nats_cluster, nats_server, wait_for

MACHINES = int(os.environ.get("TEST_CLUSTER_MACHINES", "20"))
ROUNDS = int(os.environ.get("TEST_CLUSTER_ROUNDS", "1"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 * ROUNDS + MACHINES)]


@contextlib.contextmanager
def playing(folder, store, nats_url, bridges=None):
    """Give two bridges and the machines that report to them; in the end all is seen to be as it was reported."""
    bridges = bridges or [Bridge(folder, name, store) for name in ("first", "second")]
    fleet = Fleet(folder, MACHINES, bridges, nats_url)
    try:
        for bridge in bridges:
            bridge.start()
        whole(bridges)
        fleet.start()
        fleet.goes_on()
        yield bridges, fleet
        whole(bridges)
        fleet.finish()
        fleet.check(bridges)
    except BaseException:
        for bridge in bridges:
            print(bridge.url, bridge.command.said[-4000:])
        raise
    finally:
        fleet.close()
        for bridge in bridges:
            bridge.stop()


def whole(bridges):
    for bridge in bridges:
        until(bridge.is_whole, f"{bridge.url} answered for all machines")


def test_each_bridge_is_killed_and_started_again(tmp_path):
    with nats_server(tmp_path / "nats") as server, playing(tmp_path, server.url, server.url) as (bridges, fleet):
        for bridge in bridges * ROUNDS:
            bridge.kill()
            others = [one for one in bridges if one is not bridge]
            whole(others)
            fleet.goes_on()
            bridge.start()
            whole(bridges)
            fleet.goes_on()


def test_each_server_of_a_cluster_is_killed_and_started_again(tmp_path):
    with (
        nats_cluster(tmp_path / "nats") as cluster,
        playing(tmp_path, f"{cluster.url}?replicas=3", cluster.url) as (bridges, fleet),
    ):
        for server in cluster.servers * ROUNDS:
            server.kill()
            whole(bridges)
            fleet.goes_on()
            server.start()
            wait_for(cluster.url)
            whole(bridges)
            fleet.goes_on()


@pytest.mark.root
def test_a_bridge_that_is_cut_off_from_nats_gives_up_its_share(tmp_path):
    with apart() as (cut, within):
        server = NatsServer(tmp_path / "nats", host="10.213.1.1").start()
        try:
            wait_for(server.url)
            bridges = [
                Bridge(tmp_path, "first", server.url),
                Bridge(tmp_path, "second", server.url, host="10.213.2.2", within=within),
            ]
            with playing(tmp_path, server.url, server.url, bridges) as (_, fleet):
                cut("down")
                whole(bridges[:1])
                until(lambda: bridges[1].ask("/api/v1/hosts/machine-1").status_code == 503, "the other one says so")
                fleet.goes_on()
                cut("up")
        finally:
            server.stop()


@contextlib.contextmanager
def apart():
    """Give what cuts the first of two links to a network namespace, and what starts a process there."""
    if os.geteuid() != 0 or any(shutil.which(one) is None for one in ("unshare", "nsenter", "ip")):
        pytest.skip("needs root, unshare, nsenter and ip")
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        inside = ["nsenter", "--target", str(holder.pid), "--net"]
        for number in (1, 2):
            outer, inner = f"stwin{number}", f"stwin{number}in"
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", str(holder.pid))
            run("ip", "address", "add", f"10.213.{number}.1/24", "dev", outer)
            run("ip", "link", "set", outer, "up")
            run(*inside, "ip", "address", "add", f"10.213.{number}.2/24", "dev", inner)
            run(*inside, "ip", "link", "set", inner, "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        yield lambda how: run("ip", "link", "set", "stwin1", how), inside
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        for number in (1, 2):
            subprocess.run(["ip", "link", "del", f"stwin{number}"], check=False, stderr=subprocess.DEVNULL)


def run(*command):
    subprocess.run(command, check=True)
