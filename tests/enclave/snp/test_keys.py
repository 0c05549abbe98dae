"""Certificates of signing keys: only what AMD would issue is read."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import attesting
from attesting import CHIP_ID, endorsements, leaf
from quatrefoil.enclave import certificates
from quatrefoil.enclave.snp.keys import SigningKey
from quatrefoil.errors import EvidenceRejected

ARC = "1.3.6.1.4.1.3704.1"


def read(product: str = "Milan", kind: str = "vcek", **changes: bytes | None) -> SigningKey:
    """A key whose certificate has other extensions: ``_3_1=...`` for ARC.3.1, ``None`` for none."""
    extensions = endorsements(product, kind)
    for name, value in changes.items():
        oid = ARC + name.replace("_", ".")
        if value is None:
            del extensions[oid]
        else:
            extensions[oid] = value
    return SigningKey.read(certificates.parse(leaf(product, kind, extensions=tuple(extensions.items()))))


@pytest.mark.parametrize("product", sorted(CHIP_ID))
def test_both_kinds_are_read(product: str) -> None:
    vcek, vlek = read(product), read(product, "vlek")
    assert (vcek.kind, vcek.product, vcek.provider) == ("vcek", product, "")
    assert vcek.chip_id == CHIP_ID[product][: 8 if product == "Turin" else 64]
    assert (vlek.kind, vlek.chip_id, vlek.provider) == ("vlek", b"", "example") and vcek.tcb == vlek.tcb


@pytest.mark.parametrize(
    ("value", "version"), [(b"\2\1\0", 0), (b"\2\1\x7f", 127), (b"\2\2\0\x80", 128), (b"\2\2\0\xff", 255)]
)
def test_versions_are_integers_of_a_byte(value: bytes, version: int) -> None:
    assert read(_3_1=value).tcb["bootloader"] == version


def test_a_chip_id_may_be_in_an_octet_string() -> None:
    assert read(_4=b"\x04\x40" + CHIP_ID["Milan"]).chip_id == CHIP_ID["Milan"]


def test_components_that_are_not_used_may_be_there_as_zero() -> None:
    assert read(_3_4=b"\2\1\0").tcb == read().tcb


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"_5": b"\x16\x01a"}, "a chip and a provider"),
        ({"_2": b"\x16\x05Milan"[:-1]}, "not what AMD documents"),
        ({"_2": b"\x16\x06Naples"}, "unknown product 'Naples'"),
        ({"_2": b"\x0c\x05Milan"}, "not what AMD documents"),
        ({"_2": None}, "does not say its product"),
        ({"_3_1": None}, "says no version of bootloader"),
        ({"_3_8": b"\2\1\x80"}, "not 0 to 255"),
        ({"_3_8": b"\2\2\0\x7f"}, "not 0 to 255"),
        ({"_3_8": b"\2\2\1\0"}, "not 0 to 255"),
        ({"_3_8": b"\2\0"}, "not 0 to 255"),
        ({"_3_8": b"\2\1\1\0"}, "not what AMD documents"),
        ({"_3_5": b"\2\1\1"}, "a component that is not known here"),
        ({"_4": bytes(63)}, "not what AMD documents"),
        ({"_4": b"\x04\x3f" + bytes(63)}, "chip id of 63 bytes"),
    ],
)
def test_other_certificates_are_refused(changes: dict[str, bytes | None], says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        read(**changes)
    assert refused.value.check == "format"


def test_a_turin_key_without_fmc_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="no version of fmc"):
        read("Turin", _3_9=None)


def test_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    signer = attesting.rsa_key("ask")
    made = attesting.certificate("SEV-VCEK", other, "SEV-Milan", signer, extensions=endorsements("Milan"))
    with pytest.raises(EvidenceRejected, match="not P-384"):
        SigningKey.read(certificates.parse(made))


def test_other_certificates_are_no_candidates() -> None:
    assert not SigningKey.is_in(certificates.parse(attesting.ask("Milan")))
    assert SigningKey.is_in(certificates.parse(leaf("Milan", "vlek")))
