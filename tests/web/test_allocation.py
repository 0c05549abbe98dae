"""Freed memory is kept where the C library can do so; elsewhere nothing changes."""

from __future__ import annotations

import ctypes
import platform

import pytest

from quatrefoil.web import allocation


def test_the_c_library_takes_the_settings() -> None:
    allocation.keep_freed_memory.cache_clear()
    assert allocation.keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    allocation.keep_freed_memory.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert allocation.keep_freed_memory() is False
    allocation.keep_freed_memory.cache_clear()
