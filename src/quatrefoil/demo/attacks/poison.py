"""One hospital sends its update times -10, and its software lies for it as well as it can.

The clip bound limits each value, not the direction: without proofs a poisoned update is clipped to it, added like any
other, and ruins the model. With proofs the hospital would have to prove that its update is within the norm of the
policy. It cannot; the best that it has is a proof about another ciphertext.
"""

from __future__ import annotations

import numpy as np

from quatrefoil.contracts import FloatVector
from quatrefoil.demo import models
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import CLIP, Score
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.silo import Silo

FACTOR = -10.0


def poisoned(start: Arrays, trained: Arrays, *, clip: float = CLIP) -> Parameters:
    """What the hospital returns instead of ``trained``: its update times -10, values cut to the clip bound."""
    update = [np.clip(FACTOR * array, -clip, clip) for array in models.difference(trained, start)]
    return models.apply([np.asarray(array, np.float64) for array in start], update)


class PoisoningSilo(Silo):
    """A silo whose software was changed: it keeps to no norm, and in a job with proofs it sends the proof of another
    ciphertext, whose update it has scaled down to the norm."""

    def _held(self, update: FloatVector) -> FloatVector:
        return update

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        digest, subject = (
            context.digest(),
            self._agreed().subject(context, self._security.name, self._current().direction),
        )
        encrypted, _ = self._proofs.encrypt(self._aggregation, update, subject)
        other, hidden = self._proofs.encrypt(self._aggregation, super()._held(update), subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=digest)
        proven = self._proofs.prove(subject, other.ciphertext, sealed, hidden)
        contribution = Contribution(digest, sha256(encrypted.ciphertext), sha256(sealed), proven.claims)
        return parts.join([self._security.sign(contribution.encode()), sealed, encrypted.ciphertext, proven.proof])


def poison_the_model(
    attacker: str, *, rounds: int, norm: float, honest: Score, ruined: Score, proven: Score, refused: tuple[str, ...]
) -> Outcome:
    """Scores on all held-out patients of three encrypted trainings: an honest one with proofs, and one with a poisoning
    hospital without and with them. ``refused``: the hospitals whose contributions were refused in the last."""
    protected = refused == (attacker,)
    return Outcome(
        name="poison",
        layer="proofs of bounded updates",
        turned_off=f"The demo's job of {rounds} encrypted rounds at 16 bits, in which the hospital {attacker} sends "
        f"{FACTOR:g} times its update, every value within the clip bound. Nothing has to be proven.",
        won=f"Nothing is read; the model is ruined. Accuracy on held-out patients: {ruined.accuracy:.3f} instead of "
        f"{honest.accuracy:.3f} (AUC {ruined.auc:.3f} instead of {honest.auc:.3f}); saying the same of everyone "
        f"gives {ruined.majority:.3f}.",
        left=f"Every silo proves that its update has a norm of at most {norm:g}. Refused, by name: "
        f"{', '.join(refused) or 'nobody'}. The others train on: accuracy {proven.accuracy:.3f} "
        f"(AUC {proven.auc:.3f}).",
        verdict="What cannot be proven is refused, unseen. A poisoned update within the norm would still be added."
        if protected
        else "The poisoning hospital was not the one that was refused.",
        without={
            "accuracy": ruined.accuracy,
            "auc": ruined.auc,
            "honest_accuracy": honest.accuracy,
            "honest_auc": honest.auc,
        },
        with_layer={"accuracy": proven.accuracy, "auc": proven.auc, "refused": ", ".join(refused), "norm": norm},
        protected=protected,
    )
