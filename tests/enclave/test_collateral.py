"""Collateral is read from a folder as it stands, or the file at fault is named."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import attesting
from quatrefoil.enclave.collateral import LARGEST_FILE, MOST_FILES, Collateral
from quatrefoil.errors import HostError

KEY = attesting.chip_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PEM = b"-----BEGIN %s-----\nAAEC\n-----END %s-----\n"


def pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def test_each_kind_of_file_goes_to_its_place(tmp_path: Path) -> None:
    certificate, crl = attesting.ask("Milan"), attesting.crl("Milan")
    parts = (("CERTIFICATE", certificate), ("CERTIFICATE", certificate), ("X509 CRL", crl))
    (tmp_path / "chain.pem").write_bytes(b"".join(pem(*part) for part in parts))
    (tmp_path / "tpm-key-of-node-1.pem").write_bytes(pem("PUBLIC KEY", KEY))
    (tmp_path / "tpm-roots.pem").write_bytes(pem("CERTIFICATE", attesting.ark("Milan")))
    (tmp_path / "tpm-root-2.der").write_bytes(certificate)
    (tmp_path / "vcek.der").write_bytes(attesting.leaf("Milan"))
    (tmp_path / "vendor.crl").write_bytes(crl)
    (tmp_path / "tcb_info.json").write_bytes(b"{}")
    (tmp_path / "README.md").write_text("left alone")
    found = Collateral.load(tmp_path)
    assert found.certificates == (certificate, certificate, attesting.leaf("Milan"))
    assert found.revocation_lists == (crl, crl) and found.keys == (KEY,)
    assert found.documents == {"tcb_info": b"{}"}
    assert found.tpm_roots == (certificate, attesting.ark("Milan"))


@pytest.mark.parametrize(
    ("name", "label", "der", "says"),
    [
        ("keys.pem", "PUBLIC KEY", KEY, "holds a PUBLIC KEY"),
        ("tpm-root.pem", "PUBLIC KEY", KEY, "something else than authorities"),
        ("tpm-root.pem", "X509 CRL", attesting.crl("Milan"), "something else than authorities"),
        ("tpm-root.pem", "CERTIFICATE", attesting.leaf("Milan"), "something else than authorities"),
        ("tpm-key.pem", "CERTIFICATE", attesting.ark("Milan"), "something else than public keys"),
    ],
)
def test_what_counts_for_tpms_stands_alone_in_files_of_that_name(
    tmp_path: Path, name: str, label: str, der: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(pem(label, der))
    with pytest.raises(HostError, match=says):
        Collateral.load(tmp_path)


@pytest.mark.parametrize("name", ["tpm-root.crl", "tpm-root.json", "tpm-key.der", "tpm-key.json"])
def test_other_forms_are_no_roots_and_keys_of_tpms(tmp_path: Path, name: str) -> None:
    data = {"crl": attesting.crl("Milan"), "json": b"{}", "der": attesting.ark("Milan")}[name.partition(".")[2]]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(HostError, match=name):
        Collateral.load(tmp_path)


def test_a_root_of_another_maker_is_none_of_tpms(tmp_path: Path) -> None:
    """AMD's root signed itself; who puts it into the folder says nothing of TPMs."""
    (tmp_path / "ark.der").write_bytes(attesting.ark("Milan"))
    found = Collateral.load(tmp_path)
    assert found.certificates == (attesting.ark("Milan"),) and found.tpm_roots == ()


def test_an_ending_in_capitals_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "vcek.der").write_bytes(attesting.leaf("Milan"))
    (tmp_path / "VENDOR.CRL").write_bytes(attesting.crl("Milan"))
    with pytest.raises(HostError, match=r"VENDOR\.CRL ends in capitals"):
        Collateral.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pem", b"no pem", "not whole PEM"),
        ("a.pem", (PEM % (b"CERTIFICATE", b"CERTIFICATE"))[:-9], "not whole PEM"),
        ("a.pem", PEM % (b"PRIVATE KEY", b"PRIVATE KEY"), "holds a PRIVATE KEY"),
        ("a.pem", (PEM % (b"CERTIFICATE", b"CERTIFICATE")).replace(b"AAEC", b"AAE"), "not base64"),
        ("a.der", PEM % (b"CERTIFICATE", b"CERTIFICATE"), "name says DER"),
        ("a.der", b"", "empty"),
        ("a.der", b"none", "certificate cannot be read"),
        ("a.crl", b"none", "revocation list cannot be read"),
        ("tpm-key.pem", PEM % (b"PUBLIC KEY", b"PUBLIC KEY"), "public key cannot be read"),
        ("a.json", bytes(LARGEST_FILE + 1), "empty or over"),
        ("a.txt", b"text", "holds no collateral"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HostError, match=says) as refused:
        Collateral.load(tmp_path)
    assert str(tmp_path) in refused.value.problem


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        Collateral.load(tmp_path / "nowhere")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.der").write_bytes(b"x")
    with pytest.raises(HostError, match="65 files"):
        Collateral.load(tmp_path)
