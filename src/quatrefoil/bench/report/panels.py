"""What the page shows of each part: a plot, tables of chosen columns, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quatrefoil.bench.report import plots
from quatrefoil.bench.report.finding import is_number, number, rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = Mapping[str, Any]
Draw = Callable[[Result], "Figure | None"]


@dataclass(frozen=True)
class Column:
    """``key``: of a row; ``form``: of a number, as of ``format``, "" for text."""

    title: str
    key: str
    form: str = ""


@dataclass(frozen=True)
class Shown:
    """A table of the rows at ``path``; ``once``: the result is itself the one row, a line for each column."""

    columns: tuple[Column, ...]
    path: str = "rows"
    once: bool = False


@dataclass(frozen=True)
class Panel:
    part: str
    about: str
    tables: tuple[Shown, ...]
    draw: Draw
    said: str


def _labelled(result: Result, path: str, label: str, value: str) -> dict[str, float | None]:
    """One number a row, under the text in ``label``."""
    return {str(row.get(label)): number(row, value) for row in rows(result, path)}


def _bars(title: str, unit: str, path: str, label: str, value: str, *, log: bool = True, mine: str = "") -> Draw:
    def draw(result: Result) -> Figure | None:
        values = _labelled(result, path, label, value)
        ours = [name for name in values if mine and not name.startswith(tuple(mine.split("|")))]
        return plots.bars(title, unit, values, log=log, mine=ours)

    return draw


def _grouped(title: str, unit: str, path: str, label: str, series: Mapping[str, str], *, log: bool = True) -> Draw:
    def draw(result: Result) -> Figure | None:
        groups = {
            str(row.get(label)): {name: number(row, key) for name, key in series.items()} for row in rows(result, path)
        }
        return plots.grouped(title, unit, groups, log=log)

    return draw


def _single(title: str, unit: str, series: Mapping[str, str]) -> Draw:
    return lambda result: plots.bars(title, unit, {name: number(result, key) for name, key in series.items()})


def _channels(result: Result) -> Figure | None:
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        groups.setdefault(str(row.get("shape")), {})[str(row.get("stack"))] = number(row, "ratio_median")
    for values in groups.values():
        values.pop("classical", None)
    return plots.grouped("Whole sessions, of classical mutual TLS", "times", groups, log=False, mark=1.0)


def _byzantine(result: Result) -> Figure | None:
    """The worst attack that each defence meets, by world."""
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        world, defence, found = str(row.get("world")), str(row.get("defence")), number(row, "accuracy")
        if found is not None:
            before = groups.setdefault(world, {}).get(defence)
            groups[world][defence] = found if before is None else min(found, before)
    return plots.grouped("Accuracy under the worst attack for each defence", "accuracy", groups, log=False)


def _routing(result: Result) -> Figure | None:
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        blanket = row.get("blanket_ms")
        found = [float(value) for value in blanket.values() if is_number(value)] if isinstance(blanket, Mapping) else []
        groups[str(row.get("workload"))] = {
            "plain": number(row, "plain_ms"),
            "routed": number(row, "routed_ms"),
            "cheapest blanket choice that ran": min(found, default=None),
            "dearest": max(found, default=None) if len(found) > 1 else None,
        }
    return plots.grouped("Three workloads: plain, routed, blanket", "ms", groups)


def _planner(result: Result) -> Figure | None:
    pairs = {}
    for place, row in enumerate(rows(result, "rows")):
        predicted, measured = number(row, "predicted_ms"), number(row, "measured_ms")
        if predicted is not None and measured is not None:
            pairs[f"{place} {row.get('workload')} {row.get('phase')}"] = (predicted, measured)
    return plots.compared("Predicted beside measured; the band is 25 %", "ms", pairs, 0.25)


def _ms(*names: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(title, key, ",.2f") for title, key in names)


PANELS: tuple[Panel, ...] = (
    Panel(
        "aggregation",
        "Several silos' updates, encrypted, added and decrypted as a sum, on one thread. Overhead: one silo's "
        "encryption and everything at the server, over the plain sum. TenSEAL is set up as NVFlare sets it up.",
        (
            Shown(
                (
                    Column("Backend", "backend"),
                    Column("Silos", "silos", ",d"),
                    Column("Values", "parameters", ",d"),
                    *_ms(("Encrypt ms", "encrypt_ms"), ("Serialise ms", "serialise_ms"), ("Add ms", "add_ms")),
                    *_ms(("Decrypt ms", "decrypt_ms"), ("Plain sum ms", "plain_ms")),
                    Column("Overhead", "overhead", ".1f"),
                    Column("Bytes a silo", "bytes_per_silo", ",d"),
                    Column("Error", "max_abs_error", ".1e"),
                )
            ),
        ),
        _grouped(
            "Each step",
            "ms",
            "rows",
            "backend",
            {
                "encrypt": "encrypt_ms",
                "serialise": "serialise_ms",
                "read all": "deserialise_all_ms",
                "add": "add_ms",
                "decrypt": "decrypt_ms",
            },
        ),
        "Milliseconds of each step of an encrypted sum, by backend",
    ),
    Panel(
        "streams",
        "Updates that do not fit into memory: from file to file, including the disk.",
        (
            Shown(
                (
                    Column("Values", "parameters", ",d"),
                    Column("Silos", "silos", ",d"),
                    *_ms(("Encrypt ms", "encrypt_ms"), ("Add ms", "add_ms"), ("Decrypt ms", "decrypt_ms")),
                    Column("Bytes a silo", "bytes_per_silo", ",d"),
                    Column("Memory beyond the start, MiB", "rss_beyond_start_mib", ".0f"),
                )
            ),
        ),
        _grouped(
            "Each step", "ms", "rows", "backend", {"encrypt": "encrypt_ms", "add": "add_ms", "decrypt": "decrypt_ms"}
        ),
        "Milliseconds of each step of a streamed sum",
    ),
    Panel(
        "kernel",
        "Whole operations on one update for each copy of the hot loops that runs here, one thread.",
        (
            Shown(
                (
                    Column("Copy", "level"),
                    *_ms(
                        ("Encrypt ms", "encrypt_ms"), ("Add ms", "add_ms"), ("Plain uint64 sum ms", "plain_uint64_ms")
                    ),
                    Column("Add over plain", "add_over_plain", ".2f"),
                    *_ms(("Decrypt ms", "decrypt_ms"), ("Combine keys ms", "combine_keys_ms")),
                ),
                "operations",
            ),
        ),
        _grouped(
            "Operations",
            "ms",
            "operations",
            "level",
            {"encrypt": "encrypt_ms", "add": "add_ms", "decrypt": "decrypt_ms"},
        ),
        "Milliseconds of the kernel's operations, by instruction set",
    ),
    Panel(
        "proof",
        "A proof that one encrypted update is bounded, beside its encryption and one epoch of a training of that size.",
        (
            Shown(
                (
                    Column("Values", "parameters", ",d"),
                    Column("Threads", "threads", ",d"),
                    *_ms(("Encrypt ms", "encrypt_ms"), ("Prove ms", "prove_ms"), ("Verify ms", "verify_ms")),
                    *_ms(("One epoch of training ms", "training_ms")),
                    Column("Prove, of encryption", "prove_over_encrypt", ".1f"),
                    Column("Prove, of training", "prove_over_training", ".2f"),
                    Column("Bytes", "proof_bytes", ",d"),
                    Column("Bytes, of ciphertext", "proof_over_ciphertext", ".1%"),
                    Column("Soundness, bits", "soundness_bits", ".2f"),
                ),
                once=True,
            ),
        ),
        _single(
            "One update",
            "ms",
            {
                "encrypt": "encrypt_ms",
                "prove": "prove_ms",
                "verify": "verify_ms",
                "one epoch of training": "training_ms",
            },
        ),
        "Milliseconds to encrypt, prove, verify and train",
    ),
    Panel(
        "transport",
        "Whole sessions on loopback, from before the handshake to the goodbye of both ends. Classical: TLS 1.3 of the "
        "standard library, P-256 certificates, X25519, AES-256-GCM.",
        (
            Shown(
                (
                    Column("Session", "shape"),
                    Column("Stack", "stack"),
                    *_ms(("Median ms", "median_ms"), ("Best ms", "best_ms")),
                    Column("Of classical, median", "ratio_median", ".2f"),
                    Column("Of classical, processor", "ratio_cpu", ".2f"),
                    Column("Handshake bytes", "handshake_bytes", ",d"),
                )
            ),
        ),
        _channels,
        "Ratios of session times to classical TLS, by session and policy",
    ),
    Panel(
        "attest",
        "Evidence verified and held to a policy; a key released by the broker; a sealed model opened beside a plain "
        "copy. Samples are under roots of our own: no hardware was here.",
        (
            Shown(
                (
                    Column("Evidence", "kind"),
                    Column("Bytes", "evidence_bytes", ",d"),
                    *_ms(("Verify ms", "verify_ms"), ("Seen before ms", "cached_ms")),
                )
            ),
            Shown(
                (
                    Column("Threads", "threads", ",d"),
                    Column("MiB", "mebibytes", ",d"),
                    Column("Seal MB/s", "seal_mb_s", ",.0f"),
                    Column("Open MB/s", "open_mb_s", ",.0f"),
                    Column("Copy MB/s", "copy_mb_s", ",.0f"),
                    Column("Open, of copy", "open_of_copy", ".2f"),
                ),
                "containers",
            ),
            Shown(_ms(("Key released, ms", "release_ms"), ("of that the decision, ms", "decision_ms")), once=True),
        ),
        _grouped("Evidence", "ms", "rows", "kind", {"first seen": "verify_ms", "seen before": "cached_ms"}),
        "Milliseconds to verify evidence, by kind",
    ),
    Panel(
        "audit",
        "Appends are durable and under a checkpoint signed with both keys. Beside them the same leaves appended to a "
        "file.",
        (
            Shown(
                (
                    Column("Entries", "leaves", ",d"),
                    Column("Appends a second, one by one", "single_per_second", ",.0f"),
                    Column("plain file", "plain_single_per_second", ",.0f"),
                    Column("Appends a second, by thousands", "batched_per_second", ",.0f"),
                    Column("plain file, by thousands", "plain_batched_per_second", ",.0f"),
                    Column("Whole bundle checked, s", "bundle_verify_seconds", ".2f"),
                    Column("Inclusion proof checked, us", "inclusion_check_us", ".1f"),
                ),
                once=True,
            ),
        ),
        _single(
            "Appends a second",
            "entries a second",
            {
                "log, one by one": "single_per_second",
                "plain file, one by one": "plain_single_per_second",
                "log, by thousands": "batched_per_second",
                "plain file, by thousands": "plain_batched_per_second",
            },
        ),
        "Durable appends a second, of the log and of a plain file",
    ),
    Panel(
        "serving",
        "One request at a time, in pairs, and at saturation, beside the same server without the layers; both ends on "
        "the same cores. Evidence is a TPM's by a key in software: what hardware takes is in no figure.",
        (
            Shown(
                (
                    Column("Model", "model"),
                    Column("Parameters", "parameters", ",d"),
                    Column("Request bytes", "request_bytes", ",d"),
                    *_ms(
                        ("Plain median ms", "plain_p50_ms"), ("Median ms", "p50_ms"), ("Plain p99 ms", "plain_p99_ms")
                    ),
                    *_ms(("p99 ms", "p99_ms"), ("Added ms", "added_ms")),
                    Column("Overhead", "overhead", ".1%"),
                    Column("At saturation, of plain", "throughput_ratio", ".2f"),
                )
            ),
        ),
        _grouped("One request", "ms", "rows", "model", {"protected": "p50_ms", "plain": "plain_p50_ms"}),
        "Median latency of a protected and of a plain request, by model",
    ),
    Panel(
        "score",
        "Rows scored with a linear model on one thread. Ours writes, reads and checks the bytes that travel; TenSEAL's "
        "vectors are not serialised.",
        (
            Shown(
                (
                    Column("Way", "way"),
                    Column("Rows", "rows", ",d"),
                    Column("Columns", "columns", ",d"),
                    *_ms(("Encrypt ms", "encrypt_ms"), ("Compute ms", "compute_ms"), ("Decrypt ms", "decrypt_ms")),
                    Column("Total ms", "total_ms", ",.2f"),
                    Column("Of plain", "over_plain", ",.0f"),
                    Column("Of ours", "over_ours", ",.1f"),
                    Column("Sent bytes", "sent_bytes", ",d"),
                    Column("Error bound", "error_bound", ".1e"),
                )
            ),
        ),
        _bars("All rows scored", "ms", "rows", "way", "total_ms", mine="tenseal|plain"),
        "Milliseconds to score all rows, by way",
    ),
    Panel(
        "accuracy",
        "Federated training on real digits, with clear sums and with sums in fewer bits a value.",
        (
            Shown(
                (
                    Column("Sum", "sum"),
                    Column("Bytes a value", "bytes_per_value", ".2f"),
                    Column("Accuracy", "accuracy", ".4f"),
                    Column("Lowest", "lowest", ".4f"),
                    Column("Highest", "highest", ".4f"),
                    Column("Of clear", "difference", "+.4f"),
                )
            ),
        ),
        _bars("Accuracy", "accuracy", "rows", "sum", "accuracy", log=False),
        "Accuracy by kind of sum",
    ),
    Panel(
        "byzantine",
        "Accuracy with malicious silos. mean: nothing is checked; bound, adaptive-bound, directed-bound: proven, no "
        "update is seen; krum, median, trimmed-mean: every update is seen.",
        (
            Shown(
                (
                    Column("World", "world"),
                    Column("Attack", "attack"),
                    Column("Defence", "defence"),
                    Column("Accuracy", "accuracy", ".3f"),
                    Column("Spread", "spread", ".3f"),
                    Column("Malicious refused", "refused", ".0%"),
                )
            ),
        ),
        _byzantine,
        "Lowest accuracy over all attacks, by world and defence",
    ),
    Panel(
        "constant-time",
        "The largest |t| of Welch's tests on times, a fixed secret against random ones: over 4.5 is suspicious, over "
        "10 a leak. The control leaks on purpose.",
        (
            Shown(
                (
                    Column("Step", "step"),
                    Column("Fixed secret", "fixed"),
                    Column("Copy", "level"),
                    Column("|t|", "t", ".1f"),
                    Column("Verdict", "verdict"),
                )
            ),
        ),
        lambda result: plots.bars(
            "The largest |t| of each step, over all copies",
            "|t|",
            _largest(result),
            mark=4.5,
        ),
        "Largest t statistic by step",
    ),
    Panel(
        "demo",
        "Four real hospitals train together in processes of their own; accuracy and AUC of the perceptron, every "
        "hospital's model on all patients, and what each layer costs a round beside the same in the clear.",
        (
            Shown(
                (
                    Column("Layer, of one round", "layer"),
                    *_ms(("ms", "ms"), ("ms plain", "plain_ms")),
                    Column("Bytes", "bytes", ",d"),
                    Column("Bytes plain", "plain_bytes", ",d"),
                ),
                "costs",
            ),
            Shown(
                (
                    Column("AUC alone", "alone", ".3f"),
                    Column("pooled", "pooled", ".3f"),
                    Column("federated", "federated", ".3f"),
                    Column("encrypted", "encrypted", ".3f"),
                ),
                "auc",
                once=True,
            ),
        ),
        _grouped("One round, by layer", "ms", "costs", "layer", {"protected": "ms", "plain": "plain_ms"}),
        "Milliseconds of a round by layer, protected and plain",
    ),
    Panel(
        "routing",
        "Three workloads that really ran, for equal threats: without protection, routed by the planner, and under "
        "each choice of layers for all phases. Saved: 1 - what routing adds over what the cheapest blanket choice "
        "that answers the same threats adds. What hardware would take is in no figure.",
        (
            Shown(
                (
                    Column("Workload", "workload"),
                    Column("Threats", "threats"),
                    *_ms(("Plain ms", "plain_ms"), ("Routed ms", "routed_ms")),
                    Column("Blanket ms", "blanket_ms", ",.1f"),
                    Column("Saved", "saved_fraction", ".1%"),
                )
            ),
        ),
        _routing,
        "Milliseconds of each workload, plain, routed, and under blanket choices",
    ),
    Panel(
        "planner",
        "What the plan says a phase takes, from the costs measured on this machine, and what it then took.",
        (
            Shown(
                (
                    Column("Workload", "workload"),
                    Column("Phase", "phase"),
                    *_ms(("Predicted ms", "predicted_ms"), ("Measured ms", "measured_ms")),
                )
            ),
        ),
        _planner,
        "Predicted beside measured time of each phase",
    ),
)


def _largest(result: Result) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for row in rows(result, "rows"):
        step, t = str(row.get("step")), number(row, "t")
        if t is not None:
            found[step] = max(abs(t), found.get(step) or 0.0)
    return found
