"""A language model of characters: one layer of gated recurrent units (Cho et al., 2014), in NumPy.

Small enough to be trained in seconds, and it computes: text is read character by character into a state, and each state
gives a probability for every next character. Nothing about it is meant to be good at language.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
NAMES = ("read", "recur", "gates", "write", "levels")

# Of training: independent pieces of the text side by side, characters between two steps, and Adam's (Kingma, 2015).
ROWS, SPAN = 32, 48
RATE, BETA_1, BETA_2, SMALLEST = 0.008, 0.9, 0.99, 1e-8
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class CharacterGru:
    """``alphabet``: what it writes, a token each; token 0 is any other character, and is read only.

    ``read``: (tokens, 3 units), ``recur``: (units, 3 units), ``gates``: (3 units,), each for update, reset, candidate;
    ``write``: (units, tokens), ``levels``: (tokens,).
    """

    alphabet: str
    read: Array
    recur: Array
    gates: Array
    write: Array
    levels: Array

    @classmethod
    def fresh(cls, alphabet: str, units: int, seed: int) -> CharacterGru:
        """Untrained, with weights from ``seed``."""
        draw = np.random.default_rng(seed)
        tokens = len(alphabet) + 1

        def normal(*shape: int) -> Array:
            return (draw.standard_normal(shape) / np.sqrt(units)).astype(np.float32)

        return cls(
            alphabet,
            normal(tokens, 3 * units),
            normal(units, 3 * units),
            np.zeros(3 * units, np.float32),
            normal(units, tokens),
            np.zeros(tokens, np.float32),
        )

    @classmethod
    def load(cls, file: Path | BinaryIO) -> CharacterGru:
        with np.load(file, allow_pickle=False) as found:
            return cls(str(found["alphabet"]), *(found[name].astype(np.float32) for name in NAMES))

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            np.savez(out, alphabet=np.array(self.alphabet), **self.weights)

    @property
    def weights(self) -> dict[str, Array]:
        return {name: getattr(self, name) for name in NAMES}

    @property
    def units(self) -> int:
        return len(self.recur)

    # ------------------------------------------------------------------------------------------------- to use it

    def tokens(self, text: str) -> list[int]:
        """A token for each character."""
        return [self.alphabet.find(character) + 1 for character in text]

    def text(self, token: int) -> str:
        return self.alphabet[token - 1] if token else "\N{REPLACEMENT CHARACTER}"

    def beginning(self) -> Array:
        """The state before anything is read: (units,)."""
        return np.zeros(self.units, np.float32)

    def after(self, state: Array, token: int) -> Array:
        """The state after one more token."""
        return _step(self.read[token] + self.gates, state @ self.recur, state)[0]

    def log_probabilities(self, state: Array) -> Array:
        """Of each token to be the next, (tokens,): what cannot be written is left out with minus infinity."""
        levels = state @ self.write + self.levels
        levels[0] = -np.inf
        levels -= levels.max()
        return levels - np.log(np.exp(levels).sum())

    # ----------------------------------------------------------------------------------------------- to train it

    def trained(self, text: str, steps: int) -> CharacterGru:
        """The model after ``steps`` steps of Adam on ``text``, which is read over and over by :data:`ROWS` readers."""
        pieces = np.array(self.tokens(text))
        length = len(pieces) // ROWS
        pieces = pieces[: ROWS * length].reshape(ROWS, length)
        weights = {name: array.copy() for name, array in self.weights.items()}
        first = {name: np.zeros_like(array) for name, array in weights.items()}
        second = {name: np.zeros_like(array) for name, array in weights.items()}
        state = np.zeros((ROWS, self.units), np.float32)
        at = 0
        for step in range(1, steps + 1):
            if at + SPAN + 1 > length:
                at, state = 0, np.zeros_like(state)
            model = CharacterGru(self.alphabet, **weights)
            _, gradients, state = model.loss(pieces[:, at : at + SPAN + 1], state)
            at += SPAN
            norm = float(np.sqrt(sum(float((one * one).sum()) for one in gradients.values())))
            shrink = min(1.0, LARGEST_GRADIENT / (norm + SMALLEST))
            rate = RATE * (1 - step / (steps + 1)) * np.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
            for name, array in weights.items():
                gradient = gradients[name] * shrink
                first[name] += (1 - BETA_1) * (gradient - first[name])
                second[name] += (1 - BETA_2) * (gradient * gradient - second[name])
                array -= (rate * first[name] / (np.sqrt(second[name]) + SMALLEST)).astype(np.float32)
        return CharacterGru(self.alphabet, **weights)

    def loss(self, rows: NDArray[np.int_], state: Array) -> tuple[float, dict[str, Array], Array]:
        """Mean loss in nats a character of predicting each next one in ``rows`` (rows, span + 1), its gradients, and
        the states at the end. Gradients stop at the beginning of the rows (truncated back-propagation in time)."""
        given, wanted = rows[:, :-1], rows[:, 1:]
        count = wanted.size
        kept = []
        states = [state]
        for at in range(given.shape[1]):
            state, steps = _step(self.read[given[:, at]] + self.gates, state @ self.recur, state)
            kept.append(steps)
            states.append(state)
        after = np.stack(states[1:], 1)
        levels = after @ self.write + self.levels
        levels -= levels.max(-1, keepdims=True)
        levels -= np.log(np.exp(levels).sum(-1, keepdims=True))
        chosen = np.take_along_axis(levels, wanted[..., None], -1)
        wrong = np.exp(levels)
        np.put_along_axis(wrong, wanted[..., None], np.take_along_axis(wrong, wanted[..., None], -1) - 1, -1)
        wrong /= count
        of = {name: np.zeros_like(array) for name, array in self.weights.items()}
        flat = wrong.reshape(count, -1)
        of["write"] = after.reshape(count, -1).T @ flat
        of["levels"] = flat.sum(0)
        outside = wrong @ self.write.T
        back = np.zeros_like(state)
        for at in reversed(range(given.shape[1])):
            inputs, recurrent, back = _back(back + outside[:, at], kept[at], states[at], self.recur)
            np.add.at(of["read"], given[:, at], inputs)
            of["gates"] += inputs.sum(0)
            of["recur"] += states[at].T @ recurrent
        return -float(chosen.mean()), of, state


def _step(inputs: Array, recurrent: Array, state: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """One step of the unit, the reset gate after the product as in cuDNN; with what its derivative needs."""
    units = state.shape[-1]
    update = _sigmoid(inputs[..., :units] + recurrent[..., :units])
    reset = _sigmoid(inputs[..., units : 2 * units] + recurrent[..., units : 2 * units])
    candidate = np.tanh(inputs[..., 2 * units :] + reset * recurrent[..., 2 * units :])
    return candidate + update * (state - candidate), (update, reset, candidate, recurrent[..., 2 * units :])


def _back(
    gradient: Array, kept: tuple[Array, Array, Array, Array], state: Array, recur: Array
) -> tuple[Array, Array, Array]:
    """The gradient through one step: of its inputs, of its recurrent products, and of the state before."""
    update, reset, candidate, product = kept
    of_candidate = gradient * (1 - update) * (1 - candidate * candidate)
    of_update = gradient * (state - candidate) * update * (1 - update)
    of_reset = of_candidate * product * reset * (1 - reset)
    inputs = np.concatenate([of_update, of_reset, of_candidate], -1)
    recurrent = np.concatenate([of_update, of_reset, of_candidate * reset], -1)
    return inputs, recurrent, gradient * update + recurrent @ recur.T


def _sigmoid(levels: Array) -> Array:
    return 0.5 * np.tanh(0.5 * levels) + 0.5
