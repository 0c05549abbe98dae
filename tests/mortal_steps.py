"""The steps at which the services of a job can be killed, as ``mortal`` names them."""

from pathlib import Path

PROGRAM = str(Path(__file__).parent / "mortal.py")

STEPS: dict[str, set[str]] = {"keeper": set(), "aggregator": set(), "silo": set()}
