"""Real PKCS #11 tokens of SoftHSM 2, in a folder of their own; without SoftHSM the tests that need one say so."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from quatrefoil.broker.root_token import Place

PIN, SECURITY_OFFICER = "correct horse", "battery staple"

_MODULES = [
    Path(folder) / "softhsm" / "libsofthsm2.so"
    for folder in (
        "/usr/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/local/lib",
    )
]
MODULE = next((file for file in _MODULES if file.exists()), None)

_NUMBERS = itertools.count()


class SoftToken:
    """One new token, with its PIN set. ``folder`` is where SoftHSM keeps it."""

    def __init__(self) -> None:
        if MODULE is None or shutil.which("softhsm2-util") is None:
            pytest.skip("SOFTHSM IS NOT INSTALLED: root keys in tokens are not tested (apt-get install softhsm2)")
        tokens = _tokens()
        before = set(tokens.iterdir())
        self.place = Place(MODULE, f"token-{next(_NUMBERS)}")
        pins = ["--pin", PIN, "--so-pin", SECURITY_OFFICER]
        make = ["softhsm2-util", "--init-token", "--free", "--label", self.place.token, *pins]
        subprocess.run(make, check=True, capture_output=True)
        (self.folder,) = set(tokens.iterdir()) - before
        self.pins_read = 0

    def pin(self) -> str:
        self.pins_read += 1
        return PIN

    def take_away(self) -> None:
        """As if the token were pulled out."""
        self.folder.rename(_tokens().parent / self.folder.name)

    def put_back(self) -> None:
        (_tokens().parent / self.folder.name).rename(self.folder)


@cache
def _tokens() -> Path:
    """The folder of this process's tokens, named in the configuration that SoftHSM reads when it is loaded."""
    folder = Path(tempfile.mkdtemp(prefix="quatrefoil-softhsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    return tokens
