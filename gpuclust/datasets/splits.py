"""Splits drawn from the labels, for datasets without published ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError


def held_out(
    labels: np.ndarray,
    *,
    share: float | int,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Divide images into train and test, the same share of every class.

    The rows are those of scikit-learn's ``train_test_split(arange(n), test_size=share,
    stratify=labels, random_state=seed)``: the zero-shot clustering study (arXiv 2406.02465) drew
    its own test and validation splits in this way, and kept the shuffled order.  O(n) time and
    memory.

    Parameters
    ----------
    labels : ndarray (n,) int
        Class of every image.
    share : float or int
        Share of the images in the test split, between 0 and 1, or their number.
    seed : int
        Seed of the permutation.  The same labels, share and seed give the same rows in every
        process.
    class_names : sequence of str, optional
        Name of class 0, 1, ..., for the message.

    Returns
    -------
    train, test : ndarray int64
        Indices in shuffled order.

    Raises
    ------
    InputError
        A class has one image only, or one of the two splits has fewer images than there are
        classes: the message names the class or the numbers.

    Examples
    --------
    >>> train, test = held_out(np.array([0, 0, 0, 0, 1, 1, 1, 1]), share=0.25)
    >>> test.tolist(), len(train)
    ([7, 0], 6)
    """
    from sklearn.model_selection import train_test_split

    labels = np.asarray(labels)
    _check_classes(labels, class_names)
    try:
        train, test = train_test_split(
            np.arange(len(labels), dtype=np.int64),
            test_size=share,
            stratify=labels,
            random_state=seed,
        )
    except ValueError as error:
        raise InputError(
            f"{len(labels):,} images of {len(np.unique(labels)):,} classes cannot be divided with "
            f"{share} of them in the test split: {error}. Each split needs one image of every "
            f"class at least; give more images."
        ) from error
    return train, test


def drawn_from(n: int, expected: int) -> tuple[str, ...]:
    """Return a sentence for a split drawn from another number of images than the study's.

    Examples
    --------
    >>> drawn_from(7909, 7909)
    ()
    >>> drawn_from(90, 7909)[0]
    "the split is drawn from 90 images; the study's is drawn from 7,909, so it has other images"
    """
    if n == expected:
        return ()
    sentence = (
        f"the split is drawn from {n:,} images; the study's is drawn from {expected:,}, so it has "
        f"other images"
    )
    return (sentence,)


def _check_classes(labels: np.ndarray, class_names: Sequence[str] | None) -> None:
    classes, sizes = np.unique(labels, return_counts=True)
    alone = [int(label) for label in classes[sizes < 2]]
    if not alone:
        return
    names = [_name(label, class_names) for label in alone]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    raise InputError(
        f"{len(names):,} of {len(classes):,} classes have one image only, and a class needs two "
        f"to be divided into train and test: {shown}. Is the dataset complete? Add images, or "
        f"remove the class."
    )


def _name(label: int, class_names: Sequence[str] | None) -> str:
    return f"class {label}" if class_names is None else f"{class_names[label]} (class {label})"
