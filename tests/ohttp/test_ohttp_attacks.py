"""What whoever carries a message can do to it: cut, move, repeat, splice, relabel, send again. None of it opens."""

from __future__ import annotations

import gc
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from tests.ohttp.exchanges import LIMIT, as_final, as_not_final, gateway, opened, request_in_chunks
from tests.ohttp.other_suites import HYBRID_AES_128, hybrid_key

from quatrefoil.errors import CallerError, DateRefused, HostError, KeyUnknown, MessageRefused, RequestReplayed
from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    KeyConfiguration,
    MemoryReplayStore,
    ReplayGuard,
    RequestHead,
    RequestOpener,
    RequestSealer,
    ResponseKeys,
    ResponseOpener,
    ResponseSealer,
    http_date,
    open_request,
    open_response,
    seal_request,
    seal_response,
    varint,
)
from quatrefoil.ohttp.sequence import MOST_MESSAGES

PARTS = [b"first", b"second", b"third", b"last"]


# ------------------------------------------------------------------------------------------------ chunked requests


def test_the_order_that_was_sealed_opens_and_no_other() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    assert opened(keys, header + b"".join(sent)) == PARTS
    for order in itertools.permutations(range(3)):
        if list(order) != [0, 1, 2]:
            with pytest.raises(MessageRefused, match="does not open"):
                opened(keys, header + b"".join(sent[one] for one in order) + sent[3])


@pytest.mark.parametrize("kept", range(4))
def test_a_beginning_is_never_taken_for_the_whole(kept: int) -> None:
    """Cut after any chunk, as it is, or with the last one that is left framed as the final one."""
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    with pytest.raises(MessageRefused, match="cut off"):
        opened(keys, header + b"".join(sent[:kept]))
    if kept:
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, header + b"".join(sent[: kept - 1]) + as_final(sent[kept - 1]))


def test_it_is_cut_nowhere() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [b"one", b"two"])
    stream = header + b"".join(sent)
    for end in range(len(header), len(stream)):
        with pytest.raises(MessageRefused):
            opened(keys, stream[:end])
    for end in (0, 1, 6, 7, len(header) - 1):
        with pytest.raises(MessageRefused, match="cut off"):
            opened(keys, stream[:end])


@pytest.mark.parametrize("number", range(3))
def test_a_chunk_is_neither_repeated_nor_left_out(number: int) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    for chunks in (sent[: number + 1] + sent[number:], sent[:number] + sent[number + 1 :]):
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, header + b"".join(chunks))


@pytest.mark.parametrize("added", [b"\x00", b"x", b"\x00" * 17, b"again"])
def test_nothing_follows_the_last_chunk(added: bytes) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    with pytest.raises(MessageRefused):
        opened(keys, header + b"".join(sent) + added)
    with pytest.raises(MessageRefused):
        opened(keys, header + b"".join(sent) + sent[-1])


def test_the_last_chunk_is_not_framed_as_one_before_the_last() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    opener = RequestOpener(keys, limit=LIMIT)
    with pytest.raises(MessageRefused, match="does not open"):
        opener.feed(header + b"".join(sent[:-1]) + as_not_final(sent[-1]))


def test_chunks_of_two_requests_to_one_key_do_not_mix() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    _, other_header, others = request_in_chunks(configuration, PARTS)
    for spliced in (
        header + sent[0] + others[1] + sent[2] + sent[3],
        header + b"".join(sent[:3]) + others[3],
        other_header + b"".join(sent),
    ):
        with pytest.raises(MessageRefused, match="does not open"):
            opened(keys, spliced)


def test_every_bit_of_a_short_request_counts() -> None:
    """But for those of a length, which both formats leave unauthenticated, and which then name other bytes."""
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [b"one", b"two"])
    stream = header + b"".join(sent)
    places = [*range(0, len(header), 37), 7 + 1088, len(header) - 1, *range(len(header), len(stream))]
    for at in places:
        altered = bytearray(stream)
        altered[at] ^= 1
        with pytest.raises(MessageRefused):
            opened(keys, bytes(altered))


