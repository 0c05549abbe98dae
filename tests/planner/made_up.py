"""Workloads, policies for them, a host that offers everything that exists, and made-up costs."""

from __future__ import annotations

from dataclasses import replace

from quatrefoil.planner import (
    AggregationCosts,
    AnswerCosts,
    Answered,
    AnsweredBytes,
    Availability,
    Costs,
    HomomorphicCosts,
    Line,
    NetworkCosts,
    ProofCosts,
    Recorded,
    RoundCosts,
    ServingCosts,
    TransportCosts,
)
from quatrefoil.policy import BACKENDS, VALUE_BITS, Allow, Limits, Policy
from quatrefoil.workload import Phase, Workload

TRAINING = Workload(
    "training",
    (
        Phase("channels", "transport", "model", 1e6, message_bytes=1000, silos=4),
        Phase("collect", "collect", "update", 1e6, parameters=1000, silos=4, rounds=3),
        Phase("sum", "aggregate", "update", 1e6, parameters=1000, silos=4, rounds=3),
        Phase("keys", "keys", "key", 1e6, silos=4, rounds=3),
        Phase("log", "audit", "log", 1e6, batch=5),
    ),
)
SERVING = Workload(
    "serving",
    (
        Phase("channels", "transport", "record", 1e6, message_bytes=1000, silos=1),
        Phase("answer", "infer", "record", 1e6, message_bytes=1000, batch=10),
    ),
)
TRANSPORT = TransportCosts(
    handshake_ms=4.0,
    handshake_bytes=21_000.0,
    message_ms=Line(0.1, 3e-6),
    sign_ms=0.5,
    verify_ms=0.3,
    seal_ms=0.7,
    open_ms=0.6,
    statement_bytes=9_000.0,
    sealed_bytes=12_000.0,
)
ADDITIVE = AggregationCosts(
    encrypt_ms=Line(0.3, 2e-5),
    add_ms=Line(0.02, 1e-6),
    decrypt_ms=Line(0.2, 5e-6),
    combine_ms=Line(0.1, 0.05),
    ciphertext_bytes=Line(32_768.0, 4.0),
    key_bytes=32.0,
)
PLAIN = AggregationCosts(
    encrypt_ms=Line(0.01, 1e-6),
    add_ms=Line(0.01, 1e-6),
    decrypt_ms=Line(0.01, 1e-6),
    combine_ms=Line(0.01, 0.001),
    ciphertext_bytes=Line(100.0, 8.0),
    key_bytes=32.0,
)


PROOFS = ProofCosts(
    prove_ms=Line(10.0, 2e-3),
    verify_ms=Line(2.0, 1e-4),
    check_key_ms=0.25,
    proof_bytes=Line(120_000.0, 0.2),
)

EXCHANGES = ServingCosts(
    exchange_ms=Line(0.5, 2e-6),
    exchange_bytes=Line(1_226.0, 2.0),
    receipt_ms=Line(1.0, 3e-6),
    receipt_bytes=3_668.0,
    around_ms=Line(0.0, 0.0),
)

LINEAR = HomomorphicCosts(
    slots=4096.0,
    encrypt_ms=Line(0.5, 0.7),
    table_bytes=Line(300.0, 65_660.0),
    weigh_ms=Line(0.2, 0.25),
    open_ms=Line(0.2, 0.5),
    answer_bytes=Line(200.0, 65_660.0),
    read_ms=0.0,
    product_ms=0.0,
    total_ms=0.0,
    keys_ms=0.0,
    keys_bytes=0.0,
)
PRODUCTS = replace(
    LINEAR,
    encrypt_ms=Line(1.0, 2.5),
    table_bytes=Line(300.0, 262_280.0),
    weigh_ms=Line(0.7, 0.25),
    open_ms=Line(1.2, 0.5),
    answer_bytes=Line(200.0, 262_280.0),
    read_ms=0.1,
    product_ms=3.0,
    total_ms=20.0,
    keys_ms=80.0,
    keys_bytes=10e6,
)

