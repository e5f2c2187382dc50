"""safetytwin agent --bridge: report to a bridge until stopped."""

import argparse
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING

from safetytwin.agent import identity as identities
from safetytwin.agent.bridge_client import BridgeClient, BridgeUrlError
from safetytwin.agent.config import AgentConfig
from safetytwin.agent.governor import Governor
from safetytwin.agent.interrupts import Interrupts
from safetytwin.agent.loop import Loop
from safetytwin.agent.observer import make_observer
from safetytwin.agent.outbox import IdentityConflictError, Outbox, Sender
from safetytwin.agent.run_lock import AlreadyReportingError, run_lock
from safetytwin.agent.schedule import Schedule
from safetytwin.agent.spool import Spool
from safetytwin.cli.agent_options import configured
from safetytwin.cli.errors import UserError
from safetytwin.notify import Notifier

if TYPE_CHECKING:
    from safetytwin.agent.nats_client import NatsClient

LOG = logging.getLogger("safetytwin.agent")


def reset(config: AgentConfig) -> int:
    """Give this installation a new host id."""
    directory = config.state_directory or identities.state_directory()
    try:
        identity = identities.reset_identity(directory)
    except OSError as error:
        raise UserError(
            f"{directory} can't be written: {error.strerror}; run as the user that the agent runs as"
        ) from error
    sys.stdout.write(f"this installation is now {identity.host_id}\n")
    return 0


def report(config: AgentConfig, options: argparse.Namespace) -> int:
    """Report to the configured bridge until SIGINT or SIGTERM; SIGHUP rereads the configuration."""
    with contextlib.ExitStack() as stack:
        return _report(config, options, stack)


def _report(config: AgentConfig, options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if config.bridge is None:
        raise UserError("no bridge is configured: name one with --bridge URL, or as bridge in the configuration file")
    directory = config.state_directory or identities.state_directory()
    try:
        host_id = identities.host_id(directory, keep=True)
        stack.enter_context(run_lock(directory))
        client = make_client(config, host_id)
        spool = Spool(os.path.join(directory, "spool"), config.spool_max_bytes)
        loop = make_loop(config, host_id, client, spool)
    except (ValueError, identities.IdentityError, BridgeUrlError, AlreadyReportingError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: {error.strerror}; name another folder with --state-directory"
        ) from error
    LOG.info("this machine is %s; reporting to %s", host_id, config.bridge)

    def reload() -> None:
        loop.notifier.reloading()
        taken = take_configuration()
        loop.notifier.ready(
            "the configuration was read again" if taken else "the new configuration is unfit: see the log"
        )

    def take_configuration() -> bool:
        try:
            renewed = configured(options).config
            replacement = make_observer(renewed, host_id)
        except (UserError, ValueError) as error:
            LOG.error("the configuration stays as it was: %s", error)  # noqa: TRY400 - the text says it all
            return False
        loop.observer.close()
        loop.observer = replacement
        loop.interval = renewed.interval
        loop.schedule = Schedule(renewed.interval)
        loop.governor = Governor(renewed.cpu_budget_percent, renewed.memory_budget_bytes)
        LOG.info("the configuration was read again; bridge, token and spool are taken at the next start")
        return True

    interrupts = Interrupts()
    try:
        loop.run(interrupts, reload)
    except IdentityConflictError as error:
        raise UserError(
            f"another machine reports as {host_id} ({error}); on the machine whose disk is a copy, run: "
            "safetytwin agent --reset-identity"
        ) from error
    finally:
        loop.notifier.stopping()
        interrupts.close()
        loop.observer.close()
        client.close()
    return 0


def make_client(config: AgentConfig, host_id: str) -> "BridgeClient | NatsClient":
    """Return the connection to the configured bridge; raises BridgeUrlError and OSError."""
    if (config.bridge or "").startswith(("nats://", "tls://")):
        try:
            from safetytwin.agent.nats_client import NatsClient
        except ModuleNotFoundError as error:
            if error.name != "nats":
                raise
            raise BridgeUrlError("nats:// needs the NATS client: pip install 'safetytwin[nats]'") from error
        return NatsClient(config.bridge or "", host_id, credentials_file=config.token_file, ca_file=config.ca_file)
    token = None
    if config.token_file is not None:
        with open(config.token_file, encoding="utf-8") as file:
            token = file.read(4096).strip()
    return BridgeClient(config.bridge or "", host_id, token=token, ca_file=config.ca_file)


def make_loop(config: AgentConfig, host_id: str, client: Sender, spool: Spool) -> Loop:
    """Return the loop of a configuration; raises ValueError where a collector of another package is unfit."""
    return Loop(
        observer=make_observer(config, host_id),
        outbox=Outbox(host_id, client, spool),
        governor=Governor(config.cpu_budget_percent, config.memory_budget_bytes),
        schedule=Schedule(config.interval),
        interval=config.interval,
        notifier=Notifier(os.environ),
    )
