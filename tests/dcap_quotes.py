"""TDX and SGX platforms of our own making: a root, PCK certificates, collateral and quotes under valid signatures.

Everything that a verifier or policy refuses can so be provoked alone. Nothing here shares code with the parser; layouts
are those of Intel's quoting libraries, JSON has the shape of the Provisioning Certification Service, version 4.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx.roots import Root

ISSUED = datetime(2026, 5, 15, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
UNTIL = datetime(2026, 6, 14, tzinfo=UTC)
"""When statements and revocation lists were issued, when tests verify, and when the collateral expires."""

FMSPC = "00906ED50000"
PPID = bytes(range(16))
REPORT_DATA = bytes(range(200, 232)) + bytes(32)
MRTD = bytes(range(48))
QE_SIGNER = {"tdx": b"\xdc" * 32, "sgx": b"\x8c" * 32}

DEBUG, MIGRATABLE, SEPT_VE_DISABLE = 1, 1 << 29, 1 << 28
CURRENT, OLD, OLDEST = 5, 3, 2
"""Versions of every component: the newest level, one that is out of date, and the least that has a level."""

Key = ec.EllipticCurvePrivateKey


@cache
def key(name: str) -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed(by: Key, data: bytes) -> bytes:
    """r and s, 32 bytes each."""
    r, s = decode_dss_signature(by.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# --- certificates -----------------------------------------------------------------------------------------------------


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def arc(*numbers: int) -> bytes:
    """An OID below Intel's 1.2.840.113741.1.13.1."""
    return element(6, bytes.fromhex("2a864886f84d010d01"), bytes(numbers))


def pair(oid: bytes, value: bytes) -> bytes:
    return element(0x30, oid, value)


def sgx_extension(cpu_svn: bytes, pce_svn: int, fmspc: str, ppid: bytes, *, smt: bool = False) -> bytes:
    """Extension 1.2.840.113741.1.13.1 of a PCK certificate."""
    numbers = [pair(arc(2, n + 1), element(2, bytes([svn]))) for n, svn in enumerate(cpu_svn)]
    tcb = element(0x30, *numbers, pair(arc(2, 17), element(2, bytes([pce_svn]))), pair(arc(2, 18), element(4, cpu_svn)))
    flags = (pair(arc(7, n), element(1, b"\xff" if n < 3 or smt else b"\x00")) for n in (1, 2, 3))
    return element(
        0x30,
        pair(arc(1), element(4, ppid)),
        pair(arc(2), tcb),
        pair(arc(3), element(4, bytes(2))),
        pair(arc(4), element(4, bytes.fromhex(fmspc))),
        pair(arc(5), element(10, b"\x01")),
        pair(arc(6), element(4, bytes(16))),
        pair(arc(7), element(0x30, *flags)),
    )


@cache
def certificate(
    subject: str, issuer: str, *, ca: bool = False, until: datetime | None = None, extension: bytes = b""
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key(subject).public_key())
        .serial_number(serial(subject))
        .not_valid_before(ISSUED - timedelta(days=300))
        .not_valid_after(until or ISSUED + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key()), critical=False)
    )
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage),
        critical=True,
    )
    if extension:
        oid = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=False)
    return builder.sign(key(issuer), hashes.SHA256())


def serial(subject: str) -> int:
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big")


def revocation_list(issuer: str, revoked: tuple[str, ...], until: datetime) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(named(issuer))
        .last_update(ISSUED)
        .next_update(until)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key()), critical=False)
    )
    for subject in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial(subject)).revocation_date(ISSUED).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key(issuer), hashes.SHA256()).public_bytes(Encoding.DER)


def pem(*certificates: x509.Certificate) -> str:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates).decode()


@cache
def authority(name: str, issuer: str) -> x509.Certificate:
    return certificate(name, issuer, ca=True)


def root(name: str = "fake root") -> Root:
    return Root(name, authority(name, name).public_bytes(Encoding.DER))


# --- a platform and what Intel would say about it ---------------------------------------------------------------------


