"""The commands on sealed files, through the command line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from quatrefoil import cli
from support import Consortium

CONTENT = b"patient,dose\n" * 9000


@pytest.fixture
def here(tmp_path: Path, consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with content, an identity, a root and two keys."""
    consortium.identity("north", "silo")
    (tmp_path / "north").symlink_to(consortium.folder("north", "silo"))
    for file in ("root.pem", "crl.pem"):
        (tmp_path / file).symlink_to(consortium.directory / file)
    (tmp_path / "content").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    assert run("seal-key new old --identity north --root root.pem") == 0
    assert run("seal-key new strong --identity north --root root.pem --suite hybrid-1024") == 0
    assert run("seal content --to old --identity north --root root.pem --out content.sealed") == 0
    return tmp_path


def run(line: str) -> int:
    return cli.main(line.split())


def test_seal_open_rewrap(here, capsys):
    assert run("open content.sealed --key old --root root.pem --out back --from north") == 0
    assert (here / "back").read_bytes() == CONTENT and (here / "back").stat().st_mode & 0o777 == 0o600
    shown = capsys.readouterr().out
    assert "north (silo), who says 20" in shown and f"{len(CONTENT):,}" in shown
    line = "rewrap content.sealed --key old --to strong/sealing.certificate --minimum hybrid-1024"
    assert run(f"{line} --identity north --root root.pem --out again.sealed") == 0
    shown = capsys.readouterr().out
    assert "north (silo), hybrid-1024" in shown and "no longer named" in shown and "can still read" in shown
    assert run("open again.sealed --key strong --root root.pem --out back2") == 0
    assert (here / "back2").read_bytes() == CONTENT
    assert run("open again.sealed --key old --root root.pem --out back3") == 1
    assert not (here / "back3").exists() and "not sealed to this key" in capsys.readouterr().err


def test_standard_input_and_output(here, monkeypatch, capfdbinary):
    class Stdin:
        buffer = io.BytesIO(CONTENT)

    monkeypatch.setattr(sys, "stdin", Stdin)
    line = "--identity north --root root.pem --context dose --out piped.sealed"
    assert run(f"seal - --to old --to strong {line}") == 0
    capfdbinary.readouterr()
    assert run("open piped.sealed --key strong --root root.pem --context dose --out - --release-early") == 0
    out, err = capfdbinary.readouterr()
    assert out == CONTENT and b"north (silo)" in err


def test_content_released_early_ends_with_an_error_when_the_end_is_false(here, capfdbinary):
    damaged = bytearray((here / "content.sealed").read_bytes())
    damaged[-1] ^= 1
    (here / "damaged.sealed").write_bytes(damaged)
    capfdbinary.readouterr()
    assert run("open damaged.sealed --key old --root root.pem --out - --release-early") == 1
    out, err = capfdbinary.readouterr()
    assert out == CONTENT and b"does not fit" in err
    assert run("open damaged.sealed --key old --root root.pem --out back") == 1
    assert not (here / "back").exists()


def test_a_key_is_certified_again_and_shown(here, consortium, capsys):
    renewed = consortium.authority.issue("north", "silo", directory=here / "renewed")
    assert run("seal-key certify old --identity renewed --root root.pem --out new.certificate") == 0
    capsys.readouterr()
    assert run("seal-key show new.certificate --root root.pem") == 0
    shown = capsys.readouterr().out
    assert run("seal-key show old --root root.pem") == 0
    assert capsys.readouterr().out == shown  # the same key, party and role
    assert renewed.fingerprint and "north (silo)" in shown
    assert run("seal content --to new.certificate --identity renewed --root root.pem --out c2.sealed") == 0
    assert run("open c2.sealed --key old --root root.pem --out back") == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("seal content --to old --identity north --root root.pem --out -", "before its end is known"),
        ("seal content --to old --identity north --root root.pem --out content", "content exists already"),
        ("seal none --to old --identity north --root root.pem --out x", "none cannot be read"),
        ("seal . --to old --identity north --root root.pem --out x", ". cannot be read (Is a directory)"),
        ("seal /proc/self/mem --to old --identity north --root root.pem --out x", "mem cannot be read (Input/output"),
        ("seal content --to content --identity north --root root.pem --out x", "content is no sealing certificate"),
        ("seal content --to north --identity north --root root.pem --out x", "sealing.key cannot be read"),
        ("seal content --to old --to old --identity north --root root.pem --out x", "named twice"),
        (
            "seal content --to old --minimum hybrid-1024 --identity north --root root.pem --out x",
            "at least hybrid-1024",
        ),
        ("open content --key old --root root.pem --out x", "no sealed file"),
        ("open content.sealed --key old --root root.pem --out -", "go together"),
        ("open content.sealed --key old --root root.pem --out x --release-early", "go together"),
        ("open content.sealed --key old --root root.pem --out x --from south", "not by 'south'"),
        ("open content.sealed --key old --root root.pem --out x --context y", "another context"),
        ("open content.sealed --key strong --root root.pem --out x", "not sealed to this key"),
        ("open content.sealed --key old --root content --out x", "not a PEM certificate"),
        ("rewrap content.sealed --key strong --to old --identity north --root root.pem --out x", "not sealed to this"),
        ("rewrap content.sealed --key old --to old --identity north --root root.pem --out -", "before its end"),
        ("seal-key new old --identity north --root root.pem", "old exists already"),
        ("seal-key show content --root root.pem", "content is no sealing certificate"),
        ("seal-key certify strong --identity north --root root.pem --out content", "content exists already"),
    ],
)
def test_what_is_refused_is_one_line_and_leaves_no_file(here, capsys, line, problem):
    before = sorted(here.iterdir())
    capsys.readouterr()
    assert run(line) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("quatrefoil: ") and shown.err.count("\n") == 1
    assert problem in shown.err
    assert sorted(here.iterdir()) == before


def test_an_identity_that_nobody_would_believe_does_not_sign(here, stranger, capsys):
    stranger.identity("north", "silo")
    (here / "stranger").symlink_to(stranger.folder("north", "silo"))
    for line in ("seal content --to old --out x", "rewrap content.sealed --key old --to strong --out x"):
        assert run(f"{line} --identity stranger --root root.pem") == 1
        assert "no trusted root" in capsys.readouterr().err
