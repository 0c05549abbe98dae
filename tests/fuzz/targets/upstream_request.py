"""Bodies of requests to an upstream, their path in front: what goes up is read as it came, with the gateway's salt."""

from __future__ import annotations

import json

from tests.fuzz.held import refused_or

from quatrefoil.serving.upstream_requests import ALLOWED, CHAT, SALT, read

PATHS = sorted(ALLOWED)
OURS = "0123456789abcdef"
PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/$defs/a"}}}


def seeds() -> list[bytes]:
    chat = {"messages": [{"role": "user", "content": [PART]}], "tools": [TOOL], "stream": True, SALT: "theirs"}
    others = [{"prompt": "a", "seed": 1 << 62, "temperature": 0.5}, {"input": ["a", "b"], "dimensions": 3}]
    return [bytes([PATHS.index(CHAT)]) + json.dumps(chat).encode()] + [
        bytes([number]) + json.dumps(one).encode() for number in range(len(PATHS)) for one in others
    ]


def one(data: bytes) -> None:
    path, content = PATHS[(data[:1] or b"\0")[0] % len(PATHS)], data[1:]
    found = refused_or(lambda: read(path, content, model="ward", salt=OURS, limit=1 << 16))
    if found is None:
        return
    up = json.loads(found.content)
    assert (up.pop(SALT), up.pop("model")) == (OURS, "ward")
    assert up.keys() <= ALLOWED[path]
    came = {name: value for name, value in json.loads(content).items() if name not in (SALT, "model")}
    assert up == came
    assert found.stream == bool(came.get("stream"))
