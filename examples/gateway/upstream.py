"""The character model behind the API of OpenAI, on loopback: ``python upstream.py MODEL --listen 127.0.0.1:9000``.

Chat and text completions with streams, embeddings and the list of models, as far as the model has them. It checks
little: ``quatrefoil serve --upstream`` stands before it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opening
import uvicorn
from character_gru import CharacterGru
from generation import Generation, Generator, Sampling, Token

HOST = "127.0.0.1"
NAME = "ward-notes"
DEFAULT_TOKENS = 64
MOST_TOKENS = 4096


class Unsupported(Exception):
    """Something that is asked for, and that the model does not have."""


class Upstream:
    """The ASGI application."""

    def __init__(self, generator: Generator, name: str) -> None:
        self._generator = generator
        self._name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        asked = scope["method"], scope["path"]
        if asked in (("GET", "/v1/models"), ("GET", "/health")):
            await _answer(send, 200, {"object": "list", "data": [{"id": self._name, "object": "model"}]})
            return
        answers = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/v1/embeddings"): self._embed,
        }
        if asked not in answers:
            await _refuse(send, 404, "there is nothing here")
            return
        try:
            await answers[asked](json.loads(await _body(receive)), receive, send)
        except (Unsupported, KeyError, TypeError, ValueError) as error:
            await _refuse(send, 400, f"the request cannot be answered: {error}")

    async def _chat(self, request: dict[str, Any], receive: Any, send: Any) -> None:
        """Each message is a line, and so is the answer."""
        lines = [f"{one['role']}: {_content(one['content'])}\n" for one in request["messages"]]
        count = int(request.get("top_logprobs") or 0)
        await self._run(
            "".join(lines) + "assistant: ", Chat(bool(request.get("logprobs"))), request, count, receive, send
        )

    async def _complete(self, request: dict[str, Any], receive: Any, send: Any) -> None:
        prompt = request["prompt"]
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if not isinstance(prompt, str):
            raise Unsupported("the prompt is not one text")
        wanted = request.get("logprobs")
        await self._run(prompt, Text(wanted is not None), request, int(wanted or 0), receive, send)

    async def _run(
        self, prompt: str, shape: Chat | Text, request: dict[str, Any], alternatives: int, receive: Any, send: Any
    ) -> None:
        sampling = _sampling(request, shape.STOP, alternatives)
        generation = self._generator.generate(prompt, sampling, salt=str(request.get("cache_salt") or ""))
        about = {"id": f"{shape.PREFIX}-{uuid.uuid4().hex}", "created": int(time.time()), "model": self._name}
        if request.get("stream"):
            usage = bool((request.get("stream_options") or {}).get("include_usage"))
            await _stream(shape.parts(generation, about, usage), receive, send)
        else:
            await _answer(send, 200, {**about, **shape.whole(generation), "usage": _usage(generation)})

    async def _embed(self, request: dict[str, Any], _receive: Any, send: Any) -> None:
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        if not all(isinstance(text, str) for text in texts) or request.get("dimensions"):
            raise Unsupported("only texts are embedded, in the model's own dimensions")
        vectors = [self._generator.embed(text) for text in texts]
        encoded = request.get("encoding_format", "float") == "base64"
        data = [
            {
                "object": "embedding",
                "index": number,
                "embedding": base64.b64encode(one.astype("<f4").tobytes()).decode() if encoded else one.tolist(),
            }
            for number, one in enumerate(vectors)
        ]
        count = sum(map(len, texts))
        usage = {"prompt_tokens": count, "total_tokens": count}
        await _answer(send, 200, {"object": "list", "model": self._name, "data": data, "usage": usage})


class Chat:
    """Answers in the form of chat completions."""

    PREFIX, STOP = "chatcmpl", ("\n",)

    def __init__(self, logprobs: bool) -> None:
        self._logprobs = logprobs

    def whole(self, generation: Generation) -> dict[str, Any]:
        tokens = list(generation)
        message = {"role": "assistant", "content": "".join(token.text for token in tokens)}
        return {"object": "chat.completion", "choices": [self._choice("message", message, tokens, generation.finish)]}

    def parts(self, generation: Generation, about: dict[str, Any], usage: bool) -> Iterator[dict[str, Any]]:
        about = {**about, "object": "chat.completion.chunk"}
        yield {**about, "choices": [self._choice("delta", {"role": "assistant", "content": ""}, [], None)]}
        for token in generation:
            yield {**about, "choices": [self._choice("delta", {"content": token.text}, [token], None)]}
        yield {**about, "choices": [self._choice("delta", {}, [], generation.finish)]}
        if usage:
            yield {**about, "choices": [], "usage": _usage(generation)}

    def _choice(self, name: str, said: dict[str, Any], tokens: list[Token], finish: str | None) -> dict[str, Any]:
        logprobs = {"content": [_logprob(token) for token in tokens]} if self._logprobs else None
        return {"index": 0, name: said, "logprobs": logprobs, "finish_reason": finish}


class Text:
    """Answers in the form of text completions."""

    PREFIX, STOP = "cmpl", ()

    def __init__(self, logprobs: bool) -> None:
        self._logprobs = logprobs

    def whole(self, generation: Generation) -> dict[str, Any]:
        tokens = list(generation)
        return {"object": "text_completion", "choices": [self._choice(tokens, 0, generation.finish)]}

    def parts(self, generation: Generation, about: dict[str, Any], usage: bool) -> Iterator[dict[str, Any]]:
        about = {**about, "object": "text_completion"}
        for number, token in enumerate(generation):
            yield {**about, "choices": [self._choice([token], number, None)]}
        yield {**about, "choices": [self._choice([], generation.made, generation.finish)]}
        if usage:
            yield {**about, "choices": [], "usage": _usage(generation)}

    def _choice(self, tokens: list[Token], first: int, finish: str | None) -> dict[str, Any]:
        logprobs = {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.log_probability for token in tokens],
            "top_logprobs": [dict(token.alternatives) for token in tokens],
            "text_offset": list(range(first, first + len(tokens))),
        }
        text = "".join(token.text for token in tokens)
        return {"index": 0, "text": text, "logprobs": logprobs if self._logprobs else None, "finish_reason": finish}


def _sampling(request: dict[str, Any], stop: tuple[str, ...], alternatives: int) -> Sampling:
    if request.get("n", 1) != 1:
        raise Unsupported("one answer at a time")
    asked = request.get("stop") or []
    tokens = request.get("max_completion_tokens") or request.get("max_tokens") or DEFAULT_TOKENS
    temperature, top_p = request.get("temperature"), request.get("top_p")
    return Sampling(
        tokens=min(int(tokens), MOST_TOKENS),
        temperature=1.0 if temperature is None else float(temperature),
        top_p=1.0 if top_p is None else float(top_p),
        seed=request.get("seed"),
        stop=(*stop, *([asked] if isinstance(asked, str) else asked)),
        alternatives=alternatives,
    )


def _content(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content or [])


def _usage(generation: Generation) -> dict[str, Any]:
    return {
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.made,
        "total_tokens": generation.prompt_tokens + generation.made,
        "prompt_tokens_details": {"cached_tokens": generation.cached},
    }


def _logprob(token: Token) -> dict[str, Any]:
    top = [{"token": text, "logprob": value, "bytes": list(text.encode())} for text, value in token.alternatives]
    return {
        "token": token.text,
        "logprob": token.log_probability,
        "bytes": list(token.text.encode()),
        "top_logprobs": top,
    }


# ------------------------------------------------------------------------------------------------------------- HTTP


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Any, status: int, document: dict[str, Any]) -> None:
    content = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _refuse(send: Any, status: int, message: str) -> None:
    await _answer(send, status, {"error": {"message": message, "type": "invalid_request_error"}})


async def _stream(parts: Iterator[dict[str, Any]], receive: Any, send: Any) -> None:
    """Each part as an event, while the client listens."""
    gone = asyncio.ensure_future(_leaves(receive))
    try:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts:
            event = b"data: " + json.dumps(part).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0)  # others have their turn between two characters
            if gone.done():
                return
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


async def _leaves(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the character model on loopback, with the API of OpenAI.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="what train.py wrote; with --policy, sealed")
    parser.add_argument("--listen", default=f"{HOST}:9000", metavar="HOST:PORT", help="on loopback; port 0: any")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the serving policy, which names the model's root")
    parser.add_argument("--root", type=Path, metavar="FILE", help="the consortium's root certificate, with --policy")
    chosen = parser.parse_args()
    if chosen.policy:
        name, file = opening.model(chosen.model, chosen.policy, chosen.root)
    else:
        name, file = NAME, chosen.model
    app = Upstream(Generator(CharacterGru.load(file)), name)
    host, _, port = chosen.listen.rpartition(":")
    with socket.create_server((host, int(port))) as listening:
        print(f"listening on http://{HOST}:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
