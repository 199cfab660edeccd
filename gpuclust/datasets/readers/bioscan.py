"""BIOSCAN-1M and BIOSCAN-5M: photos of insects and their taxonomic levels.

The package ``bioscan-dataset`` (1.3.0) has readers for both, which are not used here:

- It reads every column, the DNA barcodes too, with one Python object per value; `annotations` reads
  the needed columns, on the GPU if there is one.
- Each time it compares the metadata and some images with fixed MD5 sums, so a part of the data, or
  a release with corrected labels, cannot be read.
- For BIOSCAN-1M its default partitions are those of the BIOSCAN-1M paper, not the study's.  With
  ``partitioning_version="clibd"`` it reads text files with the study's names; "+" gives the same
  union.  It needs all ten of them; the study has five.

It downloads both, see `bioscan_download`; the folders that it makes are read here, as is the layout
of the study.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadImagesError, InputError
from ..annotations import Table, first_word, read, unassigned
from ..folders.walk import printable
from ..listed import ListedImages
from ..location import find_folder, see

TSV = "BIOSCAN_Insect_Dataset_metadata.tsv"
CSV = "metadata/csv/BIOSCAN_5M_Insect_Dataset_metadata.csv"
# The BIN, a cluster of DNA barcodes near to a species, is "uri" or "dna_bin".
_UPPER = ("phylum", "class", "order", "family", "subfamily")
LEVELS_1M = (*_UPPER, "tribe", "genus", "species", "uri")
LEVELS_5M = (*_UPPER, "genus", "species", "dna_bin")
# Splits of the study, by the text files of sample ids that they join.
PARTITIONS = {
    "test": ("seen_keys", "test_seen", "test_unseen", "test_unseen_keys"),
    "train": ("train_seen", "test_unseen_keys"),
    "val": ("test_seen", "seen_keys", "test_unseen"),
}
# Genera whose tribe is in some rows only.
TRIBES = {"Asteia": "Asteiini", "Nemorilla": "Winthemiini", "Philaenus": "Philaenini"}


def load_1m(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of BIOSCAN-1M in the order of the metadata; the label is the species.

    The number of a class is that of the species in all of the metadata, so the labels of a split
    need not be contiguous.  `columns` has the text of each level, None where unknown.

    Parameters
    ----------
    name : str
        Name of the dataset.
    split : {"test", "train", "val"}
        Union of text files of sample ids, see `PARTITIONS`; the splits overlap.
    data_dir : Path or None
        Value of ``--data-dir``.

    Raises
    ------
    InputError
        A file is missing or damaged, a sample id is not in the metadata or is there twice, or an
        image is missing.

    Notes
    -----
    Partitions and clean-up are those of the zero-shot clustering study (arXiv 2406.02465).  The
    study ignores sample ids that the metadata lacks; here they are an error.
    """
    root = find_folder(name, data_dir, [TSV])
    names = ("sampleid", "image_file", "chunk_number", *LEVELS_1M)
    ids, said = _sample_ids(name, root, PARTITIONS[split])
    table = read(root / TSV, names, delimiter="\t", missing=["not_classified"])
    table = replace(table, columns={**table.columns, **clean(table.columns)})
    chosen = table.chosen("sampleid", ids)
    _compare(ids, table.texts("sampleid", chosen), table.path)
    images = _first(name, root, "bioscan/images/cropped_256", "images/cropped_256")
    chunks, photos = table.texts("chunk_number", chosen), table.texts("image_file", chosen)
    files = [f"{images}/part{chunk}/{photo}" for chunk, photo in zip(chunks, photos, strict=True)]
    found = _listed(name, split, root, files=files, table=table, chosen=chosen, levels=LEVELS_1M)
    return replace(found, said=(*found.said, *said))


