"""`fastnn train --resume`: a run that was killed at any moment ends as one that never was."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, saving
from fastnn.callbacks import BackupAndRestore
from fastnn.cli import gpt, main, train
from fastnn.text import RandomWindows
from test_cli import FILES, write_digits
from test_cli_gpt import FILES as TEXT_FILES
from test_cli_gpt import SMALL, WORDS

KILLS = int(os.environ.get("FASTNN_KILLS", "20"))
PICTURES = FILES[3:]
EPOCHS, BATCH, IMAGES = 3, 50, 300
STEPS = IMAGES // BATCH
FLAGS = ["--epochs", str(EPOCHS), "--batch-size", str(BATCH), "--seed", "5"]
ITERATIONS = 24  # eight parts of three
TEXT_FLAGS = [*SMALL, "--iterations", str(ITERATIONS), "--dropout", "0.1", "--seed", "5"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits", train=IMAGES, test=60)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(command(out, "--data", str(data), *FLAGS)) == 0
    return out


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def command(out: Path, *more: str) -> list[str]:
    return ["train", "mnist-cnn", "--out", str(out), *more]


def numbers(out: Path) -> list[list[str]]:
    """The history without the seconds."""
    rows = list(csv.reader((out / "history.csv").read_text().splitlines()))
    assert rows[0][-1] == "seconds"
    seconds = [float(row[-1]) for row in rows[1:]]
    assert seconds == sorted(seconds) and seconds[0] > 0.0
    return [row[:-1] for row in rows]


def assert_same_run(out: Path, whole: Path, pictures: bool = True, files: tuple[str, ...] = FILES) -> None:
    wanted = [name for name in files if pictures or not name.endswith(".png")]
    assert sorted(os.listdir(out)) == sorted(wanted)
    assert numbers(out) == numbers(whole)
    for name in wanted:
        if name not in ("history.csv", "checkpoint.safetensors"):  # which have seconds
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost seconds."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the next runs be interrupted, as by Ctrl-C, before that step."""

    def set_stop(step: int) -> None:
        set_rate = train._Schedule.on_train_batch_begin

        def hook(self: Any, batch: int, logs: Any = None) -> None:
            if self._epoch * self._steps + batch == step:
                monkeypatch.setattr(train._Schedule, "on_train_batch_begin", set_rate)
                raise KeyboardInterrupt
            set_rate(self, batch, logs)

        monkeypatch.setattr(train._Schedule, "on_train_batch_begin", hook)

    return set_stop


