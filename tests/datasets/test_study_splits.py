"""Splits of the study at full size, on files with synthetic names and the true class sizes."""

import hashlib
import json
import os
import platform
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from gpuclust import datasets
from gpuclust.datasets.readers import utkface
from gpuclust.datasets.registry import entry_of

# Faces per age, counted in a public list of the 23,708 file names of the cropped archive,
# UTKFace.csv in github.com/dataflowr/age-estimation-pytorch at d80da2b.
FROM_1 = (
    *(1123, 482, 289, 273, 196, 131, 139, 263, 166, 156, 65, 130, 81, 157, 177, 247, 158, 262, 98),
    *(284, 346, 395, 426, 859, 734, 2197, 615, 918, 570, 724, 350, 664, 143, 409, 880, 483, 293),
    *(325, 265, 526, 132, 266, 157, 100, 440, 153, 170, 153, 148, 381, 138, 232, 241, 353, 268),
    *(236, 97, 271, 82, 293, 159, 125, 103, 50, 259, 77, 94, 100, 56, 147, 33, 98, 63, 32, 148),
    *(58, 28, 69, 23, 133, 22, 40, 18, 24, 155, 35, 10, 34, 33, 82, 2, 13, 5, 0, 9, 17, 0, 0, 9),
    *(11, 2, 0, 1, 0, 5, 0, 0, 0, 0, 5, 1, 0, 0, 0, 3, 4),
)
AGES = {age: n for age, n in enumerate(FROM_1, 1) if n}
# Images of every tumor type at 40, 100, 200 and 400 times, the table published with BreakHis.
BREAKHIS = {
    "A": (114, 113, 111, 106),
    "F": (253, 260, 264, 237),
    "PT": (109, 121, 108, 115),
    "TA": (149, 150, 140, 130),
    "DC": (864, 903, 896, 788),
    "LC": (156, 170, 163, 137),
    "MC": (205, 222, 196, 169),
    "PC": (145, 142, 135, 138),
}
EUROSAT = {
    "AnnualCrop": 3000,
    "Forest": 3000,
    "HerbaceousVegetation": 3000,
    "Highway": 2500,
    "Industrial": 2500,
    "Pasture": 2000,
    "PermanentCrop": 2500,
    "Residential": 3000,
    "River": 2500,
    "SeaLake": 3000,
}


def write(root, files):
    """Write empty files: a reader lists them and opens none."""
    for folder in {file.rpartition("/")[0] for file in files}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for file in files:
        (root / file).touch()


def check(name, data_dir, sizes):
    """Compare counts with the entry and `sizes`, the size of every class; return both splits."""
    entry = entry_of(name)
    test, train = (
        datasets.load(name, split=split, data_dir=data_dir) for split in ("test", "train")
    )
    assert {"test": len(test), "train": len(train), "all": sum(sizes.values())} == entry.splits
    assert test.said == train.said == ()
    mine, counts = np.unique(test.labels, return_counts=True)
    assert len(mine) == entry.classes
    assert round(counts.max() / counts.min(), 2) == entry.imbalance
    both = np.bincount(np.concatenate([test.labels, train.labels]))
    assert {int(k): int(both[k]) for k in both.nonzero()[0]} == sizes
    return test, train


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    ages = rng.permutation(np.repeat(list(AGES), list(AGES.values())))
    stamps = np.arange(len(ages)) * 37_129
    files = [
        f"UTKFace/{age}_{stamp % 2}_{stamp % 5}_20170116{stamp:09d}.jpg.chip.jpg"
        for age, stamp in zip(ages, stamps, strict=True)
    ]
    files += [f"UTKFace/{stem}.jpg.chip.jpg" for stem in utkface.CORRUPTED]
    write(root, files)
    return root


def study_of_utkface(ages):
    """Choose test rows among sorted ages as protocol of the study says, with pandas."""
    table = pd.DataFrame({"age": ages, "is_test": False})
    table.loc[np.round(np.linspace(2, 23_702, 5_926)).astype(int), "is_test"] = True
    train = table[~table["is_test"]]
    for age in table["age"].unique():
        if not any(train["age"] == age):
            table.loc[table.index[table["age"] == age][0], "is_test"] = False
    return table["is_test"].to_numpy()


