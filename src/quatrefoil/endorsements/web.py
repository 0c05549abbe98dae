"""HTTPS GET with every limit in one place: size, time, redirects, retries. The only file here that opens a connection.

Servers are certified by the system's authorities, or by those in a file beside them; there is no way to leave that out.
Proxies are those of the environment (``https_proxy``, ``no_proxy``), and see the server's name only: TLS ends at the
server.
"""

from __future__ import annotations

import http.client
import queue
import random
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from quatrefoil.errors import CallerError, ChannelRefused, EvidenceRejected, HostError, MessageRefused, PeerUnreachable

_RETRIED = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNKNOWN = frozenset({400, 404, 410})
_LATER = "Try again later, through a proxy (https_proxy) if this network asks for one; nothing was changed"


@dataclass(frozen=True)
class Limits:
    """What a server may cost: bytes of a body, seconds of an exchange, redirects, attempts, seconds between them."""

    body: int = 1 << 20
    seconds: float = 30.0
    redirects: int = 3
    attempts: int = 5
    wait: float = 5.0
    """Before the second attempt, and doubled each time: AMD's server answers one certificate in about 10 s."""
    longest_wait: float = 60.0


@dataclass(frozen=True)
class Answer:
    """A body, and headers by their names in lower case."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def _jitter() -> float:
    return random.SystemRandom().random()


class Web:
    """A client. ``authorities``: PEM of who certifies servers, beside the system's authorities."""

    def __init__(
        self,
        *,
        authorities: Path | None = None,
        limits: Limits = Limits(),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = _jitter,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._limits, self._sleep, self._jitter, self._progress = limits, sleep, jitter, progress
        # No handler of redirects, files or plain HTTP: what is not here cannot be reached.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPSHandler(context=_context(authorities)),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def get(self, url: str, *, unknown: str) -> Answer:
        """The answer to ``url``. ``unknown`` says in words what it means where the server has no such thing.

        ``PeerUnreachable`` after the last attempt, ``ChannelRefused`` for a certificate that does not hold,
        ``EvidenceRejected`` where the server does not know what was asked for, ``MessageRefused`` for the rest.
        """
        for attempt in range(1, self._limits.attempts + 1):
            wait = min(self._limits.wait * 2 ** (attempt - 1), self._limits.longest_wait)
            try:
                return self._follow(url, unknown)
            except _Busy as busy:
                wait, problem = max(wait, min(busy.asked, self._limits.longest_wait)), busy.problem
            if attempt < self._limits.attempts:
                wait *= 1 + self._jitter() / 4  # many that were turned away together do not come back together
                self._progress(f"{problem}; attempt {attempt + 1} of {self._limits.attempts} in {wait:.0f} s")
                self._sleep(wait)
        raise PeerUnreachable(
            f"{problem}, {self._limits.attempts} times",
            hint=_LATER,
        )

    def _follow(self, url: str, unknown: str) -> Answer:
        require_https(url, "the address")
        for _ in range(self._limits.redirects + 1):
            found = self._within(url, unknown)
            if isinstance(found, Answer):
                return found
            url = found
        raise MessageRefused(
            f"{_host(url)} redirects more than {self._limits.redirects} times", hint="Check the address of the service"
        )

    def _within(self, url: str, unknown: str) -> Answer | str:
        """One exchange under one deadline. A socket's own timeout begins anew with every byte that drips in."""
        done: queue.SimpleQueue[Answer | str | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                done.put(self._exchange(url, unknown))
            except BaseException as error:  # handed over to who waits
                done.put(error)

        threading.Thread(target=work, daemon=True, name="fetch").start()
        try:
            found = done.get(timeout=self._limits.seconds)
        except queue.Empty:
            raise _unreachable(url, f"did not answer within {self._limits.seconds:g} s") from None
        if isinstance(found, BaseException):
            raise found
        return found

    def _exchange(self, url: str, unknown: str) -> Answer | str:
        """An answer, or where to it is redirected."""
        headers = {"User-Agent": "quatrefoil", "Accept": "*/*"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (https alone has a handler)
        try:
            with self._opener.open(request, timeout=self._limits.seconds) as response:
                body = response.read(self._limits.body + 1)
                if len(body) > self._limits.body:
                    raise _refused(url, f"sent more than {self._limits.body} bytes")
                if response.length:
                    raise _unreachable(url, "ended its answer early")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(url, body, MappingProxyType(headers))
        except urllib.error.HTTPError as error:
            with error:
                return _redirect_or_raise(url, error, unknown)
        except urllib.error.URLError as error:
            raise _failed(url, error.reason if isinstance(error.reason, Exception) else error) from None
        except (OSError, http.client.HTTPException) as error:
            raise _failed(url, error) from None


class _Busy(Exception):
    """Asking again may help, after ``asked`` seconds at least."""

    def __init__(self, problem: str, asked: float = 0.0) -> None:
        self.problem, self.asked = problem, asked


def require_https(url: str, what: str) -> None:
    """``CallerError`` unless ``url`` is https and names a server, without a user or password in it."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(not "!" <= character <= "~" for character in url):
        raise CallerError(f"{what} {url[:120]!r} is not of the form https://HOST/", hint="Fetch from an https server")


def _redirect_or_raise(url: str, error: urllib.error.HTTPError, unknown: str) -> str:
    code = error.code
    if code in _REDIRECTS and (location := error.headers.get("Location")):
        target = urllib.parse.urljoin(url, location)
        try:
            require_https(target, "a redirect")
        except CallerError as refusal:
            raise MessageRefused(f"{_host(url)} redirects: {refusal.problem}", hint=refusal.hint) from None
        return target
    if code in _RETRIED:
        raise _Busy(f"{_host(url)} answered {code} {http.client.responses.get(code, '')}".rstrip(), _asked(error))
    if code in _UNKNOWN:
        raise EvidenceRejected(
            f"{unknown}: {_host(url)} answered {code}",
            hint="What was asked for comes from the evidence or the command line: check it there",
        )
    raise _refused(url, f"answered {code} {http.client.responses.get(code, '')}".rstrip())


def _asked(error: urllib.error.HTTPError) -> float:
    """Seconds by ``Retry-After`` (RFC 9110 section 10.2.3); its other form, a date, is not read."""
    value = error.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0


def _failed(url: str, error: Exception) -> Exception:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ChannelRefused(
            f"the certificate of {_host(url)} does not hold: {error.verify_message}",
            hint="If it is a server of your own, name who certifies it with --authorities FILE",
        )
    if isinstance(error, http.client.IncompleteRead):
        return _unreachable(url, "ended its answer early")
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
        return PeerUnreachable(f"{_host(url)} is no name that can be found from here", hint=_LATER)
    if isinstance(error, TimeoutError):
        return _unreachable(url, "did not answer in time")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _unreachable(url, f"cannot be reached ({reason[:120]})")


def _unreachable(url: str, what: str) -> _Busy:
    return _Busy(f"{_host(url)} {what}")


def _refused(url: str, what: str) -> MessageRefused:
    return MessageRefused(f"{_host(url)} {what}", hint="Check the address of the service, and who runs it")


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url[:80]


def _context(authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if authorities is not None:
            context.load_verify_locations(cafile=authorities)
    except (OSError, ssl.SSLError):
        raise HostError(
            f"{authorities} holds no certificates in PEM", hint="Name a file with who certifies the server"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


__all__ = ["Answer", "Limits", "Web", "require_https"]
