"""A part that cannot be read for the moment is not taken for a damaged one."""

import errno
from types import SimpleNamespace

import numpy as np

from gpuclust.embeddings import parts


def test_a_part_that_cannot_be_read_now_stays_on_the_disk(tmp_path, monkeypatch):
    plan = SimpleNamespace(folder=tmp_path, order=np.arange(2), bad={})
    header = {"ranges": [[0, 2]], "bad": [], "labels": [0, 1], "used": {}, "seconds": 1.0}
    part = parts.write_part(plan, [np.ones((2, 3), np.float32)], **header)

    def fail(path):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(parts, "read_part", fail)
        parts.Parts(plan).scan()
    found = parts.Parts(plan)
    found.scan()
    assert list(found.found) == [part.path.name]
    assert found.done.all()


def test_a_part_that_was_cut_off_is_removed(tmp_path):
    plan = SimpleNamespace(folder=tmp_path, order=np.arange(2), bad={})
    header = {"ranges": [[0, 2]], "bad": [], "labels": [0, 1], "used": {}, "seconds": 1.0}
    part = parts.write_part(plan, [np.ones((2, 3), np.float32)], **header)
    part.path.write_bytes(part.path.read_bytes()[:-1])
    found = parts.Parts(plan)
    found.scan()
    assert not found.found
    assert not part.path.exists()