def test_a_chunk_without_content_is_refused_though_it_is_authentic() -> None:
    keys, configuration = gateway()
    sealer = RequestSealer(configuration)
    empty = varint.prefixed(sealer._context.messages.seal(b""))
    stream = sealer.seal(b"") + empty + sealer.finish(b"x")
    with pytest.raises(MessageRefused, match="empty"):
        opened(keys, stream)


@pytest.mark.parametrize("length", [1, 15, 16, (1 << 14) + 17, 1 << 20, (1 << 62) - 1])
def test_a_length_out_of_bounds_is_refused_before_anything_is_held(length: int) -> None:
    keys, configuration = gateway()
    header = RequestSealer(configuration).seal(b"")
    opener = RequestOpener(keys, limit=LIMIT)
    with pytest.raises(MessageRefused, match="over the limit"):
        opener.feed(header + varint.encode(length))


def test_a_last_chunk_over_the_limit_is_refused_before_the_end() -> None:
    keys, configuration = gateway()
    opener = RequestOpener(keys, limit=1 << 30)
    opener.feed(RequestSealer(configuration).seal(b"") + b"\x00" + bytes((1 << 14) + 16))
    with pytest.raises(MessageRefused, match="something follows"):
        opener.feed(b"x")


@pytest.mark.parametrize("sizes", [[11], [6, 5], [10, 1], [4, 4, 4]])
def test_the_limit_of_the_whole_message_holds(sizes: list[int]) -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, [bytes(size) for size in sizes])
    opener = RequestOpener(keys, limit=10)
    with pytest.raises(MessageRefused, match="more than 10 bytes"):
        opener.feed(header + b"".join(sent))
        opener.finish()
    assert opened(keys, header + b"".join(sent)) == [bytes(size) for size in sizes]


def test_after_a_refusal_nothing_more_is_taken() -> None:
    keys, configuration = gateway()
    _, header, sent = request_in_chunks(configuration, PARTS)
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(header + sent[0])
    response = opener.response
    with pytest.raises(MessageRefused):
        opener.feed(sent[2])
    for again in (lambda: opener.feed(sent[1]), opener.finish, lambda: response.sequence(bytes(32))):
        with pytest.raises(CallerError):
            again()


def test_nothing_is_known_of_a_request_before_a_chunk_has_opened() -> None:
    """Anybody can write a header: only a chunk shows that somebody sealed under it."""
    keys, configuration = gateway()
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(RequestSealer(configuration).seal(b""))
    for name in ("enc", "key_id", "response"):
        with pytest.raises(CallerError, match="no chunk"):
            getattr(opener, name)


# ---------------------------------------------------------------------------------------------- keys and algorithms


def test_the_key_identifier_cannot_be_swapped() -> None:
    """Not even between two identifiers of one key: the header is in HPKE's info."""
    halves = hybrid_key(bytes(32))
    keys = GatewayKeys({1: halves, 2: hybrid_key(bytes(32))})
    sealed, _ = seal_request(keys.configurations[0], b"request")
    assert open_request(sealed, keys).content == b"request"
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(b"\x02" + sealed[1:], keys)
    with pytest.raises(KeyUnknown, match="key 3 is not in force"):
        open_request(b"\x03" + sealed[1:], keys)


@pytest.mark.parametrize(
    "identifiers", ["002000010002", "004100010002", "005100020002", "647a00010001", "647a00020002"]
)
def test_other_algorithms_in_the_header_are_refused(identifiers: str) -> None:
    keys, configuration = gateway()
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="HPKE suite"):
        open_request(sealed[:1] + bytes.fromhex(identifiers) + sealed[7:], keys)


def test_what_was_sealed_under_a_weaker_suite_does_not_open() -> None:
    """The same key, relabelled: a downgrade on the way shows in the header, and in the key schedule."""
    key = hybrid_key(bytes(32))
    sealed, _ = seal_request(KeyConfiguration(1, key.public, HYBRID_AES_128), b"request")
    keys = GatewayKeys({1: key})
    with pytest.raises(MessageRefused, match="HPKE suite"):
        open_request(sealed, keys)
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(sealed[:5] + b"\x00\x02" + sealed[7:], keys)


def test_another_key_under_the_same_identifier_does_not_open() -> None:
    _, configuration = gateway()
    others, _ = gateway()
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(sealed, others)


