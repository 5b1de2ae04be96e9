"""The home folder: found, made, or refused with what to do."""

import os

import pytest

from studio.core.errors import UsageError, nearest
from studio.core.home import Home


def test_the_home_is_named_by_the_environment_and_made(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "here"))
    home = Home.find()
    assert home.root == (tmp_path / "here").resolve()
    assert all(folder.is_dir() for folder in (home.runs, home.checkpoints, home.blobs, home.features, home.presets))


def test_a_home_that_cannot_be_made_is_a_sentence_with_exit_code_2(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="STUDIO_HOME") as refused:
        Home.find(tmp_path / "file" / "home")
    assert refused.value.exit_code == 2


def test_the_nearest_name_is_offered_or_the_known_ones():
    assert nearest("prototype", ["prototypes", "ridge"]) == " Did you mean 'prototypes'?"
    assert nearest("zzz", ["ridge", "tca"]) == " Known: ridge, tca."
    assert nearest("zzz", []) == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps who may read a folder elsewhere")
def test_a_home_that_others_can_read_is_closed_where_nobody_named_it_and_told_of_where_somebody_did(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STUDIO_HOME", raising=False)
    for folder in (tmp_path / ".transfer-studio", tmp_path / "shared"):
        folder.mkdir()
        folder.chmod(0o755)
    assert Home.find().open_to_others() is None
    assert (tmp_path / ".transfer-studio").stat().st_mode & 0o777 == 0o700
    shared = Home.find(tmp_path / "shared")
    assert shared.root.stat().st_mode & 0o777 == 0o755
    assert f"chmod 700 {shared.root}" in shared.open_to_others()
