"""Tables of docs/datasets.md, made from the registry.

``python tests/datasets/dataset_tables.py`` writes them into the page.
"""

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from miniatures import TREES

from gpuclust.datasets import downloads
from gpuclust.datasets.entry import DatasetEntry
from gpuclust.datasets.table import DATASETS
from gpuclust.presets import load

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
SEARCH = ("imagenette", "imagewoof")
# Target of an entry -> the library or the reader.
READ_BY = {
    "image_folder:load": "torchvision, `ImageFolder`",
    "small_images:load_cifar": "torchvision, `CIFAR10`, `CIFAR100`",
    "small_images:load_svhn": "torchvision, `SVHN`",
    "small_images:load_mnist": "own reader of idx files",
    "fashionmnist:load": "own reader of idx files",
    "torchvision_files:load_places365": "torchvision, `Places365`",
    "torchvision_files:load_aircraft": "torchvision, `FGVCAircraft`",
    "torchvision_files:load_flowers102": "torchvision, `Flowers102`",
    "torchvision_files:load_dtd": "torchvision, `DTD`",
    "inaturalist:load": "torchvision, `INaturalist`",
    "celeba:load": "torchvision, `CelebA`",
    "lsun:load": "own reader, with lmdb",
    "imagenet9:load": "own reader",
    "nabirds:load": "own reader",
    "utkface:load": "own reader",
    "breakhis:load": "own reader",
    "eurosat:load": "own reader",
    "bioscan:load_1m": "own reader, with pandas or cuDF",
    "bioscan:load_5m": "own reader, with pandas or cuDF",
    "digits:load": "scikit-learn",
    "folder:load": "own reader",
    "timm_factory:load": "timm",
    "dataset:load": "own reader, see [inputs.md](inputs.md)",
}
# What tests compare with at full size, on files with the true names and without content.
FULL_SIZE = {
    "utkface": "23,705 names: counts, ages and split of the study",
    "breakhis": "7,909 names: counts, classes and split of the study",
    "eurosat": "27,000 names: counts and split of the study",
    "imagenet": "labels of 1,281,167 images: the search split",
    "imagenette": "labels of 9,469 images: the search split",
    "imagewoof": "labels of 9,025 images: the search split",
}
REAL = {"fashionmnist": "70,000 images, all decoded", "digits": "1,797 images, all decoded"}


def study() -> list[str]:
    """Return the names of the study's datasets, in its order."""
    return list(load("study").datasets)


def groups() -> dict[str, list[str]]:
    """Return the names of each table."""
    first = [*study(), *SEARCH]
    more = [name for name, entry in DATASETS.items() if entry.folders and name not in first]
    others = [name for name, entry in DATASETS.items() if not entry.folders]
    return {"study": first, "more": more, "others": others}


def facts(name: str, entry: DatasetEntry) -> list[str]:
    split, n = next(iter(entry.splits.items()))
    columns = entry.columns
    return [
        f"`{entry.template(name)}`",
        READ_BY[entry.target.rpartition(".")[2]],
        split,
        "" if n is None else f"{n:,}",
        "" if entry.classes is None else f"{entry.classes:,}",
        "" if entry.imbalance is None else f"{entry.imbalance:.2f}",
        entry.group,
        entry.licence,
        ", ".join(columns) if len(columns) < 12 else f"{len(columns)} attributes",
    ]


def sources(name: str, entry: DatasetEntry) -> list[str]:
    by = "torchvision" if "bioscan" not in name else "bioscan-dataset"
    size = f", {downloads.MEGABYTES[name]:,} MB" if name in downloads.MEGABYTES else ""
    return [
        f"`{name}`",
        f"<{entry.url}>",
        f"{by}{size}" if entry.download else "no",
        " or ".join(f"`{folder}`" for folder in entry.folders[:2]),
        entry.remark,
    ]


def checked(name: str) -> list[str]:
    return [
        f"`{name}`",
        "yes" if name in TREES else "",
        FULL_SIZE.get(name, ""),
        REAL.get(name, "no"),
    ]


def table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


FACTS = ["name", "read by", "split", "images", "classes", "largest / smallest", "group"]
FACTS += ["licence", "further labels"]


def tables() -> dict[str, str]:
    """Return all tables of the page by their names in it."""
    named = groups()
    made = {
        key: table(FACTS, [facts(name, DATASETS[name]) for name in names])
        for key, names in named.items()
    }
    published = [*named["study"], *named["more"]]
    head = ["name", "from", "`--download`", "folder below `--data-dir`", "remarks"]
    made["sources"] = table(head, [sources(name, DATASETS[name]) for name in published])
    head = ["name", "miniature tree", "true size, names only", "real data"]
    made["checked"] = table(head, [checked(name) for name in (*published, "digits")])
    return made


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    for key, made in tables().items():
        mark, end = f"<!-- table: {key} -->\n", "<!-- end of table -->"
        pattern = re.compile(f"{re.escape(mark)}.*?{re.escape(end)}", re.DOTALL)
        assert len(pattern.findall(page)) == 1, key
        page = pattern.sub(lambda _, text=f"{mark}{made}{end}": text, page)
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
