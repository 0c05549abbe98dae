"""XML as bytes that signatures are over: Canonical XML 1.1, of documents that have nothing but elements and text.

Source: W3C, Canonical XML 1.1 (2008), sections 2.2 to 2.4. Document types, processing instructions, comments and
attributes of the ``xml`` namespace are refused: manifests have none, and each is a way to hide something from either
the reader or the signature. Sizes are bounded before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from quatrefoil.errors import EvidenceRejected

LARGEST = 1 << 20
"""Bytes of a document. Manifests have some 30 KiB."""
DEEPEST = 16
MOST_ELEMENTS = 4096
MOST_ATTRIBUTES = 256
MOST_NAMESPACES = 32
"""Of an element, and in force at once: what is declared once is known to every element below."""

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_VALUE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"})

Name = tuple[str, str]
"""Namespace URI, empty for none, and local name."""


@dataclass
class Element:
    """An element with its names resolved. ``declared`` are the prefixes that it declares; ``scope`` all in force."""

    tag: str
    name: Name
    attributes: Mapping[Name, str]
    tags: Mapping[Name, str]
    """The attributes' names as they are written."""
    declared: Mapping[str, str]
    scope: Mapping[str, str]
    children: list[Element | str] = field(default_factory=list)

    def elements(self) -> list[Element]:
        return [child for child in self.children if isinstance(child, Element)]

    def text(self) -> str:
        return "".join(child for child in self.children if isinstance(child, str))


def parse(data: bytes) -> Element:
    """The one element of ``data``, or ``EvidenceRejected``."""
    if len(data) > LARGEST:
        raise rejected(f"has {len(data)} bytes, over {LARGEST}")
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.ProcessingInstructionHandler = builder.refuse
    parser.CommentHandler = builder.refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise rejected(f"is not XML ({error})") from None
    if builder.root is None:
        raise rejected("has no element")
    return builder.root


class _Builder:
    """What expat calls. Namespaces are resolved here, since canonical XML keeps prefixes as they are written."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= DEEPEST:
            raise rejected(f"has over {MOST_ELEMENTS} elements, or {DEEPEST} inside each other")
        if len(attributes) > MOST_ATTRIBUTES:
            raise rejected(f"has an element with over {MOST_ATTRIBUTES} attributes")
        declared = {
            name.partition(":")[2]: uri for name, uri in attributes.items() if name.partition(":")[0] == "xmlns"
        }
        around = self._open[-1].scope if self._open else {}
        scope = {**around, **declared} if declared else around
        if len(scope) > MOST_NAMESPACES:
            raise rejected(f"declares over {MOST_NAMESPACES} namespaces")
        if any(prefix and (not uri or ":" in prefix or prefix.startswith("xml")) for prefix, uri in declared.items()):
            raise rejected("declares a prefix that may not be declared")
        written = {_name(tag, scope, ""): tag for tag in attributes if tag != "xmlns" and not tag.startswith("xmlns:")}
        if len(written) != sum(tag != "xmlns" and not tag.startswith("xmlns:") for tag in attributes):
            raise rejected("gives an attribute twice")
        values = {name: attributes[tag] for name, tag in written.items()}
        element = Element(tag, _name(tag, scope, scope.get("", "")), values, written, declared, scope)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        if self._open:
            self._open[-1].children.append(data)

    def refuse(self, *_: object) -> None:
        raise rejected("has a document type, a comment or a processing instruction")


def _name(tag: str, scope: Mapping[str, str], default: str) -> Name:
    prefix, colon, local = tag.partition(":")
    if not colon:
        return default, tag
    if prefix not in scope or not local or ":" in local:
        raise rejected(f"uses the undeclared prefix {prefix[:20]}")
    return scope[prefix], local


def canonical(element: Element, *, without: Element | None = None) -> bytes:
    """The canonical form of ``element`` as the apex of what is signed, in its namespaces, without one child."""
    return "".join(_written(element, {}, element.scope, without)).encode()


def _written(
    element: Element, around: Mapping[str, str], namespaces: Mapping[str, str], without: Element | None
) -> Iterator[str]:
    yield f"<{element.tag}"
    for prefix, uri in sorted(namespaces.items()):
        if around.get(prefix, "") != uri:
            yield f' {"xmlns:" + prefix if prefix else "xmlns"}="{uri.translate(_VALUE)}"'
    for name, value in sorted(element.attributes.items()):
        yield f' {element.tags[name]}="{value.translate(_VALUE)}"'
    yield ">"
    inside = {**around, **namespaces} if namespaces else around
    for child in element.children:
        if isinstance(child, str):
            yield child.translate(_TEXT)
        elif child is not without:
            yield from _written(child, inside, child.declared, without)
    yield f"</{element.tag}>"


def rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the reference manifest {problem}", hint="Fetch it again from NVIDIA's RIM service", check="format"
    )


__all__ = ["Element", "Name", "canonical", "parse", "rejected"]