# ---- Interrupted and resumed -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("seconds", [30.0, 1e-6])
@pytest.mark.parametrize("step", [STEPS, STEPS + 3, 3 * STEPS - 1])
def test_the_same_bits_as_without_a_stop(
    step: int, seconds: float, stop: Any, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With checkpoints after each epoch, and after each step."""
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", seconds)
    out = tmp_path / "run"
    stop(step)
    assert main(command(out, "--data", str(data), *FLAGS)) == 130
    at = saving.read_checkpoint(out / "checkpoint.safetensors")["fit"]
    assert at["epoch"] * STEPS + at["step"] == (step if seconds < 1 else step // STEPS * STEPS)
    assert main(command(out, "--resume", "--threads", "2")) == 0
    assert_same_run(out, whole, pictures=False)


@pytest.mark.usefixtures("without_pictures")
def test_messages(stop: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    stop(2)
    assert main(command(out, "--data", str(data), *FLAGS)) == 130
    error = capsys.readouterr().err.splitlines()[-1]
    where = f"the history of 0 finished epochs is in {out / 'history.csv'}"
    assert error == f"fastnn: interrupted in epoch 1 of 3; {where}; --resume goes on"
    (out / "checkpoint.safetensors").unlink()
    stop(STEPS + 2)
    assert main(command(out, "--data", str(data), *FLAGS, "--resume")) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"fastnn: no checkpoint.safetensors in {out}: this is a new run"
    assert f"fastnn: the earlier run in {out} is now in {out}.1" in lines
    assert lines[-1].endswith(f"the history of 1 finished epoch is in {out / 'history.csv'}; --resume goes on")
    assert main(command(out, "--resume")) == 0
    captured = capsys.readouterr()
    assert "fastnn: resuming in epoch 2 of 3" in captured.err.splitlines()
    assert "Epoch 1/3" not in captured.err
    assert "Epoch 3/3" in captured.err
    assert "3 epochs in" in captured.out


@pytest.mark.usefixtures("without_pictures")
def test_seconds_are_those_of_all_parts(
    stop: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a clock that goes on by one second whenever somebody looks, and is another one in each process."""
    from types import SimpleNamespace

    from fastnn.cli import record

    now = 0.0

    def perf_counter() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(record, "time", SimpleNamespace(perf_counter=perf_counter))
    out = tmp_path / "run"
    stop(STEPS + 2)
    assert main(command(out, "--data", str(data), *FLAGS)) == 130
    kept = saving.read_checkpoint(out / "checkpoint.safetensors")["callbacks"]["Record"]
    # The clock is looked at for the first checkpoint, as the epoch begins, and after each step and the epoch.
    assert kept["training_seconds"] == STEPS
    assert kept["rows"][0]["seconds"] == STEPS + 3
    now = 1e6
    assert main(command(out, "--resume", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["images_per_second"] == pytest.approx(IMAGES * EPOCHS / (STEPS * EPOCHS))
    seconds = [row["seconds"] for row in saving.read_checkpoint(out / "checkpoint.safetensors")["callbacks"]["Record"]["rows"]]
    assert result["seconds"] == seconds[-1]
    assert np.all(np.diff(seconds) >= STEPS) and seconds[-1] < 5 * STEPS


def test_a_history_that_was_torn_is_made_whole(stop: Any, whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stop(2 * STEPS + 1)
    assert main(command(out, "--data", str(data), *FLAGS)) == 130
    with (out / "history.csv").open("a") as file:
        file.write("3,0.1")
    (out / ".fastnn-123456789.tmp").write_bytes(b"half a checkpoint")
    assert main(command(out, "--resume")) == 0
    assert_same_run(out, whole)


def test_ctrl_c_while_pictures_are_drawn(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.confusion, "draw", interrupt)
        assert main(command(out, "--data", str(data), *FLAGS)) == 130
    assert "interrupted after the training; --resume writes the files that are missing" in capsys.readouterr().err
    curves = (out / "curves.png").stat().st_mtime_ns
    assert main(command(out, "--resume")) == 0
    assert (out / "curves.png").stat().st_mtime_ns == curves
    assert_same_run(out, whole)


# ---- What contradicts the checkpoint -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "7"], "--epochs 7 contradicts the checkpoint's 3; leave it out, or train into another --out"),
        (["--batch-size", "51"], "--batch-size 51 contradicts the checkpoint's 50; leave"),
        (["--learning-rate", "0.0031"], "--learning-rate 0.0031 contradicts the checkpoint's 0.003; leave"),
        (["--seed", "0", "--epochs", "3"], "--seed 0 contradicts the checkpoint's 5; leave"),
    ],
)
@pytest.mark.parametrize("ended", [False, True])
def test_flags_that_contradict(
    ended: bool,
    flags: list[str],
    words: str,
    stop: Any,
    whole: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    if ended:
        shutil.copytree(whole, out)
    else:
        stop(STEPS + 1)
        assert main(command(out, "--data", str(data), *FLAGS)) == 130
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    assert main(command(out, "--resume", *flags)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"fastnn: error: {words}")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_same_flags_are_no_contradiction(finished: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(finished, "--resume", "--data", str(data), *FLAGS, "--learning-rate", "0.003", "--threads", "1")) == 0


@pytest.mark.parametrize("what", ["other images", "other labels", "fewer images"])
def test_other_data_are_refused(what: str, stop: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used, out = tmp_path / "used", tmp_path / "run"
    shutil.copytree(data, used)
    stop(STEPS + 1)
    assert main(command(out, "--data", str(used), *FLAGS)) == 130
    if what == "fewer images":
        shutil.rmtree(used)
        write_digits(used, train=IMAGES - 1, test=60)
    else:
        part = used / ("train-images-idx3-ubyte" if what == "other images" else "t10k-labels-idx1-ubyte")
        content = bytearray(part.read_bytes())
        content[-1] ^= 1
        part.write_bytes(content)
    before = (out / "checkpoint.safetensors").read_bytes()
    capsys.readouterr()
    for more in (["--data", str(used)], []):
        assert main(command(out, "--resume", *more)) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"fastnn: error: --data {used}: ")
        assert "not what the checkpoint was trained on; expected 300 training and 60 test images of" in error
    assert (out / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.usefixtures("without_pictures")
def test_data_may_move(stop: Any, whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, out = tmp_path / "first", tmp_path / "second", tmp_path / "run"
    shutil.copytree(data, first)
    stop(STEPS + 1)
    assert main(command(out, "--data", str(first), *FLAGS)) == 130
    first.rename(second)
    capsys.readouterr()
    assert main(command(out, "--resume")) == 1
    assert f"no folder {first}" in (error := capsys.readouterr().err)
    assert "if the run's data have moved, name their folder with --data" in error
    stop(2 * STEPS + 1)
    assert main(command(out, "--resume", "--data", str(second))) == 130
    assert main(command(out, "--resume")) == 0  # the checkpoint knows the new place
    assert_same_run(out, whole, pictures=False)


@pytest.mark.usefixtures("without_pictures")
def test_a_relative_path_holds_anywhere(
    stop: Any, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    stop(STEPS + 1)
    assert main(command(tmp_path / "run", "--data", data.name, *FLAGS)) == 130
    monkeypatch.chdir(tmp_path)
    assert main(command(Path("run"), "--resume")) == 0
    assert_same_run(tmp_path / "run", whole, pictures=False)


@pytest.mark.parametrize("damage", ["truncated", "text", "folder", "another program", "a model"])
def test_checkpoints_that_are_none(damage: str, finished: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished / "checkpoint.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "another program":
        model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
        model.compile(loss="mse")
        backup = BackupAndRestore(finished, delete_checkpoint=False)
        model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=backup, verbose=0)
    elif damage == "a model":
        shutil.copy(finished / "model.safetensors", path)
    else:
        path.write_bytes(content[:-10] if damage == "truncated" else b"hello, this is no checkpoint")
    assert main(command(finished, "--resume")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(path) in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.skipif(len(_core.available_isas()) < 2, reason="needs two instruction sets")
def test_another_instruction_set_is_told(stop: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop(STEPS + 1)
    assert main(command(tmp_path / "run", "--data", str(data), *FLAGS)) == 130
    before = _core.isa()
    _core._use_isa(other := next(isa for isa in _core.available_isas() if isa != before))
    assert main(command(tmp_path / "run", "--resume", "--json")) == 0
    captured = capsys.readouterr()
    assert f"the run began with {before}: with {other} it can end with other bits" in captured.err
    assert json.loads(captured.out)["isa"] == other


# ---- A run that has ended ----------------------------------------------------------------------------------------------------


def test_a_finished_run_returns_at_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moving, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, moving)
    assert main(command(out, "--data", str(moving), *FLAGS, "--threads", "2", "--json")) == 0
    result = capsys.readouterr().out
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    shutil.rmtree(moving)  # it is not even looked at

    def fit(*arguments: object, **keywords: object) -> None:
        pytest.fail("training began")

    monkeypatch.setattr(fastnn.Sequential, "fit", fit)
    for more in ([], ["--data", str(moving), "--threads", "1"]):
        assert main(command(out, "--resume", "--json", *more)) == 0
        captured = capsys.readouterr()
        assert captured.out == result
        assert captured.err == f"fastnn: the run in {out} has ended before\n"
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


@pytest.mark.parametrize("lost", [["model.safetensors"], ["confusion.png"], ["history.csv", "curves.png"], list(PICTURES)])
def test_what_a_finished_run_lacks_is_written(
    lost: list[str], finished: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(finished, "--resume", "--json")) == 0
    result = capsys.readouterr().out
    for name in lost:
        (finished / name).unlink()
    assert main(command(finished, "--resume", "--json", "--threads", "1")) == 0
    captured = capsys.readouterr()
    assert captured.out == result
    assert "fastnn: the training has ended before" in captured.err.splitlines()
    for name in FILES:
        if name != "checkpoint.safetensors":
            assert (finished / name).read_bytes() == (whole / name).read_bytes()


def test_without_matplotlib_a_finished_run_lacks_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PICTURES:
        (finished / name).unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(command(finished, "--resume", "--json")) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["files"] == [str(finished / name) for name in FILES[:3]]
    assert captured.err == f"fastnn: the run in {finished} has ended before\n"


# ---- Text --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text(" ".join(np.random.default_rng(0).choice(WORDS, 500)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole_text(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a text that was never interrupted."""
    out = tmp_path_factory.mktemp("whole-text") / "run"
    assert main(text_command(out, "--text", str(corpus), *TEXT_FLAGS)) == 0
    return out


def text_command(out: Path, *more: str) -> list[str]:
    return ["train", "gpt", "--out", str(out), *more]


@pytest.fixture
def stop_text(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the next run on a text be interrupted before that iteration."""

    def set_stop(iteration: int) -> None:
        windows = RandomWindows.__next__

        def stop(self: Any) -> Any:
            if self.get_state()["step"] == iteration:
                monkeypatch.setattr(RandomWindows, "__next__", windows)
                raise KeyboardInterrupt
            return windows(self)

        monkeypatch.setattr(RandomWindows, "__next__", stop)

    return set_stop


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("seconds", [30.0, 1e-6])
@pytest.mark.parametrize("iteration", [0, 6, 13, ITERATIONS - 1])
def test_text_gives_the_same_bits_as_without_a_stop(
    iteration: int,
    seconds: float,
    stop_text: Any,
    whole_text: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gpt, "_CHECKPOINT_SECONDS", seconds)
    out = tmp_path / "run"
    stop_text(iteration)
    assert main(text_command(out, "--text", str(corpus), *TEXT_FLAGS)) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("; --resume goes on")
    at = saving.read_checkpoint(out / "checkpoint.safetensors")["fit"]
    assert at["epoch"] * 3 + at["step"] == (iteration if seconds < 1 else iteration // 3 * 3)
    assert main(text_command(out, "--resume", "--threads", "2")) == 0
    assert f"resuming behind iteration {iteration // 3 * 3} of 24" in capsys.readouterr().err
    assert_same_run(out, whole_text, pictures=False, files=TEXT_FILES)


def test_a_text_that_is_resumed_twice(stop_text: Any, whole_text: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stop_text(7)
    assert main(text_command(out, "--text", str(corpus), *TEXT_FLAGS)) == 130
    stop_text(11)
    assert main(text_command(out, "--resume")) == 130
    assert main(text_command(out, "--resume", "--text", str(corpus), *TEXT_FLAGS)) == 0
    assert_same_run(out, whole_text, files=TEXT_FILES)


def test_a_finished_run_on_a_text(
    whole_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(whole_text, tmp_path / "run"))
    assert main(text_command(out, "--resume", "--json")) == 0
    captured = capsys.readouterr()
    assert captured.err == f"fastnn: the run in {out} has ended before\n"
    result = json.loads(captured.out)
    assert result["files"] == [str(out / name) for name in TEXT_FILES]
    model = fastnn.load_model(out / "model.safetensors")
    assert (result["parameters"], result["iterations"]) == (model.count_params(), ITERATIONS)
    for name in ("model.safetensors", "tokenizer.json", "curves.png"):
        (out / name).unlink()
    assert main(text_command(out, "--resume", "--json")) == 0
    captured = capsys.readouterr()
    assert "fastnn: the training has ended before" in captured.err.splitlines()
    assert json.loads(captured.out) == result
    assert_same_run(out, whole_text, files=TEXT_FILES)


def test_what_contradicts_a_checkpoint_of_text(
    stop_text: Any, corpus: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used, out = tmp_path / "used.txt", tmp_path / "text-run"
    shutil.copy(corpus, used)
    stop_text(7)
    assert main(text_command(out, "--text", str(used), *TEXT_FLAGS)) == 130
    used.write_text("x" + used.read_text(encoding="utf-8")[1:], encoding="utf-8")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    characters = len(corpus.read_text(encoding="utf-8"))
    for arguments, words in (
        (text_command(out, "--iterations", "25"), "--iterations 25 contradicts the checkpoint's 24; leave it out"),
        (text_command(out, "--dropout", "0"), "--dropout 0.0 contradicts the checkpoint's 0.1; leave"),
        (text_command(out), f"--text {used}: {characters:,} characters of {used}"),
        (text_command(out, "--text", str(corpus), "--width", "32"), "--width 32 contradicts the checkpoint's 16"),
        (text_command(finished), "checkpoint.safetensors: a checkpoint of another program (no 'TextRecord')"),
        (command(out), "checkpoint.safetensors: a checkpoint of another program (no 'Record')"),
    ):
        capsys.readouterr()
        assert main([*arguments, "--resume"]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert words in error
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    used.unlink()
    assert main(text_command(out, "--resume")) == 1
    assert f"--text {used}: No such file" in capsys.readouterr().err
    assert main(text_command(out, "--resume", "--text", str(corpus))) == 0  # wherever the same text lies


# ---- Killed at any moment ----------------------------------------------------------------------------------------------------


class Children:
    """Children of tests/killed_runs.py."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("killed_runs.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen([sys.executable, str(script)], text=True, env=environment, **pipes)  # type: ignore[call-overload]

    def run(self, arguments: list[str], log: Path, pictures: bool, **moment: Any) -> dict[str, Any]:
        request = {"arguments": arguments, "log": str(log), "pictures": pictures, **moment}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def close(self) -> None:
        self._server.stdin.close()
        self._server.stdout.close()
        assert self._server.wait(timeout=60) == 0


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", ["mnist-cnn", "gpt"])
def test_killed_at_any_moment(
    model: str, children: Children, data: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs are killed and resumed again and again. The moments are calls of functions anywhere in the run, the middle of
    writing a file, and, for what lies within a call, the clock."""
    rng = np.random.default_rng(KILLS)
    files = TEXT_FILES if model == "gpt" else FILES
    begin = ["--text", str(corpus), *TEXT_FLAGS] if model == "gpt" else ["--data", str(data), *FLAGS]

    def command(out: Path, *more: str) -> list[str]:
        return ["train", model, "--out", str(out), *more]

    begin.append("--json")
    log = tmp_path / "log"
    whole: dict[bool, Any] = {}
    for pictures in (False, True):
        out = tmp_path / f"whole-{pictures}"
        answer = children.run(command(out, *begin), log, pictures)
        assert answer["status"] == 0, log.read_text()
        whole[pictures] = out, answer["counted"], json.loads(log.read_text().splitlines()[-1])
    calls = whole[True][1]
    assert calls["calls"] > calls["training"] > {"mnist-cnn": 10_000, "gpt": 5_000}[model]  # each of them a moment

    checkpoint = (whole[True][0] / "checkpoint.safetensors").stat().st_size
    killed = in_writing = runs = 0
    while killed < KILLS:
        runs += 1
        out, pictures = tmp_path / f"run-{runs}", runs % 3 == 0
        arguments = command(out, *begin)
        died = True
        while died:
            moment: dict[str, Any] = {}
            kind = rng.random()
            if killed >= KILLS:
                pass  # to the end
            elif kind < 0.2:
                moment["seconds"] = rng.uniform(0.0, 1.2 * whole[False][2]["seconds"])
            else:
                moment["calls"] = int(rng.integers(1, calls["calls"] if pictures and kind > 0.7 else calls["training"]))
                if kind < 0.5:
                    moment["size"] = int(checkpoint ** rng.uniform(0.5, 1.0))  # pictures are smaller, and the history
            answer = children.run(arguments, log, pictures, **moment)
            died = answer["status"] < 0
            killed += died
            in_writing += died and "size" in moment
            assert died or answer["status"] == 0, log.read_text()
            arguments = command(out, *begin, "--resume")
        reference, _, result = whole[pictures]
        assert_same_run(out, reference, pictures, files)
        changing = ("seconds", "images_per_second", "tokens_per_second", "files")
        told = json.loads(log.read_text().splitlines()[-1])
        assert {k: v for k, v in told.items() if k not in changing} == {k: v for k, v in result.items() if k not in changing}
        shutil.rmtree(out)
    assert runs >= max(2, KILLS // 15)
    assert in_writing > KILLS // 20
    with capsys.disabled():
        print(f"[{killed} kills, {in_writing} of them in the middle of a file, in {runs} runs]", end=" ")
