"""The command `fastnn`: what it prints where, what it writes, and how it fails."""

from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.cli import confusion, curves, main, mistakes
from fastnn.cli import figures as figures_module
from fastnn.cli.recipe import RECIPES, Recipe
from fastnn.cli.run_folder import RunFolder

FILES = ("history.csv", "model.safetensors", "checkpoint.safetensors", "curves.png", "confusion.png", "mistakes.png")
COLUMNS = ["epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds"]
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = fastnn.num_threads()
    yield
    fastnn.set_num_threads(threads)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_digits(folder: Path, train: int = 400, test: int = 100, size: int = 28, classes: int = 10) -> Path:
    """A data set that a network learns in seconds: the class is where the bright square lies."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for count, (images, labels) in ((train, PARTS[:2]), (test, PARTS[2:])):
        y = rng.integers(0, classes, count)
        x = rng.integers(0, 40, (count, size, size))
        for image, label in zip(x, y):
            row, column = divmod(int(label), 4)
            image[2 + 8 * row : 8 + 8 * row, 6 * column : 6 + 6 * column] = 220
        write_idx(folder / f"{images}-ubyte", x)
        write_idx(folder / f"{labels}-ubyte", y)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost seconds."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def train(digits: Path, out: Path, *more: str) -> list[str]:
    quick = ["--epochs", "2", "--batch-size", "50"]
    return ["train", "mnist-cnn", "--data", str(digits), "--out", str(out), *quick, *more]


def run_process(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastnn", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, **keywords)  # type: ignore[call-overload]


# ---- Usage -------------------------------------------------------------------------------------------------


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"


def test_the_module_is_the_command() -> None:
    done = run_process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fastnn {fastnn.__version__}\n", "")


def test_version_imports_neither_layers_nor_extras() -> None:
    code = (
        "import sys\nfrom fastnn.cli import main\n"
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'matplotlib', 'tqdm', 'PIL'}), "
        "'fastnn.layers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[] False"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["bogus"], "bogus"),
        (["train"], "MODEL"),
        (["train", "bogus"], "bogus"),
        (["train", "mnist-cnn", "extra"], "extra"),
        (["train", "mnist-cnn", "--threads", "0"], "--threads: 0; expected a whole number from 1 to 256"),
        (["train", "mnist-cnn", "--threads", "257"], "--threads: 257; expected a whole number from 1 to 256"),
        (["train", "mnist-cnn", "--threads", "two"], "--threads: two; expected"),
        (["train", "mnist-cnn", "--batch-size", "0"], "--batch-size: 0; expected a whole number, at least 1"),
        (["train", "mnist-cnn", "--epochs", "0"], "--epochs: 0; expected a whole number, at least 1"),
        (["train", "mnist-cnn", "--epochs", "1.5"], "--epochs: 1.5; expected"),
        (["train", "mnist-cnn", "--learning-rate", "-1"], "--learning-rate: -1; expected a number above 0"),
        (["train", "mnist-cnn", "--learning-rate", "0"], "--learning-rate: 0; expected"),
        (["train", "mnist-cnn", "--learning-rate", "nan"], "--learning-rate: nan; expected"),
        (["train", "mnist-cnn", "--learning-rate", "1e39"], "--learning-rate: 1e39; expected"),
        (["train", "mnist-cnn", "--seed", "-1"], "--seed: -1; expected"),
        (["info", "--threads", "2"], "--threads"),
        (["predict"], "MODEL"),
        (["predict", "model.safetensors"], "FILE"),
        (["predict", "model.safetensors", "a.png", "--threads", "0"], "--threads: 0; expected"),
        (["predict", "model.safetensors", "a.png", "--data", "x"], "--data"),
        (["evaluate"], "MODEL"),
        (["evaluate", "model.safetensors", "extra"], "extra"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.splitlines()[-1]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_help_shows_the_defaults_of_the_recipe(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", recipe.model, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"(default: runs/{recipe.model})" in text
    for default in (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.seed):
        assert f"(default: {default})" in text


# ---- info --------------------------------------------------------------------------------------------------


def test_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == fastnn.__version__
    assert facts["isa"] in facts["available_isas"]
    assert facts["threads"] == fastnn.num_threads()
    assert facts["parallel_backend"] in ("openmp", "threads", "serial")
    assert facts["numpy"] == np.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["compiler"]
    assert facts["threads_reason"]


def test_info_names_why_so_many_threads() -> None:
    done = run_process("info", env={**os.environ, "FASTNN_NUM_THREADS": "3"})
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("threads"))
    assert line.split(None, 1)[1] == "3 (FASTNN_NUM_THREADS)"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_fails_without_a_traceback() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastnn", "info"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "fastnn: error: standard output: No space left on device\n"


# ---- train -------------------------------------------------------------------------------------------------


def test_training_ends_with_one_json_object(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "run"
    more = ["--epochs", "4", "--learning-rate", "0.004", "--seed", "3", "--threads", "2", "--json"]
    assert main(train(digits, out, *more)) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    result = json.loads(line)
    assert result["test_accuracy"] > 0.9
    assert 0.0 < result["test_loss"] < 0.5
    assert result["images_per_second"] > 0.0
    assert result["seconds"] > 0.0
    asked = {"epochs": 4, "batch_size": 50, "learning_rate": 0.004, "seed": 3, "threads": 2}
    assert {name: result[name] for name in asked} == asked
    assert result["isa"] in fastnn._core.available_isas()
    assert result["files"] == [str(out / name) for name in FILES]
    assert sorted(os.listdir(out)) == sorted(FILES)

    header, *rows = csv.reader((out / "history.csv").read_text().splitlines())
    assert header == COLUMNS
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1][4]) == result["test_accuracy"]
    assert float(rows[-1][1]) < float(rows[0][1])
    for name in FILES[3:]:
        assert (out / name).read_bytes().startswith(b"\x89PNG\r\n")

    for words in ("400 training images", "100 test images", "batch size 50", "seed 3", "2 threads", "0.004"):
        assert words in captured.err
    assert "Epoch 4/4" in captured.err


def test_training_ends_with_a_summary(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(train(digits, out)) == 0
    lines = capsys.readouterr().out.splitlines()
    accuracy = list(csv.DictReader((out / "history.csv").read_text().splitlines()))[-1]["test_accuracy"]
    assert lines[0].startswith(f"test accuracy  {float(accuracy):.2%}")
    assert "2 epochs in" in lines[1]
    assert [line.split()[-1] for line in lines[2:]] == [str(out / name) for name in FILES]


@pytest.mark.usefixtures("without_pictures")
def test_a_training_step_is_profiled(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, out = tmp_path / "plain", tmp_path / "run"
    assert main(train(digits, plain)) == 0
    assert "GFLOP/s" not in capsys.readouterr().out
    assert main(train(digits, out, "--profile")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:6] == [f"wrote          {out / name}" for name in (*FILES[:3], "trace.json")]
    assert lines[6] == ""
    assert "training step of 50 samples" in lines[7]
    assert lines[8].split() == ["share", "us", "GFLOP/s", "peak", "op", "variant", "layer"]
    ops = [line.split()[4] for line in lines[9:-1]]
    assert {"adam_update", "sparse_softmax_cross_entropy"} <= set(ops)
    events = json.loads((out / "trace.json").read_text())["traceEvents"]
    assert {event["name"] for event in events} == set(ops)
    # It came after the training, and left no mark in it.
    assert (out / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()

    # A run that has ended can still be profiled; the next one takes the trace away with the other files.
    (out / "trace.json").unlink()
    assert main(train(digits, out, "--resume", "--profile", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["files"][-1] == str(out / "trace.json")
    assert sorted(op["op"] for op in result["profile"]["ops"]) == sorted(ops)
    assert all(op["seconds"] > 0.0 for op in result["profile"]["ops"])
    assert 0.0 < sum(op["seconds"] for op in result["profile"]["ops"]) <= 1.5 * result["profile"]["seconds"]
    assert main(train(digits, out, "--epochs", "1")) == 0
    assert not (out / "trace.json").exists()
    assert (tmp_path / "run.1" / "trace.json").exists()


@pytest.mark.usefixtures("without_pictures")
def test_the_seed_decides_and_threads_do_not(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for number, (seed, threads) in enumerate((("1", "1"), ("1", "2"), ("2", "2"))):
        more = ["--epochs", "1", "--seed", seed, "--threads", threads, "--json"]
        assert main(train(digits, tmp_path / str(number), *more)) == 0
        losses.append(json.loads(capsys.readouterr().out)["test_loss"])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_the_learning_rate_rises_and_falls_to_0() -> None:
    recipe = Recipe(learning_rate=0.5, warm_up=0.25)
    rates = [recipe.rate(step / 100) for step in range(101)]
    assert rates[0] == 0.0
    assert rates[25] == 0.5
    assert rates[100] == pytest.approx(0.0, abs=1e-15)
    assert all(a < b for a, b in pairwise(rates[:26]))
    assert all(a > b for a, b in pairwise(rates[25:]))


@pytest.mark.usefixtures("without_pictures")
def test_every_step_has_its_learning_rate(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastnn.optimizers import Adam

    rates: list[float] = []
    assign = Adam.learning_rate.fset
    recorded = Adam.learning_rate.setter(lambda self, value: (rates.append(value), assign(self, value))[1])
    monkeypatch.setattr(Adam, "learning_rate", recorded)
    assert main(train(digits, tmp_path / "run", "--learning-rate", "0.004")) == 0
    recipe = Recipe(learning_rate=0.004)
    assert rates == [recipe.rate((step + 0.5) / 16) for step in range(16)]  # 2 epochs of 400 / 50 steps


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(("model", "other"), [("mnist-transformer", "mnist-lstm"), ("mnist-lstm", "mnist-cnn")])
def test_other_networks(model: str, other: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = [*train(digits, out), "--epochs", "8", "--batch-size", "25", "--learning-rate", "0.002", "--json"]
    arguments[1] = model
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == model
    assert result["test_accuracy"] > 0.5  # a guess is right once in ten
    assert main(["evaluate", str(out), "--data", str(digits), "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["test_accuracy"] == result["test_accuracy"]
    assert evaluated["test_loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    assert main(["predict", str(out), str(digits / f"{PARTS[2]}-ubyte"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 100

    before = (out / "checkpoint.safetensors").read_bytes()
    assert main([*arguments, "--resume"]) == 0
    assert json.loads(capsys.readouterr().out) == result
    arguments[1] = other
    assert main([*arguments, "--resume"]) == 1
    assert f"of a run of {model}; expected one of {other}" in capsys.readouterr().err
    assert (out / "checkpoint.safetensors").read_bytes() == before


# ---- The folder of a run -----------------------------------------------------------------------------------


def test_an_earlier_run_moves_aside(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    histories = []
    for seed in "123":
        assert main(train(digits, out, "--epochs", "1", "--seed", seed)) == 0
        histories.append((out / "history.csv").read_text())
        if seed == "1":
            (out / "notes.txt").write_text("mine")
    assert "run.2" in capsys.readouterr().err
    for folder, history in zip((tmp_path / "run.1", tmp_path / "run.2", out), histories):
        assert (folder / "history.csv").read_text() == history
        assert {*FILES} <= {*os.listdir(folder)}
    models = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "run.1", tmp_path / "run.2", out)]
    assert len(set(models)) == 3
    assert (out / "notes.txt").read_text() == "mine"


def test_a_working_folder_can_be_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for moved in (None, tmp_path / "work.1"):
        with RunFolder(Path(), ["a"]) as folder:
            assert folder.moved_to == moved
    assert (work / "history.csv").exists()


def test_two_runs_never_share_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # the other run starts right after this look
    with RunFolder(tmp_path, ["a"]), pytest.raises(OSError, match="File exists"):
        RunFolder(tmp_path, ["b"])
    assert (tmp_path / "history.csv").read_text() == "a\n"


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nothing/here"])
def test_a_folder_that_cannot_be_written_fails_before_training(
    out: str,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fit(*arguments: object, **keywords: object) -> None:
        pytest.fail("training began")

    monkeypatch.setattr(fastnn.Sequential, "fit", fit)
    (tmp_path / "file").write_text("mine")
    assert main(train(digits, tmp_path / out)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(f"fastnn: error: --out {tmp_path / out}: ")
    assert "Traceback" not in captured.err
    assert (tmp_path / "file").read_text() == "mine"


# ---- Failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_data_fails_with_the_reason(
    damage: str, part: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in digits.iterdir():
        content = file.read_bytes()
        if file.name != f"{part}-ubyte":
            (data / file.name).write_bytes(content)
        elif damage == "truncated":
            (data / file.name).write_bytes(content[:-1])
    assert main(train(data, tmp_path / "run")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fastnn: error: ")
    assert part in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"size": 32}, "images of shape (400, 32, 32)"),
        ({"classes": 12}, "a training label is 11; expected 0 to 9"),
        ({"test": 0}, "test images of shape (0, 28, 28)"),
    ],
)
def test_data_of_another_form_is_refused(
    keywords: dict[str, int], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_digits(tmp_path / "data", **keywords)
    assert main(train(data, tmp_path / "run")) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(tmp_path / "nothing", tmp_path / "run", "--debug")) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("fastnn: error: ")


def test_training_that_diverges_fails(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(digits, tmp_path / "run", "--learning-rate", "1e30")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("fastnn: error: training stopped: ")
    assert "learning rate" in last
    assert "Traceback" not in captured.err
    assert (tmp_path / "run" / "history.csv").read_text().startswith(",".join(COLUMNS))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as usual, also where it is ignored and every child ignores it too: behind a shell that runs the tests with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_the_history(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "fastnn", *train(digits, out, "--epochs", "1000000")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        history = out / "history.csv"
        while not (history.exists() and history.read_text().count("\n") >= 3):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last.startswith("fastnn: interrupted in epoch ")
    assert str(history) in last
    assert last.endswith("; --resume goes on")
    rows = list(csv.DictReader(history.read_text().splitlines()))
    assert len(rows) >= 2
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_destructor_is_not_lost(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Dropped:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("fastnn.cli.train._Schedule.on_epoch_begin", lambda *_, **__: Dropped() and None)
    before = signal.getsignal(signal.SIGINT)
    assert main(train(digits, tmp_path / "run", "--epochs", "3")) == 130
    assert "fastnn: interrupted in epoch 1 of 3" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_without_the_extras_training_still_works(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "run"
    assert main(train(digits, out, "--epochs", "1", "--json")) == 0
    captured = capsys.readouterr()
    assert "no live progress bar and no pictures: tqdm and matplotlib not installed" in captured.err
    assert "pip install '.[cli]'" in captured.err
    assert json.loads(captured.out)["files"] == [str(out / name) for name in FILES[:3]]
    assert sorted(os.listdir(out)) == sorted(FILES[:3])


# ---- The pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 3, 50])
def test_curves_of_any_length_are_drawn(epochs: int, tmp_path: Path) -> None:
    falling = [1.0 / (epoch + 1) for epoch in range(epochs)]
    rising = [1.0 - 0.5 * loss for loss in falling]
    path = tmp_path / "curves.png"
    curves.draw(path, "title", loss=falling, accuracy=rising, test_loss=falling, test_accuracy=rising)
    width, height = struct.unpack(">2I", path.read_bytes()[16:24])
    assert width >= 1000
    assert height >= 500


def guesses(true: np.ndarray, read: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Probabilities of ten classes that are largest for what is read."""
    probabilities = np.repeat((1.0 - sure[:, None]) / 9, 10, axis=1)
    probabilities[np.arange(len(true)), read] = sure
    return probabilities


