"""What the inversion attack reads in each place of one real round, averaged over the hospitals.

The attacker of every view is named in :data:`VIEWS`. All views attack the same round of the same model, with the same
number of candidates and the same records, so that their rows compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from quatrefoil.demo import inversion, models
from quatrefoil.demo.baselines import Train, train_round
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.inversion import Match, Read, Records
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.errors import CallerError

VIEWS: Mapping[str, str] = {
    "gradient": "one patient's gradient, plain",
    "one_patient": "one-patient hospital's update, plain",
    "update": "hospital's update, plain",
    "ciphertext": "aggregator's view: what it receives",
    "sum": "everyone's view: the published mean",
    "chance": "chance: random numbers",
    "mean": "guess: other hospitals' average",
    "strangers": "guess: other hospitals' patients",
}

REQUIRED = ("gradient", "update", "ciphertext", "sum", "chance")
"""The views that scripts read, by these names."""

ONE_PATIENT_SAMPLE = 25
"""Of how many patients a hospital the one-patient update is tried."""

RECORD_DB = 60.0
"""From here on a reconstruction is the record: an error of one thousandth of the range."""

SAME_DB = 0.1
"""Within this, two reconstructions are one: rounding to the policy's bits moves them less."""

NOISE_DB = 2.0
"""How far random numbers may stray from chance: five times the deviation of ``closest_db`` over ciphertexts, 0.4 dB."""


@dataclass(frozen=True)
class Leakage:
    """One :class:`Match` for each of :data:`VIEWS`; ``candidates``: guesses that the attack had in each."""

    views: Mapping[str, Match]
    candidates: int

    def meaning(self, view: str) -> str:
        """What a view amounts to, read from its figures and from the guesses beside it, in a few words."""
        one, chance = self.views[view], self.views["chance"]
        if view in ("chance", "mean", "strangers"):
            return "for comparison"
        if view == "ciphertext" and self._same_as_the_update():
            return "all of the plain update"
        if one.closest_db >= RECORD_DB:
            return "the record itself"
        if one.closest_db - chance.closest_db < NOISE_DB and one.typical_db - chance.typical_db < NOISE_DB:
            return "no better than chance"
        if one.typical_db <= max(self.views["mean"].typical_db, self.views["strangers"].typical_db):
            return "no better than public data"
        return "an average patient, no record"

    def as_json(self) -> dict[str, float]:
        """``<view>_psnr_db`` of the :data:`REQUIRED` views: the closest patient, in decibel, at most 99."""
        return {f"{view}_psnr_db": round(self.views[view].closest_db, 2) for view in REQUIRED}

    def views_as_json(self) -> dict[str, dict[str, float | str]]:
        """Every view with both figures and its meaning."""
        return {
            view: {
                "closest_psnr_db": round(one.closest_db, 2),
                "typical_psnr_db": round(one.typical_db, 2),
                "meaning": self.meaning(view),
            }
            for view, one in self.views.items()
        }

    def _same_as_the_update(self) -> bool:
        read, plain = self.views["ciphertext"], self.views["update"]
        far = max(abs(read.closest_db - plain.closest_db), abs(read.typical_db - plain.typical_db))
        return far < SAME_DB


@dataclass(frozen=True)
class ObservedRound:
    """One round as its parties saw it, by hospital name. All hospitals trained from ``start`` on ``train``.

    ``updates``: what they would have sent in the clear; ``received``: what the aggregator received; ``mean``: the
    published mean of the updates, weighted by patients. ``CallerError`` where the names differ.
    """

    start: Parameters
    train: Mapping[str, Labelled]
    updates: Mapping[str, Arrays]
    received: Mapping[str, bytes]
    mean: Arrays

    def __post_init__(self) -> None:
        for part in (self.updates, self.received):
            if set(part) != set(self.train) or len(self.train) < 2:
                raise CallerError(
                    f"a round of {sorted(self.train)} with parts of {sorted(part)}", hint="Pass each hospital's part"
                )


def measure(
    observed: ObservedRound, *, read: Read = inversion.ciphertext_as_update, train: Train = train_round, seed: int
) -> Leakage:
    """The attack in every view of the round, and every guess beside it. ``read``: what an aggregator can make of what
    it receives, by the scheme in use."""
    start = observed.start
    length = sum(array.size for array in start)
    candidates = len(inversion.invert_update(start))

    def seen(attack: Callable[[str, Records, Records], Match]) -> Match:
        """``attack(name, records, public)`` averaged over the hospitals; public are the others' records."""
        return inversion.average(
            [
                attack(
                    name, records, np.concatenate([other for key, (other, _) in observed.train.items() if key != name])
                )
                for name, (records, _) in observed.train.items()
            ]
        )

    def of_update(update: Arrays, records: Records) -> Match:
        return inversion.match(inversion.invert_update(update), records)

    def of_received(name: str, records: Records) -> Match:
        return of_update(inversion.shaped_like(read(observed.received[name], length), start), records)

    views = {
        "gradient": seen(lambda name, *_: inversion.single_gradients(start, observed.train[name])),
        "one_patient": seen(lambda name, *_: _one_patient(start, observed.train[name], train)),
        "update": seen(lambda name, records, _: of_update(observed.updates[name], records)),
        "ciphertext": seen(lambda name, records, _: of_received(name, records)),
        "sum": seen(lambda _, records, __: of_update(observed.mean, records)),
        "chance": seen(lambda _, records, __: inversion.chance(start, records, seed=seed)),
        "mean": seen(lambda _, records, public: inversion.mean_guess(public, records)),
        "strangers": seen(lambda _, records, public: inversion.stranger_guess(public, records, candidates, seed=seed)),
    }
    return Leakage(views, candidates)


def _one_patient(start: Parameters, data: Labelled, train: Train) -> Match:
    """The attack on a hospital's update if its only patient were this one, over the first patients."""
    matches = []
    for record, label in list(zip(*data, strict=True))[:ONE_PATIENT_SAMPLE]:
        update = models.difference(train(start, (record[None], label[None])), start)
        matches.append(inversion.match(inversion.invert_update(update), record[None]))
    return Match(max(one.closest_db for one in matches), float(np.mean([one.typical_db for one in matches])))
