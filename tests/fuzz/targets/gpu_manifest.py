"""Reference manifests, as XML and as the service answers: what is read and holds says what was signed."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

from gpu_reports import DRIVER_MANIFEST, VBIOS_MANIFEST, Manifest, measurement, roots
from p384 import AT
from quatrefoil.enclave.nvidia.canonical import canonical, parse
from quatrefoil.enclave.nvidia.manifest import Manifest as Read
from quatrefoil.enclave.nvidia.manifest import given


@cache
def good() -> tuple[Manifest, ...]:
    return (
        VBIOS_MANIFEST.with_(golden={1: (measurement(1),)}),
        DRIVER_MANIFEST.with_(golden={22: (measurement(22), measurement(23))}),
    )


@cache
def said() -> list[tuple[object, ...]]:
    return [_said(Read.read(one.document())) for one in good()]


def seeds() -> list[bytes]:
    return [*(one.xml() for one in good()), good()[0].document()]


def one(data: bytes) -> None:
    _held(refused_or(lambda: Read.of_xml(data)))
    for found in refused_or(lambda: given({"altered": data})) or ():
        _held(found)
    element = refused_or(lambda: parse(data))
    if element is not None:
        form = canonical(element)
        assert canonical(parse(form)) == form


def _held(found: Read | None) -> None:
    if found is not None and refused_or(lambda: found.problem(AT, roots().manifests)) == "":
        assert _said(found) in said()


def _said(found: Read) -> tuple[object, ...]:
    return found.product, found.version, found.golden
