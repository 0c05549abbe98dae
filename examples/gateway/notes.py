"""The text that the example's model learns: questions about beds of a ward, and answers, made up by a grammar.

Deterministic for a seed, so that everybody trains the same model.
"""

from __future__ import annotations

import random

ALPHABET = "\n !'(),-./0123456789:?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""What the model writes. It reads any text: other characters all look alike to it."""

_STATES = ("stable", "asleep", "awake", "better today", "in theatre", "waiting for the doctor")
_QUESTIONS = {
    "how is bed {bed}?": "bed {bed} is {state}.",
    "what is the pulse of bed {bed}?": "the pulse of bed {bed} is {pulse}.",
    "who is in bed {bed}?": "nobody may ask that here.",
}


def make(exchanges: int, seed: int) -> str:
    """``exchanges`` lines of a user, each with the line of the assistant that answers it."""
    draw = random.Random(seed)  # noqa: S311 - text, not secrets
    return "".join(_exchange(draw) for _ in range(exchanges))


def _exchange(draw: random.Random) -> str:
    question, answer = draw.choice(list(_QUESTIONS.items()))
    words = {"bed": str(draw.randint(1, 9)), "state": draw.choice(_STATES), "pulse": str(draw.randint(60, 99))}
    return f"user: {question.format(**words)}\nassistant: {answer.format(**words)}\n"
