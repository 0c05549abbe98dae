"""The parts of the page, in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quatrefoil.audit.report.markup import Content, Markup, element, join, table
from quatrefoil.bench.report import plots, routed, svg
from quatrefoil.bench.report.cells import cell, minutes, percent
from quatrefoil.bench.report.finding import number, rows
from quatrefoil.bench.report.layers import EXTRAPOLATIONS, LAYERS, Figure, Layer, Results
from quatrefoil.bench.report.panel import Panel, Shown
from quatrefoil.bench.report.panels import PANELS
from quatrefoil.bench.report.records import Here
from quatrefoil.bench.report.whole import Outcome

NOTHING = Markup("")
BUSY = 0.05
"""From which part of the processor time in others' hands a part is said to have been disturbed."""

MOST_ROWS = 200

NOT_MEASURED = (
    ("Enclave hardware", "None was here. Evidence is a TPM's by a key in software, or a sample under a root of ours."),
    ("Networks", "All parties are on one machine, over loopback: no distance, no loss, no limited bandwidth."),
    (
        "More cores",
        "Both ends of every exchange share the cores named above. Many clients and many cores were not tried.",
    ),
    (
        "Other processors",
        "Figures are of the one named above. The kernel has copies for older ones, which kernel shows.",
    ),
    ("Proof systems of others", "No package proves what ours proves, so none stands beside it."),
)


def heading(now: Here, when: str) -> Markup:
    on = now.machine
    machine = f"{cell(on.get('cores'))} cores of {cell(on.get('processor'))}, {cell(on.get('memory_gib'))} GiB"
    return element(
        "header",
        element("div", element("div", "Benchmarks", class_="soft small"), element("h1", "What protecting costs")),
        element(
            "div", f"{machine}; {cell(on.get('system'))}, Python {cell(on.get('python'))}; {when}", class_="soft small"
        ),
    )


def verdict(outcomes: Sequence[Outcome], quick: bool) -> Markup:
    with_figures = [one for one in outcomes if one.kept is not None]
    lacking = [one for one in outcomes if one.kept is None]
    text = f"{len(with_figures)} of {len(outcomes)} benches have figures"
    mark = "\N{BALLOT X}" if lacking else "\N{CHECK MARK}"
    said: list[Markup] = [element("strong", f"{mark} {text}")]
    if not lacking:
        said.append(
            element("p", "Every figure below was printed by the command beside it, on the machine named above.")
        )
    together: dict[tuple[str, str], list[str]] = {}
    for one in lacking:
        together.setdefault((one.state, one.why), []).append(one.part.name)
    said += [
        element("p", element("b", f"{', '.join(names)}, {state}: "), why) for (state, why), names in together.items()
    ]
    return join(
        [element("section", *said, class_="verdict bad" if lacking else "verdict good"), *_cautions(outcomes, quick)]
    )


def _cautions(outcomes: Sequence[Outcome], quick: bool) -> list[Markup]:
    found: list[tuple[str, str]] = []
    if quick:
        found.append(
            ("A quick run.", "Small shapes, few repeats: it shows that everything works, and compares with nothing.")
        )
    if older := [one.part.name for one in outcomes if one.state == "older"]:
        found.append(("Not all of one version.", f"Measured with other code, options or peers: {', '.join(older)}."))
    kept = [one for one in outcomes if one.kept is not None]
    if missing := sorted({name for one in kept for name, is_there in one.kept.record.peers.items() if not is_there}):  # type: ignore[union-attr]
        found.append(("Peers are missing.", f"Not installed, so not measured: {', '.join(missing)}."))
    busy = [f"{one.part.name} ({percent(one.kept.record.others)})" for one in kept if _disturbed(one)]  # type: ignore[union-attr]
    if busy:
        found.append(("The machine was not idle.", f"Processor time that others took meanwhile: {', '.join(busy)}."))
    return [
        element("section", element("b", what, class_="warn"), element("p", why), class_="note") for what, why in found
    ]


