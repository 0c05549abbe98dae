"""Aggregation off: the aggregator receives a one-patient hospital's update in the clear, and reads the patient."""

from __future__ import annotations

import numpy as np

from quatrefoil.demo import inversion
from quatrefoil.demo.attacks.outcome import DECIBEL, Outcome, patient
from quatrefoil.demo.inversion import Packing, Records
from quatrefoil.demo.models import Arrays


def read_what_arrives(
    record: Records, start: Arrays, *, plain: bytes, encrypted: bytes, packing: Packing | None = None
) -> Outcome:
    """The only ``record`` (d values) of a hospital, read from what the aggregator received of it in two real rounds.

    ``plain``: under a plan whose aggregation is a stand-in. ``encrypted``: under one that encrypts, read as if it were
    not. In both the attacker's luckiest guess counts, chosen with knowledge of the truth.
    """
    length = sum(array.size for array in start)
    unlocked = _closest(inversion.plain_as_update(plain, length), start, record)
    locked = _closest(inversion.ciphertext_as_update(encrypted, length, packing), start, record)
    chance = inversion.chance(start, record[None], seed=0).closest_db
    read_db, locked_db = (inversion.best_psnr(guess[None], record[None]) for guess in (unlocked, locked))
    return Outcome(
        name="aggregation",
        layer="additive encryption",
        turned_off="One real round in which Cleveland trains on one patient, under a policy that gives up "
        "curious-aggregator and colluding-silos and accepts plain-aggregation.",
        won=f"From {len(plain):,} bytes that the aggregator received: {patient(unlocked)}. The truth: "
        f"{patient(record)}. Over all {len(record)} features {read_db:.0f} dB {DECIBEL}.",
        left=f"The same round encrypted, {len(encrypted):,} bytes: {patient(locked)}. Over all features "
        f"{locked_db:.1f} dB; random numbers read the same way reach {chance:.1f} dB on average.",
        verdict="In the clear, one patient's update is the patient's record; encrypted, it is noise.",
        without={"psnr_db": read_db},
        with_layer={"psnr_db": locked_db, "chance_psnr_db": chance},
        protected=True,
    )


def _closest(update: np.ndarray, start: Arrays, record: Records) -> Records:
    candidates = inversion.invert_update(inversion.shaped_like(update, start))
    closest: Records = candidates[np.argmin(((candidates - record) ** 2).mean(axis=1))]
    return closest
