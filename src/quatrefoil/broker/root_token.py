"""A logged-in session with a PKCS #11 token: shared within the process, and opened again when it dies.

PKCS #11 logs a process in, not a session: the first to log out ends it for everybody. So there is one session a token
and process, closed by the last who uses it. When a call fails, the module is initialised again and the PIN given once
more; a PIN that was refused is never given twice, since tokens lock after a few.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from quatrefoil.errors import DependencyMissing, HostError, KeyUnavailable
from quatrefoil.transport import files

PIN_VARIABLE = "QUATREFOIL_TOKEN_PIN"

Pin: TypeAlias = Callable[[], str]
"""Where the PIN is read from, each time that it is needed."""

Session: TypeAlias = Any
Result = TypeVar("Result")


def pin_from(file: Path | None) -> Pin:
    """The PIN in ``file`` (mode 0600), or in the environment where there is none. Never a command's argument."""

    def from_file() -> str:
        assert file is not None
        try:
            return files.read_private(file, "PIN file").decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise HostError(f"PIN file {file} is no text", hint="Write the PIN into it, and nothing else") from None

    def from_environment() -> str:
        if not (pin := os.environ.get(PIN_VARIABLE)):
            raise HostError("no PIN of the token was given", hint=f"Name a file with --pin-file, or set {PIN_VARIABLE}")
        return pin

    return from_environment if file is None else from_file


@dataclass(frozen=True)
class Place:
    """Which token: the PKCS #11 ``module`` (a shared library) that reaches it, and its label."""

    module: Path
    token: str

    def __str__(self) -> str:
        return f"token {self.token!r} of {self.module}"


class TokenSession:
    """One user of a token. Prints as the token."""

    def __init__(self, place: Place, pin: Pin) -> None:
        self.place = place
        self._closed = False
        with _LOCK:
            found = _LOGINS.get(place)
            if found is None:
                found = _Login(place, pin)
                found.open()
                _LOGINS[place] = found
            elif not hmac.compare_digest(pin().encode(), found.pin().encode()):
                raise _wrong_pin(place)
            found.users += 1
            self._login = found

    def run(self, operation: Callable[[Session], Result]) -> Result:
        """What ``operation`` returns, on a session that is open; ``KeyUnavailable`` where none can be had.

        ``operation`` is called a second time, on a new session, when the first ended in an error of the token, or did
        not find the key: a token that went away may show none.
        """
        pkcs11 = library()
        with _LOCK:
            self.require_open()
            try:
                return operation(self._login.session())
            except (pkcs11.PKCS11Error, KeyUnavailable):
                self._login.reopen()
            try:
                return operation(self._login.session())
            except pkcs11.PKCS11Error as error:
                raise unavailable(self.place, error) from None

    def require_open(self) -> None:
        """``KeyUnavailable`` after :meth:`close`."""
        if self._closed:
            raise KeyUnavailable("the root key was closed", hint="Open it again")

    def close(self) -> None:
        """Leave the token; its last user logs the process out."""
        with _LOCK:
            if self._closed:
                return
            self._closed = True
            self._login.users -= 1
            if self._login.users == 0:
                del _LOGINS[self.place]
                self._login.close()

    def __repr__(self) -> str:
        return f"TokenSession({self.place})"


class _Login:
    """This process, logged in to one token."""

    def __init__(self, place: Place, pin: Pin) -> None:
        self.pin = pin
        self.users = 0
        self._place = place
        self._session: Session | None = None
        self._generation = -1
        self._refused: KeyUnavailable | None = None

    def session(self) -> Session:
        """The open session: a new one where the module was initialised again since, for another token's sake."""
        if self._session is None or self._generation != _GENERATIONS.get(self._place.module):
            self.open()
        return self._session

    def open(self) -> None:
        if self._refused is not None:
            raise self._refused
        pkcs11 = library()
        load_module(self._place.module)
        self._session = None
        try:
            token = _token(self._place)
            self._session = token.open(rw=True, user_pin=self.pin())
        except pkcs11.PKCS11Error as error:
            refusal = unavailable(self._place, error)
            if type(error).__name__.startswith("Pin"):
                self._refused = refusal
            raise refusal from None
        self._generation = _GENERATIONS[self._place.module]

    def reopen(self) -> None:
        """Initialise the module again, which is when tokens are looked for, and log in again."""
        self._session = None
        _initialise_again(self._place)
        self.open()

    def close(self) -> None:
        if self._session is None or self._generation != _GENERATIONS.get(self._place.module):
            return
        session, self._session = self._session, None
        try:
            session.close()
        except library().PKCS11Error:
            return  # the token is gone, and the session with it


