"""Writes ``devices.json`` and the samples of `quatrefoil bench attest` for Nitro and GPUs: run it in this folder.

Keys are made anew and signatures are randomised: each run gives other bytes with the same verdicts.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import gpu_reports as gpus  # noqa: E402
import nitro_documents as nitro  # noqa: E402
from gpu_reports import DRIVER_MANIFEST, OPAQUE, VBIOS_MANIFEST  # noqa: E402
from nitro_documents import PCRS  # noqa: E402
from p384 import AT  # noqa: E402
from quatrefoil.enclave.evidence import Evidence, EvidenceSet  # noqa: E402
from quatrefoil.enclave.paths import Root  # noqa: E402

SAMPLES = HERE.parents[2] / "src" / "quatrefoil" / "bench" / "samples"
DAY = timedelta(days=1)
NO_CHAIN = ["chain", "validity"]


def enclaves() -> list[dict[str, Any]]:
    vectors = []

    def add(name: str, failed: list[str], made: nitro.Made) -> None:
        vectors.append({"name": f"enclave, {name}", "failed": failed, "evidence": text(made.evidence().encode())})

    good = nitro.Made()
    add("good", [], good)
    add("good, of a length", [], good.with_(indefinite=False))
    add("another image", ["accepted-pcr0"], good.with_(pcrs={**PCRS, 0: b"\2" * 48}))
    add("in debug", ["not-debug", "accepted-pcr0"], good.with_(pcrs={**PCRS, **dict.fromkeys((0, 1, 2), bytes(48))}))
    add("another instance", ["accepted-pcr4"], good.with_(pcrs={**PCRS, 4: b"\2" * 48}))
    add("replayed", ["report-data"], good.with_(user_data=b"\1" * 32))
    add("report data as nonce", ["report-data"], good.with_(user_data=None, nonce=nitro.REPORT_DATA))
    add("too old", ["age"], good.with_(made_at=AT - timedelta(seconds=400)))
    add("from the future", ["age"], good.with_(made_at=AT + timedelta(seconds=400)))
    add("another root", [*NO_CHAIN, "root"], good.with_(root="another"))
    add("forged", ["signature", "root"], good.with_(signed_by="stranger"))
    add("signed by the instance", ["signature", "root"], good.with_(signed_by=nitro.INSTANCE))
    expired = {nitro.ENCLAVE: {"end": AT - timedelta(seconds=1)}}
    add("expired", ["validity", "root"], good.with_(chain=expired))
    not_ca = {nitro.INSTANCE: {"ca": False}}
    add("authority that is none", [*NO_CHAIN, "root"], good.with_(chain=not_ca))
    renamed = good.with_(left_out=("pcrs",), changes={"pcrs": 0, "nitrotpm_pcrs": PCRS})
    add("of a NitroTPM", ["format"], renamed)
    add("header that nobody signed", ["format"], good.with_(unprotected={4: b"kid"}))
    add("another digest", ["format"], good.with_(digest="SHA256"))
    add("without PCR2", ["format"], good.with_(pcrs={0: PCRS[0], 1: PCRS[1]}))
    return vectors


def devices() -> list[dict[str, Any]]:
    vectors = []

    def add(name: str, failed: list[str], made: gpus.Made, given: str = "good", policy: str = "policy-gpu") -> None:
        evidence = text(made.evidence().encode())
        vector = {"name": f"GPU, {name}", "failed": failed, "evidence": evidence, "collateral": given}
        vectors.append(vector | {"policy": policy})

    good = gpus.Made()
    add("good", [], good)
    add("other firmware", ["golden", "required-golden"], good.with_(measurements={**good.measurements, 2: bytes(48)}))
    add("without its machine", ["machine"], good, policy="policy-devices")
    add("no manifests", ["required-golden"], good, "none")
    add("expired manifest", ["golden", "required-golden"], good, "expired")
    add("forged manifest", ["golden", "required-golden"], good, "another root")
    old = {**OPAQUE, 3: b"550.54.14\0"}
    add("other driver", ["golden", "accepted-driver_version", "required-golden"], good.with_(opaque=old))
    add("protected PCIe", ["accepted-mode"], good.with_(opaque={**OPAQUE, 21: b"\xaa"}))
    add("replayed", ["report-data"], good.with_(nonce=b"\1" * 32))
    none = [*NO_CHAIN, "product", "firmware-identity", "root"]
    add("another root", none, good.with_(root="another"))
    add("forged", ["signature", "root"], good.with_(signed_by="stranger"))
    add("certificate of other firmware", ["firmware-identity"], good.with_(opaque={**OPAQUE, 20: bytes(48)}))
    add("expired", ["validity", "root"], good.with_(chain={gpus.FIRMWARE: {"end": AT - DAY}}))
    add("raw measurements", ["format"], good.with_(kind=0x81))
    add("SPDM 1.2", ["format"], good.with_(request=bytes([0x12, 0xE0, 1, 0xFF])))
    add("unknown field", ["format"], good.with_(opaque={**OPAQUE, 99: b""}))
    return vectors


def sets() -> list[dict[str, Any]]:
    vectors = []

    def add(name: str, failed: list[str], *devices: Evidence, machine: nitro.Made | None = None) -> None:
        made = EvidenceSet((machine or nitro.Made()).evidence(), devices)
        vectors.append({"name": name, "failed": failed, "evidence": text(made.encode()), "collateral": "good"})

    one, other = gpus.Made(), gpus.Made(chip="another chip")
    add("set of an enclave and a GPU", [], one.evidence())
    add("set of an enclave and two GPUs", [], one.evidence(), other.evidence())
    add("set with a replayed GPU", ["gpu0-report-data"], one.with_(nonce=b"\1" * 32).evidence())
    add("set with one GPU twice", ["gpus"], one.evidence(), one.with_(opaque={**OPAQUE, 14: b"\1"}).evidence())
    add(
        "set with a bad GPU",
        ["gpu1-accepted-mode"],
        one.evidence(),
        other.with_(opaque={**OPAQUE, 36: b"\2"}).evidence(),
    )
    replayed = nitro.Made(user_data=b"\1" * 32)
    add("set with a replayed machine", ["report-data"], one.evidence(), machine=replayed)
    return vectors


def main() -> None:
    manifests = {
        "none": (),
        "good": (VBIOS_MANIFEST, DRIVER_MANIFEST),
        "expired": (VBIOS_MANIFEST.with_(end=AT - DAY), DRIVER_MANIFEST),
        "another root": (VBIOS_MANIFEST, DRIVER_MANIFEST.with_(root="another")),
    }
    roots = {
        "nitro": nitro.root(),
        "devices": gpus.roots().devices,
        "manifests": gpus.roots().manifests,
    }
    content = {
        "at": AT.isoformat(),
        "report_data": nitro.REPORT_DATA.hex(),
        "roots": {name: text(der(root)) for name, root in roots.items()},
        "collateral": {name: [one.document().decode() for one in given] for name, given in manifests.items()},
        "vectors": [*enclaves(), *devices(), *sets()],
    }
    (HERE / "devices.json").write_text(json.dumps(content, indent=1) + "\n")
    (SAMPLES / "nitro.evidence").write_bytes(nitro.Made().evidence().encode())
    (SAMPLES / "nitro.root.der").write_bytes(der(roots["nitro"]))
    (SAMPLES / "nvidia-cc.evidence").write_bytes(gpus.Made().evidence().encode())
    for number, made in enumerate((VBIOS_MANIFEST, DRIVER_MANIFEST)):
        (SAMPLES / f"nvidia-cc.manifest{number}.json").write_bytes(made.document())
    for name in ("devices", "manifests"):
        (SAMPLES / f"nvidia-cc.{name}.der").write_bytes(der(roots[name]))


def der(root: Root) -> bytes:
    return root.certificate.public_bytes(Encoding.DER)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    main()
