"""Miniature trees of the datasets with layouts of their own."""

import functools
import uuid
from collections.abc import Callable
from pathlib import Path

from .pictures import photo
from .tree import Tree

# ImageNet classes of two pictures each, by class of ImageNet-9.
WNIDS = (
    ("n02085620", "n02099601"),
    ("n01530575", "n01855672"),
    ("n02701002", "n04285008"),
    ("n01667778", "n01728572"),
    ("n02120079", "n02134084"),
    ("n02165105", "n02279972"),
    ("n02672831", "n04536866"),
    ("n02480495", "n02492035"),
    ("n01440764", "n02640242"),
)
IN9 = (
    "00_dog",
    "01_bird",
    "02_wheeled vehicle",
    "03_reptile",
    "04_carnivore",
    "05_insect",
    "06_musical instrument",
    "07_primate",
    "08_fish",
)
# Class of the background, from the class of the foreground and the number of the image.
BACKGROUNDS: dict[str, Callable[[int, int], int]] = {
    "mixed_same": lambda label, _: label,
    "mixed_next": lambda label, _: (label + 1) % 9,
    "mixed_rand": lambda label, number: (label + 2 * number + 1) % 9,
}
EUROSAT = (
    "AnnualCrop",
    "Forest",
    "HerbaceousVegetation",
    "Highway",
    "Industrial",
    "Pasture",
    "PermanentCrop",
    "Residential",
    "River",
    "SeaLake",
)
BREAKHIS = {
    "A": "benign/SOB/adenosis",
    "F": "benign/SOB/fibroadenoma",
    "PT": "benign/SOB/phyllodes_tumor",
    "TA": "benign/SOB/tubular_adenoma",
    "DC": "malignant/SOB/ductal_carcinoma",
    "LC": "malignant/SOB/lobular_carcinoma",
    "MC": "malignant/SOB/mucinous_carcinoma",
    "PC": "malignant/SOB/papillary_carcinoma",
}


def _bird(i: int) -> tuple[str, str, str, str]:
    """Return order, family, species and name of class `i`; the last species is a class itself."""
    species = f"Bird {i // 2}" if i < 19 else "Bird 19"
    sex = "Male" if i % 2 else "Female/juvenile"
    return (
        f"Order {i // 8}",
        f"Family {i // 4}",
        species,
        f"{species} ({sex})" if i < 19 else species,
    )


# Ids with holes; as numbers, as text and by hash they have three different orders.
RAW = (*range(295, 325, 3), *range(760, 1040, 28))
BIRDS = {raw: _bird(i) for i, raw in enumerate(RAW)}