def _disturbed(one: Outcome) -> bool:
    return one.kept is not None and (one.kept.record.others or 0.0) > BUSY


def headlines(results: Results) -> Markup:
    """Ratios of what ran, and nothing else."""
    wanted = (
        ("aggregation", "rows[backend=additive-rlwe/sum-256-w16].overhead", ",.1f", "times the plain sum, encrypted"),
        ("proof", "verify_ms", ",.1f", "ms to verify a bounded update"),
        ("score", "rows[way=tenseal, a vector a row].over_ours", ",.0f", "times as long with TenSEAL by rows"),
        ("score", "rows[way=tenseal, a vector a column].over_ours", ",.1f", "times as long with TenSEAL by columns"),
        (
            "transport",
            "rows[shape=upload of 20 MB][stack=hybrid-768].ratio_median",
            ".2f",
            "times classical TLS, 20 MB",
        ),
        ("serving", "rows[model=resnet-50].overhead", ".1%", "added to one image to a ResNet-50"),
    )
    shown = [
        (format(found, form), what)
        for part, path, form, what in wanted
        if (found := number(results.get(part, {}), path)) is not None
    ]
    saved = [
        (cell(found, ".0%"), f"saved by routing: {cell(row.get('workload'))}{_by_hand(row)}")
        for row in rows(results.get("routing", {}), "rows")[:6]
        if (found := number(row, "saved_fraction")) is not None
    ]
    shown = saved + shown
    return (
        element("ul", *(element("li", element("b", value), what) for value, what in shown), class_="figures")
        if shown
        else NOTHING
    )


def _by_hand(row: Mapping[str, Any]) -> str:
    """A saving is of one choice for all phases, and nothing beyond a choice that is the route by another name."""
    others = row.get("not_one_choice")
    found = others.values() if isinstance(others, Mapping) else ()
    same = any(isinstance(one, Mapping) and one.get("routed") is True for one in found)
    return "; nothing beyond the same route found by hand" if same else ""


def layers(results: Results) -> Markup:
    columns = (
        "Layer",
        "Overhead, commonly quoted",
        "Overhead, measured here",
        "Peers, measured here",
        "Latency",
        "Best use",
    )
    lines = [_layer(layer, results) for layer in LAYERS]
    bands = [
        (layer.name, layer.band, {one.name: one.value(results) for one in (*layer.figures, *layer.peers) if one.ratio})
        for layer in LAYERS
    ]
    figure = plots.ranges("Times plain: measured here, beside the quoted band", "times", bands)
    drawn = (
        svg.markup(figure, "layers", "Measured overhead of each layer beside the range quoted for it")
        if figure
        else NOTHING
    )
    return element(
        "section",
        element("h2", "The four layers"),
        element(
            "p",
            "Quoted ranges are those that overviews repeat, mostly without a shape. What a layer costs depends on "
            "the shape of the work, so each figure has its own beside it, and a quoted range is no promise either "
            "way.",
        ),
        table(columns, lines, "layers"),
        element("figure", drawn, element("figcaption", "Points: this run. Bands: quoted.")) if figure else NOTHING,
    )


def _layer(layer: Layer, results: Results) -> list[Content]:
    quoted = join([element("div", layer.quoted), element("div", layer.source, class_="soft small")])
    latency = join([_figures(layer.latencies, results), element("div", layer.latency, class_="soft small")])
    peers: Content = (
        _figures(layer.peers, results) if layer.peers else "none that does the same; the plain way is in the ratio"
    )
    return [layer.name, quoted, _figures(layer.figures, results), peers, latency, layer.use]


def _figures(figures: Sequence[Figure], results: Results) -> Markup:
    return element("ul", *(element("li", one.shown(results)) for one in figures))


