"""Panels of what trains together: sums, proofs, the kernel, accuracy, and the demo of all."""

from __future__ import annotations

from quatrefoil.bench.report.panel import Column, Panel, Shown, ms
from quatrefoil.bench.report.pictures import bars, byzantine, constant_time, grouped, single

TRAINING: tuple[Panel, ...] = (
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
                    *ms(("Encrypt ms", "encrypt_ms"), ("Serialise ms", "serialise_ms"), ("Add ms", "add_ms")),
                    *ms(("Decrypt ms", "decrypt_ms"), ("Plain sum ms", "plain_ms")),
                    Column("Overhead", "overhead", ".1f"),
                    Column("Bytes a silo", "bytes_per_silo", ",d"),
                    Column("Error", "max_abs_error", ".1e"),
                )
            ),
        ),
        grouped(
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
                    *ms(("Encrypt ms", "encrypt_ms"), ("Add ms", "add_ms"), ("Decrypt ms", "decrypt_ms")),
                    Column("Bytes a silo", "bytes_per_silo", ",d"),
                    Column("Memory beyond the start, MiB", "rss_beyond_start_mib", ".0f"),
                )
            ),
        ),
        grouped(
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
                    *ms(("Encrypt ms", "encrypt_ms"), ("Add ms", "add_ms"), ("Plain uint64 sum ms", "plain_uint64_ms")),
                    Column("Add over plain", "add_over_plain", ".2f"),
                    *ms(("Decrypt ms", "decrypt_ms"), ("Combine keys ms", "combine_keys_ms")),
                ),
                "operations",
            ),
        ),
        grouped(
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
                    *ms(("Encrypt ms", "encrypt_ms"), ("Prove ms", "prove_ms"), ("Verify ms", "verify_ms")),
                    *ms(("One epoch of training ms", "training_ms")),
                    Column("Prove, of encryption", "prove_over_encrypt", ".1f"),
                    Column("Prove, of training", "prove_over_training", ".2f"),
                    Column("Bytes", "proof_bytes", ",d"),
                    Column("Bytes, of ciphertext", "proof_over_ciphertext", ".1%"),
                    Column("Soundness, bits", "soundness_bits", ".2f"),
                ),
                once=True,
            ),
        ),
        single(
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
        "inference-proof",
        "Proofs that answers are what committed weights compute, inputs and outputs public, beside ONNX Runtime on the "
        "float model with as many threads. A ratio is of its shape alone.",
        (
            Shown(
                (
                    Column("Model and batch", "shape"),
                    Column("Weights", "weights", ",d"),
                    Column("Threads", "threads", ",d"),
                    Column("Plain ms", "plain_ms", ",.3f"),
                    Column("Prove ms", "prove_ms", ",.1f"),
                    Column("Of plain", "ratio", ",.0f"),
                    Column("An inference, ms", "per_inference_ms", ",.3f"),
                    Column("Verify ms", "verify_ms", ",.1f"),
                    Column("Bytes", "proof_bytes", ",d"),
                    Column("Soundness, bits", "soundness_bits", ".2f"),
                    Column("Peak MB", "peak_rss_mb", ",.0f"),
                    Column("Accuracy drop", "accuracy_drop", ".4f"),
                    Column("EZKL, of ours", "ezkl_over_ours", ",.0f"),
                )
            ),
            Shown(
                (
                    Column("Peer, one inference", "peer"),
                    Column("Model", "model"),
                    *ms(("Prove ms", "prove_ms"), ("Verify ms", "verify_ms"), ("Setup, once, ms", "setup_ms")),
                    Column("Bytes", "proof_bytes", ",d"),
                    Column("Peak MB", "peak_rss_mb", ",.0f"),
                ),
                "peer",
                once=True,
            ),
        ),
        grouped("A batch", "ms", "rows", "shape", {"prove": "prove_ms", "verify": "verify_ms", "plain": "plain_ms"}),
        "Milliseconds to prove, verify and compute a batch, by model and batch",
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
        bars("Accuracy", "accuracy", "rows", "sum", "accuracy", log=False),
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
        byzantine,
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
        constant_time,
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
                    *ms(("ms", "ms"), ("ms plain", "plain_ms")),
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
        grouped("One round, by layer", "ms", "costs", "layer", {"protected": "ms", "plain": "plain_ms"}),
        "Milliseconds of a round by layer, protected and plain",
    ),
)
