"""`fastnn generate`: what it writes, and how it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn
from fastnn import layers
from fastnn.cli import generate, main
from fastnn.models import GPT, GPTConfig
from fastnn.text import ByteTokenizer, CharacterTokenizer

TEXT = "the cat sat on the mat, naïve as it was.\n"
CONTEXT = 16


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = fastnn.num_threads()
    yield
    fastnn.set_num_threads(threads)


def save(folder: Path, tokenizer: ByteTokenizer | CharacterTokenizer) -> Path:
    fastnn.set_seed(0)
    model = GPT(GPTConfig(tokenizer.size, CONTEXT, layers=1, heads=2, width=16))
    model.build((None, CONTEXT))
    model.save(folder / "model.safetensors")
    tokenizer.save(folder / "tokenizer.json")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(tmp_path, CharacterTokenizer.from_text(TEXT))


def test_it_streams_what_the_model_says(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(run), "--prompt", "the cat", "--tokens", "30", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    model = fastnn.load_model(run / "model.safetensors")
    tokenizer = CharacterTokenizer.from_text(TEXT)
    expected = tokenizer.decode(model.generate(tokenizer.encode("the cat"), 30, seed=5))
    assert captured.out == f"the cat{expected}\n"
    assert captured.err == ""


def test_threads_and_the_way_to_the_model_change_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = set()
    for path, threads in ((run, "1"), (run / "model.safetensors", "2")):
        options = ["--top-k", "9", "--top-p", "0.9", "--temperature", "0.7", "--repetition-penalty", "1.1", "--seed", "3"]
        assert main(["generate", str(path), "--prompt", "a", "--tokens", "40", "--threads", threads, *options]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 1


def test_without_a_seed_every_text_is_another(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = set()
    for _ in range(2):
        assert main(["generate", str(run), "--prompt", "a", "--tokens", "40"]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 2


def test_json_is_one_object(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(run), "--prompt", "on", "--tokens", "5", "--greedy", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert (result["model"], result["prompt"], result["tokens"], len(result["text"])) == (str(run), "on", 5, 5)
    assert result["tokens_per_second"] > 0


def test_a_longer_prompt_is_read_from_its_end(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for prompt in (TEXT[:30], TEXT[30 - CONTEXT : 30]):
        assert main(["generate", str(run), "--prompt", prompt, "--tokens", "8", "--greedy"]) == 0
        captured = capsys.readouterr()
        texts.append(captured.out.removeprefix(prompt))
        message = f"fastnn: --prompt: 30 tokens, of which the model sees the last {CONTEXT}\n"
        assert captured.err == (message if len(prompt) == 30 else "")
    assert texts[0] == texts[1]


def test_characters_of_several_bytes_are_written_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save(tmp_path, ByteTokenizer())
    assert main(["generate", str(run), "--prompt", "é", "--tokens", "60", "--seed", "1"]) == 0
    streamed = capsys.readouterr().out
    assert main(["generate", str(run), "--prompt", "é", "--tokens", "60", "--seed", "1", "--json"]) == 0
    assert streamed == "é" + json.loads(capsys.readouterr().out)["text"] + "\n"
    written = list("naïve €".encode())
    parts = [generate._decoded(ByteTokenizer(), written[: i + 1], whole=False) for i in range(len(written))]
    assert parts == ["n", "na", "na", "naï", "naïv", "naïve", "naïve ", "naïve ", "naïve ", "naïve €"]


@pytest.mark.parametrize("output", [[], ["--json"]], ids=["streamed", "json"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", ""], "--prompt: an empty text; expected at least one character"),
        (["--prompt", "the dog"], "'d'"),
        (["--prompt", "a", "--greedy", "--top-k", "3"], "greedy=True with top_k; expected either"),
        (["--prompt", "a", "--top-k", "1000"], "top_k=1000 of"),
        (["--prompt", "a", "--top-p", "1.5"], "top_p=1.5; expected 0 < top_p <= 1"),
    ],
)
def test_bad_requests_fail(
    arguments: list[str], words: str, output: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(run), *arguments, *output]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("fastnn: error: ")
    assert words in line


def test_what_is_no_model_of_text_fails(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(path: Path) -> str:
        assert main(["generate", str(path), "--prompt", "a"]) == 1
        return capsys.readouterr().err

    (run / "empty").mkdir()
    assert "a folder without model.safetensors; expected one" in error(run / "empty")
    shutil.copy(run / "model.safetensors", run / "empty")
    assert "no tokenizer.json beside it; expected the tokenizer" in error(run / "empty")
    CharacterTokenizer.from_text("ab").save(run / "empty" / "tokenizer.json")
    assert "2 tokens, the model has" in error(run / "empty")
    fastnn.Sequential([layers.Dense(2, input_shape=(3,))]).save(run / "model.safetensors")
    assert "a Sequential; expected a model of text" in error(run)
