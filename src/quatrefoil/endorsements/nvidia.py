"""Reference integrity manifests (RIM) of a GPU's driver and VBIOS from NVIDIA's service.

Source: NVIDIA RIM service, ``GET /v1/rim/ID``, which answers with JSON of ``id``, ``rim`` (Base64) and ``sha256``. IDs
are put together as in NVIDIA/nvtrust (``local_gpu_verifier``).

The service is believed nothing: a manifest must be signed under the pinned root, of the product and version asked for,
and hold now. Of its answer the manifest is kept, and no other field.
"""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import urlsplit

from quatrefoil import strict_json
from quatrefoil.enclave import certificates
from quatrefoil.enclave.collateral import LARGEST_FILE
from quatrefoil.enclave.nvidia.manifest import Manifest
from quatrefoil.enclave.nvidia.verify import PRODUCT
from quatrefoil.enclave.paths import Root
from quatrefoil.endorsements.needs import NvidiaNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Answer, Web
from quatrefoil.errors import EvidenceRejected, MessageRefused

SERVICE = "https://rim.attestation.nvidia.com"


def fetch(need: NvidiaNeed, web: Web, at: datetime, root: Root, *, service: str = SERVICE) -> tuple[Fetched, ...]:
    """The manifest of the driver, and that of the VBIOS."""
    return tuple(
        _manifest(
            web.get(f"{service}/v1/rim/{name}", unknown=f"NVIDIA's service has no manifest {name}"),
            name,
            version,
            at,
            root,
        )
        for name, version in _names(need)
    )


def file_names(need: NvidiaNeed) -> tuple[str, ...]:
    return tuple(_file(name) for name, _ in _names(need))


def _names(need: NvidiaNeed) -> tuple[tuple[str, str], tuple[str, str]]:
    """The service's names of the manifests, each with the version that it must say."""
    return (
        (f"NV_GPU_DRIVER_{PRODUCT}_{need.driver}", need.driver.upper()),
        (f"NV_GPU_VBIOS_{need.board.upper()}_{need.vbios.replace('.', '').upper()}", need.vbios.upper()),
    )


def _file(name: str) -> str:
    return f"nvidia-{name.lower().replace('_', '-').replace('.', '-')}.json"


def _manifest(answer: Answer, name: str, version: str, at: datetime, root: Root) -> Fetched:
    host = urlsplit(answer.url).hostname
    try:
        value = strict_json.parse(answer.body, f"the manifest of {host}", limit=LARGEST_FILE)
        if not isinstance(value, dict) or not isinstance(value.get("rim"), str):
            raise EvidenceRejected("the answer holds no manifest", hint="Check the address of the service")
        data = json.dumps({"id": name, "rim": value["rim"]}, indent=1).encode()
        found = Manifest.read(data)
        problem = certificates.reading("certificate", lambda: found.problem(at, root))
        if (found.product, found.version) != (PRODUCT, version):
            problem = f"the manifest is of {found.product} {found.version}, not of {PRODUCT} {version}"
    except EvidenceRejected as refusal:  # at fault is the server that sent it
        problem = refusal.problem
    if problem:
        raise MessageRefused(f"{host}, {name}: {problem}", hint="Fetch from NVIDIA's own service; nothing was changed")
    return Fetched(_file(name), f"manifest {name}", data, (answer.url,))


__all__ = ["SERVICE", "fetch", "file_names"]
