"""``quatrefoil broker hold``: run a command with a resource's key for as long as a broker grants it.

The command reads 32 bytes from the file descriptor that ``QUATREFOIL_KEY_FD`` names. When the lease is over, by its
end, a refusal or a revocation, the command and its process group are killed at once: it held a copy of the key. Where
this process is killed itself, the system kills the command.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil.broker.holder import Holder
from quatrefoil.cli import collecting, containers
from quatrefoil.cli.broker_client import add_connection, connection
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import HostError, QuatrefoilError
from quatrefoil.output import report
from quatrefoil.parties.arguments import count
from quatrefoil.resources import OwnedResource
from quatrefoil.resources.container import opened_front
from quatrefoil.secrecy import dies_with_this_process
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.transport import FolderCredentials, system_clock

VARIABLE = "QUATREFOIL_KEY_FD"
_GRACE = 2.0
"""Seconds between asking the command to end and killing it."""


def configure(commands: argparse._SubParsersAction[Any]) -> None:
    help_text = "run a command with a resource's key, as long as the broker grants it"
    hold = commands.add_parser("hold", help=help_text, description=help_text)
    hold.add_argument("file", type=Path, metavar="FILE", help="the sealed model or data set")
    hold.add_argument("--stage", required=True, metavar="NAME", help="the stage of its release policy that this is")
    hold.add_argument("--broker-name", required=True, metavar="NAME", help="the broker's certified name")
    hold.add_argument(
        "--keyset-days", type=count, default=30, metavar="N", help="days that the keys made here are good (default: 30)"
    )
    add_connection(hold)
    containers.add_judgement(hold)
    collecting.add_options(hold, required=True, why="evidence of what runs here, of this kind")
    hold.add_argument(
        "command", nargs="+", metavar="COMMAND", help=f"after --: what to run; it reads the key from {VARIABLE}"
    )
    hold.set_defaults(action=_hold)


def _hold(options: argparse.Namespace) -> None:
    if shutil.which(options.command[0]) is None:  # nobody is to release a key to nothing
        raise HostError(f"{options.command[0]} cannot be run here", hint="Name a program after --")
    with opened_front(options.file, containers.verifying(options)) as (_stream, front):
        owned = front.owned
    attester = collecting.attester(options)
    assert attester is not None  # the option is required
    code = asyncio.run(_held(options, owned, attester))
    if code:
        sys.exit(code)


async def _held(options: argparse.Namespace, owned: OwnedResource, attester: Callable[[bytes], EvidenceSet]) -> int:
    credentials = FolderCredentials(
        options.identity,
        options.root,
        clock=system_clock,
        on_problem=lambda error: report(f"identity, roots or list not renewed: {error}"),
        on_change=lambda new: report(f"new channels show certificate {new.identity.fingerprint.hex()[:16]}"),
    )
    security, dialer = connection(options, credentials)
    holder = Holder(
        owned,
        options.stage,
        broker=options.broker_name,
        security=security,
        attester=attester,
        clock=system_clock,
        tls_key=b"",  # renewed while the lease goes on: each request is bound to its channel by the exporter
        keyset_s=options.keyset_days * 86400,
    )
    async with LeaseHolder(holder, dialer.open, report=report) as held:
        lease = await held.acquire()
        report(f"lease {lease.id.hex()[:16]} of {owned.resource.name}: {lease.kind}, isolation {lease.isolation}")
        process = await _started(options.command, held)
        ended = asyncio.create_task(process.wait())
        keeping = asyncio.create_task(held.keep())
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, keeping.cancel)
        try:
            await asyncio.wait({ended, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped = keeping.cancelled() or not keeping.done()
            keeping.cancel()
            held.end("the command ended" if ended.done() else "it was stopped")
            # A command whose lease is over has no time left; one that the user stops, or that ended, has some.
            await _killed(process, grace=_GRACE if stopped else 0.0)
            (refusal, _) = await asyncio.gather(keeping, ended, return_exceptions=True)
        if isinstance(refusal, QuatrefoilError):
            raise refusal
        code = process.returncode or 0
        return code if code >= 0 else 128 - code  # killed by a signal: as a shell says it


async def _started(command: list[str], held: LeaseHolder) -> asyncio.subprocess.Process:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(held.key)
        return await asyncio.create_subprocess_exec(
            *command,
            pass_fds=(reading,),
            env={**os.environ, VARIABLE: str(reading)},
            start_new_session=True,
            preexec_fn=dies_with_this_process(),
        )
    except OSError as error:
        raise HostError(f"{command[0]} cannot be run ({error.strerror})", hint="Name a program after --") from None
    finally:
        os.close(reading)


async def _killed(process: asyncio.subprocess.Process, *, grace: float) -> None:
    """The command, and all of its process group, are gone."""
    if grace:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
    _signal(process, signal.SIGKILL)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


__all__ = ["VARIABLE", "configure"]