_LOCK = threading.RLock()
_LOGINS: dict[Place, _Login] = {}
_GENERATIONS: dict[Path, int] = {}


def library() -> Any:
    """python-pkcs11, or ``DependencyMissing``."""
    try:
        import pkcs11
    except ImportError:
        raise DependencyMissing(
            "tokens need python-pkcs11, which is not installed", hint="Run `pip install 'quatrefoil[hsm]'`"
        ) from None
    return pkcs11


def load_module(module: Path) -> Any:
    """The PKCS #11 module in a shared library, loaded once a process."""
    pkcs11 = library()
    try:
        loaded = pkcs11.lib(str(module))
    except pkcs11.PKCS11Error as error:
        raise KeyUnavailable(
            f"{module} cannot be used as a PKCS #11 module ({_named(error)})",
            hint="Name the shared library that came with the token, like /usr/lib/softhsm/libsofthsm2.so",
        ) from None
    _GENERATIONS.setdefault(module, 0)
    return loaded


def _initialise_again(place: Place) -> None:
    """Which is when many modules look for their tokens; it ends every session of the process with this module."""
    _GENERATIONS[place.module] += 1
    try:
        load_module(place.module).reinitialize()
    except library().PKCS11Error as error:
        raise unavailable(place, error) from None


def _tokens(place: Place) -> list[Any]:
    """The tokens there are. One that cannot be read counts as away."""
    tokens = []
    for slot in load_module(place.module).get_slots(token_present=True):
        try:
            tokens.append(slot.get_token())
        except library().PKCS11Error:
            continue
    return tokens


def _token(place: Place) -> Any:
    """The one token with this label."""
    if not any(token.label == place.token for token in _tokens(place)):
        _initialise_again(place)  # it may have been connected since
    tokens = _tokens(place)
    found = [token for token in tokens if token.label == place.token]
    if not found:
        there = ", ".join(repr(token.label) for token in tokens if token.label) or "none"
        raise KeyUnavailable(
            f"there is no token {place.token!r} ({place.module} shows {there})",
            hint="Connect it, and look that the module's own configuration names it",
        )
    if len(found) > 1:
        raise KeyUnavailable(
            f"{len(found)} tokens are called {place.token!r}", hint="Disconnect all but the one, or label them apart"
        )
    return found[0]


def unavailable(place: Place, error: Exception) -> KeyUnavailable:
    """The refusal for an error of PKCS #11."""
    kind = type(error).__name__
    if kind in ("PinIncorrect", "PinInvalid", "PinLenRange"):
        return _wrong_pin(place)
    if kind == "PinLocked":
        return KeyUnavailable(
            f"{place} has locked its PIN", hint="Have its security officer set a new one, or recover into another token"
        )
    if kind == "PinExpired":
        return KeyUnavailable(f"the PIN of {place} has expired", hint="Set a new one with the token's own tools")
    if kind in ("UserPinNotInitialized", "TokenNotRecognised"):
        return KeyUnavailable(f"{place} is not initialised", hint="Initialise it with its own tools, PIN included")
    if kind in ("DeviceRemoved", "TokenNotPresent", "NoSuchToken", "SlotIDInvalid"):
        return KeyUnavailable(f"{place} is not there", hint="Connect it again")
    if kind == "TokenWriteProtected":
        return KeyUnavailable(f"{place} is write-protected", hint="Allow writing, or use another token")
    if kind in ("MechanismInvalid", "MechanismParamInvalid", "FunctionNotSupported"):
        return KeyUnavailable(
            f"{place} cannot do what a root key needs ({_named(error)})",
            hint="Use a token with AES-256 in ECB, GCM and CKM_AES_ECB_ENCRYPT_DATA",
        )
    return KeyUnavailable(
        f"{place} fails ({_named(error)})", hint="Look at the token with its own tools; the key may be recovered"
    )


def _wrong_pin(place: Place) -> KeyUnavailable:
    return KeyUnavailable(
        f"{place} refuses the PIN", hint="Correct the PIN first: most tokens lock after a few wrong ones"
    )


def _named(error: Exception) -> str:
    """An error of PKCS #11 by its kind and, where the library adds any, its words: never with what was passed."""
    words = str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
