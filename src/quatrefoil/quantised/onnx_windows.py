"""Pads and strides of windows, as attributes of ONNX's nodes say them."""

from __future__ import annotations

from typing import Any

from quatrefoil.errors import ModelRefused


def pads_of(options: dict[str, Any], kernel: tuple[int, int], label: str) -> tuple[int, int, int, int]:
    """Top, left, bottom, right; fewer than the window has. ``ModelRefused`` names the node."""
    how = options.get("auto_pad", b"NOTSET")
    if how == b"VALID":
        return (0, 0, 0, 0)
    if how in (b"SAME_UPPER", b"SAME_LOWER"):
        raise ModelRefused(f"node {label}: auto_pad {how.decode()}", hint="Export with explicit pads")
    pads = tuple(options.get("pads", (0, 0, 0, 0)))
    if (
        len(pads) != 4
        or min(pads) < 0
        or pads[0] >= kernel[0]
        or pads[2] >= kernel[0]
        or max(pads[1], pads[3]) >= kernel[1]
    ):
        raise ModelRefused(f"node {label}: pads {pads} around windows {kernel}", hint="Export with smaller pads")
    return pads


def strides_of(options: dict[str, Any]) -> tuple[int, int]:
    """Down and right; 0 and 0 where they are of something else than an image, which no step takes."""
    strides = tuple(options.get("strides", (1, 1)))
    return (strides[0], strides[1]) if len(strides) == 2 else (0, 0)


__all__ = ["pads_of", "strides_of"]