NETWORK = NetworkCosts(slots=4096.0, row_ms=Line(30.0, 5.0), row_bytes=393_500.0, answer_bytes=131_500.0)

ANSWERS = AnswerCosts(
    prove_ms=Answered(20.0, 8.0, 2e-3, 1e-4, 1e-4),
    verify_ms=Answered(1.0, 0.1, 1e-5, 1e-5, 1e-7),
    proof_bytes=AnsweredBytes(240_000.0, 10_000.0, 400.0, 80.0),
    recorded_ms=Recorded(0.3, 0.5, 1e-4),
)

MEASURED_AT = 1_764_000_000


def make_costs(additive: AggregationCosts = ADDITIVE, plain: AggregationCosts = PLAIN) -> Costs:
    """In one thread, and in two, where what the kernel does takes half as long."""
    schemes = {"additive-rlwe": additive, "plain": plain, "ckks": additive}
    return Costs(
        version="0.0.made-up",
        measured_at=MEASURED_AT,
        measured_on={"processor": "made up", "cores": 2, "system": "none"},
        threads=1,
        transport={"pq-tls": TRANSPORT},
        serving={"pq-tls": EXCHANGES},
        aggregation={
            f"{name}/{bits}/{threads}": replace(costs, encrypt_ms=_over(costs.encrypt_ms, threads))
            for name, costs in schemes.items()
            for bits in VALUE_BITS
            for threads in (1, 2)
        },
        proofs={
            f"bounded-update/{bits}/{threads}": replace(PROOFS, prove_ms=_over(PROOFS.prove_ms, threads))
            for bits in (12, 16)
            for threads in (1, 2)
        },
        rounds=RoundCosts(Line(0.0, 0.0), Line(0.0, 0.0), Line(0.0, 0.0)),
        homomorphic={
            "ckks-linear-4096": LINEAR,
            "bgv-linear-4096": LINEAR,
            "ckks-product-8192": PRODUCTS,
            "bgv-product-8192": replace(PRODUCTS, slots=8192.0),
        },
        networks={"ckks-network-8192": NETWORK},
        answers={f"proven-answers/{threads}": ANSWERS for threads in (1, 2)},
        log_append_ms=0.2,
    )


def _over(line: Line, threads: int) -> Line:
    return Line(line.fixed / threads, line.each / threads)


def make_available(*present: tuple[str, str], servers: tuple[str, ...] = ()) -> Availability:
    """Offers what exists today but proofs, and ``present`` besides; and behind ``servers`` models are served."""
    today = {
        ("transport", "pq-tls"),
        ("enclave", "software"),
        ("aggregation", "additive-rlwe"),
        ("aggregation", "plain"),
    }
    absent = {
        (layer, backend): "does not exist yet"
        for layer, backends in BACKENDS.items()
        for backend in backends
        if (layer, backend) not in today | set(present)
    }
    return Availability(
        absent,
        {(b, n): {12: 32, 16: 256, 32: 2048}[n] for b in ("additive-rlwe", "plain") for n in VALUE_BITS},
        {}
        if ("proofs", "bounded-update") in absent
        else {("bounded-update", 12): 30_000, ("bounded-update", 16): 20_000},
        {name: "no such server" for name in BACKENDS["enclave"] if name not in servers},
    )


def policy(named: set[str], aggregation: tuple[str, ...] = ("additive-rlwe",), **changed: object) -> Policy:
    """Allows the software keeper and everything that may come, and names ``named``."""
    accepted = ["software-keeper", *(["plain-aggregation"] if "plain" in aggregation else [])]
    base = Policy(
        name="test",
        threats=tuple(sorted(named)),
        on_excess="refuse",
        limits=Limits(3, 1, 1000, 1.0, 16, 3, 100, 2.5),
        allow=Allow(("pq-tls",), ("software", "tdx", "tpm"), aggregation, ("bounded-update",)),
        accept_insecure=tuple(sorted(accepted)),
        appraisal=bytes(range(32)),
    )
    return replace(base, **changed)  # type: ignore[arg-type]
