"""The digits: 1797 images of 8 x 8 pixels with values 0 to 16, bundled with scikit-learn (UCI, CC BY 4.0)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_IMAGES = 400
"""Images that are kept from training; the same ones in every example."""

STORED_IMAGES = 200
"""The first of them, stored with every model."""


@dataclass(frozen=True)
class Digits:
    """Pixels `uint8 [images, 64]` and labels `uint8 [images]`, of the images to train with and of the others."""

    train_pixels: np.ndarray
    train_labels: np.ndarray
    test_pixels: np.ndarray
    test_labels: np.ndarray


def load() -> Digits:
    """Return the digits, split with a fixed seed and the same share of each class."""
    images = load_digits()
    split = train_test_split(
        images.data.astype(np.uint8),
        images.target.astype(np.uint8),
        test_size=TEST_IMAGES,
        random_state=0,
        stratify=images.target,
    )
    train_pixels, test_pixels, train_labels, test_labels = split
    return Digits(train_pixels, train_labels, test_pixels, test_labels)


def real(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as 32-bit floats in [-1, 1], exactly: pixel / 8 - 1."""
    return (pixels.astype(np.float32) / 8 - 1).astype(np.float32)
