"""The collector of Nitro documents against a device that answers at the ioctl: real system calls but that one."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.enclave import nitro
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors import Collector
from quatrefoil.enclave.collectors.nsm import LARGEST_ANSWER, NsmCollector, answer_of
from quatrefoil.enclave.paths import Root
from quatrefoil.errors import CallerError, HostError

AT = datetime(2026, 6, 1, tzinfo=UTC)
DATA = bytes(range(32))


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@cache
def certificate(subject: str, issuer: str, ca: bool) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key(subject).public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(hours=1))
        .not_valid_after(AT + timedelta(hours=2))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage), True
        )
        .sign(key(issuer), SHA384())
    )


def document(request: dict[str, bytes | None]) -> bytes:
    """What a security module of our own making signs."""
    payload = {
        "module_id": "i-0123-enc4567",
        "digest": "SHA384",
        "timestamp": int(AT.timestamp() * 1000),
        "pcrs": {number: bytes([number + 1]) * 48 for number in range(16)},
        "certificate": certificate("module", "fake root", False).public_bytes(Encoding.DER),
        "cabundle": [certificate("fake root", "fake root", True).public_bytes(Encoding.DER)],
        **{name: request[name] for name in ("public_key", "user_data", "nonce")},
    }
    protected, body = b"\xa1\x01\x38\x22", cbor2.dumps(payload)
    signed = cbor2.dumps(["Signature1", protected, b"", body])
    r, s = decode_dss_signature(key("module").sign(signed, ec.ECDSA(SHA384())))
    return cbor2.dumps([protected, {}, body, r.to_bytes(48, "big") + s.to_bytes(48, "big")])


def device(tmp_path: Path, answer: Callable[[Any], bytes], **more: Any) -> NsmCollector:
    """A collector at a device that gives ``answer`` to a decoded request, as the driver passes it on."""
    file = tmp_path / "nsm"
    file.touch()

    def ioctl(descriptor: int, code: int, raw: bytearray) -> None:
        assert code == 0xC0200A00 and descriptor > 2
        at, size, to, room = struct.unpack("=QQQQ", raw)
        assert size <= 0x1000
        said = answer(cbor2.loads(ctypes.string_at(at, size)))[:room]
        ctypes.memmove(to, said, len(said))
        raw[24:32] = len(said).to_bytes(8, "little")

    return NsmCollector(device=file, ioctl=ioctl, **more)


def honest(request: Any) -> bytes:
    return cbor2.dumps({"Attestation": {"document": document(request["Attestation"])}})


def test_a_document_is_collected_and_verified(tmp_path: Path) -> None:
    collector = device(tmp_path, honest, nonce=b"nonce", public_key=b"key")
    evidence = collector.collect(DATA)
    assert isinstance(collector, Collector) and (collector.kind, evidence.kind) == ("nitro", "nitro")
    root = Root("fake root", certificate("fake root", "fake root", True))
    findings = nitro.verify(evidence, Collateral(), AT, root=root)
    assert not findings.failed and findings.claims.report_data == DATA
    assert (findings.claims.facts["nonce"], findings.claims.facts["public_key"]) == (b"nonce", b"key")


def test_what_is_left_out_is_null(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> bytes:
        asked.append(request)
        return honest(request)

    device(tmp_path, answer).collect(DATA)
    assert asked == [{"Attestation": {"user_data": DATA, "nonce": None, "public_key": None}}]


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no Nitro security module: .*nsm .*Run inside a Nitro enclave"):
        NsmCollector(device=tmp_path / "nsm").collect(DATA)


def test_a_device_that_is_another_one(tmp_path: Path) -> None:
    """A plain file under the name: the real ioctl refuses."""
    (tmp_path / "nsm").touch()
    with pytest.raises(HostError, match="gave no answer"):
        NsmCollector(device=tmp_path / "nsm").collect(DATA)


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EMSGSIZE, errno.EIO])
def test_a_driver_that_fails(tmp_path: Path, number: int) -> None:
    def answer(request: Any) -> bytes:
        raise OSError(number, "failed")

    with pytest.raises(HostError, match="gave no answer"):
        device(tmp_path, answer).collect(DATA)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (cbor2.dumps({"Error": "InvalidArgument"}), "refused: InvalidArgument"),
        (cbor2.dumps({"Error": "x\n" * 100}), "refused: x"),
        (b"", "not well-formed CBOR"),
        (b"\xa1", "not well-formed CBOR"),
        (cbor2.dumps("Attestation"), "holds no document"),
        (cbor2.dumps({"Attestation": b"document"}), "holds no document"),
        (cbor2.dumps({"Attestation": {"document": "text"}}), "holds no document"),
        (cbor2.dumps({"Attestation": {"document": b"x", "more": 1}}), "holds no document"),
        (cbor2.dumps({"Attestation": {"document": b"x"}}), "document is not usable"),
        (cbor2.dumps({"Attestation": {"document": bytes(LARGEST_ANSWER)}}), "not well-formed CBOR"),
    ],
)
def test_what_is_no_document(tmp_path: Path, answer: bytes, says: str) -> None:
    with pytest.raises(HostError, match=says) as refused:
        device(tmp_path, lambda request: answer).collect(DATA)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("field", ["user_data", "nonce", "public_key"])
def test_a_document_about_something_else(tmp_path: Path, field: str) -> None:
    def answer(request: Any) -> bytes:
        return honest({"Attestation": {**request["Attestation"], field: b"other"}})

    with pytest.raises(HostError, match="not about what was asked for"):
        device(tmp_path, answer).collect(DATA)


def test_a_driver_that_says_more_than_there_is(tmp_path: Path) -> None:
    collector = device(tmp_path, honest)

    def ioctl(descriptor: int, code: int, raw: bytearray) -> None:
        raw[24:32] = (LARGEST_ANSWER + 1).to_bytes(8, "little")

    with pytest.raises(HostError, match="says that the answer has"):
        NsmCollector(device=collector.device, ioctl=ioctl).collect(DATA)


@pytest.mark.parametrize("wrong", [{"nonce": bytes(513)}, {"public_key": bytes(1025)}])
def test_what_the_module_has_no_room_for(wrong: dict[str, bytes]) -> None:
    with pytest.raises(CallerError, match="too long for the module"):
        NsmCollector(**wrong)


@pytest.mark.parametrize("data", [b"", bytes(65)])
def test_report_data_of_another_length(data: bytes) -> None:
    with pytest.raises(CallerError, match="report data of"):
        NsmCollector().collect(data)


@given(st.binary(max_size=100))
def test_any_answer_is_a_document_or_refused(data: bytes) -> None:
    try:
        assert isinstance(answer_of(data), bytes)
    except HostError as refusal:
        assert refusal.hint
