"""Pictures of digits as MNIST has them: any size, place, colour and format, and what is no picture of a digit."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import fastnn
from fastnn import layers
from fastnn.cli import digits
from fastnn.cli.digits import read_digit
from fastnn.datasets import mnist

# Ten digits as a pen draws them, in a box of 1 x 1.
STROKES: list[list[list[tuple[float, float]]]] = [
    [[(0.5, 0), (0.2, 0.2), (0.1, 0.5), (0.2, 0.8), (0.5, 1), (0.8, 0.8), (0.9, 0.5), (0.8, 0.2), (0.5, 0)]],
    [[(0.35, 0.15), (0.55, 0), (0.5, 1)]],
    [[(0.1, 0.2), (0.4, 0), (0.8, 0.05), (0.85, 0.3), (0.1, 1), (1, 0.98)]],
    [[(0.1, 0.05), (0.6, 0), (0.8, 0.2), (0.45, 0.45), (0.85, 0.7), (0.6, 1), (0.1, 0.95)]],
    [[(0.3, 0), (0.1, 0.6), (0.9, 0.6)], [(0.7, 0.3), (0.65, 1)]],
    [[(0.9, 0), (0.3, 0), (0.2, 0.42), (0.7, 0.42), (0.9, 0.7), (0.65, 1), (0.1, 0.95)]],
    [[(0.7, 0), (0.25, 0.4), (0.1, 0.75), (0.4, 1), (0.8, 0.8), (0.6, 0.55), (0.2, 0.65)]],
    [[(0.05, 0), (0.9, 0), (0.45, 1)]],
    [[(0.8, 0.1), (0.4, 0), (0.2, 0.2), (0.75, 0.65), (0.7, 0.95), (0.3, 1), (0.2, 0.7), (0.75, 0.3), (0.8, 0.1)]],
    [[(0.75, 0.25), (0.45, 0.42), (0.2, 0.25), (0.4, 0), (0.75, 0.15), (0.75, 0.25), (0.6, 1)]],
]


def draw(
    digit: int, size: int = 200, pen: float = 0.09, box: tuple[float, float, float, float] = (0.3, 0.2, 0.7, 0.8)
) -> Image.Image:
    """Light on dark; `pen` and `box` (left, upper, right, lower) in parts of the size."""
    fine = 4 if size < 200 else 1  # ImageDraw does not anti-alias
    picture = Image.new("L", (size * fine, size * fine), 0)
    brush = ImageDraw.Draw(picture)
    width = max(1, round(pen * size * fine))
    left, upper, right, lower = (edge * size * fine for edge in box)
    for stroke in STROKES[digit]:
        points = [(left + x * (right - left), upper + y * (lower - upper)) for x, y in stroke]
        brush.line(points, fill=255, width=width)
        for x, y in points:
            brush.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    return picture.resize((size, size), Image.Resampling.BOX)


def invert(picture: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(picture))


def read(picture: Image.Image, folder: Path, suffix: str = "png", **options: Any) -> np.ndarray:
    path = folder / f"digit.{suffix}"
    picture.save(path, **options)
    return read_digit(path)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The mean over the pixels, 255 from paper to ink. A centre of mass that was rounded otherwise is no difference."""
    shifted = (np.roll(a.astype(float), (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    return min(float(np.abs(moved - b).mean()) for moved in shifted)


def assert_in_form(image: np.ndarray) -> None:
    """The longer side is 20 pixels, the centre of mass in the middle as far as there is room, the ink at its fullest."""
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert image.max() == 255
    for axis in (0, 1):
        (where,) = np.nonzero(image.any(axis=1 - axis))
        mass = image.sum(axis=1 - axis, dtype=float)
        centre = float(mass @ np.arange(28) / mass.sum())
        assert abs(centre - 14.0) <= 0.5 + 1e-9 or where[0] == 0 or where[-1] == 27
    rows, columns = (np.nonzero(image.any(axis=axis))[0] for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)  # 19 where an edge is fainter than 1 of 255


@pytest.fixture(scope="module")
def test_set() -> tuple[np.ndarray, np.ndarray]:
    return mnist.load_data()[1]


@pytest.fixture(scope="module")
def reader() -> Callable[[list[np.ndarray]], np.ndarray]:
    """A network that reads digits, though not as well as one that was trained on all images."""
    (x, y), _ = mnist.load_data()
    fastnn.set_seed(0)
    model = fastnn.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(28, 28, 1)),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(fastnn.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy")
    model.fit(x[:12_000], y[:12_000], batch_size=32, epochs=2, verbose=0)
    return lambda images: model.predict(np.stack(images)).argmax(axis=1)


# ---- Against MNIST itself ----------------------------------------------------------------------------------------------------


def enlarge(image: np.ndarray, rng: np.random.Generator, scale: float, method: Image.Resampling, dark: bool) -> Image.Image:
    """An image of MNIST as somebody might have it: larger, and somewhere on a larger sheet."""
    side = round(28 * scale)
    sheet = np.zeros((side + rng.integers(side), side + rng.integers(side)), np.uint8)
    y, x = (rng.integers(length - side + 1) for length in sheet.shape)
    sheet[y : y + side, x : x + side] = np.asarray(Image.fromarray(image).resize((side, side), method))
    return Image.fromarray(255 - sheet if dark else sheet)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scale", [1, 3, 10])
def test_enlarged_images_come_back(scale, dark, test_set, tmp_path):
    rng = np.random.default_rng(0)
    for image in test_set[0][:25]:
        back = read(enlarge(image, rng, scale, Image.Resampling.NEAREST, dark), tmp_path)
        assert difference(back, image) < 3.0  # a shift by one pixel would be about 30


def test_smoothly_enlarged_images_are_read_alike(test_set, reader, tmp_path):
    rng = np.random.default_rng(0)
    x, y = (part[:120] for part in test_set)
    back = [
        read(enlarge(image, rng, rng.uniform(0.8, 12), Image.Resampling.BICUBIC, rng.random() < 0.5), tmp_path) for image in x
    ]
    assert np.mean(reader(list(x)) == y) > 0.95
    assert np.mean(reader(back) == reader(list(x))) > 0.97
    assert np.mean([difference(a, b) for a, b in zip(back, x)]) < 12.0


# ---- Drawn digits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [28, 40, 64, 150, 900])
def test_any_size_and_both_polarities(size, dark, reader, tmp_path):
    images = []
    for digit in range(10):
        picture = draw(digit, size)
        images.append(read(invert(picture) if dark else picture, tmp_path))
        assert_in_form(images[-1])
        assert difference(images[-1], read(draw(digit, 400), tmp_path)) < (20.0 if size < 60 else 10.0)
    assert np.sum(reader(images) == np.arange(10)) >= 9


@pytest.mark.parametrize("pen", [0.005, 0.03, 0.16])
def test_any_pen(pen, reader, tmp_path):
    images = [read(invert(draw(digit, 400, pen)), tmp_path) for digit in range(10)]
    for image in images:
        assert_in_form(image)
    assert np.sum(reader(images) == np.arange(10)) >= 8


@pytest.mark.parametrize("dark", [False, True])
def test_any_place_on_the_sheet(dark, tmp_path):
    reference = read(draw(5, 400), tmp_path)
    for box in ((0.0, 0.0, 0.4, 0.6), (0.6, 0.4, 1.0, 1.0), (0.02, 0.39, 0.42, 0.99), (0.03, 0.03, 0.07, 0.09)):
        small = box[2] - box[0] < 0.1
        picture = draw(5, 2000 if small else 400, 0.009 if small else 0.09, box)
        assert difference(read(invert(picture) if dark else picture, tmp_path), reference) < 16.0


def test_random_scribbles_have_the_form(tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(15):
        width, height = rng.integers(30, 300, 2)
        picture = Image.new("L", (int(width), int(height)), int(rng.integers(150, 256)))
        points = (rng.uniform(0.1, 0.9, (4, 2)) * (width, height)).tolist()
        ImageDraw.Draw(picture).line([tuple(p) for p in points], fill=int(rng.integers(100)), width=int(rng.integers(2, 12)))
        assert_in_form(read(picture, tmp_path))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("digit", range(10))
def test_a_bold_digit_without_a_margin(digit, dark, tmp_path):
    """The border is half ink, and yet not the paper."""
    picture = draw(digit, 300, 0.16)
    cut = picture.crop(picture.getbbox())
    reference = read(picture, tmp_path)
    assert difference(read(invert(cut) if dark else cut, tmp_path), reference) < 6.0


def test_faint_ink_is_ink(tmp_path):
    faint = Image.fromarray((130 + np.asarray(draw(3)) * 0.08).astype(np.uint8))
    assert difference(read(faint, tmp_path), read(draw(3), tmp_path)) < 6.0


def test_specks_are_no_strokes_and_strokes_no_specks(tmp_path):
    picture = invert(draw(4, 300))
    reference = read(picture, tmp_path)
    brush = ImageDraw.Draw(picture)
    for x, y in ((20, 20), (280, 30), (15, 270), (285, 285)):
        brush.ellipse([x - 3, y - 3, x + 3, y + 3], fill=0)
    assert difference(read(picture, tmp_path), reference) < 1.0
    # The bar of a five, detached.
    five = Image.new("L", (200, 300), 255)
    ImageDraw.Draw(five).rectangle([60, 60, 150, 75], fill=0)
    ImageDraw.Draw(five).rectangle([60, 100, 75, 240], fill=0)
    (rows,) = np.nonzero(read(five, tmp_path).any(axis=1))
    gap = np.flatnonzero(np.diff(rows) > 1)
    assert len(gap) == 1


@pytest.mark.parametrize("shade", [0, 90])
def test_a_frame_is_not_the_digit(shade, tmp_path):
    picture = invert(draw(8, 300))
    reference = read(picture, tmp_path)
    ImageDraw.Draw(picture).rectangle([0, 0, 299, 299], outline=shade, width=4)
    assert difference(read(picture, tmp_path), reference) < 12.0


@pytest.mark.parametrize("noise", [0, 4, 8])
def test_uneven_light(noise, reader, tmp_path):
    """As in a photo: darker to one side and to the corners, with noise, and light falling differently on each."""
    rng = np.random.default_rng(noise)
    images = []
    for digit in range(10):
        size = 300
        v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
        angle = rng.uniform(0, 2 * np.pi)
        light = 170 + 55 * (u * np.cos(angle) + v * np.sin(angle)) - 30 * (u**2 + v**2) / 2
        ink = np.asarray(draw(digit, size)) / 255
        grey = light * (1 - 0.6 * ink) + rng.normal(0, noise, light.shape)
        assert (light.max() - light.min()) > 0.6 * light.mean()  # as much as the ink takes
        images.append(read(Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)), tmp_path))
        assert difference(images[-1], read(draw(digit, size), tmp_path)) < 15.0
    assert np.sum(reader(images) == np.arange(10)) >= 9


# ---- Formats -----------------------------------------------------------------------------------------------------------------


def with_alpha(picture: Image.Image) -> Image.Image:
    """The ink as opacity, over a colour that must not be seen where it is transparent."""
    colour = [Image.new("L", picture.size, shade) for shade in (40, 0, 60)]
    return Image.merge("RGBA", [*colour, picture])


FORMATS: dict[str, Callable[[Image.Image], tuple[Image.Image, str, dict[str, Any]]]] = {
    "grey": lambda p: (invert(p), "png", {}),
    "rgb": lambda p: (invert(p).convert("RGB"), "png", {}),
    "palette": lambda p: (invert(p).convert("P"), "png", {}),
    "palette with a transparent colour": lambda p: (
        p.point(lambda v: v > 127).convert("P"),
        "png",
        {"transparency": 0},
    ),
    "grey with a transparent shade": lambda p: (invert(p), "png", {"transparency": 255}),
    "grey and alpha": lambda p: (Image.merge("LA", [Image.new("L", p.size, 0), p]), "png", {}),
    "rgb and alpha": lambda p: (with_alpha(p), "png", {}),
    "white behind alpha": lambda p: (Image.merge("LA", [invert(p), Image.new("L", p.size, 255)]), "png", {}),
    "1 bit": lambda p: (invert(p).point(lambda v: 255 * (v > 127)).convert("1"), "png", {}),
    "16 bits": lambda p: (Image.fromarray(np.asarray(invert(p)).astype(np.uint16) * 257), "png", {}),
    "16 bits, few used": lambda p: (Image.fromarray(np.asarray(p).astype(np.uint16) + 900), "png", {}),
    "32 bits": lambda p: (Image.fromarray(np.asarray(p).astype(np.int32) * 9999 - 50), "tiff", {}),
    "float": lambda p: (Image.fromarray(np.asarray(p).astype(np.float32) / 255), "tiff", {}),
    "jpeg": lambda p: (invert(p).convert("RGB"), "jpg", {"quality": 75}),
    "jpeg in cmyk": lambda p: (invert(p).convert("CMYK"), "jpg", {}),
    "gif": lambda p: (invert(p), "gif", {}),
    "bmp": lambda p: (invert(p), "bmp", {}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name, tmp_path):
    picture, suffix, options = FORMATS[name](draw(2, 150))
    assert difference(read(picture, tmp_path, suffix, **options), read(draw(2, 150), tmp_path)) < 6.0


def test_a_photo_is_turned_as_the_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen, turn it clockwise
    lying = invert(draw(7)).transpose(Image.Transpose.ROTATE_90)
    assert difference(read(lying, tmp_path, "jpg", exif=exif), read(draw(7), tmp_path)) < 6.0


def test_a_large_photo_with_a_small_digit(tmp_path):
    photo = Image.new("RGB", (4000, 3000), (230, 228, 220))
    photo.paste((30, 30, 90), (2600, 700), draw(6, 400))
    assert difference(read(photo, tmp_path, "jpg"), read(draw(6, 400), tmp_path)) < 12.0


# ---- What is no picture of a digit -------------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 1000) + b"IDAT"


def as_png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).normal(128, 20, (100, 100)).astype(np.uint8))


def with_nan() -> bytes:
    values = np.asarray(draw(1)).astype(np.float32)
    values[3, 4] = np.nan
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (as_png(Image.new("L", (50, 50), 255)), "nothing stands out"),
        (as_png(Image.new("L", (50, 50), 0)), "nothing stands out"),
        (as_png(Image.new("LA", (50, 50), (0, 0))), "nothing stands out"),
        (as_png(Image.new("L", (1, 1), 0)), "nothing stands out"),
        (as_png(Image.new("L", (1, 300), 0)), "nothing stands out"),
        (as_png(noise()), "nothing stands out"),
        (as_png(Image.fromarray((np.asarray(draw(1)) // 60 + 100).astype(np.uint8))), "nothing stands out"),
        (b"", "no picture"),
        (b"hello", "no picture"),
        (np.random.default_rng(0).bytes(1000), "no picture"),
        (as_png(noise())[:600], "does not open"),
        (as_png(draw(1))[:40], "no picture"),
        (as_png(draw(1)).replace(b"IDAT", b"IDAT\xff\xff\xff", 1), "does not open"),
        (png_header(20_000, 20_000), "more than 89,478,485 pixels"),
        (png_header(9_500, 9_500), "more than 89,478,485 pixels"),
        (with_nan(), "NaN or infinity"),
    ],
)
def test_bad_pictures_are_named(content, words, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: .*{words}.*; expected ") as caught:
        read_digit(path)
    assert str(caught.value).count("\n") == 0


def test_whatever_is_cut_off_or_changed_is_an_error_or_a_digit(tmp_path):
    """Never another exception than these, whatever the decoders do."""
    rng = np.random.default_rng(0)
    path = tmp_path / "picture"
    for suffix in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "ICO", "PPM"):
        stream = io.BytesIO()
        draw(3, 60).save(stream, suffix)
        whole = stream.getvalue()
        for _ in range(15):
            content = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
            for _ in range(rng.integers(1, 8)):
                if content:
                    content[rng.integers(len(content))] = rng.integers(256)
            path.write_bytes(content)
            with contextlib.suppress(ValueError):
                image = read_digit(path)
                assert image.shape == (28, 28) and image.max() == 255


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_digit(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError):
        read_digit(tmp_path)


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"digit.png: pillow .* pip install '\.\[cli\]'"):
        read_digit(tmp_path / "digit.png")


def test_importing_needs_no_pillow():
    assert "PIL" not in vars(digits)