def save(number: int, path: Path, size: tuple[int, int] = (40, 32)) -> None:
    """Write piece `number` of the photographs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(number, size).save(path)


def eurosat(data_dir: Path) -> Tree:
    """Write 40 images of every class; 15 % are 6."""
    root = data_dir / "eurosat" / "EuroSAT_RGB"
    for label, name in enumerate(EUROSAT):
        for i in range(1, 41):
            save(40 * label + i, root / name / f"{name}_{i}.jpg", (64, 64))
    return Tree({"test": 60, "train": 340, "all": 400}, 10)


def breakhis(data_dir: Path) -> Tree:
    """Write 5 images of each of 32 classes; 40 % are 2."""
    root = data_dir / "BreaKHis_v1" / "histology_slides" / "breast"
    for times in (40, 100, 200, 400):
        for number, (tumor, folder) in enumerate(BREAKHIS.items()):
            benign = folder.startswith("benign")
            stem = f"SOB_{'B' if benign else 'M'}_{tumor}"
            slide = f"14-{22549 + number}{'AB' if number % 2 else ''}"
            for i in range(1, 6):
                file = f"{folder}/{stem}_{slide}/{times}X/{stem}-{slide}-{times}-{i:03d}.png"
                save(times + 10 * number + i, root / file)
    columns = ("tumor_type", "malignancy", "magnification", "slide")
    return Tree({"test": 64, "train": 96, "all": 160}, 32, columns)


def utkface(data_dir: Path) -> Tree:
    """Write 8 faces of each of 33 ages, and the three files without a race."""
    root = data_dir / "UTKFace"
    for number in range(264):
        age, gender, race = 1 + 3 * (number % 33), number % 2, number % 5
        stamp = f"20170116{number * 7919 % 1_000_000_000:09d}"
        save(number, root / f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg")
    for stem in ("39_1_20170116174525125", "61_1_20170109142408075", "61_1_20170109150557335"):
        save(7, root / f"{stem}.jpg.chip.jpg")
    return Tree({"test": 66, "train": 198, "all": 264}, 33, ("age", "gender", "race"))


def nabirds(data_dir: Path) -> Tree:
    """Write 5 images of each of 20 classes, 3 of them in the test split, and the text files."""
    root = data_dir / "nabirds"
    lines: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for number in range(100):
        raw, i = RAW[number % 20], number // 20
        key = uuid.uuid5(uuid.NAMESPACE_OID, str(number))
        file = f"{raw:04d}/{key.hex}.jpg"
        save(number, root / "images" / file)
        lines["images"].append(f"{key} {file}")
        lines["image_class_labels"].append(f"{key} {raw}")
        lines["train_test_split"].append(f"{key} {int(i < 2)}")
    for name, table in lines.items():
        (root / f"{name}.txt").write_text("\n".join(table) + "\n")
    _taxonomy(root)
    columns = ("level_1", "level_2", "level_3")
    return Tree({"test": 60, "train": 40, "all": 100}, 20, columns)


def _taxonomy(root: Path) -> None:
    """Write names and parents: 0 is the root, ids of orders, families and species follow."""
    number: dict[str, int] = {"Birds": 0}
    parents: dict[int, int] = {}
    names = {0: "Birds"}
    for raw, line in BIRDS.items():
        above = 0
        for name in line[: 3 if line[3] != line[2] else 2]:
            own = number.setdefault(name, len(number))
            parents[own], names[own], above = above, name, own
        parents[raw], names[raw] = above, line[3]
    (root / "classes.txt").write_text("".join(f"{own} {name}\n" for own, name in names.items()))
    (root / "hierarchy.txt").write_text("".join(f"{own} {up}\n" for own, up in parents.items()))


def in9_name(variant: str, label: int, number: int) -> str:
    """Return a file name as in the archive: one picture of ImageNet, or two for a mixed image."""
    source = f"{WNIDS[label][number % 2]}_{100 * label + number}"
    if variant not in BACKGROUNDS:
        return f"{source}.JPEG"
    behind = BACKGROUNDS[variant](label, number)
    return f"{source}_{WNIDS[behind][number % 2]}_{5000 + number}.JPEG"


def imagenet9(data_dir: Path, variant: str) -> Tree:
    """Write 7 images of every class in the split of the study, and fewer in the others."""
    root = data_dir / "in9_bg_challenge" / variant
    sizes = {"val": 7, "train": 2} if variant == "in9l" else {"test": 7, "val": 1, "train": 2}
    for at, (split, size) in enumerate(sizes.items()):
        for label, folder in enumerate(IN9):
            for i in range(size):
                number = 20 * at + i
                save(31 * label + number, root / split / folder / in9_name(variant, label, number))
    return Tree({split: 9 * size for split, size in sizes.items()}, 9, ("source", "background"))


TREES: dict[str, Callable[[Path], Tree]] = {
    "nabirds": nabirds,
    "utkface": utkface,
    "breakhis": breakhis,
    "eurosat": eurosat,
}
VARIANTS = {
    "in9original": "original",
    "in9onlyfg": "only_fg",
    "in9mixedrand": "mixed_rand",
    "in9mixedsame": "mixed_same",
    "in9mixednext": "mixed_next",
    "in9nofg": "no_fg",
    "in9onlybgb": "only_bg_b",
    "in9onlybgt": "only_bg_t",
    "in9l": "in9l",
}
TREES.update((k, functools.partial(imagenet9, variant=v)) for k, v in VARIANTS.items())
