"""The folder that one process owns."""

from __future__ import annotations

import stat

import pytest

from neuralmesh_server.data_folder import DataFolder
from neuralmesh_server.settings import SettingsError


def test_a_folder_has_one_owner_at_a_time(tmp_path):
    """A second owner is refused with the kind of the first and the folder, and permitted after a close."""
    root = tmp_path / "deep" / "data"
    first = DataFolder(root, "metrics service")
    with pytest.raises(SettingsError, match=f"another metrics service uses the data folder {root}"):
        DataFolder(root, "metrics service")
    first.close()
    second = DataFolder(root, "metrics service")
    first.close()  # must not release what the second holds
    with pytest.raises(SettingsError, match="another"):
        DataFolder(root, "metrics service")
    second.close()


def test_a_folder_is_its_owners_alone(tmp_path):
    """A new folder, and one that was open to others, is accessible to its user only; so is the lock."""
    (tmp_path / "open").mkdir(mode=0o755)
    for name in ("open", "new"):
        DataFolder(tmp_path / name, "test").close()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / name / "lock").stat().st_mode) == 0o600


def test_what_is_no_folder_is_refused(tmp_path):
    """A file in the folder's place is named and stays as it is."""
    place = tmp_path / "data"
    place.write_text("mine")
    with pytest.raises(SettingsError, match=f"the data folder {place} cannot be used: "):
        DataFolder(place, "test")
    assert place.read_text() == "mine"
