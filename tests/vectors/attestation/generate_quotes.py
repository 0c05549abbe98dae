"""Writes ``quotes.json`` and the samples of `quatrefoil bench attest` for TDX, SGX and TPM: run it in this folder.

Keys are made anew and signatures are randomised: each run gives other bytes with the same verdicts.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import dcap_quotes as dcap  # noqa: E402
import tpm_quotes as tpm  # noqa: E402
from dcap_quotes import CURRENT, OLD, OLDEST, SGX, Platform  # noqa: E402
from quatrefoil.enclave.tpm import structures  # noqa: E402

SAMPLES = HERE.parents[2] / "src" / "quatrefoil" / "bench" / "samples"
EARLY = dcap.AT - timedelta(days=1)
CLOSED = dcap.SEPT_VE_DISABLE
NOBODY = ["platform", "root"]
"""Where the platform is not established, nobody vouches, and nothing is known of it."""
UNKNOWN = ["accepted-ppid", "refused-smt_enabled", "minimum-tcb", "status"]


def intel() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Vectors, and the collateral that they name: one document for all that differ in their quotes only."""
    vectors, documents, names = [], {}, {}

    def add(name: str, failed: list[str], quote: Platform, collateral: Platform | None = None) -> None:
        said = (collateral or quote).with_(body={}, qe={}, versions=CURRENT, version=4)
        if repr(said) not in names:
            names[repr(said)] = name
            documents[name] = said.document().decode()
        evidence = text(quote.evidence().encode())
        vectors.append({"name": name, "failed": failed, "evidence": evidence, "collateral": names[repr(said)]})

    td, td5 = Platform(), Platform(version=5)
    for name, good in (("TD report 1.0", td), ("TD report 1.5", td5), ("enclave", SGX)):
        add(name, [], good)
        add(f"{name}, replayed", ["report-data"], good.with_(body={**good.body, "reportdata": b"\1" * 64}))
        add(f"{name}, TCB out of date", ["minimum-tcb", "status"], good.with_(versions=OLD))
        add(f"{name}, TCB of no level", [*NOBODY, *UNKNOWN], good.with_(versions=OLDEST))
    for name, good in (("TD", td), ("enclave", SGX)):
        add(f"{name}, quoting enclave out of date", ["minimum-tcb", "status"], good.with_(qe={"isvsvn": 3}))
        add(f"{name}, revoked platform", [*NOBODY, *UNKNOWN], good.with_(revoked=("PCK",)))
        add(f"{name}, expired TCB info", ["collateral", *NOBODY, *UNKNOWN], good.with_(tcb_until=EARLY))
        add(f"{name}, another root", ["root-certificate", *NOBODY, *UNKNOWN], good.with_(root="other root"))
        forged = ["quoting-enclave", *NOBODY, *UNKNOWN]
        add(f"{name}, key of no quoting enclave", forged, good.with_(qe={"reportdata": bytes(64)}))
    add("TD, weak status", ["status"], td.with_(levels=((CURRENT, "SWHardeningNeeded", ()),)))
    add("TD, rejected advisory", ["advisories"], td.with_(levels=((CURRENT, "UpToDate", ("INTEL-SA-00001",)),)))
    add("TD, TCB revoked", [*NOBODY, *UNKNOWN], td.with_(levels=((CURRENT, "Revoked", ()),)))
    add("TD, expired revocation lists", ["collateral", *NOBODY, *UNKNOWN], td.with_(lists_until=EARLY))
    add("TD, collateral of an earlier recovery", ["minimum-tcb"], td.with_(evaluation=16))
    other = td.with_(fmspc="000000000001")
    add("TD, collateral of other platforms", ["collateral", *NOBODY, *UNKNOWN], td, other)
    attributes = ["attributes", *NOBODY, *UNKNOWN]
    for name, bits in (("debug", dcap.DEBUG | CLOSED), ("migratable", dcap.MIGRATABLE | CLOSED), ("exceptions", 0)):
        for good in (td, td5):
            add(f"TD {name}, version {good.version}", attributes, good.with_(body={"tdattributes": bits}))
    add("TD with a service TD", attributes, td5.with_(body={"mrservicetd": b"\1" * 48}))
    add("TD of another firmware", ["accepted-mrtd"], td.with_(body={"mrtd": b"\1" * 48}))
    add("TD of another kernel", ["accepted-rtmr1"], td.with_(body={"rtmr1": b"\1" * 48}))
    relaunch = td5.with_(body={"teetcbsvn": bytes([OLD, 1] + [OLD] * 14)})
    add("TD launched before an update", ["minimum-tcb", "status"], relaunch)
    add("enclave in debug", attributes, SGX.with_(body={**SGX.body, "attributes": 7}))
    add("another enclave", ["accepted-mrenclave"], SGX.with_(body={**SGX.body, "mrenclave": b"\1" * 32}))
    add("older build of the enclave", ["minimum-tcb"], SGX.with_(body={**SGX.body, "isvsvn": 2}))
    return vectors, documents


