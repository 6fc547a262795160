"""The MNIST database of handwritten digits."""

from __future__ import annotations

import io

from fastnn.datasets.idx import Dataset, parse_idx

__all__ = ["load_data"]


def load_data() -> Dataset:
    """Load the 70,000 handwritten digits of MNIST.

    The images come from the distribution fastnn-datasets, not from the network: they lie compressed on disk,
    and every call unpacks them and compares their SHA-256 (0.8 s on one core).

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all uint8 and writable: images `(60000, 28, 28)` and
        `(10000, 28, 28)` with 0 for paper and 255 for ink, labels `(60000,)` and `(10000,)` from 0 to 9.
        Keras's function of this name returns the same arrays; ours takes no `path`, because it downloads
        nothing.

    Raises:
        ModuleNotFoundError: fastnn-datasets is not installed.
        ValueError, FileNotFoundError: its files are damaged or missing.

    Source:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition,
        1998. Data by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0.

    Example:
        >>> from fastnn.datasets import mnist
        >>> (x_train, y_train), (x_test, y_test) = mnist.load_data()
        >>> x_train.shape, y_train[:5].tolist()
        ((60000, 28, 28), [5, 0, 4, 1, 9])
    """
    try:
        import fastnn_datasets
    except ModuleNotFoundError as error:
        if error.name != "fastnn_datasets":
            raise
        raise ModuleNotFoundError(
            "fastnn.datasets.mnist.load_data: the images are not installed; expected the distribution "
            "fastnn-datasets; run `pip install ./datasets` in a checkout of fastnn, or read your own IDX "
            "files with fastnn.datasets.load_idx(folder)",
            name="fastnn_datasets",
        ) from None
    x_train, y_train, x_test, y_test = (
        parse_idx(io.BytesIO(content), f"fastnn.datasets.mnist.load_data: {name}")
        for name, content in fastnn_datasets.mnist().items()
    )
    return (x_train, y_train), (x_test, y_test)