def test_a_retired_key_is_gone_and_the_next_one_answers() -> None:
    keys, configuration = gateway()
    old = next(iter(keys._keys.values()))
    following = keys.add(2, HybridKey.generate())
    sealed, _ = seal_request(configuration, b"before")
    assert open_request(sealed, keys).content == b"before"
    keys.retire(1)
    with pytest.raises(KeyUnknown):
        open_request(sealed, keys)
    with pytest.raises(CallerError, match="wiped"):
        old.decapsulate(bytes(1120))
    assert open_request(seal_request(following, b"after")[0], keys).content == b"after"
    with pytest.raises(CallerError, match="is in force"):
        keys.add(2, HybridKey.generate())


@pytest.mark.parametrize("share", [bytes(32), (1).to_bytes(32, "little"), ((1 << 255) - 20).to_bytes(32, "little")])
def test_shares_of_small_order_are_refused_at_both_ends(share: bytes) -> None:
    keys, configuration = gateway()
    with pytest.raises(MessageRefused, match="degenerate"):
        seal_request(KeyConfiguration(1, configuration.public[:-32] + share), b"request")
    sealed, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused, match="degenerate"):
        open_request(sealed[: 7 + 1088] + share + sealed[7 + 1120 :], keys)


def test_a_public_key_that_is_not_reduced_is_refused() -> None:
    _, configuration = gateway()
    with pytest.raises(MessageRefused):
        seal_request(KeyConfiguration(1, b"\xff\xff" + configuration.public[2:]), b"request")


def test_whole_and_chunked_requests_do_not_pass_for_each_other() -> None:
    keys, configuration = gateway()
    whole, _ = seal_request(configuration, b"request")
    with pytest.raises(MessageRefused):
        opened(keys, whole[: 7 + 1120] + b"\x00" + whole[7 + 1120 :])
    _, header, sent = request_in_chunks(configuration, [b"request"])
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(header + sent[0][1:], keys)


@pytest.mark.parametrize("size", [0, 1, 7, 1126, 1127, 1142])
def test_a_request_that_is_too_short_is_refused(size: int) -> None:
    keys, configuration = gateway()
    with pytest.raises(MessageRefused, match="cut off"):
        open_request(seal_request(configuration, b"")[0][:size], keys)


# --------------------------------------------------------------------------------------------------------- responses


def exchange(content: bytes = b"request") -> tuple[ResponseKeys, ResponseKeys]:
    """What client and gateway keep of one whole request."""
    keys, configuration = gateway()
    sealed, client = seal_request(configuration, content)
    return client, open_request(sealed, keys).response


def test_a_response_opens_once_and_under_its_own_request_only() -> None:
    client, server = exchange()
    other, _ = exchange()
    answer = seal_response(server, b"answer")
    with pytest.raises(MessageRefused, match="does not open"):
        open_response(other, answer)
    assert open_response(client, answer) == b"answer"
    with pytest.raises(CallerError, match="wiped"):
        open_response(client, answer)


def test_two_responses_to_one_request_have_keys_of_their_own() -> None:
    _, server = exchange()
    first, second = seal_response(server, b"answer"), seal_response(server, b"answer")
    assert first[:32] != second[:32] and first[32:] != second[32:]


def test_a_response_with_the_nonce_of_another_does_not_open() -> None:
    client, server = exchange()
    first, second = seal_response(server, b"answer"), seal_response(server, b"answer")
    with pytest.raises(MessageRefused, match="does not open"):
        open_response(client, first[:32] + second[32:])


@pytest.mark.parametrize("size", [0, 31, 32, 47])
def test_a_response_that_is_too_short_is_refused(size: int) -> None:
    client, server = exchange()
    with pytest.raises(MessageRefused, match="cut off"):
        open_response(client, seal_response(server, b"")[:size])


def chunked_exchange() -> tuple[ResponseKeys, ResponseKeys]:
    keys, configuration = gateway()
    sealer, header, sent = request_in_chunks(configuration, [b"request"])
    opener = RequestOpener(keys, limit=LIMIT)
    opener.feed(header + sent[0])
    opener.finish()
    return sealer.response, opener.response


