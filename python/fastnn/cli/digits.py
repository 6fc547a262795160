"""Pictures of digits as MNIST has them. Needs pillow, and imports it when it opens a picture.

MNIST's images were made so: the digit's bounding box scaled to 20 pixels on its longer side, with anti-aliasing, light on dark,
and moved until the centre of mass is in the middle of 28 x 28. A network that learned from those reads what is made alike.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["read_digit"]

Pixels: TypeAlias = NDArray[np.float64]

_SIZE, _BOX = 28, 20
_LOOK = 256  # pixels on the longer side of what the digit is looked for in
_FAINTEST = 8.0  # of 255: what differs less from the paper is paper
_EDGE = 0.12  # of the ink's contrast: where a stroke ends. Low, as MNIST counts faint pixels in; higher than a JPEG's ripples
_SPECK = 0.05  # of the ink in the largest stroke: what has less is dirt


def read_digit(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Reads a picture of one digit into the form of MNIST's images.

    The paper may be lighter or darker than the ink, transparent (which counts as white), or lit from one side; the digit may be
    of any size and anywhere. Of several frames the first is taken, and a photo is turned as its camera says.

    Args:
        path: a file in any format that pillow opens.

    Returns:
        uint8 `(28, 28)`, 0 for paper and 255 for ink.

    Raises:
        ValueError: no picture, a damaged or too large one, or one in which nothing stands out.
        OSError: the file cannot be read.
        ImportError: pillow is missing.

    Source:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition, 1998, III.A.

    Example:
        >>> import os, tempfile
        >>> from PIL import Image, ImageDraw
        >>> from fastnn.cli.digits import read_digit
        >>> picture = Image.new("RGB", (300, 200), "ivory")
        >>> ImageDraw.Draw(picture).line([(240, 40), (240, 160)], fill="navy", width=18)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     picture.save(os.path.join(folder, "one.png"))
        ...     digit = read_digit(os.path.join(folder, "one.png"))
        >>> digit[3:25:6, 11:17]
        array([[  0,   0,   0,   0,   0,   0],
               [  0,   0, 255, 255, 255,   0],
               [  0,   0, 255, 255, 255,   0],
               [  0,   0, 255, 255, 255,   0]], dtype=uint8)
    """
    picture = _open(path)
    found = _find(picture, _Box(0.0, 0.0, picture.width, picture.height))
    digit = None if found is None else _scale(picture, found)
    if digit is None:
        raise ValueError(
            f"{path}: nothing stands out in it; expected one digit, darker or lighter than the paper; take another"
        )
    return _centre(digit)


# ---- The picture in grey -----------------------------------------------------------------------------------------------------


def _open(path: str | os.PathLike[str]) -> Image.Image:
    """The picture in mode L, 0 to 255, or, where its numbers are larger than that, in mode F, stretched to 0 to 255."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            f"{path}: pillow cannot be used ({error}); expected it, to open pictures; in a checkout of fastnn, "
            "pip install '.[cli]' brings it"
        ) from error
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about parts of the file that nobody asked for
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                picture = Image.open(file)
                picture.draft("L", (4 * _LOOK, 4 * _LOOK))  # a large JPEG can be unpacked smaller
                picture.load()
                return _grey(ImageOps.exif_transpose(picture))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(
                f"{path}: a picture of more than {Image.MAX_IMAGE_PIXELS:,} pixels; expected no more, for the sake of memory; "
                "scale it down"
            ) from None
        except UnidentifiedImageError:
            raise ValueError(
                f"{path}: no picture; expected a PNG, a JPEG or the like, or an IDX file; save it as a PNG"
            ) from None
        except Exception as error:  # from the decoders of dozens of formats: whatever comes to them
            raise ValueError(f"{path}: a picture that does not open ({error}); expected a whole one; save it again") from error


def _grey(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.array(picture, np.float32)
        low, high = values.min(), values.max()
        if not np.isfinite(high - low):
            raise ValueError("it holds NaN or infinity")
        values -= low
        values *= np.float32(255.0) / max(high - low, np.float32(1e-30))
        return Image.fromarray(values)
    if "transparency" in picture.info or picture.mode.endswith("A"):
        picture = picture if picture.mode == "LA" else picture.convert("RGBA")
        return Image.composite(picture.convert("L"), Image.new("L", picture.size, 255), picture.getchannel("A"))
    return picture.convert("L")


# ---- Where the digit is ------------------------------------------------------------------------------------------------------


class _Box(NamedTuple):
    """A part of a picture, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float, picture: Image.Image) -> _Box:
        """With a margin on each side, as far as the picture goes; a negative one takes off."""
        right, bottom = min(self.right + by, picture.width), min(self.bottom + by, picture.height)
        return _Box(max(self.left - by, 0.0), max(self.top - by, 0.0), right, bottom)

    def centres(self, columns: int, rows: int) -> tuple[Pixels, Pixels]:
        """The coordinates of its pixels' centres when it is cut into so many."""
        x = self.left + (np.arange(columns) + 0.5) * (self.right - self.left) / columns
        y = self.top + (np.arange(rows) + 0.5) * (self.bottom - self.top) / rows
        return x, y


