"""One attack a file: what an attacker wins without one layer, and with it. ``quatrefoil demo --attack NAME`` runs them.

Each file turns what the attacker holds after real rounds into an :class:`Outcome`; ``demo.mounted`` runs the rounds.
"""

from quatrefoil.demo.attacks.aggregation import read_what_arrives
from quatrefoil.demo.attacks.keeper import CuriousKeeper, collude_with_keeper
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.attacks.poison import poison_the_model, poisoned
from quatrefoil.demo.attacks.roster import subtract_two_means
from quatrefoil.demo.attacks.transport import harvest_now_decrypt_later

__all__ = [
    "CuriousKeeper",
    "Outcome",
    "collude_with_keeper",
    "harvest_now_decrypt_later",
    "poison_the_model",
    "poisoned",
    "read_what_arrives",
    "subtract_two_means",
]