@dataclass(frozen=True)
class Platform:
    """``quote`` and ``collateral`` write and sign it. Everything holds unless a field says otherwise."""

    kind: str = "tdx"
    version: int = 4
    root: str = "fake root"
    versions: int = CURRENT
    """Of each component, by the PCK certificate and, for TDX, in the quote."""
    body: Mapping[str, int | bytes] = field(default_factory=dict)
    """Fields of the report by name that are otherwise."""
    qe: Mapping[str, int | bytes] = field(default_factory=dict)
    revoked: tuple[str, ...] = ()
    tcb_until: datetime = UNTIL
    identity_until: datetime = UNTIL
    lists_until: datetime = UNTIL
    pck_until: datetime | None = None
    module: int = 1
    fmspc: str = FMSPC
    ppid: bytes = PPID
    smt: bool = False
    levels: tuple[tuple[int, str, tuple[str, ...]], ...] = (
        (CURRENT, "UpToDate", ()),
        (OLD, "OutOfDate", ("INTEL-SA-00837",)),
    )
    """Least version, status and advisories."""
    qe_levels: tuple[tuple[int, str], ...] = ((4, "UpToDate"), (2, "OutOfDate"))
    evaluation: int = 17
    tcb_signer: str = "TCB signing"
    tampered: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the collateral that are otherwise after signing."""

    def with_(self, **changes: Any) -> Platform:
        return replace(self, **changes)

    @property
    def pck_chain(self) -> bytes:
        extension = sgx_extension(bytes([self.versions] * 16), self.versions, self.fmspc, self.ppid, smt=self.smt)
        leaf = certificate("PCK", "PCK Platform CA", until=self.pck_until, extension=extension)
        return pem(leaf, authority("PCK Platform CA", self.root), authority(self.root, self.root)).encode() + b"\x00"

    def quote(self) -> bytes:
        signed_part = self._header() + (self._td() if self.kind == "tdx" else enclave({"attributes": 5, **self.body}))
        attestation = key("attestation")
        x, y = (n.to_bytes(32, "big") for n in _point(attestation))
        auth = bytes(range(32))
        report = enclave(
            {
                "attributes": 0x11,
                "mrsigner": QE_SIGNER[self.kind],
                "isvprodid": 2 if self.kind == "tdx" else 1,
                "isvsvn": 6,
                "reportdata": hashlib.sha256(x + y + auth).digest() + bytes(32),
                **self.qe,
            }
        )
        inner = report + signed(key("PCK"), report) + len(auth).to_bytes(2, "little") + auth
        inner += (5).to_bytes(2, "little") + len(self.pck_chain).to_bytes(4, "little")
        inner += self.pck_chain
        if self.version > 3:
            inner = (6).to_bytes(2, "little") + len(inner).to_bytes(4, "little") + inner
        data = signed(attestation, signed_part) + x + y + inner
        return signed_part + len(data).to_bytes(4, "little") + data

    def evidence(self) -> Evidence:
        return Evidence(self.kind, self.quote())

    def _header(self) -> bytes:
        tee = 0x81 if self.kind == "tdx" else 0
        numbers = self.version.to_bytes(2, "little") + (2).to_bytes(2, "little") + tee.to_bytes(4, "little")
        return numbers + bytes(4) + bytes.fromhex("939a7233f79c4ca9940a0db3957f0607") + bytes(20)

    def _td(self) -> bytes:
        svn = bytes([self.versions, self.module]) + bytes([self.versions] * 14)
        values: dict[str, int | bytes] = {
            "teetcbsvn": svn,
            "teetcbsvn2": svn,
            "tdattributes": SEPT_VE_DISABLE,
            "xfam": 0xE7,
            "mrtd": MRTD,
            "reportdata": REPORT_DATA,
            **self.body,
        }
        layout = TD if self.version == 4 else {**TD, "teetcbsvn2": 16, "mrservicetd": 48}
        body = b"".join(_bytes(values.get(name, 0), size) for name, size in layout.items())
        return body if self.version == 4 else (3).to_bytes(2, "little") + len(body).to_bytes(4, "little") + body

    def document(self) -> bytes:
        """The collateral as a JSON document."""
        info, identity = json.dumps(self._tcb_info()), json.dumps(self._qe_identity())
        chain = pem(certificate(self.tcb_signer, self.root), authority(self.root, self.root))
        lists = {
            "root_ca_crl": revocation_list(self.root, self.revoked, self.lists_until),
            "pck_crl": revocation_list("PCK Platform CA", self.revoked, self.lists_until),
        }
        value = {
            "pck_crl_issuer_chain": pem(authority("PCK Platform CA", self.root), authority(self.root, self.root)),
            **{name: der.hex() for name, der in lists.items()},
            "tcb_info_issuer_chain": chain,
            "tcb_info": info,
            "tcb_info_signature": signed(key(self.tcb_signer), info.encode()).hex(),
            "qe_identity_issuer_chain": chain,
            "qe_identity": identity,
            "qe_identity_signature": signed(key(self.tcb_signer), identity.encode()).hex(),
            **self.tampered,
        }
        return json.dumps(value).encode()

    def collateral(self) -> Collateral:
        return Collateral(documents={"platform": self.document()})

    def _tcb_info(self) -> dict[str, Any]:
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        level = {"tcb": {"isvsvn": OLDEST}, "tcbDate": _day(2024), "tcbStatus": "UpToDate"}
        tdx = {"tdxModule": module, "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": [level]}]}
        return {
            "id": self.kind.upper(),
            "version": 3,
            "issueDate": _written(ISSUED),
            "nextUpdate": _written(self.tcb_until),
            "fmspc": self.fmspc,
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": self.evaluation,
            **(tdx if self.kind == "tdx" else {}),
            "tcbLevels": [
                {
                    "tcb": {
                        "sgxtcbcomponents": [{"svn": least}] * 16,
                        "pcesvn": least,
                        **({"tdxtcbcomponents": [{"svn": least}] * 16} if self.kind == "tdx" else {}),
                    },
                    "tcbDate": _day(2020 + least),
                    "tcbStatus": status,
                    "advisoryIDs": list(advisories),
                }
                for least, status, advisories in self.levels
            ],
        }

    def _qe_identity(self) -> dict[str, Any]:
        return {
            "id": "TD_QE" if self.kind == "tdx" else "QE",
            "version": 2,
            "issueDate": _written(ISSUED),
            "nextUpdate": _written(self.identity_until),
            "tcbEvaluationDataNumber": self.evaluation,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11" + "00" * 15,
            "attributesMask": "FB" + "FF" * 7 + "00" * 8,
            "mrsigner": QE_SIGNER[self.kind].hex(),
            "isvprodid": 2 if self.kind == "tdx" else 1,
            "tcbLevels": [
                {"tcb": {"isvsvn": least}, "tcbDate": _day(2024), "tcbStatus": status}
                for least, status in self.qe_levels
            ],
        }


TD: Mapping[str, int] = {
    "teetcbsvn": 16,
    "mrseam": 48,
    "mrsignerseam": 48,
    "seamattributes": 8,
    "tdattributes": 8,
    "xfam": 8,
    "mrtd": 48,
    "mrconfigid": 48,
    "mrowner": 48,
    "mrownerconfig": 48,
    **{f"rtmr{n}": 48 for n in range(4)},
    "reportdata": 64,
}
"""Name -> size, in order."""

ENCLAVE: Mapping[str, tuple[int, int]] = {
    "cpusvn": (0, 16),
    "miscselect": (16, 4),
    "attributes": (48, 16),
    "mrenclave": (64, 32),
    "mrsigner": (128, 32),
    "isvprodid": (256, 2),
    "isvsvn": (258, 2),
    "reportdata": (320, 64),
}
"""Name -> offset and size."""

SGX = Platform(
    kind="sgx",
    version=3,
    body={"mrenclave": b"\x0e" * 32, "mrsigner": b"\x05" * 32, "isvprodid": 7, "isvsvn": 3, "reportdata": REPORT_DATA},
)


def enclave(values: Mapping[str, int | bytes]) -> bytes:
    report = bytearray(384)
    for name, value in values.items():
        start, size = ENCLAVE[name]
        report[start : start + size] = _bytes(value, size)
    return bytes(report)


def _bytes(value: int | bytes, size: int) -> bytes:
    raw = value.to_bytes(size, "little") if isinstance(value, int) else value
    assert len(raw) == size
    return raw


def _point(private: Key) -> tuple[int, int]:
    numbers = private.public_key().public_numbers()
    return numbers.x, numbers.y


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _day(year: int) -> str:
    return f"{year}-03-13T00:00:00Z"
