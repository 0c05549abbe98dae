"""``quatrefoil score`` with a key that is in no file: its public half to encrypt, a broker's lease to decrypt."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from quatrefoil.cli import archives, collecting, containers, score_data
from quatrefoil.cli.broker_run import add_channels
from quatrefoil.cli.hexadecimal import digest
from quatrefoil.cli.score_output import require_new
from quatrefoil.errors import CallerError, CiphertextRefused
from quatrefoil.output import report
from quatrefoil.parties.arguments import address, count, pin
from quatrefoil.transport import PostQuantumTransport, TrustAnchor, files, system_clock

if TYPE_CHECKING:
    from quatrefoil.analytics import Answer, EncryptedTable, HolderKey, Scores, TableKey, TableSent
    from quatrefoil.resources import OwnedResource

ENCRYPT, DECRYPT = "encrypt-held", "decrypt-held"
NEEDED: dict[str | None, tuple[str, ...]] = {
    ENCRYPT: ("data", "public", "holder", "root", "identity", "table", "sent"),
    DECRYPT: (
        *("sealed_key", "public", "sent", "sender", "root", "identity"),
        *("broker", "broker_name", "stage", "collect", "answer"),
    ),
}
EXTRA: dict[str | None, tuple[str, ...]] = {
    ENCRYPT: ("bound", "columns", "expect", "name", "least_serial"),
    DECRYPT: ("scores", "pin"),
}

_KEYSET_S = 86400
"""Seconds that the key is good to which the broker releases: a lease ends before it does."""


def configure(parser: argparse.ArgumentParser) -> None:
    held = parser.add_argument_group("a key that measured code holds (`quatrefoil table-key`), instead of --key")
    held.add_argument("--public", type=Path, metavar="FILE", help="its public half, as its holder signed it")
    held.add_argument("--sent", type=Path, metavar="FILE", help="what the sender signs of its table: new at encrypt")
    held.add_argument("--identity", type=Path, metavar="DIR", help="the party that encrypts, or asks the broker")
    held.add_argument("--root", type=Path, metavar="FILE", help="the consortium's root certificate")
    held.add_argument("--holder", metavar="NAME", help="encrypt: refuse a public key that another party signed")
    held.add_argument("--name", metavar="NAME", help="encrypt: refuse a public key that is not called this")
    wanted = held.add_mutually_exclusive_group()
    wanted.add_argument("--expect", type=digest, metavar="HEX", help="encrypt: refuse any public key but this one")
    wanted.add_argument(
        "--least-serial", type=count, metavar="N", help="encrypt: refuse an older public key than number N"
    )
    held.add_argument("--sealed-key", type=Path, metavar="FILE", help="decrypt: the sealed secret half")
    held.add_argument("--sender", metavar="NAME", help="decrypt: refuse a table that another party sent")
    held.add_argument("--broker", type=address, metavar="HOST:PORT", help="decrypt: who releases the secret half")
    held.add_argument("--broker-name", metavar="NAME", help="decrypt: the broker's certified name")
    held.add_argument("--stage", metavar="NAME", help="decrypt: the stage of the key's release policy that this is")
    held.add_argument(
        "--pin", action="append", type=pin, metavar="SHA256", help="refuse the broker unless this is its key; repeat"
    )
    add_channels(parser)
    containers.add_judgement(parser)
    collecting.add_options(parser, required=False, why="decrypt: evidence of what runs here, of this kind")


def step(options: argparse.Namespace) -> str | None:
    """The step that the options mean: with or without a key in a file."""
    if options.step == "encrypt" and options.public is not None:
        return ENCRYPT
    if options.step == "decrypt" and options.sealed_key is not None:
        return DECRYPT
    found: str | None = options.step
    return found


# ------------------------------------------------------------------------------------------------------------ encrypt


def encrypt(options: argparse.Namespace, progress: Callable[[str], None]) -> EncryptedTable:
    """Write a table under the public key, and what its sender signs of it."""
    from quatrefoil.analytics import encrypt_numbers

    if options.expect is None and (options.least_serial is None or not options.name):
        raise CallerError(
            "any public key of the holder would do, an old one or one for something else too",
            hint="Say --expect HEX as `quatrefoil table-key show` prints it there, or --name with --least-serial",
        )
    require_new(options.table, options.sent)
    trust = TrustAnchor.load(options.root)
    security = PostQuantumTransport(archives.signer(options.identity, trust), trust, clock=system_clock)
    key = _public(options, trust)
    key.require(
        holder=options.holder,
        digest=options.expect or b"",
        name=options.name or "",
        least_serial=options.least_serial or 1,
    )
    columns = tuple(options.columns.split(",")) if options.columns else None
    names, values = score_data.read(options.data, columns, integers=key.parameters.scheme == "bgv")
    bounds = None if options.bound is None else [options.bound] * len(names)
    table = encrypt_numbers(key, names, values, bounds=bounds, progress=progress)
    sent = security.sign(key.sent(table, int(system_clock().timestamp())).encode())
    files.write_new(options.table, table.encode())
    files.write_new(options.sent, sent)
    return table


# ------------------------------------------------------------------------------------------------------------ decrypt


def decrypt(options: argparse.Namespace, answer: Answer, opened: Callable[[TableKey, Answer], Scores]) -> Scores:
    """What ``opened`` gives with the secret half, which a broker releases to this code; both are gone afterwards."""
    from quatrefoil.resources.container import opened_front
    from quatrefoil.table_keys import read_sent, require_pair

    trust = TrustAnchor.load(options.root)
    with opened_front(options.sealed_key, containers.verifying(options)) as (_stream, front):
        owned = front.owned
    key = _public(options, trust)
    require_pair(owned, key)
    sent = read_sent(files.read(options.sent, "statement"), trust, judged=archives.judged(options), clock=system_clock)
    sent.require(sender=options.sender, key=key)
    if (answer.about, answer.rows) != (sent.said.table, sent.said.rows):  # before a key is asked for
        raise CiphertextRefused("an answer about another table", hint="Ask for the answer about the table sent last")
    return asyncio.run(_released(options, owned, key, sent, lambda kept: opened(kept, answer)))


async def _released(
    options: argparse.Namespace,
    owned: OwnedResource,
    key: HolderKey,
    sent: TableSent,
    opened: Callable[[TableKey], Scores],
) -> Scores:
    from quatrefoil.analytics import TableKey
    from quatrefoil.broker.holder import Holder
    from quatrefoil.cli.broker_client import connection
    from quatrefoil.services.lease_holder import LeaseHolder
    from quatrefoil.table_keys import load, under_lease

    attester = collecting.attester(options)
    assert attester is not None  # the option is required here
    security, dialer = connection(options)
    holder = Holder(
        owned,
        options.stage,
        broker=options.broker_name,
        security=security,
        attester=attester,
        clock=system_clock,
        tls_key=b"",  # one request, bound to its channel by the exporter
        keyset_s=_KEYSET_S,
    )

    def work(released: bytearray) -> Scores:
        secret = load(options.sealed_key, containers.verifying(options), released, owned=owned, key=key)
        try:
            return opened(TableKey(secret, sent.said.table, sent.said.rows))
        finally:
            secret.wipe()

    async with LeaseHolder(holder, dialer.open, report=report) as held:
        lease = await held.acquire()
        report(f"lease {lease.id.hex()[:16]} of {owned.resource.name}: {lease.kind}, isolation {lease.isolation}")
        return await under_lease(held, work)


def _public(options: argparse.Namespace, trust: TrustAnchor) -> HolderKey:
    from quatrefoil.table_keys import read_key

    signed = files.read(options.public, "public key")
    return read_key(signed, trust, judged=archives.judged(options), clock=system_clock)


__all__ = ["DECRYPT", "ENCRYPT", "EXTRA", "NEEDED", "configure", "decrypt", "encrypt", "step"]
