"""Miniature trees of the datasets read with torchvision; the same bytes in every run."""

import io
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
from torchvision import datasets as tv

from gpuclust.datasets.catalogue.columns import CELEBA_ATTRIBUTES, TAXONOMY
from gpuclust.datasets.readers.small_images import SUPERCLASS_OF

from .files import accept_celeba, jpg, mat, md5, text
from .pictures import digit, digit_label, photo
from .tree import Tree

WNIDS = ("n01440764", "n01443537", "n02086240", "n02102040", "n02979186", "n03000684")
ARTFORMS = ("art", "cartoon", "deviantart", "sketch", "videogame")
SPECIES = (
    "00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris",
    "00001_Animalia_Annelida_Polychaeta_Sabellida_Sabellidae_Sabella_spallanzanii",
    "00002_Animalia_Arthropoda_Arachnida_Araneae_Agelenidae_Agelenopsis_aperta",
    "00003_Animalia_Arthropoda_Insecta_Coleoptera_Cleridae_Trichodes_ornatus",
    "00004_Plantae_Tracheophyta_Liliopsida_Poales_Poaceae_Poa_annua",
    "00005_Plantae_Tracheophyta_Magnoliopsida_Asterales_Asteraceae_Bellis_perennis",
)
AIRCRAFT = (  # variant, family, manufacturer
    ("707-320", "Boeing 707", "Boeing"),
    ("727-200", "Boeing 727", "Boeing"),
    ("A310", "A310", "Airbus"),
    ("Cessna 172", "Cessna 172", "Cessna"),
)


def class_folders(folder: Path, classes: tuple[str, ...], each: int, name: str, start: int) -> int:
    """Write `each` images per class, named by `name` from class and number; return their number."""
    for k, one in enumerate(classes):
        for i in range(each):
            jpg(folder / one / name.format(one, i), start + k * each + i)
    return each * len(classes)


def imagenet(data_dir: Path, folder: str = "imagenet") -> Tree:
    root = data_dir / folder
    val = class_folders(root / "val", WNIDS, 10, "ILSVRC2012_val_{0}_{1:08}.JPEG", 0)
    train = class_folders(root / "train", WNIDS, 20, "{0}_{1}.JPEG", val)
    return Tree({"val": val, "train": train, "search": val}, len(WNIDS))


def imagenette(data_dir: Path) -> Tree:
    return imagenet(data_dir, "imagenette")


def imagewoof(data_dir: Path) -> Tree:
    return imagenet(data_dir, "imagewoof")


def imagenetv2(data_dir: Path) -> Tree:
    root = data_dir / "imagenetv2/imagenetv2-matched-frequency-format-val"
    n = class_folders(root, ("0", "1", "2", "10", "999"), 12, "{1:040x}.jpeg", 300)
    return Tree({"all": n}, 5)


def imagenet_r(data_dir: Path) -> Tree:
    for k, wnid in enumerate(WNIDS[:4]):
        for i in range(16):
            artform = ARTFORMS[i % len(ARTFORMS)]
            jpg(data_dir / "imagenet-r" / wnid / f"{artform}_{i}.jpg", 400 + 16 * k + i)
    return Tree({"all": 64}, 4, ("artform",))


def imagenet_sketch(data_dir: Path) -> Tree:
    n = class_folders(data_dir / "imagenet-sketch", WNIDS, 10, "sketch_{1}.JPEG", 500)
    return Tree({"all": n}, len(WNIDS))


def imagenet_o(data_dir: Path) -> Tree:
    n = class_folders(data_dir / "imagenet-o", WNIDS, 10, "{0}_{1:08x}.JPEG", 600)
    return Tree({"all": n}, len(WNIDS))


def stanfordcars(data_dir: Path) -> Tree:
    cars = ("AM General Hummer SUV 2000", "Acura TL Sedan 2012", "smart fortwo Convertible 2012")
    root = data_dir / "stanfordcars"
    test = class_folders(root / "test", cars, 20, "{1:05}.jpg", 700)
    train = class_folders(root / "train", cars, 4, "{1:05}.jpg", 800)
    return Tree({"test": test, "train": train}, 3)


def _cifar(
    root: Path, kind: type, label_of: Callable[[int], dict], names: dict, n_train: int
) -> None:
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    done = 0
    for listed, n in [*((one, n_train) for one in kind.train_list), (kind.test_list[0], 60)]:
        pixels = [np.asarray(photo(done + i, (32, 32))).transpose(2, 0, 1) for i in range(n)]
        labels = [label_of(done + i) for i in range(n)]
        batch = {key: [one[key] for one in labels] for key in labels[0]}
        batch["data"] = np.stack(pixels).reshape(n, 3072)
        (folder / listed[0]).write_bytes(bytes(ForkingPickler.dumps(batch)))
        done += n
    (folder / kind.meta["filename"]).write_bytes(bytes(ForkingPickler.dumps(names)))
    for table in ("train_list", "test_list"):
        sums = [[file, md5(folder / file)] for file, _ in getattr(kind, table)]
        setattr(kind, table, sums)
    kind.meta = {**kind.meta, "md5": md5(folder / kind.meta["filename"])}


