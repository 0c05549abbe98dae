"""A language model that computes, behind the real server in gateway mode; OpenAI's package asks it by the proxy."""

from __future__ import annotations

from contextlib import contextmanager

import openai
import pytest
from served import serving

from quatrefoil.serving.upstream import UpstreamHandler
from serving_parts import own_roots, serving_policy
from upstreams.running import NAME, faulty, small_model, trained

QUESTION = [{"role": "user", "content": "how is bed 7?"}]

__all__ = ["own_roots"]


@pytest.fixture(autouse=True)
def trusting(own_roots: None) -> None:
    """In every test here."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    with small_model(trained(tmp_path_factory.mktemp("model"))) as url:
        yield url


@pytest.fixture(scope="module")
def broken():
    with faulty() as url:
        yield url


@pytest.fixture
def served(upstream, consortium, tmp_path):
    with before(upstream, consortium, tmp_path) as served:
        yield served


@contextmanager
def before(url, consortium, folder):
    """A server in gateway mode before the upstream at ``url``, and a proxy before that."""
    policy = serving_policy(model__name=NAME)
    handler = UpstreamHandler(url, policy)
    with serving(consortium, folder, policy=policy, handler=handler) as served:
        served.server.call(handler.open)
        yield served


@pytest.fixture
def client(served):
    url = f"http://127.0.0.1:{served.port}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def test_what_it_streams_is_what_it_answers_whole(served, client):
    asked = {"model": NAME, "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    parts = [one.choices[0].delta.content or "" for one in client.chat.completions.create(**asked, stream=True)]
    assert whole and "".join(parts) == whole and len(parts) > 2
    assert len(list(served.receipts.glob("*.receipt"))) == 2


def test_completions_embeddings_and_models(client):
    assert client.completions.create(model=NAME, prompt="bed 7 ", max_tokens=8).choices[0].text
    assert len(client.embeddings.create(model=NAME, input="bed 7").data[0].embedding) > 1
    assert [one.id for one in client.models.list()] == [NAME]


def test_what_the_gateway_refuses_is_an_error_of_that_package(served, client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="another", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=NAME, messages=QUESTION, user="somebody", stream=True)
    with pytest.raises(openai.NotFoundError):
        client.moderations.create(input="x")
    assert len(list(served.receipts.glob("*.receipt"))) == 3


@pytest.mark.parametrize(
    "fault", ["cut", "cut-after-done", "no-done", "half-done", "garbage", "error", "done-and-more"]
)
def test_an_upstream_that_breaks_off_is_seen_by_that_package(broken, fault, consortium, tmp_path):
    with before(broken, consortium, tmp_path) as served:
        asked = {"model": NAME, "messages": [{"role": "user", "content": f"fault {fault}"}], "stream": True}
        base = f"http://127.0.0.1:{served.port}/v1"
        seen = []
        with openai.OpenAI(base_url=base, api_key="none", max_retries=0) as client, pytest.raises(openai.APIError):
            seen.extend(one.choices[0].delta.content for one in client.chat.completions.create(**asked))
        assert "onetwo".startswith("".join(seen)) and not any("MARKER" in line for line in served.said)
        assert list(served.receipts.glob("*.receipt")) == []
