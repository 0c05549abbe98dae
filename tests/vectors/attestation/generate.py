"""Writes ``sev-snp.json`` and the sample of `quatrefoil bench attest`: run ``python generate.py`` in this folder.

Signatures are randomised: each run gives other bytes with the same verdicts.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import attesting as made  # noqa: E402

SAMPLES = HERE.parents[2] / "src" / "quatrefoil" / "bench" / "samples"
EARLY = made.AT - timedelta(days=1)
LOWER = bytes([4, 0, 0, 0, 0, 0, 23, 219])
LOWER_EVERYWHERE = {f"{name}_tcb": LOWER for name in ("current", "reported", "committed", "launch")}


def main() -> None:
    certificates = {
        "expired VCEK": made.leaf("Milan", end=EARLY),
        "VCEK of lower TCB": made.leaf("Milan", tcb=LOWER),
        "VCEK of another chip": made.leaf("Milan", chip_id=b"\x09" * 64),
        "ASK under another root": made.ask("Milan", signer="stranger"),
        "VCEK by another key": made.leaf("Milan", signer="stranger"),
    }
    vectors = []

    def add(
        name: str,
        failed: list[str],
        report: bytes,
        product: str = "Milan",
        kind: str = "vcek",
        *,
        way: list[str] | None = None,
    ) -> None:
        usual = [f"{product} {kind}", f"{product} {kind} issuer"]
        certificates[usual[0]], certificates[usual[1]] = made.leaf(product, kind), made.ask(product, kind)
        vectors.append({"name": name, "failed": failed, "report": text(report), "certificates": way or usual})

    def signed(product: str = "Milan", kind: str = "vcek", **changes: int | bytes) -> bytes:
        return made.evidence(product, kind, **changes).report

    for product in made.CPUID:
        for kind in ("vcek", "vlek"):
            add(f"{product}, {kind}, version 5", [], signed(product, kind), product, kind)
    for version in (2, 3, 4):
        add(f"Milan, vcek, version {version}", [], signed(version=version))
        add(f"Turin, vcek, version {version}", [], signed("Turin", version=version), "Turin")

    add("debug", ["refused-debug"], signed(policy=made.POLICY | made.DEBUG))
    add("migration agent", ["refused-migration_agent"], signed(policy=made.POLICY | made.MIGRATE))
    add("firmware not committed", ["refused-provisional_firmware"], signed(committed_tcb=LOWER))
    add("VMPL 1", ["vmpl"], signed(vmpl=1))
    add("another measurement", ["accepted-measurement"], signed(measurement=b"\1" * 48))
    add("other report data", ["report-data"], signed(report_data=b"\1" * 64))
    add("lower TCB", ["minimum-tcb"], signed(**LOWER_EVERYWHERE), way=["VCEK of lower TCB", "Milan vcek issuer"])
    add("lower TCB at launch", ["minimum-tcb"], signed(launch_tcb=LOWER))
    add(
        "firmware above the certificate's",
        ["certificate-tcb"],
        signed(),
        way=["VCEK of lower TCB", "Milan vcek issuer"],
    )
    add("reported above current", ["tcb-order", "refused-provisional_firmware"], signed(current_tcb=LOWER))
    add("another chip", ["chip-id"], signed(), way=["VCEK of another chip", "Milan vcek issuer"])
    add("masked chip", ["chip-id"], signed(chip_id=bytes(64)))
    add("says it is signed by a VLEK", ["signing-key"], signed(key_flags=made.VLEK))
    add("not signed", ["signature", "root"], bytes(made.unsigned()))
    flipped = bytearray(signed())
    flipped[0x90] ^= 1
    add("bit of the measurement flipped", ["signature", "root", "accepted-measurement"], bytes(flipped))
    add("expired VCEK", ["validity", "root"], signed(), way=["expired VCEK", "Milan vcek issuer"])
    add("another root", ["chain", "validity", "root"], signed(), way=["Milan vcek", "ASK under another root"])
    add(
        "VCEK by another key", ["chain", "validity", "root"], signed(), way=["VCEK by another key", "Milan vcek issuer"]
    )
    add("asked for by the host", ["format"], signed(vmpl=0xFFFFFFFF))
    add("reserved policy bit", ["format"], signed(policy=made.POLICY | 1 << 40))
    add("version 6", ["format"], signed(version=6))

    content = {
        "at": made.AT.isoformat(),
        "report_data": made.REPORT_DATA.hex(),
        "roots": {product: text(made.ark(product)) for product in made.CPUID},
        "certificates": {name: text(der) for name, der in certificates.items()},
        "vectors": vectors,
    }
    (HERE / "sev-snp.json").write_text(json.dumps(content, indent=1) + "\n")
    SAMPLES.mkdir(exist_ok=True)
    (SAMPLES / "sev-snp.evidence").write_bytes(made.evidence("Genoa").encode())
    (SAMPLES / "sev-snp.root.der").write_bytes(made.ark("Genoa"))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    main()