def response_in_chunks(server: ResponseKeys) -> tuple[bytes, list[bytes]]:
    sealer = ResponseSealer(server)
    nonce = sealer.seal(b"")
    return nonce, [*(sealer.seal(part) for part in PARTS[:-1]), sealer.finish(PARTS[-1])]


@pytest.mark.parametrize(
    "attack", ["cut", "cut and framed as the end", "swapped", "repeated", "left out", "spliced", "nonce", "appended"]
)
def test_an_altered_stream_of_answers_is_refused(attack: str) -> None:
    client, server = chunked_exchange()
    nonce, sent = response_in_chunks(server)
    other_nonce, others = response_in_chunks(server)
    streams = {
        "cut": nonce + b"".join(sent[:3]),
        "cut and framed as the end": nonce + sent[0] + as_final(sent[1]),
        "swapped": nonce + sent[1] + sent[0] + sent[2] + sent[3],
        "repeated": nonce + sent[0] + b"".join(sent),
        "left out": nonce + sent[0] + sent[2] + sent[3],
        "spliced": nonce + sent[0] + others[1] + sent[2] + sent[3],
        "nonce": other_nonce + b"".join(sent),
        "appended": nonce + b"".join(sent) + sent[-1],
    }
    opener = ResponseOpener(client, limit=LIMIT)
    with pytest.raises(MessageRefused):
        opener.feed(streams[attack])
        opener.finish()
    with pytest.raises(CallerError, match="wiped"):
        ResponseOpener(client, limit=LIMIT).feed(streams["cut"])


def test_an_answer_to_a_whole_request_is_none_to_a_chunked_one() -> None:
    client, server = chunked_exchange()
    with pytest.raises(MessageRefused):
        opener = ResponseOpener(client, limit=LIMIT)
        opener.feed(seal_response(server, b"answer")[:32] + b"\x00" + seal_response(server, b"answer")[32:])
        opener.finish()


# ----------------------------------------------------------------------------------------------------------- secrets


def test_secrets_are_overwritten_and_not_printed() -> None:
    keys, configuration = gateway()
    sealer = RequestSealer(configuration)
    context, sequence, response = sealer._context, sealer._context.messages, sealer.response
    held = [context._exporter, sequence._key, sequence._base, response._secret]
    secrets = [bytes(one) for one in held]
    assert all(any(one) for one in secrets)
    shown = "".join(map(repr, (sealer, context, sequence, response, keys, keys.configurations)))
    assert not any(one.hex() in shown or str(one) in shown for one in secrets)
    sealer.finish(b"end")
    assert not any(map(any, held[:3])) and any(held[3])
    response.wipe()
    assert not any(held[3])
    gc.collect()


def test_a_context_that_was_wiped_does_nothing() -> None:
    _, configuration = gateway()
    sealer = RequestSealer(configuration)
    sealer.wipe()
    for use in (lambda: sealer.seal(b"x"), sealer.finish, lambda: sealer._context.export(b"x", 16)):
        with pytest.raises(CallerError):
            use()


def test_two_threads_never_seal_under_one_nonce() -> None:
    _, configuration = gateway()
    sequence = RequestSealer(configuration)._context.messages
    with ThreadPoolExecutor(4) as threads:
        sealed = list(threads.map(lambda _: sequence.seal(b"same"), range(500)))
    assert len(set(sealed)) == 500 and sequence.number == 500


@pytest.mark.parametrize("size", [0, 12, 31, 33])
def test_a_nonce_of_another_length_is_not_used(size: int) -> None:
    _, server = exchange()
    with pytest.raises(CallerError, match="another length"):
        seal_response(server, b"answer", random=lambda _: bytes(size))
    with pytest.raises(CallerError, match="another length"):
        ResponseSealer(server, random=lambda _: bytes(size))


def test_no_more_messages_go_under_one_key_than_its_limit() -> None:
    _, configuration = gateway()
    sealer = RequestSealer(configuration)
    sealer._context.messages._number = MOST_MESSAGES - 1
    sealer.seal(b"the last")
    with pytest.raises(CallerError, match="under one key"):
        sealer.finish()


# ----------------------------------------------------------------------------------------------------------- replays