class _Paper:
    """How bright the paper is at each place, and by how much that scatters (the median error).

    A constant or, where the light falls unevenly, a polynomial of degree 2. The border is mostly paper, and so is all that fits
    to what the border says.
    """

    def __init__(self, grey: Pixels, part: _Box) -> None:
        self._part = part
        rows, columns = grey.shape
        edge = max(1, min(grey.shape) // 50)
        border = np.ones(grey.shape, bool)
        border[edge:-edge, edge:-edge] = False
        self._weights = np.zeros(6)
        self._weights[0] = np.median(grey[border])
        self.scatter = float(np.median(np.abs(grey[border] - self._weights[0])))
        if self.scatter > 0.0 and min(grey.shape) >= _BOX:
            self._fit(grey, self._terms(*part.centres(columns, rows)), border)

    def at(self, x: Pixels, y: Pixels) -> Pixels:
        """The brightness at all columns x and rows y of the picture."""
        return self._terms(x, y) @ self._weights

    def _terms(self, x: Pixels, y: Pixels) -> Pixels:
        left, top, right, bottom = self._part
        u, v = np.meshgrid(2.0 * (x - left) / (right - left) - 1.0, 2.0 * (y - top) / (bottom - top) - 1.0)
        return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)

    def _fit(self, grey: Pixels, terms: Pixels, border: NDArray[np.bool_]) -> None:
        # Least absolute errors, as least squares that trust what is far off less: a stroke across the border does not bend it.
        a, b, weights = terms[border], grey[border], self._weights
        for _ in range(30):
            weights = _least_squares(a, b, 1.0 / np.maximum(np.abs(b - a @ weights), 0.5))
        scatter = float(np.median(np.abs(b - a @ weights)))
        if scatter > 0.5 * self.scatter:
            return  # no better than the constant
        step = max(1, max(grey.shape) // 64)
        a, b = terms[::step, ::step].reshape(-1, weights.size), grey[::step, ::step].ravel()
        for _ in range(5):
            errors = np.abs(b - a @ weights)
            paper = errors <= 4.5 * max(scatter, 0.5)
            weights = _least_squares(a, b, paper.astype(np.float64))
            scatter = float(np.median(errors[paper]))
        self._weights, self.scatter = weights, scatter


def _least_squares(a: Pixels, b: Pixels, trust: Pixels) -> Pixels:
    weighted = a * trust[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ a + 1e-9 * np.eye(a.shape[1]), weighted.T @ b), np.float64)


class _Digit(NamedTuple):
    box: _Box
    paper: _Paper
    sign: float  # 1 for ink that is lighter than the paper, -1 for darker


