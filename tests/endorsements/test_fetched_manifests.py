"""Manifests from NVIDIA's service: taken if they are signed under the pinned root and of the versions asked for."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest
from vendors import BOARD, DRIVER_PATH, VBIOS_PATH, Reply, Server, nvidia

import gpu_reports
import p384
from dcap_quotes import AT
from gpu_reports import DRIVER, DRIVER_MANIFEST, VBIOS, VBIOS_MANIFEST
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.nvidia import verify
from quatrefoil.endorsements import nvidia as client
from quatrefoil.endorsements import parts
from quatrefoil.endorsements.needs import NvidiaNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Web
from quatrefoil.errors import EvidenceRejected, HostError, MessageRefused

NEED = NvidiaNeed(DRIVER, VBIOS, BOARD)
EARLY = AT - timedelta(days=1)


def fetch(server: Server, web: Web) -> tuple[Fetched, ...]:
    return client.fetch(NEED, web, AT, gpu_reports.roots().manifests, service=server.url)


def test_what_is_fetched_is_what_the_report_is_held_to(server: Server, web: Web) -> None:
    server.routes |= nvidia()
    found = fetch(server, web)
    given = Collateral.of_files({Path(one.name): one.data for one in found})
    findings = verify(gpu_reports.Made().evidence(), given, AT, roots=gpu_reports.roots())
    assert not findings.failed and findings.claims.facts["golden"] is True
    assert tuple(one.name for one in found) == client.file_names(NEED)


def test_the_manifest_is_kept_and_no_other_field(server: Server, web: Web) -> None:
    more = json.loads(DRIVER_MANIFEST.document()) | {"tcb_info": "{}", "x": 1}
    server.routes |= nvidia(driver=json.dumps(more).encode())
    assert set(json.loads(fetch(server, web)[0].data)) == {"id", "rim"}


def test_its_dates_are_those_of_who_signed(server: Server, web: Web) -> None:
    server.routes |= nvidia()
    (found, _) = fetch(server, web)
    (signer, root) = parts.read(found.name, found.data)
    assert (signer.name, signer.until, root.moves) == ("certificate of RIM signer", p384.EXPIRES, False)


def test_a_manifest_that_nvidia_does_not_have(server: Server, web: Web) -> None:
    server.routes |= nvidia()
    del server.routes[VBIOS_PATH]
    with pytest.raises(EvidenceRejected, match="has no manifest NV_GPU_VBIOS_1010_0200_882_96009F0001: localhost"):
        fetch(server, web)


ATTACKS = {
    "another root": (DRIVER_MANIFEST.with_(root="other").document(), "."),
    "by a stranger": (DRIVER_MANIFEST.with_(signed_by="other").document(), "not signed by the first certificate"),
    "expired signer": (DRIVER_MANIFEST.with_(end=EARLY).document(), "expired on 2026-05-31"),
    "of another version": (DRIVER_MANIFEST.with_(version="550.90.06").document(), "GH100 550.90.06, not of GH100 550"),
    "of another product": (DRIVER_MANIFEST.with_(product="GB100").document(), "is of GB100"),
    "that of the VBIOS": (VBIOS_MANIFEST.document(), "is of GH100 96.00"),
    "altered": (DRIVER_MANIFEST.with_(after=('size="48"', 'size="49"')).document(), "."),
    "garbage": (b"<html>", "not strict JSON"),
    "empty": (b"", "not strict JSON"),
    "a list": (b"[]", "holds no manifest"),
    "no manifest": (b'{"id": "x"}', "holds no manifest"),
    "no base64": (b'{"id": "x", "rim": "???"}', "."),
    "no XML": (json.dumps({"id": "x", "rim": base64.b64encode(b"xml").decode()}).encode(), "."),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_service_that_lies_is_refused(server: Server, web: Web, name: str) -> None:
    document, says = ATTACKS[name]
    server.routes |= nvidia()
    server.routes[DRIVER_PATH] = Reply(document)
    with pytest.raises(MessageRefused, match=rf"localhost, NV_GPU_DRIVER_GH100_550\.90\.07: .*{says}"):
        fetch(server, web)


def test_a_manifest_in_a_folder_that_cannot_be_read_is_named() -> None:
    with pytest.raises(HostError, match=r"a\.json: "):
        parts.read("a.json", b'{"id": "x", "rim": "???"}')
