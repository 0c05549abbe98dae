"""A root key in a PKCS #11 token: it never leaves, and neither does a message key derived from it.

The key is an AES-256 secret key object, private, sensitive, not extractable, not modifiable, that may encrypt and
derive and nothing else. Its label is ``quatrefoil-root``, its ID the identity. Each wrap derives a session key in the
token (CKM_AES_ECB_ENCRYPT_DATA) and encrypts with it in the token (CKM_AES_GCM), by which the token computes
XAES-256-GCM. SoftHSM 2.6.1 can do all of it; docs/broker-root.md lists what a token needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from quatrefoil.broker import root_key, root_token, root_xaes
from quatrefoil.broker.root_key import KEY_BYTES
from quatrefoil.broker.root_token import Pin, Place, Session, TokenSession
from quatrefoil.errors import CallerError, KeyUnavailable

LABEL = "quatrefoil-root"


class TokenRootKey:
    """A root key that a token holds (``root_key.RootKey``). Prints as its identity and the token."""

    def __init__(
        self,
        place: Place,
        pin: Pin,
        *,
        identity: bytes | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """``identity``: which of several root keys in the token; None: there must be one. ``KeyUnavailable`` where the
        token, the PIN or the key is not there, or where the key could be read out of the token."""
        self._random = random
        self._held: tuple[Session, Any] | None = None
        self._token = TokenSession(place, pin)
        try:
            self._identity = self._token.run(lambda session: _only(session, place, identity))
            self._k1 = self._token.run(self._subkey)
            self._token.run(self._root)
        except BaseException:
            self._token.close()
            raise

    def wrap(self, plaintext: bytes | bytearray, aad: bytes) -> bytes:
        root_key.check_plaintext(plaintext)
        nonce = self._random(root_key.NONCE_BYTES)
        associated = root_key.associated(self._identity, aad)

        def encrypt(session: Session) -> bytes:
            with _MessageKey(self._root(session), self._k1, nonce) as key:
                return bytes(key.encrypt(bytes(plaintext), **_gcm(nonce, associated)))

        return root_key.frame(self._identity, nonce, self._token.run(encrypt))

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytearray:
        self.identity()
        nonce, ciphertext = root_key.unframe(wrapped, self._identity)
        associated = root_key.associated(self._identity, aad)
        pkcs11 = root_token.library()

        def decrypt(session: Session) -> bytearray:
            root = self._root(session)
            with _MessageKey(root, self._k1, nonce) as key:
                try:
                    return bytearray(key.decrypt(ciphertext, **_gcm(nonce, associated)))
                except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange):
                    raise root_key.does_not_unwrap() from None
                except pkcs11.PKCS11Error:
                    # SoftHSM says CKR_GENERAL_ERROR of a wrong tag, as of a token that fails: which of the two it is
                    # shows in whether the token still does what it did before.
                    _compute_identity(root, self._k1, self._identity, self._token.place)
                    raise root_key.does_not_unwrap() from None

        return self._token.run(decrypt)

    def identity(self) -> bytes:
        self._token.require_open()
        return self._identity

    def close(self) -> None:
        self._token.close()

    def _subkey(self, session: Session) -> bytes:
        root = _key(session, self._token.place, self._identity)
        _check_attributes(root, self._token.place)
        return root_xaes.subkey(root.encrypt(bytes(root_xaes.BLOCK), mechanism=_mechanism("AES_ECB")))

    def _root(self, session: Session) -> Any:
        """The key's object, which lives as long as the session: in each new one it is found, and checked, anew."""
        if self._held is None or self._held[0] is not session:
            root = _key(session, self._token.place, self._identity)
            _check_attributes(root, self._token.place)
            _compute_identity(root, self._k1, self._identity, self._token.place)
            self._held = (session, root)
        return self._held[1]

    def __repr__(self) -> str:
        return f"TokenRootKey({self._identity.hex()[:16]}, {self._token.place})"


