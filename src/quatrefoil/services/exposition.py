"""The text form of Prometheus, version 0.0.4: what counts of services and of a server are written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def counter(name: str, text: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> list[str]:
    """A counter by the values of ``labels``. One without labels is there before anything was counted."""
    whole = f"{name}_total"
    lines = [f"# HELP {whole} {text}", f"# TYPE {whole} counter"]
    if not labels:
        return [*lines, f"{whole} {counts.get((), 0)}"]
    for values, number in sorted(counts.items()):
        pairs = ",".join(f'{label}="{value}"' for label, value in zip(labels, values, strict=True))
        lines.append(f"{whole}{{{pairs}}} {number}")
    return lines


def gauge(name: str, text: str, value: float) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value:.17g}"]


__all__ = ["CONTENT_TYPE", "counter", "gauge"]
