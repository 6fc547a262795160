"""`fastnn train gpt`: what it learns, prints and leaves, and how it fails."""

from __future__ import annotations

import csv
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import text as texts
from fastnn.cli import gpt, main
from fastnn.cli.recipe import GPTRecipe
from fastnn.schedules import CosineDecay

FILES = ("history.csv", "model.safetensors", "checkpoint.safetensors", "tokenizer.json", "curves.png")
SMALL = ["--layers", "1", "--heads", "2", "--width", "16", "--context", "8", "--batch-size", "8", "--learning-rate", "0.01"]
WORDS = ("the", "cat", "sat", "on", "mat,", "and", "naïve", "dogs", "ran.\n")


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = fastnn.num_threads()
    yield
    fastnn.set_num_threads(threads)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = random.Random(0)
    path = tmp_path / "corpus.txt"
    path.write_bytes(" ".join(rng.choice(WORDS) for _ in range(1000)).encode())
    return path


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost seconds."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def command(corpus: Path | None, out: Path, *more: str) -> list[str]:
    return ["train", "gpt", *(() if corpus is None else ("--text", str(corpus))), "--out", str(out), *SMALL, *more]


def test_training_ends_with_one_json_object(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "run"
    more = ["--iterations", "200", "--dropout", "0.05", "--seed", "3", "--threads", "2", "--json"]
    assert main(command(corpus, out, *more)) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    result = json.loads(line)
    content = corpus.read_text(encoding="utf-8")
    held_out = len(content) // 10
    assert result["model"] == "gpt"
    assert result["validation_loss"] < 1.9 < np.log(len(set(content)))
    assert result["validation_perplexity"] == pytest.approx(np.exp(result["validation_loss"]))
    assert result["seconds"] > 0.0
    assert result["tokens_per_second"] >= 200 * 8 * 8 / result["seconds"]  # the seconds have evaluations too
    asked = {"layers": 1, "heads": 2, "width": 16, "context": 8, "batch_size": 8, "iterations": 200, "dropout": 0.05}
    asked |= {"learning_rate": 0.01, "seed": 3, "threads": 2}
    assert {name: result[name] for name in asked} == asked
    assert result["vocabulary"] == len(set(content))
    assert (result["training_tokens"], result["validation_tokens"]) == (len(content) - held_out, held_out)
    assert result["files"] == [str(out / name) for name in FILES]
    assert sorted(os.listdir(out)) == sorted(FILES)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG\r\n")

    header, *rows = csv.reader((out / "history.csv").read_text().splitlines())
    assert header == ["iteration", "loss", "validation_loss", "seconds"]
    assert [row[0] for row in rows] == [str(n) for n in range(25, 201, 25)]
    assert float(rows[-1][2]) == result["validation_loss"] < float(rows[0][2])

    # What was left is the model that was measured: its loss, written out.
    model = fastnn.load_model(out / "model.safetensors")
    assert model.count_params() == result["parameters"]
    tokenizer = texts.load_tokenizer(out / "tokenizer.json")
    tokens = tokenizer.encode(content[-held_out:]).astype(np.int64)
    count = (held_out - 1) // 8
    x, y = tokens[: 8 * count].reshape(-1, 8), tokens[1 : 8 * count + 1]
    logits = model.predict(x).reshape(-1, tokenizer.size).astype(np.float64)
    loss = np.mean(np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(y)), y])
    assert loss == pytest.approx(result["validation_loss"], rel=1e-5)

    for words in (f"{held_out:,} to validate on", str(corpus), "200 iterations", "batch size 8", "seed 3", "2 threads", "0.01"):
        assert words in captured.err


@pytest.mark.usefixtures("without_pictures")
def test_the_default_text_is_pythons_documentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pydoc_data.topics")
    out = tmp_path / "run"
    assert main(command(None, out, "--iterations", "3")) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    loss = list(csv.DictReader((out / "history.csv").read_text().splitlines()))[-1]["validation_loss"]
    assert lines[0].startswith(f"validation loss  {float(loss):.4f}")
    assert "3 iterations in" in lines[1]
    assert [line.split()[-1] for line in lines[2:]] == [str(out / name) for name in FILES[:4]]
    assert "Python's documentation" in captured.err and "no pictures" in captured.err