def import_key(place: Place, pin: Pin, key: bytearray, identity: bytes) -> None:
    """Put ``key``, whose identity this is, into the token, in one step. A key that is there already is left alone.

    The caller wipes ``key``. ``KeyUnavailable`` where the token does not hold it afterwards in the form that is asked.
    """
    if len(key) != KEY_BYTES:
        raise CallerError(f"a root key has {KEY_BYTES} bytes, not {len(key)}", hint="Generate it with `root new`")
    token = TokenSession(place, pin)
    try:

        def create(session: Session) -> None:
            if identity in _identities(session):
                return
            pkcs11 = root_token.library()
            kinds = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
            }
            session.create_object(kinds | _template(identity) | _uses() | {pkcs11.Attribute.VALUE: key})

        token.run(create)
    finally:
        token.close()
    TokenRootKey(place, pin, identity=identity).close()


def generate_key(place: Place, pin: Pin) -> bytes:
    """Have the token make a root key that was never outside it, and so has no backup; returns its identity."""
    token = TokenSession(place, pin)
    try:

        def generate(session: Session) -> bytes:
            pkcs11 = root_token.library()
            # A session key first: the ID is not known before the key is, and a token's key comes to be with its ID.
            made = session.generate_key(
                pkcs11.KeyType.AES,
                8 * KEY_BYTES,
                capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DERIVE,
                template={
                    pkcs11.Attribute.TOKEN: False,
                    pkcs11.Attribute.PRIVATE: True,
                    pkcs11.Attribute.SENSITIVE: True,
                    pkcs11.Attribute.EXTRACTABLE: False,
                },
            )
            try:
                ecb = _mechanism("AES_ECB")
                k1 = root_xaes.subkey(made.encrypt(bytes(root_xaes.BLOCK), mechanism=ecb))
                identity = root_xaes.identity_of(made.encrypt(root_xaes.identity_blocks(k1), mechanism=ecb))
                made.copy(_name(identity))
            finally:
                made.destroy()
            return identity

        identity = token.run(generate)
    finally:
        token.close()
    TokenRootKey(place, pin, identity=identity).close()
    return identity


def identities(place: Place, pin: Pin) -> list[bytes]:
    """The identities of the root keys in the token, as their IDs claim them."""
    token = TokenSession(place, pin)
    try:
        return token.run(_identities)
    finally:
        token.close()


class _MessageKey:
    """The key of one message, in the token for the length of the block and readable by nobody."""

    def __init__(self, root: Any, k1: bytes, nonce: bytes) -> None:
        pkcs11 = root_token.library()
        self._key = root.derive_key(
            pkcs11.KeyType.AES,
            8 * KEY_BYTES,
            mechanism=_mechanism("AES_ECB_ENCRYPT_DATA"),
            mechanism_param=root_xaes.message_blocks(k1, nonce),
            capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
            template={
                pkcs11.Attribute.TOKEN: False,
                pkcs11.Attribute.PRIVATE: True,
                pkcs11.Attribute.SENSITIVE: True,
                pkcs11.Attribute.EXTRACTABLE: False,
            },
        )

    def __enter__(self) -> Any:
        return self._key

    def __exit__(self, *_: object) -> None:
        try:
            self._key.destroy()
        except root_token.library().PKCS11Error:
            return  # it ends with the session


def _template(identity: bytes) -> dict[Any, Any]:
    """What a root key is in a token, beside its kind and its value."""
    attribute = root_token.library().Attribute
    return _name(identity) | {attribute.PRIVATE: True, attribute.SENSITIVE: True, attribute.EXTRACTABLE: False}


def _name(identity: bytes) -> dict[Any, Any]:
    """How a root key stands in a token. SoftHSM sets attributes in this order: nothing after MODIFIABLE."""
    attribute = root_token.library().Attribute
    return {attribute.TOKEN: True, attribute.LABEL: LABEL, attribute.ID: identity, attribute.MODIFIABLE: False}


