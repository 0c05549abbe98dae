"""Collateral is read from a folder as it stands, or the file at fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from quatrefoil.enclave.collateral import LARGEST_FILE, MOST_FILES, Collateral
from quatrefoil.errors import HostError

PEM = b"-----BEGIN %s-----\nAAEC\n-----END %s-----\n"


def test_each_kind_of_file_goes_to_its_place(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_bytes(
        b"".join(PEM % (label, label) for label in (b"CERTIFICATE", b"CERTIFICATE", b"X509 CRL", b"PUBLIC KEY"))
    )
    (tmp_path / "vcek.der").write_bytes(b"der")
    (tmp_path / "vendor.crl").write_bytes(b"crl")
    (tmp_path / "tcb_info.json").write_bytes(b"{}")
    (tmp_path / "README.md").write_text("left alone")
    found = Collateral.load(tmp_path)
    assert found.certificates == (b"\0\1\2", b"\0\1\2", b"der")
    assert found.revocation_lists == (b"\0\1\2", b"crl") and found.keys == (b"\0\1\2",)
    assert found.documents == {"tcb_info": b"{}"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pem", b"no pem", "not whole PEM"),
        ("a.pem", (PEM % (b"CERTIFICATE", b"CERTIFICATE"))[:-9], "not whole PEM"),
        ("a.pem", PEM % (b"PRIVATE KEY", b"PRIVATE KEY"), "holds a PRIVATE KEY"),
        ("a.pem", (PEM % (b"CERTIFICATE", b"CERTIFICATE")).replace(b"AAEC", b"AAE"), "not base64"),
        ("a.der", PEM % (b"CERTIFICATE", b"CERTIFICATE"), "name says DER"),
        ("a.der", b"", "empty"),
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
