"""Text from the character model: greedy or sampled, stopped where it is asked to, with a prefix cache of each salt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from character_gru import Array, CharacterGru

MOST_CACHED = 256
"""States that are kept, of all salts together."""


@dataclass(frozen=True)
class Sampling:
    """How the next character is chosen. ``temperature`` 0 is the likeliest; with a ``seed`` the same every time."""

    tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    alternatives: int = 0


@dataclass(frozen=True)
class Token:
    """One character, its log probability, and the likeliest in its place."""

    text: str
    log_probability: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass
class Generation:
    """One answer: iterate over it. ``finish``: why it ended. ``cached``: tokens of the prompt that were found read."""

    model: CharacterGru
    state: Array
    sampling: Sampling
    prompt_tokens: int
    cached: int
    made: int = 0
    finish: str = "length"
    _held: list[Token] = field(default_factory=list)

    def __iter__(self) -> Iterator[Token]:
        """Characters that may become a stop are held until they are none."""
        draw = np.random.default_rng(self.sampling.seed)
        while self.made < self.sampling.tokens:
            token = self._next(draw)
            self._held.append(token)
            text = "".join(one.text for one in self._held)
            if any(text.endswith(stop) for stop in self.sampling.stop):
                self.finish = "stop"
                return
            while self._held and not any(stop.startswith(text) for stop in self.sampling.stop):
                yield self._held.pop(0)
                text = text[1:]
        yield from self._held

    def _next(self, draw: np.random.Generator) -> Token:
        levels = self.model.log_probabilities(self.state)
        chosen = _choose(levels, self.sampling, draw)
        self.state = self.model.after(self.state, chosen)
        self.made += 1
        likeliest = np.argsort(levels)[::-1][: self.sampling.alternatives]
        return Token(
            self.model.text(chosen),
            float(levels[chosen]),
            tuple((self.model.text(int(one)), float(levels[one])) for one in likeliest),
        )


class Generator:
    """A model with its prefix cache: states after prompts, kept apart by the salt of the request."""

    def __init__(self, model: CharacterGru) -> None:
        self.model = model
        self._cache: OrderedDict[tuple[str, str], Array] = OrderedDict()

    def generate(self, prompt: str, sampling: Sampling, *, salt: str) -> Generation:
        """An answer to ``prompt``. What was computed under another ``salt`` is not looked at."""
        known = max((text for one, text in self._cache if one == salt and prompt.startswith(text)), key=len, default="")
        state = self._cache[salt, known] if known else self.model.beginning()
        for token in self.model.tokens(prompt[len(known) :]):
            state = self.model.after(state, token)
        self._cache[salt, prompt] = state
        self._cache.move_to_end((salt, prompt))
        while len(self._cache) > MOST_CACHED:
            self._cache.popitem(last=False)
        return Generation(self.model, state, sampling, len(prompt), len(known))

    def embed(self, text: str) -> Array:
        """The mean of the states while ``text`` is read, of length 1: (units,)."""
        state, total = self.model.beginning(), self.model.beginning()
        for token in self.model.tokens(text):
            state = self.model.after(state, token)
            total = total + state
        return total / max(float(np.linalg.norm(total)), 1e-12)


def _choose(levels: Array, sampling: Sampling, draw: np.random.Generator) -> int:
    if sampling.temperature == 0:
        return int(levels.argmax())
    scaled = levels.astype(np.float64) / sampling.temperature
    odds = np.exp(scaled - scaled.max())
    odds /= odds.sum()
    order = np.argsort(odds)[::-1]
    kept = order[: int(np.searchsorted(np.cumsum(odds[order]), sampling.top_p)) + 1]
    return int(draw.choice(kept, p=odds[kept] / odds[kept].sum()))
