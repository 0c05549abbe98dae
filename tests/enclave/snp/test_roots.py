"""Pinned roots are AMD's, sign themselves, and an altered file is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from quatrefoil.enclave.certificates import common_name, signed_pss
from quatrefoil.enclave.snp import roots
from quatrefoil.errors import StateCorrupt


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
def test_each_root_signs_itself(product: str) -> None:
    root = roots.pinned()[product].certificate
    assert common_name(root.subject) == f"ARK-{product}" and root.issuer == root.subject
    assert signed_pss(root, root.tbs_certificate_bytes, root.signature)
    other = roots.pinned()["Genoa" if product == "Milan" else "Milan"].certificate
    assert not signed_pss(other, root.tbs_certificate_bytes, root.signature)


def test_an_altered_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "_FINGERPRINTS", {"Milan": "00" * 32})
    roots.pinned.cache_clear()
    with pytest.raises(StateCorrupt, match="root of Milan was altered"):
        roots.pinned()
    monkeypatch.undo()
    roots.pinned.cache_clear()
    assert len(roots.pinned()) == 3


def test_the_roots_are_files_of_the_package() -> None:
    folder = Path(roots.__file__).parent / "roots"
    assert {file.name for file in folder.iterdir()} == {f"ark_{name}.pem" for name in ("milan", "genoa", "turin")}
