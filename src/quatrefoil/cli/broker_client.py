"""``quatrefoil broker key``, ``register``, ``revoke``, ``leases`` and ``resources``: what owners and operators ask."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape

from quatrefoil import output
from quatrefoil.appraisal import load
from quatrefoil.broker.messages import DIGEST, REVOCABLE, Introduction, Revocation
from quatrefoil.cli import archives, containers
from quatrefoil.cli.broker_run import add_channels
from quatrefoil.cli.hexadecimal import digest
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.parties.arguments import address, pin
from quatrefoil.parties.channels import TIMEOUT
from quatrefoil.resources.container import opened_front
from quatrefoil.services import broker_link
from quatrefoil.transport import (
    AsyncChannel,
    Dialer,
    FixedCredentials,
    PostQuantumTransport,
    TrustAnchor,
    files,
    policy_named,
    sealed,
    system_clock,
)
from quatrefoil.transport.credentials import Credentials, CurrentTrust
from quatrefoil.transport.pins import PinnedCredentials, Pins

Result = TypeVar("Result")
Asking = Callable[[AsyncChannel, PostQuantumTransport], Awaitable[Result]]


def configure(commands: argparse._SubParsersAction[Any]) -> None:
    key = _command(commands, "key", _key, "fetch a broker's sealing certificate, for `model seal --to`")
    archives.add_new_file(key, "the sealing certificate")
    trusted = key.add_mutually_exclusive_group(required=True)
    trusted.add_argument(
        "--appraisal", type=Path, metavar="FILE", help="appraisal policy that its evidence must be accepted by"
    )
    trusted.add_argument(
        "--unattested", action="store_true", help="take its certificate's word: its operator may read what is sealed"
    )
    key.add_argument("--collateral", type=Path, metavar="DIR", help="with --appraisal: what to verify evidence with")

    register = _command(commands, "register", _register, "hand a broker the key of a sealed model or data set")
    register.add_argument("file", type=Path, metavar="FILE", help="the container")
    register.add_argument("--receipt", type=Path, metavar="FILE", help="new file for the broker's signed word")
    containers.add_judgement(register)

    revoke = _command(commands, "revoke", _revoke, "stop releases for a resource, lease, measurement or platform")
    revoke.add_argument("what", choices=REVOCABLE, help="what is revoked")
    revoke.add_argument(
        "value",
        metavar="VALUE",
        help="its digest or id in hexadecimal, or KIND.NAME=HEX of evidence, like tpm.pcr7=HEX",
    )
    revoke.add_argument(
        "--resource",
        type=digest,
        default=b"",
        metavar="HEX",
        help="of a measurement or platform: for this resource only",
    )
    revoke.add_argument("--reason", required=True, metavar="TEXT", help="why, for the log and for whoever is refused")

    _command(commands, "leases", _leases, "list leases: yours, those of your resources, or as its operator all")
    _command(commands, "resources", _resources, "list resources: yours, or as its operator all")


def _command(
    commands: argparse._SubParsersAction[Any], name: str, action: Callable[[argparse.Namespace], None], help_text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    add_connection(parser)
    output.add_json_option(parser)
    parser.set_defaults(action=action)
    return parser


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Who asks, and which broker."""
    archives.add_identity(parser)
    archives.add_root(parser)
    parser.add_argument("--broker", required=True, type=address, metavar="HOST:PORT", help="where the broker listens")
    parser.add_argument(
        "--pin", action="append", type=pin, metavar="SHA256", help="refuse the broker unless this is its key; repeat"
    )
    add_channels(parser)


def connection(
    options: argparse.Namespace, credentials: Credentials | None = None
) -> tuple[PostQuantumTransport, Dialer]:
    """What to sign with, and how the broker is reached. ``credentials``: of who outlives a certificate; by default what
    lies in the files now."""
    if credentials is None:
        trust = TrustAnchor.load(options.root)
        credentials = FixedCredentials(archives.signer(options.identity, trust), trust)
    channels = policy_named(options.channels)
    dialer = Dialer(
        *options.broker,
        credentials=credentials if options.pin is None else PinnedCredentials(credentials, Pins(options.pin)),
        expect_role="broker",
        timeout=TIMEOUT,
        clock=system_clock,
        policy=channels,
    )
    identity, trust = credentials.current().identity, CurrentTrust(credentials)
    return PostQuantumTransport(identity, trust, clock=system_clock, policy=channels), dialer


def _ask(options: argparse.Namespace, asking: Asking[Result]) -> Result:
    security, dialer = connection(options)

    async def asked() -> Result:
        async with await dialer.open() as channel:
            return await asking(channel, security)

    return asyncio.run(asked())


def _key(options: argparse.Namespace) -> None:
    if options.collateral is not None and options.appraisal is None:
        raise CallerError("--collateral goes with --appraisal", hint="Leave it out, or name an appraisal policy")

    async def asking(channel: AsyncChannel, security: PostQuantumTransport) -> tuple[Introduction, dict[str, Any]]:
        if options.unattested:
            return await broker_link.unattested_keyset(channel, security, system_clock), {"evidence": "none"}
        collateral = Collateral.load(options.collateral) if options.collateral else Collateral()
        policy = load(options.appraisal)
        found, said = await broker_link.attested_keyset(channel, security, policy, collateral, system_clock)
        claims = found.verdict.claims
        shown = {"evidence": claims.kind, "isolation": claims.isolation, "root": claims.root}
        return said, shown | {"appraisal": found.verdict.policy_sha256.hex()}

    said, evidence = _ask(options, asking)
    files.write_new(options.out, said.certificate)
    broker = sealed.verify_recipient(said.certificate, TrustAnchor.load(options.root), clock=system_clock)
    if not output.only_json(options):
        rows = [("broker", broker.name), ("suite", broker.suite.name), ("key", broker.fingerprint.hex())]
        archives.show(f"{options.out}: sealing certificate of a broker", [*rows, *evidence.items()])
        if options.unattested:
            output.console().print("Whoever runs this broker, or reads its memory, may read what is sealed to it.")
    content = {"broker": broker.name, "suite": broker.suite.name, "key": broker.fingerprint.hex(), **evidence}
    output.write_json(options.json, "quatrefoil.broker-key/1", content)


