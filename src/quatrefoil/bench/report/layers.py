"""The table of the four layers: what each cost here, with its shape, beside what is commonly quoted for it.

The quoted ranges are those that overviews repeat, mostly without a shape; ``source`` names a published measurement near
them that we know, and says where that differs. They are no figures of ours, and no bar or ratio is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quatrefoil.bench.report.finding import number

Results = Mapping[str, Mapping[str, Any]]
"""What each part that was measured wrote, by its name."""


@dataclass(frozen=True)
class Figure:
    """One measured figure: ``part`` and ``path`` where it is, ``name`` and ``shape`` with ``{}`` for what ``given``
    paths lead to, ``form`` and ``unit`` how it is written. ``ratio``: whether it is times plain, and so in the plot."""

    name: str
    part: str
    path: str
    form: str
    unit: str
    shape: str = ""
    given: tuple[str, ...] = ()
    ratio: bool = False
    plus: float = 0.0

    def value(self, results: Results) -> float | None:
        found = number(results.get(self.part, {}), self.path)
        return None if found is None else found + self.plus

    def shown(self, results: Results) -> str:
        """The figure with its shape, or that it was not measured."""
        value = self.value(results)
        if value is None:
            return f"{self.name}: not measured"
        given = [number(results.get(self.part, {}), path) for path in self.given]
        shape = self.shape.format(*("?" if one is None else f"{one:,.0f}" for one in given))
        return f"{self.name}: {value:{self.form}}{self.unit}{f' ({shape})' if shape else ''}"


@dataclass(frozen=True)
class Layer:
    """``band``: the quoted range, in times plain; ``latency`` and ``use``: of the layer, in words."""

    name: str
    quoted: str
    band: tuple[float, float] | None
    source: str
    figures: tuple[Figure, ...]
    latency: str
    latencies: tuple[Figure, ...]
    use: str
    peers: tuple[Figure, ...] = ()


_SCORED = "{} rows of {} columns"
_SCORED_PATHS = ("rows[way=plain numpy].rows", "rows[way=plain numpy].columns")
_ASKED = "one row, a network of {} inputs and {} hidden units"
_SUMMED = "{} silos, {} float32 each"


def _sum(name: str, backend: str) -> Figure:
    first = f"rows[backend={backend}]"
    given = (f"{first}.silos", f"{first}.parameters")
    return Figure(name, "aggregation", f"{first}.overhead", ",.1f", " times the plain sum", _SUMMED, given, ratio=True)


def _score(name: str, way: str) -> Figure:
    return Figure(
        name, "score", f"rows[way={way}].over_plain", ",.0f", " times numpy", _SCORED, _SCORED_PATHS, ratio=True
    )


def _network(name: str, way: str) -> Figure:
    row = f"network[way={way}]"
    given = (f"{row}.inputs", f"{row}.hidden")
    return Figure(name, "score", f"{row}.over_plain", ",.0f", " times ONNX Runtime", _ASKED, given, ratio=True)


def _session(name: str, shape: str, stack: str = "hybrid-768") -> Figure:
    path = f"rows[shape={shape}][stack={stack}].ratio_median"
    return Figure(name, "transport", path, ".2f", " times classical TLS", "whole session, loopback", ratio=True)


def _served(name: str, model: str) -> Figure:
    row = f"rows[model={model}]"
    shape = "{} parameters, {} bytes a request; the layers around an enclave, without one"
    given = (f"{row}.parameters", f"{row}.request_bytes")
    return Figure(
        name, "serving", f"{row}.overhead", ".2f", " times the plain server", shape, given, ratio=True, plus=1.0
    )


LAYERS: tuple[Layer, ...] = (
    Layer(
        "Homomorphic encryption",
        "10 to 100 times",
        (10, 100),
        "Zhang et al., BatchCrypt (USENIX ATC 2020): batching alone makes encrypted training 23 to 93 times faster",
        (
            _sum("sums, our scheme", "additive-rlwe/sum-256-w16"),
            _sum("sums, CKKS", "ckks/ckks-sum-4096"),
            _score("scores, CKKS", "ckks-linear-4096"),
            _score("scores, BGV", "bgv-linear-4096"),
            _network("an inference, CKKS", "ckks-network-8192"),
        ),
        "By whole ciphertexts: a few rows take as long, and as many bytes, as the thousands that fill one",
        (
            Figure(
                "all rows scored", "score", "rows[way=ckks-linear-4096].total_ms", ",.0f", " ms", _SCORED, _SCORED_PATHS
            ),
            Figure(
                "one silo's encryption",
                "aggregation",
                "rows[backend=additive-rlwe/sum-256-w16].encrypt_ms",
                ".1f",
                " ms",
            ),
        ),
        "Sums of updates, scores and statistics in batches, where whoever computes must not see the data and physical "
        "access counts. Not single requests to large models",
        (
            _sum("sums, TenSEAL", "tenseal"),
            _score("scores, TenSEAL by columns", "tenseal, a vector a column"),
            _score("scores, TenSEAL by rows", "tenseal, a vector a row"),
            _network("an inference, TenSEAL", "tenseal, a vector"),
        ),
    ),
    Layer(
        "Zero-knowledge proofs",
        "5 to 50 times for the prover, under 10 ms for the verifier",
        (5, 50),
        "no shape is usually given. NANOZK (arXiv:2603.18046) reports 43 s to prove and 23 ms to verify an answer of "
        "a model of GPT-2's size",
        (
            Figure(
                "prove, of its encryption",
                "proof",
                "prove_over_encrypt",
                ".1f",
                " times",
                "{} values",
                ("parameters",),
                True,
            ),
            Figure(
                "prove, of one epoch",
                "proof",
                "prove_over_training",
                ".2f",
                " times",
                "{} values",
                ("parameters",),
                True,
            ),
        ),
        "Paid by the prover before it sends; the verifier's is small and per update",
        (
            Figure("prove", "proof", "prove_ms", ",.0f", " ms", "{} values, {} thread", ("parameters", "threads")),
            Figure("verify", "proof", "verify_ms", ".1f", " ms"),
        ),
        "Bounds on what nobody may see: one update of a silo that may be malicious. Not proofs of whole trainings or "
        "of answers",
    ),
    Layer(
        "Trusted execution (enclaves)",
        "3 to 7 %",
        (1.03, 1.07),
        "Zhu et al. (arXiv:2409.03992): under 7 % for most requests to language models on a confidential GPU; "
        "Chrapek et al. (arXiv:2509.18886): 4 to 8 % there, under 10 % of throughput and 20 % of latency on "
        "processors",
        (
            _served("served ResNet-50", "resnet-50"),
            _served("served MobileNetV2", "mobilenet-v2"),
            _served("served tabular model", "tabular"),
        ),
        "Hardware's own cost was NOT measured: none was here. Measured is what stands around an enclave, a cost a "
        "request and none a layer",
        (
            Figure("added to one image", "serving", "rows[model=resnet-50].added_ms", ".1f", " ms", "ResNet-50"),
            Figure("added to one small request", "serving", "rows[model=tabular].added_ms", ".1f", " ms"),
            Figure("SEV-SNP evidence verified", "attest", "rows[kind=sev-snp].verify_ms", ".1f", " ms"),
            Figure("a key released", "attest", "release_ms", ".1f", " ms"),
        ),
        "Whole models, large or small, at full precision, where the maker of the hardware is trusted and nobody "
        "opens the machine",
    ),
    Layer(
        "Post-quantum channels",
        "under 5 %",
        (1.0, 1.05),
        "Kampanakis and Childs-Klein (IACR ePrint 2024/176): time to the last byte grows by under 5 % on fast, "
        "stable networks; the handshake alone by more",
        (
            _session("20 MB uploaded", "upload of 20 MB"),
            _session("requests of 1 kB on one connection", "200 requests of 1 kB on a connection"),
            _session("a connection each", "20 requests of 1 kB, a connection each"),
            _session("handshake alone", "handshake and an empty message"),
        ),
        "Once a connection: larger certificates and signatures; then as fast as any AES-256-GCM. Another stack than "
        "the classical one beside it, so part of the difference is not the algorithms'",
        (
            Figure(
                "handshake",
                "transport",
                "rows[shape=handshake and an empty message][stack=hybrid-768].median_ms",
                ".1f",
                " ms",
                "hybrid-768, certificates of both ends",
            ),
            Figure(
                "handshake, classical",
                "transport",
                "rows[shape=handshake and an empty message][stack=classical].median_ms",
                ".1f",
                " ms",
            ),
        ),
        "Every connection: whoever records today decrypts later",
    ),
)


@dataclass(frozen=True)
class Extrapolation:
    """Computed and not measured: ``value`` is ``factor`` times the measured figure at ``path``."""

    name: str
    part: str
    path: str
    factor: tuple[float, float]
    unit: str
    how: str

    def shown(self, results: Results) -> str:
        found = number(results.get(self.part, {}), self.path)
        if found is None:
            return "not computed: its figure was not measured"
        low, high = (found * factor for factor in self.factor)
        return f"{low:,.1f}{self.unit}" if low == high else f"{low:,.1f} to {high:,.1f}{self.unit}"


EXTRAPOLATIONS = (
    Extrapolation(
        "One image to a ResNet-50 inside a confidential VM",
        "serving",
        "rows[model=resnet-50].p50_ms",
        (1.03, 1.07),
        " ms",
        "the measured median with all layers, times the quoted 3 to 7 % of hardware that was not here",
    ),
    Extrapolation(
        "A hundred times as many rows scored in CKKS",
        "score",
        "rows[way=ckks-linear-4096].total_ms",
        (100.0, 100.0),
        " ms",
        "a hundred times the measured total: full ciphertexts do not depend on each other, but memory and the disk "
        "were not tried",
    ),
    Extrapolation(
        "A hundred times as many rows scored with TenSEAL, a vector a row",
        "score",
        "rows[way=tenseal, a vector a row].total_ms",
        (100.0, 100.0),
        " ms",
        "likewise; nobody waited for it",
    ),
)