@pytest.mark.usefixtures("without_pictures")
def test_the_seed_decides_and_threads_do_not(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for number, (seed, threads) in enumerate((("1", "1"), ("1", "2"), ("2", "2"))):
        more = ["--iterations", "7", "--dropout", "0.1", "--seed", seed, "--threads", threads, "--json"]
        assert main(command(corpus, tmp_path / str(number), *more)) == 0
        losses.append(json.loads(capsys.readouterr().out)["validation_loss"])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.usefixtures("without_pictures")
def test_an_earlier_run_moves_aside(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    for seed in "12":
        assert main(command(corpus, out, "--iterations", "1", "--seed", seed)) == 0
    assert "run.1" in capsys.readouterr().err
    for folder in (out, tmp_path / "run.1"):
        assert sorted(os.listdir(folder)) == sorted(FILES[:4])


def test_the_recipe_is_what_it_says() -> None:
    recipe = GPTRecipe()
    optimizer = gpt._optimizer(recipe)
    rates = np.array([float(optimizer._schedule(step)) for step in range(2000)])  # type: ignore[misc]
    steps = np.arange(2000)
    rise = 1e-3 * (steps + 1) / 101
    fall = 1e-4 + 9e-4 * (1 + np.cos(np.pi * (steps - 100) / 1900)) / 2
    np.testing.assert_allclose(rates, np.where(steps < 100, rise, fall), rtol=1e-6)
    assert isinstance(gpt._optimizer(GPTRecipe(iterations=1))._schedule, CosineDecay)
    model = fastnn.models.GPT(fastnn.models.GPTConfig(vocabulary=5, context=4, layers=2, heads=2, width=8))
    model.build((None, 4))
    decays = dict(zip(model.named_weights(), optimizer._decay(model.trainable_variables)))
    matrices = {name for name in decays if name.rsplit("/")[-1] in ("kernel", "embeddings", "position_embeddings")}
    assert {name for name, decay in decays.items() if decay == 0.1} == matrices
    assert {decay for name, decay in decays.items() if name not in matrices} == {0.0}
    assert [GPTRecipe(iterations=n).evaluations for n in (1, 7, 11, 100, 2000)] == [1, 7, 1, 5, 8]


# ---- Failures ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--iterations", "0"], "--iterations: 0; expected a whole number, at least 1"),
        (["--heads", "0"], "--heads: 0; expected"),
        (["--layers", "two"], "--layers: two; expected"),
        (["--context", "-1"], "--context: -1; expected"),
        (["--width", "0"], "--width: 0; expected"),
        (["--batch-size", "0"], "--batch-size: 0; expected"),
        (["--dropout", "1"], "--dropout: 1; expected a number from 0 to below 1"),
        (["--dropout", "nan"], "--dropout: nan; expected"),
        (["--learning-rate", "0"], "--learning-rate: 0; expected"),
        (["--threads", "0"], "--threads: 0; expected"),
        (["--seed", "-1"], "--seed: -1; expected"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "gpt", *arguments])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.splitlines()[-1]


def test_help_shows_the_defaults_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "gpt", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for default in vars(GPTRecipe()).values():
        assert f"(default: {default})" in shown


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (b"good so far\n\xff", [], "corpus.txt: the byte 0xFF at offset 12 is no UTF-8"),
        (b"", [], "corpus.txt: 0 characters, of which 0 are held out; expected more than the context of 8"),
        (b"x" * 89, [], "corpus.txt: 89 characters, of which 8 are held out"),
        (b"x" * 500, ["--context", "64"], "of which 50 are held out; expected more than the context of 64"),
        (b"x" * 500, ["--heads", "3"], "--heads 3 for --width 16; expected a number that divides the width"),
        (None, [], "--text {path}: No such file or directory; expected a text in UTF-8"),
        ("folder", [], "--text {path}: Is a directory; expected a text in UTF-8"),
    ],
)
def test_bad_input_fails_before_training(
    content: Any, more: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "corpus.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    assert main(command(path, tmp_path / "run", "--iterations", "2", *more)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("fastnn: error: ")
    assert words.format(path=path) in line
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("without_pictures")
def test_training_that_diverges_fails(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(corpus, tmp_path / "run", "--iterations", "40", "--learning-rate", "1e37")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("fastnn: error: training stopped: ")
    assert "iterations is in" in captured.err.splitlines()[-1]


@pytest.mark.usefixtures("without_pictures")
def test_ctrl_c_keeps_the_history(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    windows = texts.RandomWindows.__next__

    def stop(self: Any) -> Any:
        if self._step == 12:
            raise KeyboardInterrupt
        return windows(self)

    monkeypatch.setattr(texts.RandomWindows, "__next__", stop)
    assert main(command(corpus, out, "--iterations", "40")) == 130
    where = out / "history.csv"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"fastnn: interrupted before iteration 40; the history of 10 iterations is in {where}; --resume goes on"
    assert [row[0] for row in csv.reader(where.read_text().splitlines())] == ["iteration", "5", "10"]


@pytest.mark.parametrize(("parts_behind", "step"), [(0, 8), (1, 8), (2, 1)])
def test_the_curve_is_of_a_sample_and_the_result_of_all_that_was_held_out(parts_behind: int, step: int) -> None:
    windows = texts.Windows(np.arange(321), context=4, batch_size=2)  # 40 batches, of 8 tokens each
    record: Any = SimpleNamespace(rows=[{}] * parts_behind, epochs=3, recipe=GPTRecipe())
    firsts = [int(x[0, 0]) for x, _ in gpt._HeldOut(windows, record)]
    assert firsts == list(range(0, 320, 8 * step))
