"""A bridge that two machines have reported to for a while, one of them with a hostile name."""

import contextlib
import time
from dataclasses import dataclass

import msgspec

from parts.bridge import bridge_here
from parts.small_states import process, state, unit
from safetytwin.agent.bridge_client import BridgeClient
from safetytwin.agent.outbox import Outbox
from safetytwin.agent.schedule import boot_clock
from safetytwin.agent.spool import Spool
from safetytwin.models.timestamps import timestamp

ALPHA = "a1" * 16
BETA = "a1" * 4 + "b2" * 12
HOSTILE = "beta\x1b[31m\u202eevil\n"


@dataclass(frozen=True)
class History:
    """Where it is, and the moments between the states."""

    url: str
    before: str
    """Before ssh failed, RFC 3339."""
    after: str
    """After it."""
    spool: str

    def reporter(self, host_id):
        """Return what sends another state of a machine."""
        client = BridgeClient(self.url, host_id)
        outbox = Outbox(host_id, client, Spool(f"{self.spool}/{host_id}", 1 << 20))

        def report(new):
            answer = outbox.deliver(msgspec.structs.replace(new, host_id=host_id), boot_clock())
            assert answer.status == 200, answer
            client.close()

        return report


SSH, CRON = unit("ssh.service", result=None), unit("cron.service")
FAILED = unit("ssh.service", "failed", result="exit-code", exit_code=255)
HEALTHY = state(0, processes=(process(10), process(11, "sshd")), services=(SSH, CRON))
BROKEN = state(10, processes=(process(10), process(12, "\x1b]0;owned\x07")), services=(FAILED, CRON))


@contextlib.contextmanager
def history(folder):
    """Give a bridge with a history; its clock has moved on between any two states."""
    with bridge_here(folder / "bridge") as url:
        there = History(url, "", "", str(folder / "spool"))
        alpha = there.reporter(ALPHA)
        alpha(HEALTHY)
        before = _moment()
        alpha(BROKEN)
        after = _moment()
        there.reporter(BETA)(state(0, hostname=HOSTILE))
        yield History(url, before, after, there.spool)


def _moment():
    """Return a moment that is after all that was and before all that will be, to the millisecond."""
    time.sleep(0.02)
    moment = timestamp(time.time())
    time.sleep(0.02)
    return moment
