"""The example's language model: it computes, it learns, and its upstream answers in the shapes of OpenAI."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import openai
import pytest

from upstreams import running

QUESTION = [{"role": "user", "content": "how is bed 7?"}]


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """Its modules, found as its programs find them, and forgotten: other examples have such names too."""
    names = {file.stem for file in running.EXAMPLE.glob("*.py")}
    kept = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    sys.path.insert(0, str(running.EXAMPLE))
    try:
        yield importlib.import_module("train")
    finally:
        sys.path.remove(str(running.EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return running.trained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with running.small_model(model) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_its_gradients_are_those_of_its_loss(example: ModuleType) -> None:
    gru = example.CharacterGru.fresh("abc", 5, seed=3)
    wide = type(gru)(gru.alphabet, **{name: array.astype(np.float64) for name, array in gru.weights.items()})
    rows = np.array([[1, 2, 3, 1, 0, 2], [3, 3, 1, 2, 2, 1]])
    state = np.random.default_rng(4).standard_normal((2, 5))
    _, gradients, _ = wide.loss(rows, state)
    for name, array in wide.weights.items():
        for at in list(np.ndindex(array.shape))[::7]:
            kept, losses = array[at], []
            for step in (1e-5, -1e-5):
                array[at] = kept + step
                losses.append(wide.loss(rows, state)[0])
            array[at] = kept
            assert gradients[name][at] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-7)


def test_it_learns(example: ModuleType, model: Path) -> None:
    held_out = example.notes.make(50, seed=2)
    untrained = example.bits_per_character(example.train(steps=0), held_out)
    frequencies = [held_out.count(one) / len(held_out) for one in set(held_out)]
    of_letters = -sum(one * math.log2(one) for one in frequencies)
    learned = example.bits_per_character(example.CharacterGru.load(model), held_out)
    assert learned < of_letters / 4 < untrained


def test_probabilities_sum_to_one_and_nothing_unwritten_is_written(example: ModuleType, model: Path) -> None:
    gru = example.CharacterGru.load(model)
    state = gru.beginning()
    for token in gru.tokens("user: é?\n"):
        state = gru.after(state, token)
    levels = gru.log_probabilities(state)
    assert np.exp(levels).sum() == pytest.approx(1, abs=1e-5)
    assert levels[0] == -np.inf


def test_at_temperature_zero_it_says_the_same_each_time(client: openai.OpenAI) -> None:
    said = {
        client.chat.completions.create(model=running.NAME, messages=QUESTION, temperature=0).choices[0].message.content
        for _ in range(2)
    }
    (text,) = said
    assert text and text.startswith("bed ") and text.endswith(".")


def test_a_seed_decides_what_is_sampled(client: openai.OpenAI) -> None:
    def asked(seed: int) -> str:
        answer = client.completions.create(
            model=running.NAME, prompt="user: ", seed=seed, temperature=1.5, max_tokens=60
        )
        return answer.choices[0].text

    assert asked(1) == asked(1)
    assert len({asked(seed) for seed in range(8)}) > 1


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=running.NAME, messages=QUESTION, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model=running.NAME,
            messages=QUESTION,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None and whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens == len(said) + 1


def test_log_probabilities_are_those_of_the_tokens(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=running.NAME, prompt="user: how is bed", temperature=0, logprobs=3, max_tokens=10
    )
    found = answer.choices[0].logprobs
    assert found is not None and found.tokens is not None and found.token_logprobs is not None
    assert "".join(found.tokens) == answer.choices[0].text
    assert found.top_logprobs is not None
    for token, value, top in zip(found.tokens, found.token_logprobs, found.top_logprobs, strict=True):
        assert len(top) == 3 and top[token] == value == max(top.values()) <= 0


def test_a_stop_is_not_said(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=running.NAME, prompt="user: how is bed 7?", temperature=0, stop=["stant: ", "zzz"]
    )
    assert answer.choices[0].text == "\nassi"
    assert answer.choices[0].finish_reason == "stop"


def test_embeddings_of_like_texts_are_alike(client: openai.OpenAI) -> None:
    texts = ["how is bed 3?", "how is bed 4?", "who is in bed 3?"]
    found = client.embeddings.create(model=running.NAME, input=texts)
    numbers = client.embeddings.create(model=running.NAME, input=texts, encoding_format="float")
    one, two, three = (np.array(each.embedding) for each in found.data)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-4)
    assert one @ two > one @ three
    assert np.allclose([each.embedding for each in numbers.data], [one, two, three], atol=1e-6)


def test_its_prefix_cache_is_shared_within_a_salt_only(client: openai.OpenAI) -> None:
    """What makes the salts of a gateway worth something."""

    def cached(salt: str) -> int | None:
        body = {"cache_salt": salt}
        answer = client.completions.create(model=running.NAME, prompt="user: a secret", max_tokens=1, extra_body=body)
        assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
        return answer.usage.prompt_tokens_details.cached_tokens

    assert cached("north") == 0
    assert cached("north") == len("user: a secret")
    assert cached("south") == 0


def test_what_it_does_not_have_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=running.NAME, messages=QUESTION, n=2)
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model=running.NAME, prompt=[1, 2, 3])
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=running.NAME, input="a", dimensions=3)
    with pytest.raises(openai.NotFoundError):
        client.moderations.create(input="a")