@pytest.mark.parametrize("mask", [0x80, 0x01])
def test_the_name_of_a_request_cannot_be_changed(mask: int) -> None:
    """X25519 does not look at the highest bit of a share. X-Wing hashes the share as it came, so that it counts."""
    keys, configuration = gateway()
    sealed, _ = seal_request(configuration, b"request")
    renamed = bytearray(sealed)
    renamed[7 + 1120 - 1] ^= mask
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(bytes(renamed), keys)


NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def dated(moment: datetime | bytes) -> RequestHead:
    value = moment if isinstance(moment, bytes) else http_date(moment).encode()
    return RequestHead(b"POST", b"https", b"", b"/", ((b"date", value),))


def test_a_request_is_admitted_once_and_never_again() -> None:
    clock, store = Clock(), MemoryReplayStore()
    guard = ReplayGuard(store, clock=clock, window=60)
    guard.admit(b"enc", b"key", dated(NOW))
    for seconds in (0, 1, 59, 60):
        clock.now = NOW + timedelta(seconds=seconds)
        with pytest.raises(RequestReplayed):
            guard.admit(b"enc", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=61)
    with pytest.raises(DateRefused, match="61 s away"):
        guard.admit(b"enc", b"key", dated(NOW))
    guard.admit(b"other", b"key", dated(clock.now))
    assert len(store) == 1


@pytest.mark.parametrize("seconds", [-61, 61, -86_400, 10**8])
def test_a_date_outside_the_window_is_refused(seconds: int) -> None:
    guard = ReplayGuard(MemoryReplayStore(), clock=Clock(), window=60)
    with pytest.raises(DateRefused):
        guard.admit(b"enc", b"key", dated(NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "value", [b"", b"now", b"0", b"Thu, 26 Nov 2026 12:00:00", b"thu, 26 nov 2026 12:00:00 GMT", b"\xff", b"9" * 5000]
)
def test_what_is_no_date_is_refused(value: bytes) -> None:
    with pytest.raises(DateRefused, match="no date"):
        ReplayGuard(MemoryReplayStore(), clock=Clock()).admit(b"enc", b"key", dated(value))


def test_a_request_without_a_date_or_with_two_is_refused() -> None:
    guard = ReplayGuard(MemoryReplayStore(), clock=Clock())
    for fields in ((), dated(NOW).fields * 2):
        with pytest.raises(DateRefused):
            guard.admit(b"enc", b"key", RequestHead(b"POST", b"https", b"", b"/", fields))


def test_a_clock_that_is_set_back_makes_nothing_new() -> None:
    """What was forgotten at a later time cannot be told from a replay."""
    clock = Clock()
    guard = ReplayGuard(MemoryReplayStore(), clock=clock, window=60)
    guard.admit(b"enc", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=3600)
    guard.admit(b"later", b"key", dated(clock.now))
    clock.now = NOW
    with pytest.raises(RequestReplayed):
        guard.admit(b"enc", b"key", dated(NOW))


def test_a_full_store_refuses_and_forgets_nothing() -> None:
    clock, store = Clock(), MemoryReplayStore(2)
    guard = ReplayGuard(store, clock=clock, window=60)
    guard.admit(b"1", b"key", dated(NOW))
    guard.admit(b"2", b"key", dated(NOW))
    with pytest.raises(HostError, match="told from replays"):
        guard.admit(b"3", b"key", dated(NOW))
    with pytest.raises(RequestReplayed):
        guard.admit(b"1", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=61)
    guard.admit(b"3", b"key", dated(clock.now))


@pytest.mark.parametrize("window", [0, -1, 86_401])
def test_a_window_that_is_none_is_refused(window: int) -> None:
    with pytest.raises(CallerError):
        ReplayGuard(MemoryReplayStore(), clock=Clock(), window=window)


def test_both_ends_have_one_salt_for_receipts_and_every_exchange_another() -> None:
    (client, server), (other, _) = exchange(), exchange()
    assert client.salt == server.salt != other.salt and len(client.salt) == 32
    client.wipe()
    assert client.salt == server.salt, "what was committed to can be shown after the exchange"
    client, server = chunked_exchange()
    assert client.salt == server.salt