def _register(options: argparse.Namespace) -> None:
    with opened_front(options.file, containers.verifying(options)) as (_stream, front):
        pass

    async def asking(channel: AsyncChannel, security: PostQuantumTransport) -> bytes:
        said = await broker_link.unattested_keyset(channel, security, system_clock)
        broker = sealed.verify_recipient(said.certificate, TrustAnchor.load(options.root), clock=system_clock)
        mine = next((one for one in front.keys if one.recipient == broker.fingerprint), None)
        if mine is None:
            raise CallerError(
                f"{options.file} is not sealed to broker {broker.name} ({broker.fingerprint.hex()[:16]})",
                hint="Seal it --to the certificate that `quatrefoil broker key` writes",
            )
        _, answer = await broker_link.register(channel, security, front.owned.signed, mine.encode())
        return answer

    answer = _ask(options, asking)
    if options.receipt is not None:
        files.write_new(options.receipt, answer)
    named = front.owned.digest.hex()
    if not output.only_json(options):
        archives.show("Registered", [("resource", named), ("release policy", front.owned.policy.digest().hex())])
    content = {"resource": named, "policy": front.owned.policy.digest().hex()}
    output.write_json(options.json, "quatrefoil.broker-register/1", content)


def _revoke(options: argparse.Namespace) -> None:
    revocation = _revocation(options)

    async def asking(channel: AsyncChannel, security: PostQuantumTransport) -> None:
        await broker_link.revoke(channel, security, revocation)

    _ask(options, asking)
    if not output.only_json(options):
        output.console().print(f"revoked, for good: {options.what} {options.value}", markup=False)
    content = {"what": options.what, "value": options.value, "reason": options.reason}
    output.write_json(options.json, "quatrefoil.broker-revoke/1", content)


def _revocation(options: argparse.Namespace) -> Revocation:
    kind = name = ""
    value = options.value
    if options.what in ("measurement", "platform"):
        claim, equals, value = options.value.partition("=")
        kind, dot, name = claim.partition(".")
        if not (equals and dot and kind and name):
            raise CallerError(
                f"{options.value[:60]!r} is no claim", hint="Write it as KIND.NAME=HEX, like tpm.pcr7=HEX"
            )
    elif len(value) != 2 * DIGEST:
        raise CallerError(
            f"{value[:80]!r} is not all of the {2 * DIGEST} hexadecimal digits of a {options.what}",
            hint=f"Take it from `quatrefoil broker {options.what}s --json -`: tables show its beginning only",
        )
    try:
        return Revocation(options.what, kind, name, bytes.fromhex(value), options.resource, options.reason)
    except ValueError:
        raise CallerError(f"{value[:60]!r} is not hexadecimal", hint="Write it as pairs of 0-9 a-f") from None
    except MessageRefused as wrong:
        raise CallerError(wrong.problem, hint=wrong.hint) from None


def _leases(options: argparse.Namespace) -> None:
    found = _ask(options, lambda channel, _: broker_link.leases(channel)).leases
    if not output.only_json(options):
        rows = [
            (
                one.lease.id.hex()[:16],
                one.lease.resource.hex()[:16],
                one.lease.stage,
                escape(one.lease.holder),
                f"{one.lease.kind}, {one.lease.isolation}",
                f"{one.lease.number}",
                _moment(one.lease.expires),
                one.standing,
            )
            for one in found
        ]
        columns = ("lease", "resource", "stage", "holder", "evidence, isolation", "renewals", "until (UTC)", "standing")
        output.console().print(output.table("Leases", columns, rows))
    content = {"leases": [one.lease.entry() | {"standing": one.standing} for one in found]}
    output.write_json(options.json, "quatrefoil.broker-leases/1", content)


def _resources(options: argparse.Namespace) -> None:
    found = _ask(options, lambda channel, _: broker_link.resources(channel)).resources
    if not output.only_json(options):
        rows = [
            (
                one.resource.hex()[:16],
                one.kind,
                escape(one.name),
                escape(f"{one.owner} ({one.role})"),
                ", ".join(one.stages),
                one.parent.hex()[:16] or "none",
                "REVOKED" if one.revoked else "released",
            )
            for one in found
        ]
        columns = ("resource", "kind", "name", "owner", "stages", "derived from", "standing")
        output.console().print(output.table("Resources", columns, rows))
    content = {
        "resources": [
            {
                "resource": one.resource.hex(),
                "kind": one.kind,
                "name": one.name,
                "owner": one.owner,
                "role": one.role,
                "parent": one.parent.hex(),
                "policy": one.policy.hex(),
                "stages": list(one.stages),
                "registered": one.registered,
                "revoked": one.revoked,
            }
            for one in found
        ]
    }
    output.write_json(options.json, "quatrefoil.broker-resources/1", content)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


__all__ = ["add_connection", "configure", "connection"]