def load_5m(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of BIOSCAN-5M in the order of the metadata; the label is the species.

    As `load_1m`, without a clean-up: the metadata of BIOSCAN-5M are clean.  Images without a
    species, such as all of ``pretrain``, have the label -1.

    Parameters
    ----------
    name : str
        Name of the dataset.
    split : str
        A split of the metadata, or several joined by "+".
    data_dir : Path or None
        Value of ``--data-dir``.

    Raises
    ------
    InputError
        A file is missing or damaged, no row is of the split, or an image is missing.
    """
    root = find_folder(name, data_dir, [CSV])
    table = read(root / CSV, ("processid", "split", "chunk", *LEVELS_5M))
    table = replace(table, columns={**table.columns, "chunk": table.columns["chunk"].fillna("")})
    chosen = table.chosen("split", split.split("+"))
    ids, splits = table.texts("processid", chosen), table.texts("split", chosen)
    if not len(ids):
        raise InputError(
            f"no row of {_name(table.path)} is of the split {split}. Is it another file?"
        )
    _refuse_twice(ids, table.path)
    parts = zip(splits, table.texts("chunk", chosen), ids, strict=True)
    files = ["/".join(("images/cropped_256", *filter(None, part))) + ".jpg" for part in parts]
    return _listed(name, split, root, files=files, table=table, chosen=chosen, levels=LEVELS_5M)


def clean(taxa: Mapping[str, Any]) -> dict[str, Any]:
    """Correct the taxonomic levels of BIOSCAN-1M as the study did.

    In this order: the tribe of three genera; a missing genus is the first word of the species; a
    missing tribe of a known genus is "unassigned" and the subfamily, or the family if that is
    missing; a missing subfamily of a known tribe is "unassigned" and the family.

    Parameters
    ----------
    taxa : mapping of str to Series (n,) of str
        Columns ``family``, ``subfamily``, ``tribe``, ``genus`` and ``species``, of pandas or cuDF.

    Returns
    -------
    dict
        The columns ``genus``, ``tribe`` and ``subfamily``.
    """
    genus, tribe, subfamily = taxa["genus"], taxa["tribe"], taxa["subfamily"]
    for known, right in TRIBES.items():
        tribe = tribe.mask(genus.isin([known]), right)
    genus = first_word(genus, of=taxa["species"])
    tribe = unassigned(tribe, subfamily.fillna(taxa["family"]), where=genus.notna())
    subfamily = unassigned(subfamily, taxa["family"], where=tribe.notna())
    return {"genus": genus, "tribe": tribe, "subfamily": subfamily}


def _listed(
    name: str,
    split: str,
    root: Path,
    *,
    files: Sequence[str],
    table: Table,
    chosen: Any,
    levels: Sequence[str],
) -> ListedImages:
    """Return the dataset of the chosen rows; refuse missing images."""
    _refuse_missing(root, files)
    rows = chosen.to_numpy().astype(bool)
    columns = {}
    for level in levels:
        found = table.encode(level)
        columns[level] = found.texts(rows)
        if level == "species":
            labels, class_names = found.codes[rows], found.names
    return ListedImages(
        name, split, root, tuple(files), labels, class_names, columns, said=table.said
    )


def _sample_ids(name: str, root: Path, parts: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the file of each sample id of a split, and a sentence if some are listed twice."""
    ids: dict[str, Path] = {}
    twice = 0
    for part in parts:
        path = root / _first(name, root, f"{part}.txt", f"CLIBD_partitioning/{part}.txt")
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{_name(path)} cannot be read: {error}. It has one sample id in each line."
            ) from error
        found = [line for line in lines if line]
        if not found:
            raise InputError(f"{_name(path)} has no sample id. Download it again.")
        twice += len(ids) + len(found) - len(ids.keys() | set(found))
        ids |= {sample: ids.get(sample, path) for sample in found}
    said = f"{twice} sample ids are in more than one line of {', '.join(parts)}; each counts once."
    return ids, [said] if twice else []


def _compare(ids: Mapping[str, Path], found: np.ndarray, path: Path) -> None:
    """Raise for sample ids absent from the metadata, or in it twice."""
    _refuse_twice(found, path)
    lacks = ids.keys() - set(found)
    if lacks:
        first = next(sample for sample in ids if sample in lacks)
        raise InputError(
            f"{_name(path)} has no sample {first} of {_name(ids[first])}, and {len(lacks)} of "
            f"{len(ids)} are missing in all. The two files are of different releases, or one of "
            f"them is not complete."
        )


def _refuse_twice(ids: np.ndarray, path: Path) -> None:
    names, counts = np.unique(ids.astype(str), return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"{_name(path)} has {counts[counts > 1][0]} rows of the sample {names[counts > 1][0]}, "
            f"and {int((counts > 1).sum())} such samples. Download it again."
        )


def _refuse_missing(root: Path, files: Sequence[str]) -> None:
    """Raise for missing images; each folder is listed once."""
    listed: dict[str, set[str]] = {}
    lacks = []
    for file in files:
        folder, _, image = file.rpartition("/")
        if folder not in listed:
            listed[folder] = _names_in(root / folder)
        if image not in listed[folder]:
            lacks.append(file)
    if lacks:
        raise BadImagesError(
            f"{len(lacks)} of {len(files)} images are missing, the first is "
            f"{_name(root / lacks[0])}. Extract the archive of the images again.",
            lacks,
        )


def _names_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:  # a folder can have 10,000 images
        return {entry.name for entry in entries}


def _first(name: str, root: Path, *places: str) -> str:
    """Return the first existing place."""
    for place in places:
        if (root / place).exists():
            return place
    raise InputError(f"{_name(root)} has no {' and no '.join(places)}. {see(name)}")


def _name(path: Path) -> str:
    return printable(str(path))