def panel(one: Outcome) -> Markup:
    """A part's figures, or why there are none."""
    head: list[Content] = [element("h2", one.part.title)]
    if one.kept is None:
        return element("section", *head, element("p", element("b", f"{one.state}: ", class_="warn"), one.why))
    shown = next((panel for panel in PANELS if panel.part == one.part.name), None)
    command = element("code", " ".join(("quatrefoil", *one.kept.record.arguments)))
    head.append(element("p", command, class_="soft small"))
    if shown is None:
        return element("section", *head)
    tables = [_table(which, one.kept.result) for which in shown.tables]
    body = (element("p", shown.about), _plot(shown, one.kept.result), *tables)
    if one.part.name != "routing":
        return element("section", *head, *body)
    return element("section", *head, routed.condition(one.kept.result), *body, routed.routes(one.kept.result))


def _plot(shown: Panel, result: Mapping[str, Any]) -> Markup:
    figure = shown.draw(result)
    if figure is None:
        return element("p", "There are no figures to draw.", class_="soft small")
    return element("figure", svg.markup(figure, f"plot-{shown.part}", shown.said))


def _table(which: Shown, result: Mapping[str, Any]) -> Markup:
    if which.once:
        source = result if which.path == "rows" else result.get(which.path)
        if not isinstance(source, Mapping):
            return NOTHING
        lines: list[list[Content]] = [
            [column.title, cell(source.get(column.key), column.form)] for column in which.columns
        ]
        return element("div", table(("Figure", "Value"), lines, "data pairs"), class_="wide")
    found = rows(result, which.path)[:MOST_ROWS]
    if not found:
        return NOTHING
    titles = tuple(column.title for column in which.columns)
    body: list[list[Content]] = [[cell(row.get(column.key), column.form) for column in which.columns] for row in found]
    return element("div", table(titles, body, "data"), class_="wide")


def peers(outcomes: Sequence[Outcome]) -> Markup:
    lines: list[list[Content]] = []
    for one in outcomes:
        if one.part.peerless:
            lines.append([one.part.name, "none", one.part.peerless])
        for peer in one.part.peers:
            lines.append([one.part.name, peer.name, _standing(one, peer.name)])
    return element(
        "section",
        element("h2", "Peers"),
        element("p", "Measured in the same run, on the same data, on the same machine."),
        table(("Bench", "Peer", "Version, or why not"), lines, "data"),
    )


def _standing(one: Outcome, peer: str) -> Content:
    if one.kept is None:
        return element("b", f"not measured: the bench is {one.state}", class_="warn")
    found = one.kept.record.peers.get(peer, "")
    return found or element("b", "missing: not installed", class_="warn")


def extrapolations(results: Results) -> Markup:
    lines: list[list[Content]] = [[one.name, one.shown(results), one.how] for one in EXTRAPOLATIONS]
    return element(
        "section",
        element("h2", "Extrapolated, not measured"),
        element(
            "p",
            element("b", "None of this ran. ", class_="warn"),
            "It is in no ratio, plot or table above, nor in the README.",
        ),
        table(("What", "Value", "How it was computed"), lines, "data"),
        class_="extrapolated",
    )


def not_measured() -> Markup:
    lines = [element("li", element("b", f"{what}. "), why) for what, why in NOT_MEASURED]
    return element("section", element("h2", "What is not measured"), element("ul", *lines))


def runs(outcomes: Sequence[Outcome], now: Here) -> Markup:
    lines: list[list[Content]] = []
    for one in outcomes:
        if one.kept is None:
            lines.append([one.part.name, element("b", one.state, class_="warn"), "-", "-", "-", "-"])
            continue
        record = one.kept.record
        took = minutes(record.seconds)
        code = f"{record.version}, {record.code[:12]}"
        lines.append(
            [one.part.name, one.state, record.started[:16].replace("T", " "), took, percent(record.others), code]
        )
    columns = ("Bench", "State", "Started (UTC)", "Took", "Others' share of the processors", "Version, code")
    return element(
        "section",
        element("h2", "How this came about"),
        element(
            "p",
            f"This page was drawn by version {now.version}, code {now.code[:12]}. Each bench ran alone, as a process.",
        ),
        element("div", table(columns, lines, "data"), class_="wide"),
        element(
            "p", "To repeat it, or a part of it: ", element("code", "quatrefoil bench all --report DIR --only PART")
        ),
    )
