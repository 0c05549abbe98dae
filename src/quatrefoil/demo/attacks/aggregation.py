"""Aggregation off: the aggregator receives a one-patient hospital's update in the clear, and reads the patient."""

from __future__ import annotations

import numpy as np

from quatrefoil.demo import inversion, models
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import Train, train_round
from quatrefoil.demo.data import Hospital
from quatrefoil.demo.encoding import FEATURES
from quatrefoil.demo.inversion import Packing
from quatrefoil.demo.models import Parameters

SHOWN = ("age", "trestbps", "chol", "thalch")


def read_plain_update(
    hospital: Hospital,
    start: Parameters,
    ciphertext: bytes,
    *,
    patient: int = 0,
    train: Train = train_round,
    packing: Packing | None = None,
) -> Outcome:
    """The record of ``patient`` from her update in the clear, and from ``ciphertext``, the encryption of that update.

    The figures are features in [0, 1]; the PSNR is over all of them.
    """
    record, label = hospital.features[patient], hospital.labels[patient]
    update = models.difference(train(start, (record[None], label[None])), start)
    length = sum(array.size for array in start)
    unreadable = inversion.ciphertext_as_update(ciphertext, length, packing)
    plain = _closest(inversion.invert_update(update), record)
    sealed = _closest(inversion.invert_update(inversion.shaped_like(unreadable, start)), record)
    chance = inversion.chance(start, record[None], seed=patient).closest_db
    return Outcome(
        name="aggregation",
        layer="additive encryption",
        without={
            "psnr_db": inversion.best_psnr(plain[None], record[None]),
            **_shown("true", record),
            **_shown("read", plain),
        },
        with_layer={
            "psnr_db": inversion.best_psnr(sealed[None], record[None]),
            "chance_psnr_db": chance,
            **_shown("read", sealed),
        },
        protected=True,
        verdict="In the clear, the update of a hospital with one patient is that patient's record. "
        "Encrypted, it reads like random numbers.",
    )


def _closest(candidates: inversion.Records, record: inversion.Records) -> inversion.Records:
    """The attacker's luckiest candidate: chosen with knowledge of the truth, in the attacker's favour."""
    closest: inversion.Records = candidates[np.argmin(((candidates - record) ** 2).mean(axis=1))]
    return closest


def _shown(prefix: str, record: inversion.Records) -> dict[str, float]:
    return {f"{prefix}_{name}": round(float(record[FEATURES.index(name)]), 3) for name in SHOWN}
