"""BIOSCAN-1M of the zero-shot clustering study (arXiv 2406.02465), and its successor."""

from __future__ import annotations

from ..entry import DatasetEntry

_READER = "gpuclust.datasets.readers.bioscan"
_DOWNLOAD = "gpuclust.datasets.readers.bioscan_download"
_UPPER = ("phylum", "class", "order", "family", "subfamily")

BIOSCAN: dict[str, DatasetEntry] = {
    "bioscan1m": DatasetEntry(
        summary="BIOSCAN-1M, insects, species, in --data-dir",
        target=f"{_READER}:load_1m",
        download=f"{_DOWNLOAD}:download_1m",
        splits={"test": 24_799, "train": None, "val": None},
        classes=2_688,
        imbalance=782.5,
        group="fine-grained",
        licence="CC BY 3.0",
        url="https://github.com/bioscan-ml/BIOSCAN-1M",
        columns=(*_UPPER, "tribe", "genus", "species", "uri"),
        folders=("BIOSCAN-1M", "bioscan1m", "bioscan/bioscan1m"),
        layout=(
            "BIOSCAN_Insect_Dataset_metadata.tsv",
            "seen_keys.txt",
            "test_seen.txt",
            "test_unseen.txt",
            "test_unseen_keys.txt",
            "train_seen.txt (split train only)",
            "bioscan/images/cropped_256/part{chunk_number}/{image_file}",
            "or, as the package bioscan-dataset makes it: the five text files in",
            "CLIBD_partitioning/, the images in images/cropped_256/part{chunk_number}/",
        ),
        remark=(
            "Splits are unions of text files of sample ids, and overlap: train and test share "
            "test_unseen_keys, val is a part of test. CLIBD publishes text files of these names "
            "(https://huggingface.co/datasets/bioscan-ml/clibd); that they equal the study's is "
            "not verified. `gpuclust datasets where bioscan1m --download` gets these, by the "
            "package bioscan-dataset (extra bioscan)."
        ),
    ),
    "bioscan5m": DatasetEntry(
        summary="BIOSCAN-5M, insects, species, in --data-dir",
        target=f"{_READER}:load_5m",
        download=f"{_DOWNLOAD}:download_5m",
        splits={
            "test+test_unseen": 47_260,
            "test": 39_373,
            "test_unseen": 7_887,
            "val": 14_757,
            "val_unseen": 8_819,
            "key_unseen": 36_465,
            "train": 289_203,
            "other_heldout": 76_590,
            "pretrain": 4_677_756,
        },
        classes=4_363,
        group="fine-grained",
        licence="CC BY 3.0",
        url="https://github.com/bioscan-ml/BIOSCAN-5M",
        columns=(*_UPPER, "genus", "species", "dna_bin"),
        folders=("bioscan5m", "BIOSCAN-5M", "bioscan/bioscan5m", "BIOSCAN-5M/bioscan5m"),
        layout=(
            "metadata/csv/BIOSCAN_5M_Insect_Dataset_metadata.csv",
            "images/cropped_256/test/{processid}.jpg",
            "images/cropped_256/test_unseen/{processid}.jpg, and so on for each split",
            "images/cropped_256/train/{chunk}/{processid}.jpg",
        ),
        remark=(
            "Not one of the study's 26 datasets; its authors evaluated test and test_unseen "
            "together. The number of species is the sum of the two splits (3,483 + 880), which "
            "share none by design. The images of pretrain have no species. `gpuclust datasets "
            "where bioscan5m --download` gets the metadata and the splits for evaluation, by the "
            "package bioscan-dataset (extra bioscan)."
        ),
    ),
}
