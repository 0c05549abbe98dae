"""TCB versions of AMD processors: 8 bytes laid out by product (AMD publication 56860, SEV-SNP ABI, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping

from quatrefoil.errors import EvidenceRejected

_BEFORE_TURIN: Mapping[str, int] = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
_TURIN: Mapping[str, int] = {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}

LAYOUTS: Mapping[str, Mapping[str, int]] = {"Milan": _BEFORE_TURIN, "Genoa": _BEFORE_TURIN, "Turin": _TURIN}
"""Product -> component -> its byte. Bytes that belong to no component are reserved and zero."""

CHIP_ID_BYTES: Mapping[str, int] = {"Milan": 64, "Genoa": 64, "Turin": 8}
"""How much of CHIP_ID identifies the chip; a Turin report has zeros after that."""


def decode(raw: bytes, product: str) -> dict[str, int]:
    """Security version numbers by component, or ``EvidenceRejected`` where a reserved byte is not zero.

    Which layout applies is a matter of the product: the same eight bytes mean other versions on Turin.
    """
    layout = LAYOUTS[product]
    if any(raw[byte] for byte in range(8) if byte not in layout.values()):
        raise EvidenceRejected(
            f"a TCB version {raw.hex()} has reserved bytes of {product} set",
            hint="Use a version of Quatrefoil that knows this processor, or ask for a report of the right product",
            check="format",
        )
    return {component: raw[byte] for component, byte in layout.items()}


def product_of(family: int, model: int) -> str | None:
    """The product of a CPUID family and model (both combined with their extended parts), or ``None``.

    Genoa's line includes Bergamo and Siena. Source: AMD publication 57230, chapter 3.
    """
    if family == 0x19:
        return {0x0: "Milan", 0x1: "Genoa", 0xA: "Genoa"}.get(model >> 4)
    return "Turin" if family == 0x1A and model <= 0x11 else None


def not_above(lower: Mapping[str, int], upper: Mapping[str, int]) -> bool:
    """Whether no component of ``lower`` is above the same one of ``upper``."""
    return all(version <= upper[component] for component, version in lower.items())


def written(versions: Mapping[str, int]) -> str:
    return " ".join(f"{component} {version}" for component, version in versions.items())


__all__ = ["CHIP_ID_BYTES", "LAYOUTS", "decode", "not_above", "product_of", "written"]
