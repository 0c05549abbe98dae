"""Collectors: what gathers evidence on a machine, each from its device and unchanged on real hardware.

A collector refuses cleanly (``HostError``) where its device is absent; none ever makes evidence up.
"""

from quatrefoil.enclave.collectors.choosing import COLLECTORS, Settings, absent, automatic, collector
from quatrefoil.enclave.collectors.collector import Collector

__all__ = ["COLLECTORS", "Collector", "Settings", "absent", "automatic", "collector"]