def _find(picture: Image.Image, part: _Box) -> _Digit | None:
    """The digit in a part of the picture, or None where nothing stands out."""
    from PIL import Image

    width, height = part.right - part.left, part.bottom - part.top
    shrink = max(1.0, max(width, height) / _LOOK)
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    grey = np.asarray(picture.resize((columns, rows), Image.Resampling.BOX, box=part), np.float64)
    paper = _Paper(grey, part)
    noise = 1.5 * paper.scatter  # its standard deviation, if it is Gaussian
    ink = grey - paper.at(*part.centres(columns, rows))
    light, dark = (np.square(np.maximum(sign * ink - 3.0 * noise, 0.0)).sum() for sign in (1.0, -1.0))
    sign = 1.0 if light > dark else -1.0
    ink = np.maximum(sign * ink, 0.0)
    contrast = float(np.median(ink[ink >= 0.5 * ink.max()]))
    if contrast < max(_FAINTEST, 4.0 * noise):
        return None
    strokes = _strokes(ink, max(_EDGE * contrast, 4.0 * noise))
    outermost = np.concatenate([strokes[[0, -1]].ravel(), strokes[:, [0, -1]].ravel()])
    if strokes.mean() > 0.7 and outermost.mean() < 0.05:  # the border was a frame, and this is the paper
        return _find(picture, part.grown(-0.05 * min(width, height), picture)) if min(columns, rows) > _BOX else None
    x, y = np.flatnonzero(strokes.any(axis=0)), np.flatnonzero(strokes.any(axis=1))
    dx, dy = width / columns, height / rows
    box = _Box(part.left + x[0] * dx, part.top + y[0] * dy, part.left + (x[-1] + 1) * dx, part.top + (y[-1] + 1) * dy)
    digit = _Digit(box, paper, sign)
    longer = max(box.right - box.left, box.bottom - box.top)
    if shrink > 1.0 and longer < 0.5 * max(width, height):
        return _find(picture, box.grown(0.25 * longer, picture)) or digit  # look closer
    return digit


def _strokes(ink: Pixels, threshold: float) -> NDArray[np.bool_]:
    """Where there is more ink than `threshold`, without specks."""
    mask = ink > threshold
    labels = np.where(mask, np.arange(1, ink.size + 1, dtype=np.int32).reshape(ink.shape), 0)
    while True:  # each pixel takes the largest number around it, and then what the pixel of that number has by now
        around = np.pad(labels, 1)
        around = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
        around = np.maximum(np.maximum(around[:, :-2], around[:, 1:-1]), around[:, 2:]) * mask
        around = np.append(np.int32(0), around)[around]
        if np.array_equal(around, labels):
            break
        labels = around
    masses = np.bincount(labels.ravel(), (ink * mask).ravel())
    kept: NDArray[np.bool_] = (masses >= _SPECK * masses.max())[labels] & mask
    return kept


# ---- As MNIST has it ---------------------------------------------------------------------------------------------------------


def _scale(picture: Image.Image, digit: _Digit) -> NDArray[np.uint8] | None:
    """The ink in the digit's box, scaled to 20 pixels on the longer side; None where nothing of it is left."""
    from PIL import Image

    width, height = digit.box.right - digit.box.left, digit.box.bottom - digit.box.top
    shrink = max(width, height) / _BOX
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    method = Image.Resampling.BOX if shrink >= 1.0 else Image.Resampling.BICUBIC
    grey = np.asarray(picture.resize((columns, rows), method, box=digit.box), np.float64)
    ink = digit.sign * (grey - digit.paper.at(*digit.box.centres(columns, rows)))
    # Full ink is what the darkest pixels of this size have, not of the picture's: a thin line is then a line, not a shadow.
    low = min(2.0 * digit.paper.scatter, 0.5 * ink.max())
    if ink.max() <= 0.0:
        return None
    high = np.percentile(ink[ink > low], 97)
    pixels: NDArray[np.uint8] = np.rint(255.0 * np.clip((ink - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
    return pixels


def _centre(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The digit in 28 x 28, its centre of mass in the middle as far as there is room."""
    image = np.zeros((_SIZE, _SIZE), np.uint8)
    places = []
    for axis, length in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis, dtype=np.float64)
        centre = float(mass @ np.arange(length) / mass.sum())
        start = min(max(round(_SIZE / 2 - centre), 0), _SIZE - length)
        places.append(slice(start, start + length))
    image[tuple(places)] = digit
    return image
