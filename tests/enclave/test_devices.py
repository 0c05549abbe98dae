"""Devices are found by their files, below any root, and absence is reported as absence."""

from pathlib import Path

import pytest

from quatrefoil.enclave import devices


def test_a_bare_machine_shows_nothing(tmp_path: Path) -> None:
    found = devices.find(tmp_path)
    assert [device.kind for device in found] == [kind for kind, _, _ in devices.KNOWN]
    assert not any(device.present or device.usable for device in found)


@pytest.mark.parametrize(("kind", "path", "meaning"), devices.KNOWN)
def test_each_device_is_found_alone(tmp_path: Path, kind: str, path: str, meaning: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    present = [device for device in devices.find(tmp_path) if device.present]
    assert [(device.kind, device.path, device.meaning) for device in present] == [(kind, f"/{path}", meaning)]


def test_a_device_that_may_not_be_opened_is_present_and_not_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/sev-guest").touch()
    monkeypatch.setattr(devices.os, "access", lambda *_: False)
    (device,) = [device for device in devices.find(tmp_path) if device.present]
    assert device.kind == "sev-snp" and not device.usable


def test_a_root_that_is_a_file_shows_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.write_text("not a folder")
    assert not any(device.present for device in devices.find(root))


def test_a_folder_that_cannot_be_searched_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert not any(device.present for device in devices.find(tmp_path))