def _uses() -> dict[Any, Any]:
    """What a root key may be used for."""
    attribute = root_token.library().Attribute
    allowed = {attribute.ENCRYPT: True, attribute.DERIVE: True}
    refused = (attribute.DECRYPT, attribute.SIGN, attribute.VERIFY, attribute.WRAP, attribute.UNWRAP)
    return allowed | dict.fromkeys(refused, False)


def _only(session: Session, place: Place, identity: bytes | None) -> bytes:
    """The identity of the root key in the token."""
    found = _identities(session)
    if identity is not None and identity in found:
        return identity
    there = ", ".join(one.hex()[:16] for one in found) or "none"
    if identity is not None:
        raise KeyUnavailable(
            f"{place} holds no root key {identity.hex()[:16]} (it holds {there})",
            hint="Use the token that was given it, or recover it into this one",
        )
    if not found:
        raise KeyUnavailable(
            f"{place} holds no root key", hint="Make one with `quatrefoil broker root new`, or recover one into it"
        )
    if len(found) > 1:
        raise KeyUnavailable(
            f"{place} holds {len(found)} root keys: {there}", hint="Say which, by its identity, with --root-identity"
        )
    return found[0]


def _identities(session: Session) -> list[bytes]:
    attribute = root_token.library().Attribute
    return sorted({bytes(one[attribute.ID]) for one in session.get_objects(_named_root())})


def _named_root() -> dict[Any, Any]:
    pkcs11 = root_token.library()
    return {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
        pkcs11.Attribute.LABEL: LABEL,
        pkcs11.Attribute.TOKEN: True,
    }


def _key(session: Session, place: Place, identity: bytes) -> Any:
    """The object of the key."""
    attribute = root_token.library().Attribute
    found = list(session.get_objects(_named_root() | {attribute.ID: identity}))
    if len(found) != 1:
        raise KeyUnavailable(
            f"{place} holds {len(found)} root keys {identity.hex()[:16]}",
            hint="Remove all but one with the token's own tools"
            if found
            else "Recover the key from the operators' shares with `quatrefoil broker root recover`",
        )
    return found[0]


def _check_attributes(key: Any, place: Place) -> None:
    """``KeyUnavailable`` for a key that somebody may read out, or that is of another kind."""
    pkcs11 = root_token.library()
    attribute = pkcs11.Attribute
    if key.key_type != pkcs11.KeyType.AES or key.key_length != 8 * KEY_BYTES:
        raise KeyUnavailable(
            f"the root key in {place} is not AES-256", hint="Make one with `quatrefoil broker root new`"
        )
    if key[attribute.EXTRACTABLE] or not key[attribute.SENSITIVE] or not key[attribute.PRIVATE]:
        raise KeyUnavailable(
            f"the root key in {place} can be read out of it: it must be sensitive, private and not extractable",
            hint="Take it as known to others, and make another with `quatrefoil broker root new`",
        )


def _compute_identity(root: Any, k1: bytes, expected: bytes, place: Place) -> None:
    """``KeyUnavailable`` unless the key in the token is the one that its ID names."""
    found = root_xaes.identity_of(root.encrypt(root_xaes.identity_blocks(k1), mechanism=_mechanism("AES_ECB")))
    if found != expected:
        raise KeyUnavailable(
            f"the root key in {place} is not {expected.hex()[:16]}, as its ID says, but {found.hex()[:16]}",
            hint="Somebody put another key in its place: recover the right one into another token",
        )


def _gcm(nonce: bytes, associated: bytes) -> dict[str, Any]:
    pkcs11 = root_token.library()
    parameters = pkcs11.GCMParams(root_xaes.message_nonce(nonce), associated, 8 * root_key.TAG_BYTES)
    return {"mechanism": _mechanism("AES_GCM"), "mechanism_param": parameters}


def _mechanism(name: str) -> Any:
    return getattr(root_token.library().Mechanism, name)


__all__ = ["LABEL", "TokenRootKey", "generate_key", "identities", "import_key"]
