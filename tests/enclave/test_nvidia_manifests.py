"""Reference manifests: one form of XML signature, over the whole document, and nothing that hides from it."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta

import pytest
from hypothesis import given as sampled
from hypothesis import strategies as st

from gpu_reports import DRIVER_MANIFEST, VBIOS_MANIFEST, Manifest, measurement, roots
from p384 import AT
from quatrefoil.enclave.nvidia import canonical, manifest
from quatrefoil.enclave.nvidia.manifest import Manifest as Read
from quatrefoil.errors import EvidenceRejected, HostError

GOOD = VBIOS_MANIFEST
TEXT = GOOD.xml().decode()


def read(text: str) -> Read:
    return Read.of_xml(text.encode())


def test_a_good_manifest_is_read() -> None:
    found = Read.read(GOOD.document())
    assert (found.product, found.version) == ("GH100", "96.00.9F.00.01")
    assert found.golden == {number: {measurement(number)} for number in range(13)}
    assert found.problem(AT, roots().manifests) == ""


def test_every_alternative_is_accepted() -> None:
    assert Read.read(DRIVER_MANIFEST.document()).golden[22] == {bytes(48), measurement(22)}


def test_the_form_that_counts_is_the_canonical_one() -> None:
    """Empty elements, quotes, order of attributes and space inside tags are not what was signed."""
    changed = TEXT.replace("></ns0:Resource>", "/>").replace(
        'active="True" alternatives="1"', "alternatives='1'  active='True'"
    )
    assert changed != TEXT and read(changed) == read(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('index="2"', 'index="99"'),
        (measurement(1).hex(), measurement(2).hex()),
        ('active="True"', 'active="False"'),
        ("96.00.9F.00.01", "96.00.9F.00.02"),
        ("GH100", "GH101"),
        ("\n", "\n\n"),
        ("<ns0:Payload>", "<ns0:Payload> "),
        ('size="48"', 'size="48" more=""'),
        ("<ns0:Meta", "<ns0:Extra></ns0:Extra><ns0:Meta"),
        ("xmlns:ns0=", 'xmlns:ns9="urn:x" xmlns:ns0='),
    ],
)
def test_what_was_altered_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(EvidenceRejected, match="altered after it was signed"):
        read(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("xml-c14n11", "xml-exc-c14n", "as NVIDIA signs"),
        ("xmldsig-more#sha384", "xmldsig-more#sha224", "as NVIDIA signs"),
        ('Reference URI=""', 'Reference URI="#part"', "part of it"),
        ('Reference URI=""', 'Reference URI="" Id="a"', "part of it"),
        ("<ds:Transforms>", '<ds:Transforms><ds:Transform Algorithm="x"></ds:Transform>', "as NVIDIA signs"),
        ("enveloped-signature", "base64", "as NVIDIA signs"),
        ("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>a</ds:KeyName>", "as NVIDIA signs"),
        ("<ds:X509Data>", "<ds:X509Data><ds:X509SKI>aaaa</ds:X509SKI>", "X509SKI"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>?", "not base64"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>AAAA", "not signed by the first certificate"),
        ("<ds:DigestValue>", "<ds:DigestValue><ds:a></ds:a>", "elements inside"),
        ("<ds:Signature ", "<ds:Other ", "0 elements Signature"),
        ("</SoftwareIdentity>", "<ds:Signature></ds:Signature></SoftwareIdentity>", "2 elements Signature"),
    ],
)  # fmt: skip
def test_other_forms_of_signature_are_refused(old: str, new: str, says: str) -> None:
    text = (
        TEXT.replace(old, new, 1)
        if old != "<ds:Signature "
        else TEXT.replace("ds:Signature>", "ds:Other>").replace(old, new)
    )
    if "ds:Signature></ds:Signature>" in new:
        text = text.replace("<SoftwareIdentity ", '<SoftwareIdentity xmlns:ds="http://www.w3.org/2000/09/xmldsig#" ')
    with pytest.raises(EvidenceRejected, match=says):
        read(text)


@pytest.mark.parametrize(
    "made",
    [
        GOOD.with_(signed_by="stranger"),
        GOOD.with_(method="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        GOOD.with_(uri="#a"),
        GOOD.with_(version=""),
        GOOD.with_(version="1 2"),
        GOOD.with_(golden={0: ()}),
        GOOD.with_(golden={0: (bytes(32),)}),
        GOOD.with_(golden={256: (bytes(48),)}),
        GOOD.with_(inactive={0: (bytes(48),)}),
        GOOD.with_(after=("</SoftwareIdentity>", "")),
    ],
)
def test_what_no_manifest_says_is_refused(made: Manifest) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        Read.read(made.document())
    assert refused.value.hint and "manifest" in refused.value.problem


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (GOOD.with_(root="another"), "no authority below"),
        (GOOD.with_(end=AT - timedelta(days=1)), "expired on 2026-05-31"),
        (GOOD.with_(start=AT + timedelta(days=1)), "not valid before 2026-06-02"),
    ],
)
def test_a_manifest_that_is_not_nvidias_says_why(made: Manifest, says: str) -> None:
    assert says in Read.read(made.document()).problem(AT, roots().manifests)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<a/><b/>",
        b"text",
        b"\xff",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<!DOCTYPE a><a/>",
        b"<a>&undefined;</a>",
        b"<?xml version='1.0'?><?b?><a/>",
        b"<a><!-- --></a>",
        b"<a:b/>",
        b"<a b:c='1'/>",
        b"<a xmlns:b='x' xmlns:c='x' b:d='1' c:d='2'/>",
        b"<a xmlns:b=''/>",
        b"<a xmlns:b:c='x'/>",
        b"<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        b"<a xml:lang='de'/>",
        b"<a:b:c xmlns:a='x'/>",
        b"<a>" * 17 + b"</a>" * 17,
        b"<a>" + b"<b/>" * 4096 + b"</a>",
        b"<a>" + bytes(canonical.LARGEST) + b"</a>",
        b"<a" + b"".join(b" b%d='c'" % number for number in range(257)) + b"/>",
        # Each element below would keep all of them: some 20 GB for a document of 1 MiB.
        b"<a" + b"".join(b" xmlns:b%d='c'" % number for number in range(33)) + b"/>",
        b"<a>" * 2 + b"<a xmlns='b'" + b"".join(b" xmlns:b%d='c'" % number for number in range(32)) + b"/></a></a>",
    ],
)
def test_xml_that_hides_something_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        canonical.parse(data)
    assert refused.value.check == "format"


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("<a/>", "<a></a>"),
        ("<?xml version='1.0'?>\n<a  b='1'\n a='2' >x</a >\n", '<a a="2" b="1">x</a>'),
        ("<a>\r\n<![CDATA[<&>]]>&#13;</a>", "<a>\n&lt;&amp;&gt;&#xD;</a>"),
        ("<a b='&lt;&quot;&#9;&#10;&#13;\t>'/>", '<a b="&lt;&quot;&#x9;&#xA;&#xD; >"></a>'),
        ("<a xmlns:c='y' xmlns:b='z' xmlns='x'/>", '<a xmlns="x" xmlns:b="z" xmlns:c="y"></a>'),
        ("<a xmlns='x'><b xmlns='x'/><b xmlns=''/></a>", '<a xmlns="x"><b></b><b xmlns=""></b></a>'),
        ("<a xmlns:b='x'><c xmlns:b='x'/><c xmlns:b='y'/></a>", '<a xmlns:b="x"><c></c><c xmlns:b="y"></c></a>'),
        ("<a xmlns:p='b' xmlns:q='a' p:z='1' q:z='2' z='3'/>", '<a xmlns:p="b" xmlns:q="a" z="3" q:z="2" p:z="1"></a>'),
    ],
)
def test_canonical_forms(written: str, form: str) -> None:
    assert canonical.canonical(canonical.parse(written.encode())) == form.encode()


def test_an_apex_carries_the_namespaces_around_it() -> None:
    root = canonical.parse(b"<a xmlns='x' xmlns:b='y'><b:c d='1'/></a>")
    (child,) = root.elements()
    assert canonical.canonical(child) == b'<b:c xmlns="x" xmlns:b="y" d="1"></b:c>'
    assert canonical.canonical(root, without=child) == b'<a xmlns="x" xmlns:b="y"></a>'


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@sampled(text, text)
def test_canonical_forms_stay_as_they_are(inside: str, value: str) -> None:
    from xml.sax.saxutils import escape, quoteattr

    once = canonical.canonical(canonical.parse(f"<a b={quoteattr(value)}>{escape(inside)}</a>".encode()))
    assert canonical.canonical(canonical.parse(once)) == once


def test_no_byte_of_a_manifest_is_free() -> None:
    """But for what is no manifest's content: names of prefixes of the signature, and base64's own freedom."""
    small = GOOD.with_(golden={1: (measurement(1),)})
    good = Read.of_xml(small.xml())
    data = small.xml()
    for byte in range(len(data)):
        flipped = bytearray(data)
        flipped[byte] ^= 1 << byte % 7
        try:
            found = Read.of_xml(bytes(flipped))
            problem = found.problem(AT, roots().manifests)
        except EvidenceRejected:
            continue
        assert problem or (found.golden, found.version) == (good.golden, good.version)


def test_documents_that_are_no_manifests_are_left_alone() -> None:
    assert manifest.given({"a": b"{}", "b": b"[]", "c": b"text", "d": b'{"tcb_info": 1}', "e": b"[" * 9999}) == []


@pytest.mark.parametrize(
    "document",
    [
        {"id": "a", "rim": "?"},
        {"id": "a", "rim": 1},
        {"id": "a", "rim": None},
        {"id": "a", "rim": ""},
        {"id": "a", "rim": base64.b64encode(b"<a/>").decode()},
    ],
)
def test_a_manifest_that_cannot_be_read_is_named_and_the_relying_partys_fault(document: dict[str, object]) -> None:
    with pytest.raises(HostError, match=re.escape("driver.json: the reference manifest")):
        manifest.given({"driver": json.dumps(document).encode()})
