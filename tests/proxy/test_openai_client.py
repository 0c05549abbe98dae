"""OpenAI's own package, unmodified, and curl, through the proxy."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import openai
import pytest
from endpoints import Refusing, answer, running
from local_asking import ScriptedClient

from quatrefoil.errors import EvidenceRejected, PeerUnreachable

TOKEN = b"0123456789abcdef0123456789abcdef"
QUESTION = [{"role": "user", "content": "how is bed 7?"}]
BROKEN = EvidenceRejected("the answer has no receipt: it is not taken", hint="Ask the server's operator")


class Speaker:
    """Answers as OpenAI's API does, with words that it is given. ``breaks``: raised in a stream before its last event,
    or, with ``after_the_end``, after it."""

    def __init__(self, words=("It ", "is ", "well."), *, breaks=None, after_the_end=False) -> None:
        self.words, self.breaks, self.after_the_end = words, breaks, after_the_end
        self.asked: list = []

    async def request(self, method, path, *, headers, content):
        self.asked.append((method, path, dict(headers), content))
        text = "".join(self.words)
        match path:
            case "/v1/models":
                document = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "us"}]}
            case "/v1/chat/completions":
                document = _completion("chat.completion", {"message": {"role": "assistant", "content": text}})
            case "/v1/completions":
                document = _completion("text_completion", {"text": text})
            case "/v1/embeddings":
                data = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
                document = {"object": "list", "model": "m", "data": data, "usage": _USAGE}
            case _:
                error = {"message": "no such path", "type": "invalid_request_error", "param": None, "code": "none"}
                return answer(404, [(b"content-type", b"application/json")], json.dumps({"error": error}).encode())
        return answer(200, [(b"content-type", b"application/json")], json.dumps(document).encode())

    @asynccontextmanager
    async def stream(self, method, path, *, headers, content):
        self.asked.append((method, path, dict(headers), content))
        whole = await self.request(method, path, headers=headers, content=content)
        kind = [(b"content-type", b"text/event-stream")]
        yield SimpleNamespace(
            status=200, headers=SimpleNamespace(raw=kind), iter_bytes=lambda: self._events(path), receipt=whole.receipt
        )

    async def _events(self, path):
        for word in self.words:
            choice = {"delta": {"content": word}} if "chat" in path else {"text": word}
            kind = "chat.completion.chunk" if "chat" in path else "text_completion"
            yield b"data: " + json.dumps(_completion(kind, choice)).encode() + b"\n\n"
            await asyncio.sleep(0)
        if self.breaks and not self.after_the_end:
            raise self.breaks
        yield b"data: [DONE]\n\n"
        if self.breaks:
            raise self.breaks


_USAGE = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}


def _completion(kind, choice):
    return {
        "id": "c-1",
        "object": kind,
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": None if "chunk" in kind else "stop", **choice}],
    }


@pytest.fixture
def speaker():
    return Speaker()


@pytest.fixture
def client(speaker):
    with running(speaker) as port, asking(port) as client:
        yield client


def asking(port, **more):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", **({"api_key": "none", "max_retries": 0} | more))


def chat(client, **more):
    return client.chat.completions.create(model="m", messages=QUESTION, **more)


def test_chat_completions_embeddings_and_models(client):
    assert chat(client).choices[0].message.content == "It is well."
    assert client.completions.create(model="m", prompt="x").choices[0].text == "It is well."
    assert client.embeddings.create(model="m", input="x", encoding_format="float").data[0].embedding == [0.5, 1.0]
    assert [one.id for one in client.models.list()] == ["m"]


def test_streams(client):
    assert [one.choices[0].delta.content for one in chat(client, stream=True)] == ["It ", "is ", "well."]
    parts = client.completions.create(model="m", prompt="x", stream=True)
    assert "".join(one.choices[0].text for one in parts) == "It is well."


def test_every_part_arrives_before_the_next_one_is_made():
    class Waiting(Speaker):
        read = threading.Semaphore(1)

        async def _events(self, path):
            async for event in super()._events(path):
                assert await asyncio.to_thread(self.read.acquire, timeout=30)
                yield event

    waiting = Waiting()
    with running(waiting) as port, asking(port) as client:
        for part in chat(client, stream=True):
            assert part.choices[0].delta.content
            waiting.read.release()


def test_the_asyncio_client(speaker):
    async def ask(port):
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            whole = await client.chat.completions.create(model="m", messages=QUESTION)
            stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
            return whole.choices[0].message.content, [one.choices[0].delta.content async for one in stream]

    with running(speaker) as port:
        assert asyncio.run(ask(port)) == ("It is well.", ["It ", "is ", "well."])


def test_nothing_that_names_its_user_or_its_machine_goes_on(speaker, client):
    chat(client)
    chat(client, stream=True)
    for _, _, headers, content in speaker.asked:
        assert set(headers) <= {b"accept", b"content-type"}
        assert json.loads(content)["messages"] == QUESTION


def test_its_key_can_be_the_endpoints_token(speaker):
    with running(speaker, token=TOKEN) as port:
        with asking(port, api_key=TOKEN.decode()) as client:
            assert chat(client).choices[0].message.content == "It is well."
        with asking(port, api_key="another") as client, pytest.raises(openai.AuthenticationError, match="token"):
            chat(client)


@pytest.mark.parametrize("after_the_end", [False, True])
def test_a_stream_that_is_not_whole_raises(after_the_end):
    """Also where all of its events have come and its receipt does not hold: this client stops at the last event."""
    with running(Speaker(breaks=BROKEN, after_the_end=after_the_end)) as port, asking(port) as client:
        seen = []
        with pytest.raises(openai.APIConnectionError):
            for one in chat(client, stream=True):
                seen.append(one.choices[0].delta.content)
        assert seen == ["It ", "is ", "well."]


def test_a_stream_can_be_left(speaker, client):
    with chat(client, stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.content == "It "
    assert chat(client).choices


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [
        (EvidenceRejected("its evidence is not accepted", hint="Ask"), openai.InternalServerError, 502),
        (PeerUnreachable("nobody answers", hint="Try again"), openai.InternalServerError, 503),
        (TimeoutError(), openai.InternalServerError, 504),
    ],
)
def test_refusals_are_errors_of_that_package(error, raised, status, stream):
    with running(Refusing(error)) as port, asking(port) as client, pytest.raises(raised) as refused:
        chat(client, stream=stream)
    assert refused.value.status_code == status and refused.value.type == "server_error"
    assert refused.value.body["message"] in str(refused.value)


def test_a_refused_server_is_not_asked_again_and_again():
    class Counting(Refusing):
        count = 0

        async def request(self, *given, **more):
            self.count += 1
            raise self.error

    counting = Counting(BROKEN)
    with running(counting) as port, asking(port, max_retries=3) as client, pytest.raises(openai.InternalServerError):
        chat(client)
    assert counting.count == 1


def test_what_the_server_says_itself_arrives(client):
    with pytest.raises(openai.NotFoundError, match="no such path"):
        client.moderations.create(input="x")


# ------------------------------------------------------------------------------------------------------------- curl


def curl(*arguments, **more):
    return subprocess.run(["curl", "--silent", "--show-error", *arguments], capture_output=True, timeout=60, **more)


def test_curl_reads_a_stream_and_sees_where_one_is_cut():
    body = ["--no-buffer", "--json", json.dumps({"model": "m", "messages": QUESTION, "stream": True})]
    with running(Speaker()) as port:
        whole = curl(*body, f"http://127.0.0.1:{port}/v1/chat/completions")
    with running(Speaker(breaks=BROKEN)) as port:
        cut = curl(*body, f"http://127.0.0.1:{port}/v1/chat/completions")
    assert whole.returncode == 0 and whole.stdout.endswith(b"data: [DONE]\n\n")
    assert cut.returncode != 0 and b"[DONE]" not in cut.stdout and b"error" not in cut.stdout
    assert cut.stdout + b"data: [DONE]\n\n" == whole.stdout


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_listens_on_the_other_loopback_address_too():
    with running(ScriptedClient(), host="::1") as port:
        assert curl(f"http://[::1]:{port}/v1/models").stdout == b"{}"
        assert curl("--header", "Host: 127.0.0.1", f"http://[::1]:{port}/v1/models").stdout != b"{}"


@pytest.mark.skipif("os.getuid() != 0", reason="only root can become somebody else")
def test_another_user_of_this_machine_is_refused():
    client = ScriptedClient()
    with running(client) as port:
        other = curl(f"http://127.0.0.1:{port}/v1/models", user=65534)
        assert json.loads(other.stdout)["error"]["type"] == "permission_error" and client.asked == []
        assert curl(f"http://127.0.0.1:{port}/v1/models").stdout == b"{}"