def cifar10(data_dir: Path) -> Tree:
    names = ["airplane", "automobile", "bird", "cat", "deer"]
    _cifar(data_dir / "cifar10", tv.CIFAR10, lambda i: {"labels": i % 5}, {"label_names": names}, 4)
    return Tree({"test": 60, "train": 20}, 5)


def cifar100(data_dir: Path) -> Tree:
    names = {"fine_label_names": [f"class {k}" for k in range(100)], "coarse_label_names": []}

    def label_of(i: int) -> dict:
        fine = 9 * (i % 7)
        return {"fine_labels": fine, "coarse_labels": SUPERCLASS_OF[fine]}

    _cifar(data_dir / "cifar100", tv.CIFAR100, label_of, names, 28)
    return Tree({"test": 60, "train": 28}, 7, ("coarse",))


def _idx(path: Path, values: np.ndarray) -> None:
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def _digits(folder: Path, start: int) -> Tree:
    for stem, numbers in (("t10k", range(start, start + 80)), ("train", range(300, 330))):
        images = np.stack([np.asarray(digit(i)) for i in numbers])
        _idx(folder / f"{stem}-images-idx3-ubyte", images)
        _idx(folder / f"{stem}-labels-idx1-ubyte", np.array([digit_label(i) for i in numbers]))
    return Tree({"test": 80, "train": 30}, 10)


def mnist(data_dir: Path) -> Tree:
    return _digits(data_dir / "MNIST/raw", 0)


def fashionmnist(data_dir: Path) -> Tree:
    return _digits(data_dir / "FashionMNIST/raw", 100)


def svhn(data_dir: Path) -> Tree:
    sums = {key: list(value) for key, value in tv.SVHN.split_list.items()}
    for split, start, n in (("test", 0, 80), ("train", 100, 20)):
        pixels = np.stack([np.asarray(photo(i, (32, 32))) for i in range(start, start + n)], -1)
        labels = np.array([digit_label(i) or 10 for i in range(n)], np.uint8)[:, None]
        path = data_dir / "svhn" / f"{split}_32x32.mat"
        mat(path, {"X": pixels, "y": labels})
        sums[split][2] = md5(path)
    tv.SVHN.split_list = sums
    return Tree({"test": 80, "train": 20}, 10)


def places365(data_dir: Path) -> Tree:
    root = data_dir / "Places365"
    scenes = ("/a/airfield", "/a/alley", "/a/apartment_building/outdoor", "/z/zen_garden")
    text(root / "categories_places365.txt", [f"{one} {k}" for k, one in enumerate(scenes)])
    val = [(f"Places365_val_{i + 1:08}.jpg", (3 * i + 1) % 4) for i in range(60)]
    train = [(f"{scenes[i % 4]}/{i + 1:08}.jpg", i % 4) for i in range(8)]
    for listed, file, images in (
        (val, "places365_val.txt", "val_large"),
        (train, "places365_train_standard.txt", "data_large_standard"),
    ):
        text(root / file, [f"{path} {label}" for path, label in listed])
        for i, (path, _) in enumerate(listed):
            jpg(root / images / path.lstrip("/"), 900 + i)
    tv.Places365._CATEGORIES_META = (
        "categories_places365.txt",
        md5(root / "categories_places365.txt"),
    )
    tv.Places365._FILE_LIST_META = {
        key: (file, md5(root / file)) if (root / file).exists() else (file, value)
        for key, (file, value) in tv.Places365._FILE_LIST_META.items()
    }
    return Tree({"val": 60, "train": 8}, 4)


def aircraft(data_dir: Path) -> Tree:
    data = data_dir / "fgvc-aircraft-2013b/data"
    ids = {"test": range(60), "train": range(60, 72), "val": range(72, 80)}
    ids["trainval"] = [*ids["train"], *ids["val"]]
    levels = zip(("variant", "family", "manufacturer"), zip(*AIRCRAFT, strict=True), strict=True)
    plural = {"variant": "variants", "family": "families", "manufacturer": "manufacturers"}
    for level, names in levels:
        text(data / f"{plural[level]}.txt", sorted(set(names)))
        for split, mine in ids.items():
            lines = [f"{i * 37 + 34309:07} {names[i % 4]}" for i in mine]
            text(data / f"images_{level}_{split}.txt", lines)
    for i in range(80):
        jpg(data / "images" / f"{i * 37 + 34309:07}.jpg", 1000 + i)
    return Tree({split: len(mine) for split, mine in ids.items()}, 4, ("family", "manufacturer"))


