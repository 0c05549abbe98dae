"""The content-encryption key of a CMS archive, for the holder of an RSA or an elliptic-curve key.

RSA: key transport (RFC 5652 section 6.2.1) with PKCS #1 v1.5 (RFC 3370) or OAEP (RFC 3560). Elliptic curves: key
agreement (RFC 5753), ephemeral-static ECDH on P-256, P-384 or P-521 with the X9.63 KDF and AES key wrap (RFC 3394).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from quatrefoil.errors import HostError
from quatrefoil.transport.cms import ber
from quatrefoil.transport.cms.ber import OCTET_STRING, SEQUENCE, SET, Node, refused

_RSA_PKCS1, _RSA_OAEP, _MGF1 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.8"
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1.3.14.3.2.26": hashes.SHA1,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
_AGREEMENTS: dict[str, type[hashes.HashAlgorithm]] = {
    "1.3.133.16.840.63.0.2": hashes.SHA1,
    "1.3.132.1.11.0": hashes.SHA224,
    "1.3.132.1.11.1": hashes.SHA256,
    "1.3.132.1.11.2": hashes.SHA384,
    "1.3.132.1.11.3": hashes.SHA512,
}
_KEY_WRAPS = {"2.16.840.1.101.3.4.1.5": 16, "2.16.840.1.101.3.4.1.25": 24, "2.16.840.1.101.3.4.1.45": 32}
_KTRI, _KARI = SEQUENCE, 0xA1


@dataclass(frozen=True)
class ClassicalKey:
    """A private key that an archive was encrypted to, and the certificate by which the archive names it."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def read(cls, key_pem: bytes, certificate_pem: bytes) -> ClassicalKey:
        """From two PEM files; ``HostError`` unless they are RSA or a NIST curve and belong together."""
        hint = "Give the unencrypted private key and its certificate, both in PEM"
        try:
            key, certificate = load_pem_private_key(key_pem, None), x509.load_pem_x509_certificate(certificate_pem)
            belong = key.public_key() == certificate.public_key()
        except Exception as error:  # the parsers raise many kinds; every one means the same to us
            raise HostError(f"the classical key cannot be read ({type(error).__name__})", hint=hint) from None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise HostError("the classical key is neither RSA nor on an elliptic curve of NIST", hint=hint)
        if not belong:
            raise HostError("the classical key and its certificate do not belong together", hint=hint)
        return cls(key, certificate)

    def __repr__(self) -> str:
        return f"ClassicalKey({self.certificate.subject.rfc4514_string()}, key=<secret>)"


def content_key(recipients: Node, holder: ClassicalKey, size: int) -> bytes:
    """The key of ``size`` bytes in ``recipients`` (RecipientInfos) for ``holder``, or ``MessageRefused``.

    With PKCS #1 v1.5 another key comes out of altered bytes, and nothing says so: the content then does not decrypt.
    """
    found = 0
    for one in recipients.expect(SET).children():
        found += 1
        if one.tag == _KTRI and isinstance(holder.key, rsa.RSAPrivateKey):
            _version, identifier, algorithm, encrypted = _fields(one, 4)
            if _names(identifier, holder.certificate):
                return _sized(_transport(algorithm, encrypted.expect(OCTET_STRING).value, holder.key), size)
        if one.tag == _KARI and isinstance(holder.key, ec.EllipticCurvePrivateKey):
            for wrapped in _agreed(one, holder.certificate):
                return _sized(_agreement(one, wrapped, holder.key), size)
    raise refused(f"is for none of its {found} recipient(s) that this key and certificate are")


def _transport(algorithm: Node, encrypted: bytes, key: rsa.RSAPrivateKey) -> bytes:
    name, parameters = algorithm_of(algorithm)
    if name == _RSA_PKCS1:
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    elif name == _RSA_OAEP:
        scheme = _oaep(parameters)
    else:
        raise refused(f"wraps its key with algorithm {name}, which is not RSA PKCS #1 v1.5 or OAEP")
    try:
        return key.decrypt(encrypted, scheme)
    except ValueError:
        raise refused("holds a wrapped key that this RSA key does not open") from None


