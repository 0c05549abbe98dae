"""``AsyncClient``: attests before it sends, seals to the attested key, takes no answer without its receipt."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from quatrefoil.client import tensors
from quatrefoil.client.answers import Answer, Inferred
from quatrefoil.client.asking import HeaderLines, asked_for
from quatrefoil.client.computations import require_computed, require_provable
from quatrefoil.client.connecting import MARGIN_S, over_tls, standing
from quatrefoil.client.exchanges import Asked, StreamExchange, WholeExchange
from quatrefoil.client.outer import Outer, Unopened, Web
from quatrefoil.client.pinning import Pinned, Pins
from quatrefoil.client.places import place
from quatrefoil.client.receipts import Receipt, Verifier
from quatrefoil.client.streams import AsyncStream
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError, KeyUnknown, MessageRefused, PeerUnreachable
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import ModelMetadata
from quatrefoil.quantised.rule import Rule
from quatrefoil.transport import (
    Clock,
    Credentials,
    Identity,
    TrustAnchor,
    system_clock,
)

Result = TypeVar("Result")


class AsyncClient:
    """Requests to the model of one server, for one event loop. ``async with`` closes it.

    Before the first request the server is challenged, and its evidence held to ``policy`` with ``collateral``; nothing
    is sent that is not sealed to the key which that evidence names. Every answer has a receipt that is verified, or the
    call raises: ``EvidenceRejected`` where evidence or a receipt does not hold, ``MessageRefused`` where something is
    not what it should be, ``PeerUnreachable`` where there was no answer, ``RequestRefused`` by ``raise_for_status``.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: ServingPolicy,
        collateral: Collateral | Callable[[], Collateral],
        identity: Identity | None = None,
        trust: TrustAnchor | None = None,
        credentials: Credentials | None = None,
        relay: str | None = None,
        server: str | None = None,
        timeout: float | None = None,
        on_receipt: Callable[[Receipt], None] | None = None,
        computes: Rule | None = None,
        committed: bytes | None = None,
        clock: Clock = system_clock,
        web: Web | None = None,
    ) -> None:
        """``url``: https://HOST[:PORT] of the server. ``relay``: that of a relay to it, which everything is posted to;
        then TLS is to the relay. ``server``: the certified name that receipts have to name.

        ``identity``, ``trust``: who asks, and whose certificates are believed. Or ``credentials`` in place of both, for
        clients that outlive a certificate: asked before each request, and a new standing makes new connections.

        ``collateral``: what evidence is verified with; a function is asked each time. ``timeout``: seconds until an
        answer has come, or a streamed one has begun; by default what the policy gives the server, and 10.
        ``on_receipt``: called with each receipt in a thread of its own, before the answer is given out; what it raises
        is raised. ``computes``: the rule of the integer graph that is served in audit mode: the receipt of each answer
        to :meth:`infer` then has to commit to what was sent and answered; None where a client does not know one, and
        takes what receipts say of it as it is: something, where the policy promises proofs. ``committed``: root of the
        commitment to the model's weights that every receipt has to name, so that answers can be proven against that one
        and no other; None where a client knows none, and holds the receipts of a keyset to what the first of them
        names. ``web``: in place of one over our TLS: as strict as that.
        """
        self._place = place(url)
        outer = self._place if relay is None else place(relay, "the relay's URL")
        self._policy = policy
        self._clock = clock
        self._timeout = policy.limits.seconds + MARGIN_S if timeout is None else _seconds(timeout)
        self._on_receipt = on_receipt
        self._computes = computes
        self._web = web if web is not None else over_tls(standing(identity, trust, credentials), policy, clock)
        self._outer = Outer(self._web, outer.origin)
        given = (lambda: collateral) if isinstance(collateral, Collateral) else collateral
        self._pins = Pins(self._outer.attestation, policy, given, clock=clock)
        self._verifier = Verifier(policy, server=server, committed=_root(committed))
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._metadata: ModelMetadata | None = None

    @property
    def policy(self) -> ServingPolicy:
        return self._policy

    @property
    def attestation(self) -> Pinned | None:
        """What the server was last found to be: verdict, keyset, until when. None before the first request."""
        return self._pins.held

    async def attest(self) -> Pinned:
        """Have the server attested now, if it is not: the first request does so by itself."""
        self._check()
        return await self._within(self._pins.current(), self._timeout)

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderLines = (),
        content: bytes | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Answer:
        """One request, and its whole answer, whatever its status. ``path``: on the server, with its query.

        It is sent a second time in one case: where the server says that the key is not in force, and fresh evidence
        names another keyset. docs/client.md says what that means for requests with effects.
        """
        asked = self._asked(method, path, headers, content, json)
        seconds = self._timeout if timeout is None else _seconds(timeout)
        return await self._within(self._whole(asked), seconds)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderLines = (),
        content: bytes | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> AsyncIterator[AsyncStream]:
        """One request whose answer is read as it comes. Its status and headers are there when the context is entered.

        Leaving early closes the connection, and the server stops. ``timeout``: seconds until it has begun; it may last
        as long as the policy says.
        """
        asked = self._asked(method, path, headers, content, json)
        seconds = self._timeout if timeout is None else _seconds(timeout)
        ends = asyncio.get_running_loop().time() + self._policy.limits.stream_seconds + MARGIN_S
        async with contextlib.AsyncExitStack() as stack:
            begun = await self._within(self._begun(asked, stack, ends), seconds)
            stack.callback(begun.abandon)
            yield begun

    async def infer(
        self,
        inputs: Mapping[str, Any],
        outputs: Iterable[str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Inferred:
        """The model's answer to ``inputs``: arrays by name, or plain lists, which take their type and shape from the
        model's signature. ``outputs``: which of the model's; None: all. ``RequestRefused`` where the server refuses.
        """
        path = f"/v2/models/{self._policy.model.name}"
        plain = any(not tensors.is_array(value) for value in inputs.values())
        signature = await self._signature(path, timeout) if plain else None
        fields, content = tensors.encode(inputs, outputs, signature, self._policy)
        answer = await self.request("POST", f"{path}/infer", headers=fields, content=content, timeout=timeout)
        answer.raise_for_status()
        found = tensors.decode(answer, self._policy)
        if self._policy.proofs.share:
            require_provable(answer.receipt)
        if self._computes is not None:
            await asyncio.to_thread(require_computed, answer.receipt, self._computes, inputs, found.outputs)
        return found

    async def metadata(self, *, timeout: float | None = None) -> ModelMetadata:
        """The model's signature: names, types and shapes of inputs and outputs. Asked for once."""
        return await self._signature(f"/v2/models/{self._policy.model.name}", timeout)

    async def close(self) -> None:
        """Close every connection. What is under way raises."""
        if not self._closed:
            self._closed = True
            await self._pins.close()
            await self._web.close()

    async def __aenter__(self) -> Self:
        self._check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._place.origin!r}, policy={self._policy.name!r})"

    # ------------------------------------------------------------------------------------------------------ exchanges

    async def _whole(self, asked: Asked) -> Answer:
        pinned = await self._pins.current()
        try:
            answer = await self._sent(asked, pinned)
        except (KeyUnknown, Unopened) as refusal:
            answer = await self._sent(asked, await self._other_keys(pinned, refusal))
        await self._received(answer.receipt)
        return answer

    async def _sent(self, asked: Asked, pinned: Pinned) -> Answer:
        exchange = WholeExchange(asked, pinned, self._policy, self._clock)
        try:
            return exchange.opened(await self._outer.whole(exchange.body, exchange.commit), self._verifier)
        finally:
            exchange.wipe()

    async def _begun(self, asked: Asked, stack: contextlib.AsyncExitStack, ends: float) -> AsyncStream:
        pinned = await self._pins.current()
        try:
            return await self._begun_with(asked, pinned, stack, ends)
        except (KeyUnknown, Unopened) as refusal:
            return await self._begun_with(asked, await self._other_keys(pinned, refusal), stack, ends)

    async def _begun_with(
        self, asked: Asked, pinned: Pinned, stack: contextlib.AsyncExitStack, ends: float
    ) -> AsyncStream:
        exchange = StreamExchange(asked, pinned, self._policy, self._clock)
        try:
            pieces = await stack.enter_async_context(self._outer.stream(exchange.body))
            return await AsyncStream.begin(exchange, pieces, self._verifier, self._received, ends)
        except BaseException:
            exchange.wipe()
            raise

    async def _other_keys(self, pinned: Pinned, refusal: MessageRefused) -> Pinned:
        """Keys to seal to once more, where there are others; the refusal, where fresh evidence names the same."""
        renewed = await self._pins.after(pinned)
        if renewed.keyset == pinned.keyset:
            raise refusal
        return renewed

    async def _received(self, receipt: Receipt) -> None:
        if self._on_receipt is not None:
            await asyncio.to_thread(self._on_receipt, receipt)

    async def _signature(self, path: str, timeout: float | None) -> ModelMetadata:
        if self._metadata is None:
            answer = await self.request("GET", path, timeout=timeout)
            self._metadata = tensors.signature(answer.raise_for_status())
        return self._metadata

    # -------------------------------------------------------------------------------------------------------- details

    def _asked(self, method: str, path: str, headers: HeaderLines, content: bytes | None, json: Any) -> Asked:
        self._check()
        return asked_for(self._place.authority, method, path, headers, content, json)

    async def _within(self, doing: Awaitable[Result], seconds: float) -> Result:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await doing
        except TimeoutError:
            if not limit.expired():
                raise
            raise PeerUnreachable(
                f"there was no answer within {seconds:g} s",
                hint="Try again, or give more time; it may have been answered all the same",
            ) from None

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise CallerError("this client was made before the process forked", hint="Make one in each process")
        if self._closed:
            raise CallerError("this client is closed", hint="Make another one")
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise CallerError("this client is used in another event loop", hint="Make one in each loop")


def _root(committed: bytes | None) -> bytes | None:
    if committed is not None and len(committed) != 32:
        raise CallerError(
            f"the root of a commitment has 32 bytes, not {len(committed)}",
            hint="Give the model_root that `quatrefoil model commit` printed",
        )
    return committed


def _seconds(value: float) -> float:
    if not 0 < value < 1e9:
        raise CallerError("a timeout is a number of seconds above 0", hint="Leave it out for the policy's")
    return float(value)
