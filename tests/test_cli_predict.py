"""`fastnn predict` and `fastnn evaluate`: what they print, and how they fail."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastnn
from fastnn import layers
from fastnn.cli import main
from fastnn.cli.predict import load_reader
from test_cli import run_process, train, write_digits, write_idx


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that reads the squares of `write_digits`."""
    out = tmp_path_factory.mktemp("run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        assert main(train(data, out, "--epochs", "3")) == 0
    return out


def save(model: fastnn.Sequential, path: Path) -> Path:
    model.save(path)
    return path


def constant(path: Path, probabilities: list[float], activation: str | None = "softmax", loss: object = None) -> Path:
    """A model that says the same of every image."""
    model = fastnn.Sequential([layers.Flatten(input_shape=(28, 28, 1)), layers.Dense(10, activation=activation)])
    model.set_weights([np.zeros((784, 10), np.float32), np.log(np.array(probabilities, np.float32))])
    if loss is not None:
        model.compile(loss=loss)
    return save(model, path)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A picture of a stroke, which is a one to most."""
    picture = Image.new("L", (60, 80), 240)
    picture.paste(20, (28, 15, 33, 65))
    picture.save(tmp_path / "one.png")
    return tmp_path / "one.png"


SURE = [0.0005, 0.998, 0.0005, 0.0001, 0.0001, 0.0001, 0.0001, 0.0003, 0.0001, 0.0002]
TORN = [1e-9, 0.58, 1e-9, 1e-9, 0.02, 1e-9, 1e-9, 0.4, 1e-9, 1e-9]
MIXED = [0.19, 0.09, 0.19, 0.09, 0.08, 0.08, 0.08, 0.08, 0.06, 0.06]


# ---- predict -----------------------------------------------------------------------------------------------------------------


def test_a_line_for_each_picture(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", SURE)
    assert main(["predict", str(model), str(one), str(one)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{one}: 1 (99.8 %)\n" * 2
    assert captured.err == ""


def test_the_runner_up_where_it_is_close(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", TORN)
    assert main(["predict", str(model), str(one)]) == 0
    assert capsys.readouterr().out == f"{one}: 1 (58.0 %), or 7 (40.0 %)\n"


@pytest.mark.parametrize("packed", [False, True])
def test_all_images_of_an_idx_file(
    packed: bool, run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = data / "t10k-images-idx3-ubyte"
    if packed:
        packed_images = tmp_path / "images"  # whatever its name
        packed_images.write_bytes(gzip.compress(images.read_bytes()))
        images = packed_images
    assert main(["predict", str(run), str(images)]) == 0
    lines = capsys.readouterr().out.splitlines()
    labels = fastnn.datasets.read_idx(data / "t10k-labels-idx1-ubyte")
    assert len(lines) == len(labels)
    read = [int(line.removeprefix(f"{images}[{i}]: ")[0]) for i, line in enumerate(lines)]
    assert np.mean(read == labels) > 0.9


def test_json_has_everything(run: Path, data: Path, one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = data / "t10k-images-idx3-ubyte"
    assert main(["predict", str(run), str(one), str(images), "--json", "--threads", "2"]) == 0
    assert fastnn.num_threads() == 2
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert captured.err == ""
    result = json.loads(line)
    assert result.keys() == {"model", "predictions"}
    assert result["model"] == str(run)
    assert [(p["file"], p["index"]) for p in result["predictions"]] == [(str(one), None)] + [
        (str(images), i) for i in range(100)
    ]
    model = fastnn.load_model(run / "model.safetensors")
    expected = model.predict(fastnn.datasets.read_idx(images))
    for prediction, row in zip(result["predictions"][1:], expected, strict=True):
        assert prediction.keys() == {"file", "index", "digit", "probability", "probabilities"}
        np.testing.assert_allclose(prediction["probabilities"], row, rtol=1e-6)
        assert prediction["digit"] == row.argmax()
        assert prediction["probability"] == max(prediction["probabilities"])


def test_a_picture_is_read_as_its_pixels_are(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command does with a picture what `read_digit` does."""
    from fastnn.cli.digits import read_digit

    Image.fromarray(fastnn.datasets.mnist.load_data()[1][0][0]).resize((90, 90)).save(tmp_path / "seven.png")
    assert main(["predict", str(run), str(tmp_path / "seven.png"), "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    expected = fastnn.load_model(run / "model.safetensors").predict(read_digit(tmp_path / "seven.png")[None])[0]
    np.testing.assert_allclose(prediction["probabilities"], expected, rtol=1e-6)


@pytest.mark.parametrize("as_json", [False, True])
def test_one_bad_file_does_not_stop_the_others(
    as_json: bool, one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = constant(tmp_path / "model.safetensors", SURE)
    (tmp_path / "text.png").write_text("hello")
    bad = [str(tmp_path / "text.png"), str(tmp_path / "missing.png"), str(tmp_path)]
    more = ["--json"] if as_json else []
    assert main(["predict", str(model), bad[0], str(one), *bad[1:], str(one), *more]) == 1
    captured = capsys.readouterr()
    if as_json:
        assert [p["file"] for p in json.loads(captured.out)["predictions"]] == [str(one)] * 2
    else:
        assert captured.out == f"{one}: 1 (99.8 %)\n" * 2
    errors = captured.err.splitlines()
    words = ("no picture", "no such file", "a folder")
    assert [error.startswith(f"fastnn: error: {file}: {word}") for error, file, word in zip(errors, bad, words)] == [True] * 3


def test_nothing_but_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", SURE)
    assert main(["predict", str(model), str(tmp_path / "missing")]) == 1
    assert capsys.readouterr().out == ""
    assert main(["predict", str(model), str(tmp_path / "missing"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["predictions"] == []


def test_idx_files_that_hold_no_images(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", SURE)
    write_idx(tmp_path / "small", np.zeros((3, 20, 20)))
    (tmp_path / "short").write_bytes((data / "t10k-images-idx3-ubyte").read_bytes()[:-1])
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"hello")[:-3])
    files = [str(data / "t10k-labels-idx1-ubyte"), *(str(tmp_path / name) for name in ("small", "short", "torn.gz"))]
    assert main(["predict", str(model), *files]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    errors = captured.err.splitlines()
    for error, file, words in zip(errors, files, ("(100,)", "(3, 20, 20)", "expected 78400 bytes", ""), strict=True):
        assert error.startswith("fastnn: error: ")
        assert file in error and words in error


def test_pictures_need_pillow_and_idx_files_do_not(
    run: Path, data: Path, one: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main(["predict", str(run), str(data / "t10k-images-idx3-ubyte"), str(one)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 100
    assert f"{one}: pillow cannot be used" in captured.err
    assert "pip install '.[cli]'" in captured.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", SURE)
    one.chmod(0)
    assert main(["predict", str(model), str(one)]) == 1
    assert capsys.readouterr().err.startswith(f"fastnn: error: {one}: Permission denied; expected ")


def test_logits_become_probabilities(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = constant(tmp_path / "logits.safetensors", [p * 77 for p in SURE], activation=None, loss=loss)
    assert main(["predict", str(model), str(one)]) == 0
    assert capsys.readouterr().out == f"{one}: 1 (99.8 %)\n"


# ---- The model ---------------------------------------------------------------------------------------------------------------


def test_the_model_is_a_file_or_a_run(run: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    expected = load_reader(run).predict(images)
    for path in (run / "model.safetensors", run / "checkpoint.safetensors"):
        np.testing.assert_array_equal(load_reader(path).predict(images), expected)


def test_images_without_channels_will_do(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fastnn.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10, activation="softmax")])
    assert main(["predict", str(save(model, tmp_path / "flat.safetensors")), str(one)]) == 0


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("missing.safetensors", "missing.safetensors"),
        ("missing", "missing"),
        ("empty", "a folder without model.safetensors; expected one; name"),
        ("begun", "a folder without model.safetensors; expected one; end the run, with --resume"),
        ("text.safetensors", "text.safetensors"),
        ("wide.safetensors", "a model from (None, 32, 32, 1) to (None, 10); expected one from images (None, 28, 28, 1)"),
        ("three.safetensors", "a model from (None, 28, 28, 1) to (None, 3); expected"),
    ],
)
def test_models_that_read_no_digits(
    model: str, words: str, command: str, data: Path, one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "checkpoint.safetensors").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("hello")
    for name, size, classes in (("wide", 32, 10), ("three", 28, 3)):
        made = [layers.Flatten(input_shape=(size, size, 1)), layers.Dense(classes, activation="softmax")]
        save(fastnn.Sequential(made), tmp_path / f"{name}.safetensors")
    more = [str(one)] if command == "predict" else ["--data", str(data)]
    assert main([command, str(tmp_path / model), *more]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (error,) = captured.err.splitlines()
    assert error.startswith("fastnn: error: ")
    assert words in error


def test_a_model_that_gives_no_probabilities(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "linear.safetensors", [0.3] * 10, activation=None)
    assert main(["predict", str(model), str(one)]) == 1
    assert "no probabilities; expected rows that sum to 1" in capsys.readouterr().err


# ---- evaluate ----------------------------------------------------------------------------------------------------------------


def test_evaluation_agrees_with_the_run(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--data", str(data), "--json", "--threads", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    last = (run / "history.csv").read_text().splitlines()[-1].split(",")
    assert result["test_accuracy"] == float(last[4])
    assert result["test_loss"] == pytest.approx(float(last[3]), rel=1e-5)
    assert {name: result[name] for name in ("model", "images", "threads")} == {"model": str(run), "images": 100, "threads": 1}
    assert result["seconds"] >= 0.0 and result["images_per_second"] > 0.0
    assert result["isa"] in fastnn._core.available_isas()

    assert main(["evaluate", str(run), "--data", str(data)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"test accuracy  {result['test_accuracy']:.2%} (loss {result['test_loss']:.4f})"
    assert "100 images in" in second


@pytest.mark.parametrize("loss", [None, "sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_evaluation_against_numpy(loss: str | None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", MIXED, loss=loss)
    assert main(["evaluate", str(model), "--data", str(data), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    labels = fastnn.datasets.read_idx(data / "t10k-labels-idx1-ubyte")
    probabilities = np.array(MIXED)
    assert result["test_accuracy"] == pytest.approx(np.mean(labels == 0))
    assert result["test_loss"] == pytest.approx(-np.log(probabilities / probabilities.sum())[labels].mean(), rel=1e-5)


def test_a_model_for_another_task_is_not_evaluated(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = constant(tmp_path / "model.safetensors", SURE, loss="mse")
    assert main(["evaluate", str(model), "--data", str(data)]) == 1
    assert "a model for the loss MeanSquaredError; expected a cross-entropy" in capsys.readouterr().err


def test_evaluation_without_data(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--data", str(tmp_path / "nothing")]) == 1
    assert "no folder" in capsys.readouterr().err


def test_mnist_is_the_default(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 10_000
    monkeypatch.setitem(sys.modules, "fastnn_datasets", None)
    assert main(["evaluate", str(run)]) == 1
    assert "fastnn-datasets" in capsys.readouterr().err


def test_predicting_imports_no_matplotlib(run: Path, one: Path) -> None:
    done = run_process("predict", str(run), str(one), env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert "PIL.Image" in done.stderr
    assert "matplotlib" not in done.stderr
