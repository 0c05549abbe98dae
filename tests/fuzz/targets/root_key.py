"""What a root key reads: what was wrapped, its own file, shares, and statements of ceremonies and recoveries."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.broker import root_ceremony, root_log, root_recovery
from quatrefoil.broker.root_ceremony import Ceremony, Held, Made
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_recovery import HandedOver, Recovery
from quatrefoil.broker.shares import Share
from quatrefoil.transport import files, sealed, statement, system_clock
from quatrefoil.transport.sealed import HYBRID_768, RecipientKey

KEY = bytes(range(32))
AAD = b"record"


@cache
def root() -> FileRootKey:
    return FileRootKey(KEY)


@cache
def keys() -> tuple[RecipientKey, RecipientKey]:
    return RecipientKey.generate(HYBRID_768), RecipientKey.generate(HYBRID_768)


@cache
def made() -> Made:
    operators = [
        sealed.Recipient(suite=HYBRID_768, public=key.recipient.public, name=name, role="auditor")
        for key, name in zip(keys(), ("anna", "bruno"), strict=True)
    ]
    return root_ceremony.hold(
        bytearray(KEY),
        root().identity(),
        threshold=2,
        operators=operators,
        holder=rooms.member("vault", "keeper"),
        minimum=HYBRID_768,
        clock=system_clock,
    )


@cache
def held() -> Held:
    return root_ceremony.verify(made().signed, rooms.trust(), clock=system_clock)


def seeds() -> list[bytes]:
    share = Share(bytes(32), 1, bytearray(32), bytearray(KEY))
    recovery = Recovery(root().identity(), bytes(32), ("anna", "bruno"), "recover", expired=False, recovered_at=1)
    return [
        b"\0" + root().wrap(b"secret", AAD),
        b"\1" + bytes(root().encoded()),
        b"\2" + bytes(share.encode()),
        b"\3" + made().ceremony.encode(),
        b"\3" + recovery.encode(),
        b"\4" + made().sealed_shares["anna"],
        b"\4" + made().sealed_shares["anna"][:500],
    ]


def one(data: bytes) -> None:
    """By the first byte: something wrapped, a file, a share, a body that a member signs, or what is handed over."""
    how, content = data[:1], data[1:]
    if how == b"\1":
        found = refused_or(lambda: _from_file(content))
        assert found is None or found.encoded() == content
    elif how == b"\2":
        share = refused_or(lambda: Share.decode(bytearray(content)))
        assert share is None or share.encode() == content
    elif how == b"\3":
        signed = statement.sign(content, rooms.member("vault", "keeper"))
        ceremony = refused_or(lambda: root_ceremony.verify(signed, rooms.trust(), clock=system_clock))
        assert ceremony is None or Ceremony.decode(ceremony.ceremony.encode()) == ceremony.ceremony
        refused_or(lambda: root_log.root_of(signed, rooms.trust(), clock=system_clock))
        refused_or(lambda: root_recovery.verify(signed, rooms.trust(), clock=system_clock))
    elif how == b"\4":
        one_share = HandedOver("fuzz", content)
        got = refused_or(
            lambda: root_recovery.recover(
                held(),
                [one_share],
                key=keys()[0],
                trust=rooms.trust(),
                clock=system_clock,
                accept_expired=False,
                root=root().identity(),
            )
        )
        assert got is None, "one share is not two"
    else:
        plaintext = refused_or(lambda: root().unwrap(content, AAD))
        assert plaintext is None or plaintext == b"secret"


def _from_file(content: bytes) -> FileRootKey:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "root.key"
        files.write_new(file, content, mode=files.PRIVATE)
        return FileRootKey.load(file)