def test_utkface_has_the_counts_and_ages_of_the_study(faces):
    assert sum(AGES.values()) == 23_705
    test, train = check("utkface", faces, AGES)
    ages = np.repeat(sorted(AGES), [AGES[age] for age in sorted(AGES)])
    chosen = study_of_utkface(ages)
    assert (len(test), len(np.unique(test.labels))) == (5_925, 101)
    assert np.array_equal(test.labels, ages[chosen])
    assert np.array_equal(train.labels, ages[~chosen])
    sizes = np.bincount(test.labels)
    assert (sizes.max(), sizes[sizes > 0].min(), sizes.argmax()) == (549, 1, 26)
    assert len(AGES) == 104


PLAIN = "a5c3d6081a1db49ab63d48e015bde539a11f1060fae2b2265f79c24bf8d7a531"
PANDAS = """
import json, sys, pandas
table = pandas.DataFrame(json.load(sys.stdin))
print(json.dumps(table.sort_values("age")["name"].tolist()))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names features of x86")
def test_faces_of_equal_age_are_in_the_order_of_pandas_without_vector_instructions(faces):
    listed = sorted(path.name for path in (faces / "UTKFace").iterdir())
    names = [name for name in listed if name.split(".")[0] not in utkface.CORRUPTED]
    table = {"name": names, "age": [int(name.split("_")[0]) for name in names]}
    off = "X86_V3 X86_V4 AVX2 AVX512F AVX512_SKX"  # names of NumPy since 2.4, and before
    run = subprocess.run(
        [sys.executable, "-c", PANDAS],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": off, "PYTHONWARNINGS": "ignore"},
        input=json.dumps(table),
        capture_output=True,
        text=True,
        check=True,
    )
    dataset = datasets.load("utkface", split="all", data_dir=faces)
    assert list(dataset.files) == json.loads(run.stdout)


def test_the_order_of_faces_is_the_same_on_every_machine():
    ages = np.repeat(list(AGES), list(AGES.values()))
    ages = ages[np.arange(len(ages)) * 7_919 % len(ages)]  # 7,919 is prime to the number of faces
    order = utkface.by_age(ages)
    assert np.array_equal(ages[order], np.sort(ages))
    assert hashlib.sha256(order.astype("<i8")).hexdigest() == PLAIN


def test_a_stable_sort_would_give_other_faces_of_the_same_ages(faces):
    """The choice among faces of equal age is the sort's; counts and ages are not."""
    dataset = datasets.load("utkface", data_dir=faces)
    listed = datasets.load("utkface", split="all", data_dir=faces)
    stable = sorted(listed.files, key=lambda name: (int(name.split("_")[0]), name))
    chosen = utkface.is_test(listed.labels)
    other = [name for name, test in zip(stable, chosen, strict=True) if test]
    assert [int(name.split("_")[0]) for name in other] == dataset.labels.tolist()
    assert set(other) != set(dataset.files)


def test_breakhis_has_the_counts_and_classes_of_the_study(tmp_path):
    files, sizes = [], {}
    for column, times in enumerate((40, 100, 200, 400)):
        for row, (tumor, counts) in enumerate(BREAKHIS.items()):
            folder = "benign" if row < 4 else "malignant"
            stem = f"SOB_{'BM'[row >= 4]}_{tumor}"
            sizes[8 * column + row] = counts[column]
            files += [
                f"breast/{folder}/SOB/{tumor}/{stem}_14-{i % 7}/{times}X/"
                f"{stem}-14-{i % 7}-{times}-{i:03d}.png"
                for i in range(counts[column])
            ]
    write(tmp_path, files)
    assert len(files) == 7_909
    test, _ = check("breakhis", tmp_path, sizes)
    counts = np.bincount(test.labels, minlength=32)
    assert (len(test), counts.max(), counts.min()) == (3_164, 361, 42)
    assert np.abs(counts - 0.4 * np.array([sizes[k] for k in range(32)])).max() < 1


def test_eurosat_has_the_counts_of_the_study(tmp_path):
    files = [f"2750/{name}/{name}_{i}.jpg" for name, n in EUROSAT.items() for i in range(1, n + 1)]
    write(tmp_path, files)
    assert len(files) == 27_000
    test, _ = check("eurosat", tmp_path, dict(enumerate(EUROSAT.values())))
    assert np.bincount(test.labels).tolist() == [int(0.15 * n) for n in EUROSAT.values()]
