"""``quatrefoil flower``: write an app for Flower whose silos show nobody their updates; and a silo's seat there."""

from __future__ import annotations

import argparse
import re
from importlib import resources
from pathlib import Path

from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import report
from quatrefoil.parties.running import add_running_options

NAME = "flower"
HELP = "write an app for Flower whose silos show nobody their updates, or hold a silo's seat beside its SuperNode"

_SUFFIX = ".txt"
"""Of template files: they are text until a name is in them."""

_KEEPER, _COMMITTEE = "@keeper|", "@committee|"
"""Lines of a template that begin so are for an app with one or the other."""


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="write an app into a new folder", description="write an app into a new folder")
    new.add_argument("folder", type=Path, metavar="DIR", help="new folder; its name is the name of the app")
    new.add_argument(
        "--committee", action="store_true", help="four silos that hold the keys together, and no keeper to be trusted"
    )
    new.set_defaults(act=_new)
    what = "hold what a silo in Flower has in memory, as a member of a committee; runs beside its SuperNode"
    seat = actions.add_parser("seat", help=what, description=what)
    seat.add_argument("silo", type=Path, metavar="FILE", help="the silo's file, which its SuperNode is started with")
    add_running_options(seat)
    seat.set_defaults(act=_seat)


def run(options: argparse.Namespace) -> None:
    options.act(options)


def _seat(options: argparse.Namespace) -> None:
    from quatrefoil.flower import seat  # no other command loads it

    seat.run(options)


def _new(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    project = folder.name.replace("_", "-")
    name = project.replace("-", "_")  # of the package, which may have no hyphens as Flower's names no underscores
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", project):
        raise CallerError(
            f"{folder.name!r} cannot be the name of an app",
            hint="Use up to 32 lower-case letters, digits and hyphens, and begin with a letter",
        )
    template = Path(str(resources.files("quatrefoil"))) / "flower" / "template"
    try:
        folder.mkdir(parents=True)
        for file in sorted(template.rglob(f"*{_SUFFIX}")):
            where = file.relative_to(template).with_suffix("")
            target = folder / (Path(name, *where.parts[1:]) if where.parts[0] == "app" else where)
            target.parent.mkdir(exist_ok=True)
            text = _lines_of(_COMMITTEE if options.committee else _KEEPER, file.read_text())
            target.write_text(text.replace("@app@", name).replace("@project@", project))
            if target.suffix == ".sh":
                target.chmod(0o755)
    except FileExistsError:
        raise CallerError(f"{folder} is there already", hint="Name a new folder") from None
    except OSError as error:
        raise HostError(
            f"{folder} cannot be written ({error.strerror})", hint="Name a folder that you may write"
        ) from None
    report(f"{folder}: an app for Flower; its README.md says how to run it, and trial.sh does on this machine")


def _lines_of(kind: str, text: str) -> str:
    """A template without the lines of the other kind."""
    other = _KEEPER if kind == _COMMITTEE else _COMMITTEE
    return "".join(line.removeprefix(kind) for line in text.splitlines(keepends=True) if not line.startswith(other))