def _oaep(parameters: Node | None) -> padding.OAEP:
    """RSAES-OAEP-params (RFC 4055 section 4.1): each left out is SHA-1."""
    digest, mask = _HASHES["1.3.14.3.2.26"], _HASHES["1.3.14.3.2.26"]
    for one in parameters.expect(SEQUENCE).children() if parameters else ():
        if one.tag == 0xA0:
            digest = _hash(one.inside(0xA0))
        elif one.tag == 0xA1:
            name, inner = algorithm_of(one.inside(0xA1))
            if name != _MGF1 or inner is None:
                raise refused(f"uses OAEP with mask generation {name}")
            mask = _hash(inner)
        else:
            raise refused("uses OAEP with a label")
    return padding.OAEP(padding.MGF1(mask()), digest(), None)


def _hash(algorithm: Node) -> type[hashes.HashAlgorithm]:
    name, _ = algorithm_of(algorithm)
    if name not in _HASHES:
        raise refused(f"uses hash {name}, which is unknown here")
    return _HASHES[name]


def _agreed(info: Node, certificate: x509.Certificate) -> Iterator[bytes]:
    """The wrapped key for ``certificate`` in a KeyAgreeRecipientInfo, if there is one."""
    for one in info.children()[-1].expect(SEQUENCE).children():
        identifier, encrypted = _fields(one, 2)
        if identifier.tag == 0xA0:  # RecipientKeyIdentifier: the subject key identifier comes first
            identifier = Node(0x80, b"", identifier.children()[0].expect(OCTET_STRING).value)
        if _names(identifier, certificate):
            yield encrypted.expect(OCTET_STRING).value


def _agreement(info: Node, encrypted: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    children = info.children()
    if len(children) not in (4, 5):
        raise refused("has a malformed key agreement")
    material = children[2].inside(0xA1).expect(OCTET_STRING).raw if len(children) == 5 else b""
    name, wrap = algorithm_of(children[-2])
    wrap_name = algorithm_of(wrap)[0] if wrap else "none"
    if name not in _AGREEMENTS or wrap is None or wrap_name not in _KEY_WRAPS:
        raise refused(f"agrees its key with algorithm {name} and key wrap {wrap_name}, which are unknown here")
    size = _KEY_WRAPS[wrap_name]
    try:
        share = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, _originator(children[1]))
        shared = key.exchange(ec.ECDH(), share)
        derived = X963KDF(_AGREEMENTS[name](), size, _shared_info(wrap, material, size)).derive(shared)
        return aes_key_unwrap(derived, encrypted)
    except (ValueError, InvalidUnwrap):
        raise refused("holds a wrapped key that this elliptic-curve key does not open") from None


def _originator(node: Node) -> bytes:
    """The point in OriginatorPublicKey; static keys named by a certificate are not ephemeral, and not read."""
    inner = node.inside(0xA0)
    if inner.tag != 0xA1:
        raise refused("names a static key of its sender, and only ephemeral ones are read")
    _algorithm, bits = _fields(inner, 2)
    return bits.expect(ber.BIT_STRING).value[1:]


def _shared_info(wrap: Node, material: bytes, size: int) -> bytes:
    """ECC-CMS-SharedInfo (RFC 5753 section 7.2): key wrap algorithm, user keying material, key length in bits."""
    bits = der(OCTET_STRING, (size * 8).to_bytes(4, "big"))
    return der(SEQUENCE, wrap.raw + (der(0xA0, material) if material else b"") + der(0xA2, bits))


def der(tag: int, value: bytes) -> bytes:
    """One element in DER."""
    return ber.encoded_header(tag, len(value)) + value


def algorithm_of(node: Node) -> tuple[str, Node | None]:
    """An AlgorithmIdentifier: its name and its parameters."""
    children = node.expect(SEQUENCE).children()
    if len(children) not in (1, 2):
        raise refused("has a malformed algorithm identifier")
    return children[0].dotted, children[1] if len(children) == 2 else None


def _names(identifier: Node, certificate: x509.Certificate) -> bool:
    if identifier.tag == SEQUENCE:  # IssuerAndSerialNumber
        issuer, serial = _fields(identifier, 2)
        return (issuer.raw, serial.number) == (certificate.issuer.public_bytes(), certificate.serial_number)
    if identifier.tag != 0x80:
        return False
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return extension.value.digest == identifier.value


def _fields(node: Node, count: int) -> tuple[Node, ...]:
    children = node.children()
    if len(children) != count:
        raise refused(f"has {len(children)} fields where {count} belong")
    return children


def _sized(key: bytes, size: int) -> bytes:
    if len(key) != size:
        raise refused("holds a wrapped key that does not open")
    return key
