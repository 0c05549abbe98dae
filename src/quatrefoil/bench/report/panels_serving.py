"""Panels of what serves and computes: channels, evidence, logs, models, scores, and the planner's choices."""

from __future__ import annotations

from quatrefoil.bench.report.panel import Column, Panel, Shown, ms
from quatrefoil.bench.report.pictures import bars, channels, grouped, planner, routing, single

SERVING: tuple[Panel, ...] = (
    Panel(
        "transport",
        "Whole sessions on loopback, from before the handshake to the goodbye of both ends. Classical: TLS 1.3 of the "
        "standard library, P-256 certificates, X25519, AES-256-GCM.",
        (
            Shown(
                (
                    Column("Session", "shape"),
                    Column("Stack", "stack"),
                    *ms(("Median ms", "median_ms"), ("Best ms", "best_ms")),
                    Column("Of classical, median", "ratio_median", ".2f"),
                    Column("Of classical, processor", "ratio_cpu", ".2f"),
                    Column("Handshake bytes", "handshake_bytes", ",d"),
                )
            ),
        ),
        channels,
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
                    *ms(("Verify ms", "verify_ms"), ("Seen before ms", "cached_ms")),
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
            Shown(ms(("Key released, ms", "release_ms"), ("of that the decision, ms", "decision_ms")), once=True),
        ),
        grouped("Evidence", "ms", "rows", "kind", {"first seen": "verify_ms", "seen before": "cached_ms"}),
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
        single(
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
                    *ms(("Plain median ms", "plain_p50_ms"), ("Median ms", "p50_ms"), ("Plain p99 ms", "plain_p99_ms")),
                    *ms(("p99 ms", "p99_ms"), ("Added ms", "added_ms")),
                    Column("Overhead", "overhead", ".1%"),
                    Column("At saturation, of plain", "throughput_ratio", ".2f"),
                )
            ),
        ),
        grouped("One request", "ms", "rows", "model", {"protected": "p50_ms", "plain": "plain_p50_ms"}),
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
                    *ms(("Encrypt ms", "encrypt_ms"), ("Compute ms", "compute_ms"), ("Decrypt ms", "decrypt_ms")),
                    Column("Total ms", "total_ms", ",.2f"),
                    Column("Of plain", "over_plain", ",.0f"),
                    Column("Of ours", "over_ours", ",.1f"),
                    Column("Sent bytes", "sent_bytes", ",d"),
                    Column("Error bound", "error_bound", ".1e"),
                )
            ),
            Shown(
                (
                    Column("One row through a network", "way"),
                    Column("Inputs", "inputs", ",d"),
                    Column("Hidden", "hidden", ",d"),
                    *ms(("Encrypt ms", "encrypt_ms"), ("Compute ms", "compute_ms"), ("Decrypt ms", "decrypt_ms")),
                    Column("Total ms", "total_ms", ",.3f"),
                    Column("Of plain", "over_plain", ",.0f"),
                    Column("Sent bytes", "sent_bytes", ",d"),
                    Column("Keys' bytes", "keys_bytes", ",d"),
                    Column("Error bound", "error_bound", ".1e"),
                ),
                "network",
            ),
        ),
        bars("All rows scored", "ms", "rows", "way", "total_ms", mine="tenseal|plain"),
        "Milliseconds to score all rows, by way",
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
                    *ms(("Plain ms", "plain_ms"), ("Routed ms", "routed_ms")),
                    Column("Blanket ms", "blanket_ms", ",.1f"),
                    Column("Cheapest blanket", "cheapest"),
                    Column("Saved", "saved_fraction", ".1%"),
                )
            ),
        ),
        routing,
        "Milliseconds of each workload, plain, routed, and under blanket choices",
    ),
    Panel(
        "planner",
        "What the plan says a phase takes, from the costs measured on this machine, and what it then took. Where "
        "plans leave the model's own computing out, it is what protection added. Proofs of answers are predicted and "
        "made apart, of models that costs were not measured on.",
        (
            Shown(
                (
                    Column("Workload", "workload"),
                    Column("Phase", "phase"),
                    Column("Backends", "backends"),
                    *ms(("Predicted ms", "predicted_ms"), ("Measured ms", "measured_ms")),
                    Column("Ratio", "ratio", ".2f"),
                    Column("Within reach", "within"),
                    Column("Compared with", "compared_with"),
                )
            ),
            Shown(
                (
                    Column("Workload, together", "workload"),
                    *ms(("Predicted ms", "predicted_ms"), ("Measured ms", "measured_ms")),
                    Column("Ratio", "ratio", ".2f"),
                    Column("Planned in ms, slowest", "planning_ms", ".1f"),
                ),
                "workloads",
            ),
            Shown(
                (
                    Column("Proof of answers", "shape"),
                    *ms(("Predicted, prove ms", "predicted_prove_ms"), ("Prove ms", "prove_ms")),
                    *ms(("Predicted, verify ms", "predicted_verify_ms"), ("Verify ms", "verify_ms")),
                    Column("Predicted bytes", "predicted_proof_bytes", ",.0f"),
                    Column("Bytes", "proof_bytes", ",.0f"),
                ),
                "answers.rows",
            ),
        ),
        planner,
        "Predicted beside measured time of each phase",
    ),
)