def test_confusions_are_counted() -> None:
    rng = np.random.default_rng(0)
    true, read = rng.integers(0, 10, (2, 500))
    counts = confusion.matrix(true.astype(np.uint8), read, 10)
    for i in range(10):
        for j in range(10):
            assert counts[i, j] == np.sum((true == i) & (read == j))


@pytest.mark.parametrize("kind", ["perfect", "random", "large", "one class", "one image"])
def test_confusions_of_any_kind_are_drawn(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = {
        "perfect": np.diag(rng.integers(1, 1000, 10)),
        "random": rng.integers(0, 20, (10, 10)),
        "large": rng.integers(0, 100_000, (10, 10)),
        "one class": np.outer(np.eye(10, dtype=np.int64)[3], rng.integers(0, 9, 10)),
        "one image": np.outer(np.eye(10, dtype=np.int64)[3], np.eye(10, dtype=np.int64)[5]),
    }[kind]
    confusion.draw(tmp_path / "confusion.png", counts)
    texts = drawn_texts(lambda path: confusion.draw(path, counts), tmp_path)
    right, images = np.trace(counts), counts.sum()
    assert f"{right / images:.2%} test accuracy" in texts
    assert f"{images - right:,} of {images:,} images read wrong" in texts
    for count in counts[counts > 0]:
        assert f"{count:,}" in texts
    assert texts.count("–") == np.sum(counts.sum(axis=0) == 0) + np.sum(counts.sum(axis=1) == 0)


@pytest.mark.parametrize("wrong", [0, 1, 3, 9, 40, 60])
def test_mistakes_are_drawn_the_surest_first(wrong: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(wrong)
    true = rng.integers(0, 10, 100)
    read = true.copy()
    where = rng.permutation(100)[:wrong]
    read[where] = (true[where] + rng.integers(1, 10, wrong)) % 10
    probabilities = guesses(true, read, rng.uniform(0.2, 1.0, 100))
    images = rng.integers(0, 256, (100, 28, 28), dtype=np.uint8)
    texts = drawn_texts(lambda path: mistakes.draw(path, images, true, probabilities), tmp_path)
    titles = {0: "No mistakes", 1: "1 mistake in 100 test images", 60: "The 40 surest of 60 mistakes in 100 test images"}
    assert texts[0] == titles.get(wrong, f"{wrong} mistakes in 100 test images")
    surest = sorted(where, key=lambda index: -probabilities[index].max())[:40]
    assert [text for text in texts if text.startswith("true ")] == [f"true {true[i]}, read {read[i]}" for i in surest]
    assert [text for text in texts if text.endswith(" %")] == [f"{100 * probabilities[i].max():.0f} %" for i in surest]


def drawn_texts(draw: Callable[[Path], None], folder: Path) -> list[str]:
    """What is written in a picture; and that it is all inside, and no two words lie on each other."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures_module, "save", lambda figure, path: figures.append(figure))
        for module in (confusion, mistakes):
            patch.setattr(module, "save", figures_module.save)
        draw(folder / "unused.png")
    (figure,) = figures
    texts = [text for panel in figure.axes for text in panel.texts]
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]
    for i, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, texts[i].get_text()
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, texts[i].get_text()
        assert not any(box.overlaps(other) for other in boxes[:i]), texts[i].get_text()
    return [text.get_text() for text in texts]


@pytest.mark.parametrize("name", ["curves.png", "confusion.png", "mistakes.png"])
def test_pictures_never_overwrite(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    draw = {
        "curves.png": lambda: curves.draw(path, "title", loss=[1.0], accuracy=[0.0], test_loss=[1.0], test_accuracy=[0.0]),
        "confusion.png": lambda: confusion.draw(path, np.eye(10, dtype=np.int64)),
        "mistakes.png": lambda: mistakes.draw(path, np.zeros((1, 28, 28), np.uint8), np.array([1]), np.eye(10)[:1]),
    }[name]
    with pytest.raises(FileExistsError):
        draw()
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == [name]
