"""Plots as markup: drawn by matplotlib, then written anew with what a drawing needs and nothing else.

No script, no reference to anything outside, no name that another plot of the page has, and colours that follow the
page's, so that a plot is readable in the dark and on paper too. Labels may come from results: none is read as
mathematics, and all are escaped twice, by matplotlib and here."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.etree import ElementTree

from quatrefoil.audit.report.markup import Markup, text
from quatrefoil.errors import DependencyMissing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Given = ParamSpec("Given")

INK, SOFT, LINE = "#010203", "#040506", "#070809"
"""Stand for the page's own colours of text, of less important text, and of rules."""

OURS, PLAIN, PEER, OTHER, WARN = "#1b8a6b", "#8a97a5", "#d98324", "#3b78c2", "#c4455a"
SERIES = (OURS, OTHER, PEER, "#8a63b8", WARN, PLAIN)

_PAGE = {INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)"}
_TAGS = {"svg", "g", "path", "defs", "clipPath", "rect", "use", "text", "tspan"}
_ATTRIBUTES = {"d", "style", "transform", "x", "y", "width", "height", "id", "clip-path", "href", "viewBox"}
_LOOK: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "quatrefoil",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.constrained_layout.use": True,
}


def require_matplotlib() -> None:
    """``DependencyMissing`` before anything is measured: the page cannot be drawn without it."""
    if find_spec("matplotlib") is None:
        raise DependencyMissing("matplotlib is not installed", hint="pip install 'quatrefoil[bench]'")


def in_the_look(draw: Callable[Given, Figure | None]) -> Callable[Given, Figure | None]:
    """For a function that draws: everything it makes is in the page's look, and no label is read as mathematics."""

    @wraps(draw)
    def looked(*args: Given.args, **kwargs: Given.kwargs) -> Figure | None:
        require_matplotlib()
        import matplotlib

        with matplotlib.rc_context(_LOOK):
            return draw(*args, **kwargs)

    return looked


def canvas(height: float, columns: int = 1, *, width: float = 8.6) -> tuple[Figure, list[Axes]]:
    """A figure of ``columns`` plots beside each other, in inches; within :func:`in_the_look`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def markup(figure: Figure, name: str, said: str) -> Markup:
    """``name``: of the plot, unique in its page, letters and hyphens; ``said``: what it shows, in words."""
    import matplotlib

    written = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(_LOOK):
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    used = frozenset(re.findall(r'(?:href="#|url\(#)([\w-]+)', written.getvalue().decode()))
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - matplotlib has just written it
    return Markup(_element(root, name, used, said))


def _element(node: ElementTree.Element, name: str, used: frozenset[str], said: str = "") -> str:
    tag = _local(node.tag)
    if tag not in _TAGS:
        return ""
    given = {_local(key): value for key, value in node.attrib.items()}
    kept = {key: _attribute(key, value, name, used) for key, value in given.items() if key in _ATTRIBUTES}
    if tag == "svg":
        kept = {"viewBox": kept["viewBox"], "role": "img", "aria-label": said}
    written = "".join(f' {key}="{text(value)}"' for key, value in kept.items() if value)
    content = "".join(_element(child, name, used) for child in node)
    own = text(node.text) if tag in ("text", "tspan") and node.text else ""
    return f"<{tag}{written}>{own}{content}</{tag}>"


def _attribute(key: str, value: str, name: str, used: frozenset[str]) -> str:
    """Names of parts are made this plot's own; what points elsewhere than into it is dropped."""
    if key == "id":
        return f"{name}-{value}" if value in used else ""
    if key == "href":
        return f"#{name}-{value[1:]}" if value.startswith("#") else ""
    if key == "clip-path":
        inside = re.fullmatch(r"url\(#([\w-]+)\)", value)
        return f"url(#{name}-{inside[1]})" if inside else ""
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)  # that of the page
        for stands, colour in _PAGE.items():
            value = value.replace(stands, colour)
        return "" if "url(" in value.replace("url(#", "") else re.sub(r"url\(#([\w-]+)\)", rf"url(#{name}-\1)", value)
    return value


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
