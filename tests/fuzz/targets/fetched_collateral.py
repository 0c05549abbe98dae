"""What services of vendors answer, and files in a folder of collateral: read before anything is believed."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.fuzz.held import refused_or

import gpu_reports
from dcap_quotes import AT, FMSPC, Platform, root
from quatrefoil.endorsements import intel, nvidia, parts
from quatrefoil.endorsements.needs import IntelNeed, NvidiaNeed
from quatrefoil.endorsements.web import Answer

NEED = IntelNeed("TDX", FMSPC, "platform")
GPU = NvidiaNeed("550.90.07", "96.00.9F.00.01", "1010_0200_882")
INFO, IDENTITY, PCK, ROOT, CHAIN, RIM, FILE = range(7)
"""By the first byte: which answer the rest is, or a file whose name the second byte chooses."""
NAMES = ("a.json", "a.pem", "a.der", "a.crl", "tpm-root-a.pem", "tpm-key-a.pem", "tpm-key-a.json", "a.cer")
LARGEST = 1 << 16


@cache
def document() -> dict[str, Any]:
    return dict(json.loads(Platform().document()))


@cache
def answers() -> tuple[bytes, ...]:
    """As Intel's service gives them, in their order, and the chain of the first."""
    said = document()
    info = f'{{"tcbInfo": {said["tcb_info"]}, "signature": "{said["tcb_info_signature"]}"}}'
    identity = f'{{"signature": "{said["qe_identity_signature"]}",\n "enclaveIdentity":{said["qe_identity"]}}}'
    lists = [bytes.fromhex(said[name]) for name in ("pck_crl", "root_ca_crl")]
    return info.encode(), identity.encode(), *lists, urllib.parse.quote(said["tcb_info_issuer_chain"]).encode()


class Service:
    """Intel's, with one answer that is another."""

    def __init__(self, which: int, content: bytes) -> None:
        self._bodies = [content if at == which else body for at, body in enumerate(answers())]

    def get(self, url: str, *, unknown: str) -> Answer:
        at = next(at for at, part in enumerate(("/tcb?", "/qe/identity", "/pckcrl?", "/root")) if part in url)
        said, given = document(), self._bodies[CHAIN].decode("latin-1")
        identity, lists = (
            urllib.parse.quote(said[name]) for name in ("qe_identity_issuer_chain", "pck_crl_issuer_chain")
        )
        headers: Mapping[str, str] = {
            "tcb-info-issuer-chain": given,
            "sgx-enclave-identity-issuer-chain": identity,
            "sgx-pck-crl-issuer-chain": lists,
        }
        return Answer(url, self._bodies[at], headers)


class Rims:
    """NVIDIA's service."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def get(self, url: str, *, unknown: str) -> Answer:
        return Answer(url, self._content, {})


def seeds() -> list[bytes]:
    said = document()
    odd = {
        "tcb_info_issuer_chain": "\ud800",
        "tcb_info": json.dumps({**json.loads(said["tcb_info"]), "nextUpdate": "0001-01-01T00:00:00+14:00"}),
        "qe_identity": "[" * 9999,
        "pck_crl": "3",
    }
    documents = [said, *(said | {name: value} for name, value in odd.items())]
    pem = said["tcb_info_issuer_chain"].encode()
    files = [bytes([FILE, 0]) + json.dumps(one).encode() for one in documents]
    files += [bytes([FILE, at]) + pem for at in (1, 2, 4, 5)] + [bytes([FILE, 3]) + answers()[ROOT]]
    files += [bytes([FILE, 0]) + gpu_reports.DRIVER_MANIFEST.document()]
    rim = gpu_reports.DRIVER_MANIFEST.document()
    return [*(bytes([at]) + body for at, body in enumerate(answers())), bytes([RIM]) + rim, *files]


def one(data: bytes) -> None:
    """What is taken is written from what was signed under the vendor's root."""
    which, content = (data[0] if data else 0) % 7, data[1 : LARGEST + 1]
    if which == FILE:
        refused_or(lambda: parts.read(NAMES[(content[0] if content else 0) % len(NAMES)], content[1:]))
    elif which == RIM:
        web: Any = Rims(content)
        refused_or(lambda: nvidia.fetch(GPU, web, AT, gpu_reports.roots().manifests))
    else:
        service: Any = Service(which, content)
        found = refused_or(
            lambda: intel.fetch(
                NEED, service, AT, root(), service="https://a.example", root_list="https://a.example/root"
            )
        )
        if found is not None:
            written = json.loads(found.data)
            assert {name: written[name] for name in ("tcb_info", "qe_identity")} == {
                name: document()[name] for name in ("tcb_info", "qe_identity")
            }
