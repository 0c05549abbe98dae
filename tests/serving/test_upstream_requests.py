"""Requests to an upstream: what reaches nobody else goes up, written anew; everything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import CallerError, RequestRefused
from quatrefoil.serving.upstream_requests import ALLOWED, CHAT, COMPLETIONS, EMBEDDINGS, REFUSED, UpstreamRequest, read

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
MARKER = "MARKER-of-a-patient"
SALT = "0123456789abcdef"
MESSAGES = [{"role": "user", "content": "hello"}]


def asked(path: str, content: bytes | dict[str, Any], *, salt: str = SALT, limit: int = 1 << 20) -> UpstreamRequest:
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read(path, encoded, model="ward", salt=salt, limit=limit)


def refused(path: str, content: bytes | dict[str, Any], status: int = 400) -> str:
    with pytest.raises(RequestRefused) as found:
        asked(path, content)
    assert found.value.status == status
    assert MARKER not in str(found.value) and found.value.__context__ is None
    return str(found.value)


def test_model_and_salt_are_set_and_the_rest_is_as_it_was() -> None:
    sent = {"messages": [{"role": "user", "content": "é\u2028"}], "temperature": 0.1, "seed": (1 << 63) - 1, "n": None}
    found = asked(CHAT, sent)
    assert json.loads(found.content) == {**sent, "model": "ward", "cache_salt": SALT}
    assert not found.stream
    assert asked(CHAT, {"messages": MESSAGES, "model": "ward", "stream": True}).stream


def test_nobody_chooses_the_salt_of_another() -> None:
    for path, sent in ((CHAT, {"messages": MESSAGES}), (COMPLETIONS, {"prompt": "a"}), (EMBEDDINGS, {"input": "a"})):
        found = asked(path, {**sent, "cache_salt": "salt-of-the-other-tenant"})
        assert json.loads(found.content)["cache_salt"] == SALT
        assert b"other-tenant" not in found.content


@pytest.mark.parametrize("name", ["cache_\\u0073alt", "cache_salt"])
def test_a_salt_by_another_spelling_or_twice_is_still_replaced_or_refused(name: str) -> None:
    content = b'{"prompt": "a", "cache_salt": "one-of-another-tenant", "%b": "x"}' % name.encode()
    refused(COMPLETIONS, content)
    content = b'{"prompt": "a", "%b": "one-of-another-tenant"}' % name.encode()
    assert json.loads(asked(COMPLETIONS, content).content)["cache_salt"] == SALT


@pytest.mark.parametrize("name", ["Cache_Salt", "cache_salt ", "cache-salt", "cachesalt", "cache_salt\x00"])
def test_a_name_that_a_lax_reader_takes_for_the_salt_is_refused(name: str) -> None:
    refused(COMPLETIONS, {"prompt": "a", name: "salt-of-the-other-tenant"})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_reaches_beyond_its_request_is_refused_by_name(name: str) -> None:
    for path in ALLOWED:
        assert name in refused(path, {name: MARKER})


def test_an_unknown_member_is_refused_without_its_name() -> None:
    for path in ALLOWED:
        refused(path, {MARKER: 1})
        refused(path, {"extra_body": {"cache_salt": MARKER}})
    refused(EMBEDDINGS, {"input": "a", "stream": True})
    refused(COMPLETIONS, {"prompt": "a", "messages": MESSAGES})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MARKER-of-a-patient",
        b"[]",
        b"null",
        b'{"prompt": "a", "prompt": "MARKER-of-a-patient"}',
        b'{"prompt": "a", "seed": 9223372036854775808}',
        b'{"prompt": "a", "seed": 1' + b"0" * 5000 + b"}",
        b'{"prompt": "a", "temperature": NaN}',
        b'{"prompt": "a", "temperature": 1e999}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "a"} {"prompt": "b"}',
        b'\xef\xbb\xbf{"prompt": "a"}',
        b'{"prompt": ' + b"[" * 100_000,
        b'{"prompt": "a", "stream": 1}',
        b'{"prompt": "a", "stream": "true"}',
    ],
)
def test_what_has_more_than_one_reading_is_refused(content: bytes) -> None:
    refused(COMPLETIONS, content)


@pytest.mark.parametrize("model", ["other", "", None, 1, ["ward"], "WARD", "ward\x00"])
def test_no_other_model_is_asked(model: Any) -> None:
    refused(COMPLETIONS, {"prompt": "a", "model": model}, status=404)


def test_a_request_over_the_limit_is_refused() -> None:
    with pytest.raises(RequestRefused) as found:
        asked(COMPLETIONS, {"prompt": "a" * 100}, limit=100)
    assert found.value.status == 413


def test_a_salt_that_can_be_guessed_is_the_callers_fault() -> None:
    with pytest.raises(CallerError):
        asked(COMPLETIONS, {"prompt": "a"}, salt="")


INLINE = [
    {"type": "text", "text": "hello"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
]


def test_parts_with_their_data_go_up() -> None:
    assert asked(CHAT, {"messages": [{"role": "user", "content": INLINE}, {"role": "assistant", "content": None}]})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/MARKER-of-a-patient"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": " data:x"}},
        {"type": "image_url", "image_url": "https://example.org/a.png"},
        {"type": "image_url", "image_url": {"url": "data:x"}, "uuid": "of-another"},
        {"type": "image_url", "image_url": None, "uuid": "of-another"},
        {"image_url": "https://example.org/a.png"},
        {"type": "video_url", "video_url": {"url": "data:x"}},
        {"type": "audio_url", "audio_url": {"url": "https://example.org"}},
        {"type": "file", "file": {"file_id": "of-another"}},
        {"type": "text", "text": "a", "image_url": "https://example.org"},
        {"type": "text", "text": ["a"]},
        {"type": ["text"], "text": "a"},
        {"type": "input_audio", "input_audio": {"url": "https://example.org"}},
        {"type": "input_audio", "input_audio": {"data": "https://example.org/a.wav", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "file:///etc/passwd", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": {"url": "https://example.org"}, "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": {"url": "https://example.org"}}},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": {"url": "https://example.org"}}},
        "https://example.org/a.png",
        None,
    ],
)
def test_nothing_is_fetched_for_a_request(part: Any) -> None:
    refused(CHAT, {"messages": [{"role": "user", "content": [INLINE[0], part]}]})


@pytest.mark.parametrize(
    "messages",
    [None, {}, "a", [1], [{"role": "assistant", "audio": {"id": "of-another"}}], [{"role": "user", "content": {}}]],
)
def test_messages_hold_what_is_known(messages: Any) -> None:
    refused(CHAT, {"messages": messages})


def test_functions_are_described_and_other_tools_are_not_run() -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": {"$defs": {"a": {}}, "$ref": "#/$defs/a"}}}
    assert asked(CHAT, {"messages": MESSAGES, "tools": [function]})
    for tool in ({"type": "mcp", "server_url": "https://example.org"}, {"type": "web_search"}, {}, "a"):
        refused(CHAT, {"messages": MESSAGES, "tools": [function, tool]})
    refused(CHAT, {"messages": MESSAGES, "tools": {"type": "function"}})


TEXTS = ["hello", ["hello", "you"], [1, 2, 3], [[1, 2], [3]], [], ""]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_and_tokens_go_up(text: Any) -> None:
    assert asked(COMPLETIONS, {"prompt": text}) and asked(EMBEDDINGS, {"input": text})


@pytest.mark.parametrize(
    "value",
    [
        {"image": "http://169.254.169.254/MARKER-of-a-patient"},
        [{"image": "https://example.org/MARKER-of-a-patient"}],
        [{"text": "a", "image": "file:///etc/passwd"}],
        ["a", {"type": "image_url", "image_url": {"url": "https://example.org"}}],
        {"prompt_string": "a", "multimodal_data": ["AAAA"]},
        [[["a"]]],
        [["a"]],
        [True],
        [1.5],
        7,
        [None],
    ],
)
def test_what_is_neither_text_nor_tokens_is_not_embedded_nor_completed(value: Any) -> None:
    """Some upstreams take pictures by their address there."""
    refused(EMBEDDINGS, {"input": value})
    refused(COMPLETIONS, {"prompt": value})
    if type(value) is not list:
        refused(COMPLETIONS, {"prompt": "a", "suffix": value})


@pytest.mark.parametrize("name", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_no_schema_is_fetched(name: str) -> None:
    schema = {"type": "object", "properties": {"a": {"items": [{name: "https://example.org/MARKER-of-a-patient"}]}}}
    refused(CHAT, {"messages": MESSAGES, "tools": [{"type": "function", "function": {"parameters": schema}}]})
    refused(COMPLETIONS, {"prompt": "a", "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})


def test_a_property_may_have_the_name_of_a_reference() -> None:
    schema = {"properties": {"$ref": {"type": "string"}}}
    assert asked(COMPLETIONS, {"prompt": "a", "response_format": {"json_schema": {"schema": schema}}})


def test_a_request_prints_nothing_of_itself() -> None:
    assert MARKER not in repr(asked(COMPLETIONS, {"prompt": MARKER}))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(ALLOWED[COMPLETIONS] - {"model", "stream", "prompt", "suffix"})), json_values, max_size=5
    )
)
def test_what_goes_up_says_what_came(value: dict[str, Any]) -> None:
    found = json.loads(asked(COMPLETIONS, value).content)
    assert found == {**value, "model": "ward", "cache_salt": SALT}


def test_the_page_lists_every_member() -> None:
    page = PAGE.read_text()
    for name in (*set().union(*ALLOWED.values()), *REFUSED):
        assert f"`{name}`" in page, f"docs/gateway.md does not name {name}"
