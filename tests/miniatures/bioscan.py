"""Miniatures of BIOSCAN-1M and BIOSCAN-5M: true columns, few rows, small photographs."""

import csv
from pathlib import Path

from .pictures import photo
from .tree import Tree

COLUMNS_1M = (
    *("sampleid", "processid", "uri", "name", "phylum", "class", "order", "family", "subfamily"),
    *("tribe", "genus", "species", "subspecies", "nucraw", "image_file", "large_diptera_family"),
    *("medium_diptera_family", "small_diptera_family", "large_insect_order"),
    *("medium_insect_order", "small_insect_order", "chunk_number", "copyright_license"),
    *("copyright_holder", "copyright_institution", "copyright_contact", "photographer", "author"),
)
COLUMNS_5M = (
    *("processid", "sampleid", "taxon", "phylum", "class", "order", "family", "subfamily"),
    *("genus", "species", "dna_bin", "dna_barcode", "country", "province_state", "coord-lat"),
    *("coord-lon", "image_measurement_value", "area_fraction", "scale_factor", "inferred_ranks"),
    *("split", "index_bioscan_1M_insect", "chunk"),
)
# Order, family, subfamily, tribe, genus and species, as published; "" is not classified.
TAXA = (
    ("Diptera", "Asteiidae", "", "", "Asteia", "Asteia concinna"),
    ("Diptera", "Tachinidae", "Exoristinae", "", "Nemorilla", "Nemorilla pyste"),
    ("Hemiptera", "Aphrophoridae", "", "", "Philaenus", "Philaenus spumarius"),
    ("Hymenoptera", "Formicidae", "Ectatomminae", "Ectatommini", "", "Gnamptogenys sulcata"),
    ("Diptera", "Phoridae", "Metopininae", "", "Megaselia", "Megaselia arcticae"),
    ("Lepidoptera", "Gelechiidae", "", "", "Coleotechnites", "Coleotechnites piceaella"),
    ("Coleoptera", "Scarabaeidae", "", "Aphodiini", "Otophorus", "Otophorus haemorrhoidalis"),
    (
        "Hemiptera",
        "Cicadellidae",
        "Typhlocybinae",
        "Erythroneurini",
        "Erythroneura",
        "Erythroneura",
    ),
)
ELSEWHERE = ("Diptera", "Cecidomyiidae", "", "", "Aaa", "Aaa outside")  # in no partition
PARTS_1M = {
    "seen_keys": 22,
    "test_seen": 20,
    "test_unseen": 14,
    "test_unseen_keys": 12,
    "train_seen": 16,
}
PARTS_5M = {
    "test": 44,
    "test_unseen": 24,
    "val": 4,
    "val_unseen": 3,
    "key_unseen": 5,
    "train": 12,
    "other_heldout": 4,
    "pretrain": 10,
}
CHUNKED = ("train", "other_heldout", "pretrain")


def _write(path: Path, columns: tuple[str, ...], rows: list[dict], delimiter: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _save(number: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(number).save(path, quality=80)


def _row_1m(number: int, taxon: tuple[str, ...]) -> dict:
    names = ("order", "family", "subfamily", "tribe", "genus", "species")
    taxa = {name: text or "not_classified" for name, text in zip(names, taxon, strict=True)}
    sample = f"{4900531 + number}" if number % 3 else f"BIOUG{68114 + number}-B02"
    return {
        **dict.fromkeys(COLUMNS_1M, "not_classified"),
        **taxa,
        "sampleid": sample,
        "processid": f"AACTA{number}-20",
        "uri": f"BOLD:AAA{number % 11:04d}",
        "phylum": "Arthropoda",
        "class": "Insecta",
        "nucraw": "ACTTTATA",
        "image_file": f"{sample}.jpg",
        "chunk_number": "18" if number % 3 else "113",
    }


def bioscan1m(data_dir: Path) -> Tree:
    """Write BIOSCAN-1M in the layout of the study; rows of the partitions are mixed."""
    root = data_dir / "BIOSCAN-1M"
    parts = [part for part, count in PARTS_1M.items() for _ in range(count)] + [""] * 6
    parts = [parts[(7 * i) % len(parts)] for i in range(len(parts))]
    rows, ids = [], {part: [] for part in PARTS_1M}
    for number, part in enumerate(parts):
        row = _row_1m(number, TAXA[number % len(TAXA)] if part else ELSEWHERE)
        rows.append(row)
        if part:
            ids[part].append(row["sampleid"])
        folder = root / "bioscan/images/cropped_256" / f"part{row['chunk_number']}"
        _save(number, folder / row["image_file"])
    _write(root / "BIOSCAN_Insect_Dataset_metadata.tsv", COLUMNS_1M, rows, "\t")
    for part, samples in ids.items():
        (root / f"{part}.txt").write_text("\n".join(reversed(samples)) + "\n", encoding="utf-8")
    size = PARTS_1M
    test = size["seen_keys"] + size["test_seen"] + size["test_unseen"]
    keys = size["test_unseen_keys"]
    counts = {"test": test + keys, "train": size["train_seen"] + keys, "val": test}
    levels = ("phylum", "class", "order", "family", "subfamily", "tribe", "genus", "species", "uri")
    return Tree(counts, len(TAXA), levels)


def _row_5m(number: int, split: str) -> dict:
    order, family, subfamily, _, _, species = TAXA[number % len(TAXA)]
    if split == "pretrain":
        species = ""
    return {
        **dict.fromkeys(COLUMNS_5M, ""),
        "order": order,
        "family": family,
        "subfamily": subfamily,
        "species": species,
        "genus": species.split(" ")[0],
        "processid": f"AACTA{1026 + number}-20",
        "sampleid": f"BIOUG{number}",
        "taxon": species or family,
        "phylum": "Arthropoda",
        "class": "Insecta",
        "dna_bin": f"BOLD:AAA{number % 13:04d}",
        "dna_barcode": "ACTTTATA",
        "country": "Costa Rica",
        "province_state": "Guanacaste, the north",
        "inferred_ranks": "0",
        "split": split,
        "chunk": f"{number % 3:02x}" if split in CHUNKED else "",
    }


def bioscan5m(data_dir: Path) -> Tree:
    """Write BIOSCAN-5M in the published layout; rows of the splits are mixed."""
    root = data_dir / "bioscan5m"
    splits = [split for split, count in PARTS_5M.items() for _ in range(count)]
    splits = [splits[(11 * i) % len(splits)] for i in range(len(splits))]
    rows = [_row_5m(number, split) for number, split in enumerate(splits)]
    for number, row in enumerate(rows):
        folder = root / "images/cropped_256" / row["split"] / row["chunk"]
        _save(number, folder / f"{row['processid']}.jpg")
    path = root / "metadata/csv/BIOSCAN_5M_Insect_Dataset_metadata.csv"
    _write(path, COLUMNS_5M, rows, ",")
    both = PARTS_5M["test"] + PARTS_5M["test_unseen"]
    levels = ("phylum", "class", "order", "family", "subfamily", "genus", "species", "dna_bin")
    return Tree({"test+test_unseen": both, **PARTS_5M}, len(TAXA), levels)


TREES = {"bioscan1m": bioscan1m, "bioscan5m": bioscan5m}
