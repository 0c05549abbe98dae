"""What `quatrefoil bench attest` says is remembered is what was."""

from __future__ import annotations

from quatrefoil.bench.attest import measure_attestation


def test_rows_say_what_was_remembered() -> None:
    rows = {row["kind"]: row for row in measure_attestation(1, lambda _: None)}
    # SNP: the VCEK's signature, the ASK's. What others verify, and a pinned key, is verified each time.
    assert rows["sev-snp"]["remembered"] == 2
    assert {kind for kind in rows if not rows[kind]["remembered"]} == {"tdx", "sgx", "tpm"}
    assert all(row["verify_ms"] > 0 and row["cached_ms"] > 0 for row in rows.values())