def flowers102(data_dir: Path) -> Tree:
    root = data_dir / "flowers-102"
    order = np.random.default_rng(0).permutation(np.arange(1, 73))
    mat(root / "imagelabels.mat", {"labels": (np.arange(72) % 6 + 1)[None]})
    mat(
        root / "setid.mat",
        {"trnid": order[None, :6], "valid": order[None, 6:12], "tstid": order[None, 12:]},
    )
    for i in range(72):
        jpg(root / f"jpg/image_{i + 1:05}.jpg", 1100 + i)
    table = dict(tv.Flowers102._file_dict)
    for key, file in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        table[key] = (file, md5(root / file))
    tv.Flowers102._file_dict = table
    return Tree({"test": 60, "train": 6, "val": 6}, 6)


def dtd(data_dir: Path) -> Tree:
    root = data_dir / "dtd/dtd"
    textures = ("banded", "dotted", "zigzagged")
    for split, start, each in (("test", 0, 20), ("train", 20, 3), ("val", 23, 3)):
        files = [f"{t}/{t}_{i:04}.jpg" for t in textures for i in range(start, start + each)]
        text(root / f"labels/{split}1.txt", files)
        for k, file in enumerate(files):
            jpg(root / "images" / file, 1200 + 3 * start + k)
    return Tree({"test": 60, "train": 9, "val": 9}, 3)


def inaturalist(data_dir: Path) -> Tree:
    counts = {"val": ("2021_valid", 10), "train": ("2021_train", 3)}
    counts["train-mini"] = ("2021_train_mini", 1)
    splits = {}
    for split, (version, each) in counts.items():
        folder = data_dir / "iNaturalist" / version
        splits[split] = class_folders(folder, SPECIES, each, "{1:08x}-photo.jpg", 1300)
    return Tree(splits, len(SPECIES), TAXONOMY)


def celeba(data_dir: Path) -> Tree:
    root = data_dir / "celeba"
    rng = np.random.default_rng(0)
    names = [f"{i + 1:06}.jpg" for i in range(72)]
    of = [0] * 6 + [1] * 6 + [2] * 60  # train, valid, test
    people = [(2880, 17, 10177, 404, 9, 1)[i % 6] for i in range(72)]
    attributes = rng.choice([-1, 1], (72, 40))

    def rows(values: np.ndarray) -> list[str]:
        numbers = (" ".join(f"{one:2d}" for one in row) for row in values)
        return [f"{name} {row}" for name, row in zip(names, numbers, strict=True)]

    boxes, points = rng.integers(0, 200, (72, 4)), rng.integers(0, 200, (72, 10))
    text(root / "list_eval_partition.txt", [f"{n} {k}" for n, k in zip(names, of, strict=True)])
    text(root / "identity_CelebA.txt", [f"{n} {k}" for n, k in zip(names, people, strict=True)])
    head = " ".join(CELEBA_ATTRIBUTES) + " "  # the published file ends this line with a blank
    text(root / "list_attr_celeba.txt", ["72", head, *rows(attributes)])
    text(root / "list_bbox_celeba.txt", ["72", "image_id x_1 y_1 width height ", *rows(boxes)])
    eyes = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y "
    head = eyes + "rightmouth_x rightmouth_y"
    text(root / "list_landmarks_align_celeba.txt", ["72", head, *rows(points)])
    for i, name in enumerate(names):
        jpg(root / "img_align_celeba" / name, 1400 + i)
    accept_celeba(root)
    return Tree({"test": 60, "train": 6, "valid": 6}, 6, CELEBA_ATTRIBUTES)


def lsun(data_dir: Path) -> Tree:
    import lmdb

    categories = (
        *("bedroom", "bridge", "church_outdoor", "classroom", "conference_room"),
        *("dining_room", "kitchen", "living_room", "restaurant", "tower"),
    )
    for k, category in enumerate(categories):
        folder = data_dir / "lsun" / f"{category}_val_lmdb"
        folder.mkdir(parents=True)
        with lmdb.open(str(folder), map_size=2**20) as base, base.begin(write=True) as written:
            for i in range(6):
                encoded = io.BytesIO()
                photo(1500 + 6 * k + i).save(encoded, "WEBP", lossless=True)
                written.put(f"{(i * 7 + k) % 10:040x}".encode(), encoded.getvalue())
    return Tree({"val": 60}, 10)


TREES: dict[str, Callable[[Path], Tree]] = {
    "imagenet": imagenet,
    "imagenetv2": imagenetv2,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "imagenet-r": imagenet_r,
    "imagenet-sketch": imagenet_sketch,
    "imagenet-o": imagenet_o,
    "lsun": lsun,
    "places365": places365,
    "aircraft": aircraft,
    "stanfordcars": stanfordcars,
    "flowers102": flowers102,
    "inaturalist": inaturalist,
    "celeba": celeba,
    "dtd": dtd,
    "mnist": mnist,
    "fashionmnist": fashionmnist,
    "svhn": svhn,
    "imagenette": imagenette,
    "imagewoof": imagewoof,
}
