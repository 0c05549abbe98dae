"""One attack a file: what an attacker wins without one layer, and with it. ``quatrefoil demo --attack NAME`` runs them.

Each file has one function that returns an :class:`Outcome`. They need no other layer of the project: where a layer's
own refusal belongs to the story, the caller adds it to ``with_layer``.
"""

from quatrefoil.demo.attacks.aggregation import read_plain_update
from quatrefoil.demo.attacks.keeper import collude_with_keeper
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.attacks.poison import poison_the_mean
from quatrefoil.demo.attacks.roster import subtract_two_sums
from quatrefoil.demo.attacks.transport import harvest_now_decrypt_later

__all__ = [
    "Outcome",
    "collude_with_keeper",
    "harvest_now_decrypt_later",
    "poison_the_mean",
    "read_plain_update",
    "subtract_two_sums",
]