def machines() -> list[dict[str, Any]]:
    vectors = []
    good = tpm.Made(values={0: b"\1" * 32, 7: b"\7" * 32}, nonce=dcap.REPORT_DATA[:32])
    pinned = tuple(good.with_(key=tpm.key(kind)) for kind in ("p256", "p384", "rsa"))

    def add(name: str, failed: list[str], made: tpm.Made, *, key: tpm.Made | None = None) -> None:
        keys = [text((key or made).spki)]
        vectors.append({"name": name, "failed": failed, "evidence": text(made.evidence().encode()), "keys": keys})

    for kind, made in zip(("P-256", "P-384", "RSA"), pinned, strict=True):
        add(f"TPM, {kind}", [], made)
    add("TPM, RSAPSS, SHA-384", [], pinned[2].with_(scheme=structures.RSAPSS, hash="sha384"))
    add("TPM, replayed", ["report-data"], good.with_(nonce=bytes(32)))
    add("TPM, register changed", ["accepted-pcr7"], good.with_(values={**good.values, 7: b"\1" * 32}))
    add("TPM, register not quoted", ["accepted-pcr7"], good.with_(values={0: b"\1" * 32}))
    add("TPM, older firmware", ["minimum-tcb"], good.with_(firmware=5))
    add("TPM, another machine's key", ["signer", "root"], good.with_(key=tpm.key("p256", 9)), key=good)
    add("TPM, forged", ["signature", "root"], good.with_(signed_by=tpm.key("p256", 9)))
    add("TPM, key not restricted", ["key-attributes"], good.with_(attributes=tpm.AK & ~structures.RESTRICTED))
    add("TPM, key that may leave", ["key-attributes"], good.with_(attributes=tpm.AK & ~structures.FIXED_TPM))
    add("TPM, not made by a TPM", ["format"], good.with_(magic=0x01020304))
    add("TPM, not a quote", ["format"], good.with_(kind=0x8017))
    add("TPM, SHA-1 bank", ["format"], good.with_(bank="sha1", values={0: b"\1" * 20}))
    return vectors


def main() -> None:
    vectors, documents = intel()
    content = {
        "at": dcap.AT.isoformat(),
        "report_data": dcap.REPORT_DATA[:32].hex(),
        "root": text(dcap.root().der),
        "collateral": documents,
        "vectors": [*vectors, *machines()],
    }
    (HERE / "quotes.json").write_text(json.dumps(content, indent=1) + "\n")
    SAMPLES.mkdir(exist_ok=True)
    for kind, platform in (("tdx", Platform()), ("sgx", SGX)):
        (SAMPLES / f"{kind}.evidence").write_bytes(platform.evidence().encode())
        (SAMPLES / f"{kind}.collateral.json").write_bytes(platform.document())
    (SAMPLES / "intel.root.der").write_bytes(dcap.root().der)
    (SAMPLES / "tpm.evidence").write_bytes(tpm.Made().evidence().encode())
    (SAMPLES / "tpm.key.der").write_bytes(tpm.Made().spki)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    main()
