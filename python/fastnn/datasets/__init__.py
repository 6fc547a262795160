"""Data sets as NumPy arrays: MNIST from a package beside fastnn, and whatever comes as IDX files."""

from fastnn.datasets import mnist
from fastnn.datasets.idx import load_idx, read_idx

__all__ = ["load_idx", "mnist", "read_idx"]
