"""Damaged and hostile files of vectors and labels: name -> function to write one."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
BAIT = "it-ran"  # the file that a pickle would write


class Bomb:
    """An object with a pickle that writes a file when read."""

    def __init__(self, folder):
        self.command = f"touch {folder / BAIT}"

    def __reduce__(self):
        return os.system, (self.command,)


def pickled(folder):
    import pickle  # noqa: TID251 - the attack itself

    return pickle.dumps(Bomb(folder))


def npy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text):
    """Return the bytes of a .npy file with any header."""
    line = text.encode() + b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line


def npy_of(shape, descr="<f4"):
    return header(repr({"descr": descr, "fortran_order": False, "shape": shape}))


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def flag(path, *, encrypted=False, method=None):
    """Change the flags of the first member of a zip file."""
    content = bytearray(path.read_bytes())
    local, central = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    if encrypted:
        content[local + 6] |= 1
        content[central + 8] |= 1
    if method is not None:
        content[local + 8] = content[central + 10] = method
    path.write_bytes(content)


def cut(path, write, keep=0.6):
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def encrypted(path):
    write_zip(path, {"X.npy": npy_bytes(X)})
    flag(path, encrypted=True)


def wrong_method(path):
    write_zip(path, {"X.npy": npy_bytes(X)})
    flag(path, method=97)


def wrong_checksum(path):
    write_zip(path, {"X.npy": npy_bytes(X)})
    content = bytearray(path.read_bytes())
    content[content.find(b"\x93NUMPY") + 130] ^= 0xFF
    path.write_bytes(content)


def zip_bomb(path):
    """Say 400 GB in a header, and inflate to 64 MiB."""
    content = npy_of((100_000_000, 1000)) + b"\0" * 2**26
    write_zip(path, {"X.npy": content}, zipfile.ZIP_DEFLATED)


def lying_size(path):
    """Say a small size in the directory of a member of 64 MiB."""
    write_zip(path, {"X.npy": npy_of((2**24, 1)) + b"\0" * 2**26}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    central = content.find(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 300)
    path.write_bytes(content)


def nested_parquet(path):
    rows = [{"a": 1.0, "b": [{"c": 2.0}]}] * 6
    pq.write_table(pa.table({"meta": rows, "deep": [[[1.0]]] * 6}), path)


def safetensors(header_length, text):
    return struct.pack("<Q", header_length) + text


def safetensors_out_of_range(path):
    text = json.dumps({"X": {"dtype": "F32", "shape": [10**9, 4], "data_offsets": [0, 16 * 10**9]}})
    path.write_bytes(safetensors(len(text), text.encode()) + b"\0" * 64)


def torch_objects(path):
    torch.save({"X": torch.ones(6, 3), "bomb": Bomb(path.parent)}, path)


def loop(path):
    path.symlink_to(path.parent / "other.npy")
    (path.parent / "other.npy").symlink_to(path)


VECTORS = {
    "empty.npy": lambda p: p.write_bytes(b""),
    "empty.csv": lambda p: p.write_bytes(b""),
    "cut.npy": lambda p: cut(p, lambda q: np.save(q, X)),
    "cut-header.npy": lambda p: cut(p, lambda q: np.save(q, X), 0.1),
    "cut.npz": lambda p: cut(p, lambda q: np.savez(q, X=X)),
    "cut.parquet": lambda p: cut(p, lambda q: pq.write_table(pa.table({"f": X[:, 0]}), q)),
    "cut.pt": lambda p: cut(p, lambda q: torch.save(torch.ones(60, 3), q)),
    "cut.safetensors": lambda p: p.write_bytes(safetensors(100, b'{"X":')),
    "two-arrays.npy": lambda p: p.write_bytes(npy_bytes(X) * 2),
    "huge.npy": lambda p: p.write_bytes(npy_of((10**12, 10**6))),
    "overflow.npy": lambda p: p.write_bytes(npy_of((2**62, 2**62))),
    "negative.npy": lambda p: p.write_bytes(npy_of((-1, -3)) + b"\0" * 12),
    "open-header.npy": lambda p: p.write_bytes(header("{'descr': '<f4', 'shape': (5, 5")),
    "code-header.npy": lambda p: p.write_bytes(header("__import__('os').system('touch it-ran')")),
    "deep-header.npy": lambda p: p.write_bytes(header("(" * 3000)),
    "long-header.npy": lambda p: p.write_bytes(header("{" + " " * 30000 + "}")),
    "version.npy": lambda p: p.write_bytes(b"\x93NUMPY\x09\x00" + b"\0" * 100),
    "pickle.npy": lambda p: np.save(p, np.array([Bomb(p.parent)]), allow_pickle=True),
    "raw-pickle.npy": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.npz": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.parquet": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.csv": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.pt": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.safetensors": lambda p: p.write_bytes(pickled(p.parent)),
    "objects.pt": torch_objects,
    "pickle.npz": lambda p: np.savez(p, X=np.array([Bomb(p.parent)] * 6)),
    "no-array.npz": lambda p: write_zip(p, {"X.npy": b"hello"}),
    "no-npy.npz": lambda p: write_zip(p, {"readme.txt": b"hello"}),
    "nothing.npz": lambda p: write_zip(p, {}),
    "encrypted.npz": encrypted,
    "method.npz": wrong_method,
    "checksum.npz": wrong_checksum,
    "bomb.npz": zip_bomb,
    "lying-size.npz": lying_size,
    "eight-exabytes.safetensors": lambda p: p.write_bytes(safetensors(2**63, b'{"X":{}}')),
    "out-of-range.safetensors": safetensors_out_of_range,
    "nested.parquet": nested_parquet,
    "page.npy": lambda p: p.write_text("<!DOCTYPE html><html>404</html>"),
    "gzip.npy": lambda p: p.write_bytes(b"\x1f\x8b\x08\0" + b"\0" * 40),
    "lfs.npy": lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "columns.csv": lambda p: p.write_text(",".join(["1"] * 1_000_000) + "\n"),
    "nul.csv": lambda p: p.write_bytes(b"a,b\n1,\0\n"),
    "mixed-lengths.csv": lambda p: p.write_text("a,b\n1,2\n3,4,5\n"),
    "short-row.csv": lambda p: p.write_text("a,b\n1,2\n3\n"),
    "open-quote.csv": lambda p: p.write_text('a,b\n1,"2\n3,4\n' * 3),
    "long-cell.csv": lambda p: p.write_text("a,b\n" + "9" * 300_000 + ",1\n"),
    "nan.csv": lambda p: p.write_text("a,b\n1,2\nnan,4\n"),
    "missing-cell.csv": lambda p: p.write_text("a,b\n1,2\n,4\n"),
    "infinite.csv": lambda p: p.write_text("a,b\n1,2\n1e999,4\n"),
    "latin.csv": lambda p: p.write_bytes("größe,b\n1,2\n".encode("latin-1")),
    "folder.npy": lambda p: p.mkdir(),
    "pipe.npy": lambda p: os.mkfifo(p),
    "device.npy": lambda p: p.symlink_to("/dev/zero"),
    "loop.npy": loop,
    "complex.npy": lambda p: np.save(p, X.astype(complex)),
    "date.npy": lambda p: np.save(p, np.zeros((6, 3), "M8[s]")),
    "structured.npy": lambda p: np.save(p, np.zeros(6, [("a", "f4"), ("b", "f4")])),
    "scalar.npy": lambda p: np.save(p, np.float32(1)),
    "image.npy": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 60),
    "x.h5": lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 60),
    "x.xlsx": lambda p: write_zip(p, {"xl/workbook.xml": b"<a/>"}),
    "two-names.csv": lambda p: p.write_text("a,a\n1,2\n"),
    "counter.parquet": lambda p: pq.write_table(pa.table({"id": list(range(6))}), p),
    "sparse.pt": lambda p: torch.save(torch.eye(4).to_sparse(), p),
    "lossy.npy": lambda p: np.save(p, np.array([[2**60, 1], [2**60 + 1, 1]])),
}

LABELS = {
    "none.csv": lambda p: p.write_text(""),
    "fraction.txt": lambda p: p.write_text("0.5\n" * 6),
    "one-more.csv": lambda p: p.write_text("c1\nc2\nc3\nc1\nc2\nc3\nc1\n"),
    "one-less.npy": lambda p: np.save(p, np.arange(5)),
    "two-columns.csv": lambda p: p.write_text("a,b\n" * 6),
    "ragged.csv": lambda p: p.write_text("path,label\n" + "a\n" * 6),
    "pickle.npy": lambda p: np.save(p, np.array([Bomb(p.parent)] * 6), allow_pickle=True),
    "raw-pickle.txt": lambda p: p.write_bytes(pickled(p.parent)),
    "raw-pickle.npz": lambda p: p.write_bytes(pickled(p.parent)),
    "objects.pt": torch_objects,
    "dates.npy": lambda p: np.save(p, np.zeros(6, "M8[D]")),
    "complex.npy": lambda p: np.save(p, np.zeros(6, complex)),
    "one-hot.npy": lambda p: np.save(p, np.eye(6)),
    "infinite.npy": lambda p: np.save(p, np.array([1, 2, np.inf, 1, 2, 3])),
    "names.npz": lambda p: np.savez(p, a=np.arange(6), b=np.arange(6)),
    "bytes.txt": lambda p: p.write_bytes(b"\xff\xfe\xfd\x81"),
    "nul.txt": lambda p: p.write_bytes(b"a\0b\n" * 6),
    "device.txt": lambda p: p.symlink_to("/dev/zero"),
    "loop.npy": loop,
    "page.csv": lambda p: p.write_text("<html><body>not found</body></html>\n" * 6),
}
