"""The policy of a job in tests, as text and as a value."""

from __future__ import annotations

from quatrefoil.policy import Policy

POLICY = """
name = "test"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"{threat}]
on_excess = "{on_excess}"
[limits]
minimum_silos = {minimum_silos}
colluding_silos = {colluding_silos}
largest_sample_count = {largest_sample_count}
clip = {clip}
value_bits = 16
minimum_roster_group = {difference}
rounds = {rounds}
{norm}
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["{backend}"]
proofs = ["bounded-update"]
[insecure]
accept = [{accept}]
[audit]
receipts = "{receipts}"
witnesses = {witnesses}
"""


LIMITS: dict[str, object] = {
    "minimum_silos": 3,
    "colluding_silos": 1,
    "difference": 1,
    "on_excess": "refuse",
    "clip": 1.0,
    "rounds": 20,
    "largest_sample_count": 1000,
    "receipts": "ml-dsa",
    "witnesses": 0,
}
"""What of :data:`POLICY` has a usual value."""


def policy(backend: str = "additive-rlwe", **changes: object) -> Policy:
    accept = '"software-keeper"' + (', "plain-aggregation"' if backend == "plain" else "")
    values: dict[str, object] = (
        LIMITS
        | {
            "update_norm": None,
            "update_norm_factor": None,
            "update_norm_floor": None,
            "update_layer_norms": None,
            "update_direction": None,
            "proofs": False,
        }
        | changes
    )
    norms = {key: values.pop(key) for key in tuple(values) if key.startswith("update_")}
    values["norm"] = "\n".join(f"{key} = {value}" for key, value in norms.items() if value is not None)
    values["threat"] = ', "byzantine-silo"' if values.pop("proofs") else ""
    return Policy.parse(POLICY.format(backend=backend, accept=accept, **values), source="test")
