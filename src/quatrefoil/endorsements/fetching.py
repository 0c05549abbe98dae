"""From needs to a bundle: what is not there, or does not hold, is fetched; all of it, or nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from quatrefoil.enclave.nvidia import roots as nvidia_roots
from quatrefoil.enclave.paths import Root
from quatrefoil.enclave.snp import roots as amd_roots
from quatrefoil.enclave.tdx import roots as intel_roots
from quatrefoil.endorsements import amd, bundle, intel, nvidia
from quatrefoil.endorsements.needs import AmdNeed, IntelNeed, Need, NvidiaNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Web


@dataclass(frozen=True)
class Services:
    """Who is asked. ``update`` as Intel's API has it: "standard" or "early"."""

    pcs: str = intel.SERVICE
    root_list: str = intel.ROOT_LIST
    update: str = "standard"
    kds: str = amd.SERVICE
    rim: str = nvidia.SERVICE

    @classmethod
    def with_cache(cls, pccs: str, **others: str) -> Services:
        """Intel's part from a PCCS, a cache at ``pccs``."""
        base = intel.address(pccs)
        return cls(pcs=base, root_list=f"{base}/sgx/certification/v4/rootcacrl", **others)


@dataclass(frozen=True)
class Trusted:
    """The roots that answers must chain to; others than the pinned ones are for tests."""

    intel: intel_roots.Root = field(default_factory=intel_roots.pinned)
    amd: Mapping[str, amd_roots.Root] = field(default_factory=amd_roots.pinned)
    manifests: Root = field(default_factory=nvidia_roots.manifests)


@dataclass(frozen=True)
class Outcome:
    """Names of the files that were fetched, and of those that were there and hold."""

    fetched: tuple[str, ...]
    kept: tuple[str, ...]


def fetch(
    needs: Iterable[Need],
    folder: Path,
    web: Web,
    at: datetime,
    *,
    services: Services = Services(),
    trusted: Trusted | None = None,
    refresh: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Fetch what ``needs`` names into the bundle in ``folder``. With ``refresh``, also what holds still."""
    trusted = trusted or Trusted()
    bundle.exists(folder)  # what cannot be written to is said before anybody is asked
    fetched: list[Fetched] = []
    kept: list[str] = []
    for need in dict.fromkeys(needs):
        names = _file_names(need)
        if not refresh and bundle.covers(folder, names, at):
            kept += names
            continue
        progress(f"fetch {', '.join(names)}")
        fetched += _ask(need, web, at, services, trusted)
    if fetched:
        bundle.store(folder, tuple({one.name: one for one in fetched}.values()), at)
    return Outcome(tuple(dict.fromkeys(one.name for one in fetched)), tuple(dict.fromkeys(kept)))


def _file_names(need: Need) -> tuple[str, ...]:
    if isinstance(need, IntelNeed):
        return (intel.file_name(need),)
    return nvidia.file_names(need) if isinstance(need, NvidiaNeed) else amd.file_names(need)


def _ask(need: Need, web: Web, at: datetime, services: Services, trusted: Trusted) -> tuple[Fetched, ...]:
    if isinstance(need, NvidiaNeed):
        return nvidia.fetch(need, web, at, trusted.manifests, service=services.rim)
    if isinstance(need, AmdNeed):
        return amd.fetch(need, web, at, trusted.amd, service=services.kds)
    found = intel.fetch(
        need,
        web,
        at,
        trusted.intel,
        service=services.pcs,
        root_list=services.root_list,
        update=services.update,
    )
    return (found,)


__all__ = ["Outcome", "Services", "Trusted", "fetch"]
