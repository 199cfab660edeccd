import os
import stat
import threading
from pathlib import Path

import pytest

from gpuclust.errors import InputError, StorageError
from gpuclust.files import output


def test_a_link_keeps_pointing_to_its_target_which_is_written(tmp_path):
    target, link = tmp_path / "there" / "target.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    link.symlink_to(target)
    output.write(link, "new")  # a link to a file that does not exist yet
    output.write(link, "newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"
    assert [path.name for path in target.parent.iterdir()] == ["target.csv"]


def test_a_hard_link_and_the_permissions_of_a_file_are_kept(tmp_path):
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text("old and long")
    file.chmod(0o640)
    output.write(file, "new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    other.hardlink_to(file)
    output.write(file, "x")
    assert other.read_text() == "x"


def test_devices_and_pipes_are_written_and_stay(tmp_path):
    output.write(Path("/dev/null"), "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    output.write(pipe, "through the pipe")
    reader.join()
    assert read == ["through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match=r"/dev/full: No "):
        output.write(Path("/dev/full"), "x")
    file = tmp_path / "a.csv"
    file.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"a\.csv") as caught:
        output.write(file, "new")
    assert "--root" not in str(caught.value)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_places_that_cannot_be_a_file_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a folder"):
        output.check(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        output.check(tmp_path / "file" / "table.csv")
    assert output.check(tmp_path / "new" / "table.csv") == tmp_path / "new" / "table.csv"
    assert not (tmp_path / "new").exists()


def test_two_outputs_to_one_place_are_refused(tmp_path):
    file, link = tmp_path / "a", tmp_path / "b"
    link.symlink_to(file)
    for one, two in ((file, file), (file, link), (Path("-"), Path("-"))):
        with pytest.raises(InputError, match="--csv and --markdown"):
            output.check_different({"--csv": one, "--markdown": two})
    null = Path("/dev/null")
    output.check_different({"--csv": null, "--markdown": null, "--json": None})


def test_a_name_with_bytes_outside_utf8_can_be_written(tmp_path):
    output.write(tmp_path / os.fsdecode(b"\xfc.csv"), "caf\udce9")
    assert next(tmp_path.iterdir()).read_text() == "caf\\udce9"
