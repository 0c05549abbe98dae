"""docs/attested-channels.md gives the bytes that the code gives, and names the checks that it makes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from quatrefoil.attested.channels import LABEL
from quatrefoil.attested.messages import LARGEST_ATTESTATION, LARGEST_CHALLENGE, Attestation, Challenge
from quatrefoil.enclave.binding import Binding, Keyset, report_data

PAGE = (Path(__file__).parents[2] / "docs" / "attested-channels.md").read_text()


def answer(name: str) -> str:
    found = re.search(rf"^    {re.escape(name)} +([0-9a-f]{{64}})$", PAGE, re.M)
    assert found is not None
    return found[1]


def test_the_known_answer() -> None:
    keyset = Keyset(
        sealing=bytes.fromhex("647a00010002") + b"\x70" * 1216,
        tls=b"\x74" * 32,
        receipt=b"\x72" * 44,
        not_before=1780315200,
        expires=1780318800,
    )
    assert keyset.digest().hex() == answer("SHA-256(Keyset)")
    nonce, purpose = b"\x6e" * 32, "broker release"
    assert report_data(keyset, nonce, b"\x65" * 32, purpose).hex() == answer("report data")
    assert report_data(keyset, nonce, b"", purpose).hex() == answer("report data, no channel")


def test_types_fields_label_and_limits_are_those_of_the_code() -> None:
    for one in (Keyset, Binding, Challenge, Attestation):
        fields = ", ".join(field.name for field in dataclasses.fields(one))
        drawn = re.search(rf'\["{one.TYPE}", {one.VERSION},\s+\[(.*?)\]\]', PAGE)
        assert drawn is not None and ", ".join(part.split(":")[0] for part in drawn[1].split(", ")) == fields
    assert f'label = "{LABEL.decode()}"' in PAGE
    assert f"up to {LARGEST_CHALLENGE >> 10} KiB" in PAGE and f"up to {LARGEST_ATTESTATION >> 20} MiB" in PAGE


def test_the_checks_are_named() -> None:
    for name in ("format", "nonce", "keyset-validity", "tls-key", "report-data"):
        assert f"`{name}`" in PAGE
