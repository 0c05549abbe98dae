"""Mozilla's crates ``ohttp`` and ``bhttp`` at the other end, and ``cryptography``'s own HPKE.

The crate speaks X-Wing with AES-128-GCM, not with AES-256-GCM: what is exchanged with it is under that suite, and all
but the AEAD's key length is the package's. AES-256-GCM is exchanged with ``cryptography``, and with the reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hpke as library
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.interop.peer_program import Peer, PeerSays
from tests.ohttp.exchanges import LIMIT, gateway
from tests.ohttp.other_suites import HYBRID_AES_128, hybrid_key
from tests.reference import oblivious

from quatrefoil.errors import MessageRefused
from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    NoPadding,
    PowerOfTwo,
    Request,
    RequestHead,
    RequestOpener,
    RequestSealer,
    Response,
    ResponseHead,
    ResponseOpener,
    ResponseSealer,
    StreamEncoder,
    decode_list,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    open_request,
    open_response,
    seal_request,
    seal_response,
)
from quatrefoil.ohttp.hpke_context import HYBRID, setup_recipient, setup_sender

SEED = bytes(range(32))
SIZES = [0, 1, 16_383, 16_384, 16_385, 100_000]


@pytest.fixture(scope="module")
def mozilla() -> Iterator[Peer]:
    with Peer("ohttp", "ohttp") as running:
        yield running


def split(joined: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(joined[:8], "big")
    return joined[8 : 8 + size], joined[16 + size :]


def configuration_of(mozilla: Peer):
    encoded = mozilla.ask("config", "whole", SEED)
    (found,) = decode_list(len(encoded).to_bytes(2, "big") + encoded, HYBRID_AES_128)
    assert found.encode() == encoded
    return found


@pytest.mark.parametrize("size", SIZES)
def test_it_answers_our_whole_requests(mozilla: Peer, size: int) -> None:
    request, answer = bytes(size), b"a" * size
    sealed, response = seal_request(configuration_of(mozilla), request)
    theirs, sent = split(mozilla.ask("answer", "whole", SEED, sealed, answer))
    assert theirs == request and open_response(response, sent) == answer


@pytest.mark.parametrize("size", SIZES)
def test_it_answers_our_chunked_requests(mozilla: Peer, size: int) -> None:
    request, answer = bytes(size), b"a" * size
    sealer = RequestSealer(configuration_of(mozilla))
    sealed = sealer.seal(request[: size // 2]) + sealer.finish(request[size // 2 :])
    theirs, sent = split(mozilla.ask("answer", "chunked", SEED, sealed, answer))
    opener = ResponseOpener(sealer.response, limit=LIMIT)
    assert theirs == request and b"".join(opener.feed(sent)) + opener.finish() == answer


def our_gateway() -> tuple[GatewayKeys, bytes]:
    keys = GatewayKeys({7: HybridKey.generate()}, HYBRID_AES_128)
    return keys, keys.configurations[0].encode()


@pytest.mark.parametrize("size", SIZES)
def test_we_answer_its_whole_requests(mozilla: Peer, size: int) -> None:
    keys, configuration = our_gateway()
    opened = open_request(mozilla.ask("ask", "whole", configuration, bytes(size)), keys)
    assert opened.content == bytes(size) and opened.key_id == 7
    assert mozilla.ask("read", "whole", seal_response(opened.response, b"a" * size)) == b"a" * size


@pytest.mark.parametrize("size", SIZES)
def test_we_answer_its_chunked_requests(mozilla: Peer, size: int) -> None:
    keys, configuration = our_gateway()
    opener = RequestOpener(keys, limit=LIMIT)
    content = opener.feed(mozilla.ask("ask", "chunked", configuration, bytes(size)))
    assert b"".join([*content, opener.finish()]) == bytes(size)
    sealer = ResponseSealer(opener.response)
    sent = sealer.seal(b"a" * (size // 3)) + sealer.seal(b"a" * (size - size // 3)) + sealer.finish()
    assert mozilla.ask("read", "chunked", sent) == b"a" * size


def test_what_is_cut_or_altered_opens_on_neither_side(mozilla: Peer) -> None:
    sealer = RequestSealer(configuration_of(mozilla))
    first, last = sealer.seal(b"request"), sealer.finish()
    for stream in (first, first + b"\x00" + first[-23:], first[:-1] + bytes([first[-1] ^ 1]) + last):
        with pytest.raises(PeerSays):
            mozilla.ask("answer", "chunked", SEED, stream, b"answer")
    keys, configuration = our_gateway()
    theirs = mozilla.ask("ask", "chunked", configuration, b"request")
    for stream in (theirs[:-17], theirs[:-1], theirs[:7] + theirs[8:]):
        with pytest.raises(MessageRefused):
            opener = RequestOpener(keys, limit=LIMIT)
            opener.feed(stream)
            opener.finish()


def test_a_key_of_our_suite_is_none_for_it(mozilla: Peer) -> None:
    """It has no AES-256-GCM, and takes nothing else in its place."""
    _, configuration = gateway()
    with pytest.raises(PeerSays, match="panicked"):
        mozilla.ask("ask", "whole", configuration.encode(), b"request")


HEAD = RequestHead(b"POST", b"https", b"model.example", b"/v2/models/m/infer", ((b"a", b"1"), (b"b", b"")))
MESSAGES = [
    encode_request(Request(HEAD, b"content" * 99, ((b"t", b"x"),)), padding=PowerOfTwo()),
    encode_request(Request(HEAD), padding=NoPadding()),
    encode_response(
        Response(ResponseHead(200, ((b"a", b"1"),)), b"c", informational=(ResponseHead(103),)), padding=PowerOfTwo()
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=["request", "empty request", "response"])
@pytest.mark.parametrize("form", ["known", "stream"])
def test_it_reads_our_binary_messages_and_we_what_it_writes(mozilla: Peer, message: bytes, form: str) -> None:
    decode = decode_request if message[0] == 0 else decode_response
    assert decode(mozilla.ask("bhttp", form, message)) == decode(message)


def test_it_reads_our_streams(mozilla: Peer) -> None:
    encoder = StreamEncoder(ResponseHead(200, ((b"content-type", b"text/event-stream"),)))
    stream = encoder.informational(ResponseHead(102)) + encoder.head()
    stream += b"".join(encoder.content(b"data: %d\n\n" % one) for one in range(5))
    stream += encoder.end(((b"x-receipt", b"r"),), padding=PowerOfTwo(), sent=len(stream))
    assert len(stream) == 256
    assert decode_response(mozilla.ask("bhttp", "known", stream)) == decode_response(stream)


@pytest.mark.parametrize("cut", range(1, 30))
def test_both_refuse_a_message_that_is_cut(mozilla: Peer, cut: int) -> None:
    message = MESSAGES[1][: cut + 1]
    with pytest.raises(PeerSays):
        mozilla.ask("bhttp", "known", message)
    with pytest.raises(MessageRefused):
        decode_request(message)


# ------------------------------------------------------------------------------------- HPKE of cryptography's own

LIBRARY = library.Suite(library.KEM.MLKEM768_X25519, library.KDF.HKDF_SHA256, library.AEAD.AES_256_GCM)


@pytest.mark.parametrize("info", [b"", b"info", bytes(70_000)], ids=["none", "some", "much"])
def test_single_shots_of_the_library_are_our_first_message(info: bytes) -> None:
    halves = oblivious.xwing_halves(SEED)
    key = HybridKey(*halves)
    private = library.MLKEM768X25519PrivateKey(*halves)
    enc, sender = setup_sender(HYBRID, key.public, info)
    assert LIBRARY.decrypt(enc + sender.messages.seal(b"ours"), private, info) == b"ours"
    theirs = LIBRARY.encrypt(b"theirs", private.public_key(), info)
    assert setup_recipient(HYBRID, theirs[:1120], key, info).messages.open(theirs[1120:]) == b"theirs"


# --------------------------------------------------------------------------- the reference, with AES-256-GCM itself


def reference(enc: bytes, label: bytes, header: bytes) -> oblivious.Context:
    shared = oblivious.xwing_shared(oblivious.xwing_halves(SEED), enc)
    return oblivious.context(HYBRID.identifiers, shared, oblivious.info(header, label), 32)


@pytest.mark.parametrize("size", SIZES)
def test_the_reference_reads_a_whole_exchange_of_ours(size: int) -> None:
    keys = GatewayKeys({1: hybrid_key(SEED)})
    sealed, client = seal_request(keys.configurations[0], bytes(size))
    context = reference(sealed[7:1127], b"message/bhttp request", sealed[:7])
    assert AESGCM(context.key).decrypt(context.next_nonce(), sealed[1127:], b"") == bytes(size)
    nonce = bytes(range(32))
    key, base = oblivious.response_key(context, sealed[7:1127], nonce, b"message/bhttp response", 32)
    answer = nonce + AESGCM(key).encrypt(base, b"answer", b"")
    assert answer == seal_response(open_request(sealed, keys).response, b"answer", random=lambda _: nonce)
    assert open_response(client, answer) == b"answer"


@pytest.mark.parametrize("size", SIZES)
def test_the_reference_reads_and_writes_chunks_of_ours(size: int) -> None:
    keys = GatewayKeys({1: hybrid_key(SEED)})
    sealer = RequestSealer(keys.configurations[0])
    sealed = sealer.seal(bytes(size)) + sealer.finish(b"end")
    enc = sealed[7:1127]
    context = reference(enc, b"message/bhttp chunked request", sealed[:7])
    chunks = oblivious.open_chunks(sealed[1127:], AESGCM(context.key), context.nonce)
    assert b"".join(chunks) == bytes(size) + b"end"
    opener = RequestOpener(keys, limit=LIMIT)
    assert [*opener.feed(sealed), opener.finish()] == chunks
    key, base = oblivious.response_key(context, enc, SEED, b"message/bhttp chunked response", 32)
    answer = SEED + oblivious.seal_chunks([b"one", b"two", b""], AESGCM(key), base)
    ours = ResponseSealer(opener.response, random=lambda _: SEED)
    assert ours.seal(b"one") + ours.seal(b"two") + ours.finish() == answer
    client = ResponseOpener(sealer.response, limit=LIMIT)
    assert [*client.feed(answer), client.finish()] == [b"one", b"two", b""]
