"""What the demo prints of serving: what stands in first, then cost, what whom sees, receipt and log."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quatrefoil.demo.serving import INSTALL, Served


def render_served(console: Console, served: Served) -> None:
    console.print()
    console.print("[bold]The trained model, sealed, served and asked[/bold]")
    console.print(
        "INSECURE: the evidence is that of a TPM in software. It isolates nothing: whoever runs the server's machine "
        "reads requests, answers and weights. What is shown is everything around the isolation.",
        style="bold red",
    )
    console.print(
        f"Model {served.root[:16]} was sealed to a broker, which released its key to the code that shows "
        f"{escape(served.measurement[:30])}... and so on, as its owner's policy says. {escape(served.hospital)} held "
        f"the server to its own policy, and asked about {served.predictions} patients."
    )
    equal = "none" if served.differing == 0 else str(served.differing)
    rows = [
        ("predictions that differ from the plain server's", equal, f"of {served.predictions}"),
        ("largest difference from the trained model", f"{served.difference:.1e}", "probability"),
        ("median latency, plain and protected", f"{served.plain_ms:.1f}, {served.ms:.1f}", f"ms; {served.ratio:.1f}x"),
        ("first answer, with channel and evidence", f"{served.first_ms:.0f}", "ms"),
        (
            "one request, and all that the network saw for it",
            f"{served.request_bytes:,}, {served.network_bytes:,}",
            "bytes",
        ),
    ]
    console.print(_table("Plain beside protected", ("", "", ""), rows))
    views = [(view.place, view.what, _found(view.plain), _found(view.protected)) for view in served.views]
    console.print(_table("What whom sees", ("where", "what", "plain", "protected"), views, left=True))
    console.print(
        f"Receipt of answer {served.receipt}: signed by a key that the evidence names, in the log, about this request "
        f"and this answer. Beside a changed answer: {escape(served.tampered)}"
    )
    console.print(f"The server's log: {served.log_entries} entries, {served.checks} checks, all passed.")
    console.print(f"Serving took {served.seconds:.1f} s.")


def render_not_served(console: Console, absent: Sequence[str]) -> None:
    """Said loudly: a part of the demo did not run."""
    console.print()
    console.print(
        f"NOT SHOWN: the trained model was not sealed, served and asked. Not installed: {escape(', '.join(absent))}.",
        style="bold red",
    )
    console.print(f"  {escape(INSTALL)}", soft_wrap=True)


def _found(seen: bool) -> str:
    return "found" if seen else "not found"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: bool = False) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.show_header = any(columns)
    drawn.min_width = len(title)
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if left or position != 1 else "right")
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    return drawn


__all__ = ["render_not_served", "render_served"]
