"""fastnn.text: texts come back from tokens, files are mapped, windows are what they say, and bad input is named."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import losses, text
from fastnn.models import GPT, GPTConfig

SAMPLE = "Ein naïver Bär,\nzwei Ångström – 三 und 🐻.\r\n\tEnde\0"


def invented(seed: int, length: int = 500) -> str:
    """Characters from all of Unicode but the surrogates."""
    rng = random.Random(seed)
    points = (rng.choice((rng.randrange(128), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))) for _ in range(length))
    return "".join(map(chr, points))


# ---- Tokenizers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SAMPLE, "", *map(invented, range(3))])
def test_texts_come_back(content: str) -> None:
    for tokenizer in (text.ByteTokenizer(), text.CharacterTokenizer.from_text(content + "x")):
        tokens = tokenizer.encode(content)
        assert tokens.dtype == np.uint16
        assert tokenizer.decode(tokens) == content
        assert tokenizer.decode(tokens.tolist()) == content
    assert text.ByteTokenizer().encode(content).tolist() == list(content.encode())
    assert text.ByteTokenizer().encode(content.encode()).tolist() == list(content.encode())


def test_tokens_are_places_in_the_vocabulary() -> None:
    tokenizer = text.CharacterTokenizer("zaé🐻")
    assert tokenizer.size == 4
    assert tokenizer.encode("é🐻az").tolist() == [2, 3, 1, 0]
    content = invented(7)
    tokenizer = text.CharacterTokenizer.from_text(content)
    assert tokenizer.vocabulary == "".join(sorted(set(content)))
    assert tokenizer.encode(content).tolist() == [tokenizer.vocabulary.index(c) for c in content]


def test_a_large_vocabulary_takes_larger_integers() -> None:
    characters = [chr(i) for i in range(0xE000, 0xE000 + 70_000)]
    tokenizer = text.CharacterTokenizer(characters)
    tokens = tokenizer.encode("".join(characters))
    assert tokens.dtype == np.int32
    assert np.array_equal(tokens, np.arange(70_000))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("ab\naxb", r"'x' \(U\+0078\) at index 4 \(line 2, column 2\); expected the 3 characters"),
        ("é", r"'é' \(U\+00E9\) at index 0 \(line 1, column 1\)"),
        ("a🐻", r"U\+1F43B\) at index 1 "),
        ("a\ud800", r"U\+D800\) at index 1 "),
    ],
)
def test_an_unknown_character_is_named_with_its_place(content: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        text.CharacterTokenizer("ab\n").encode(content)


@pytest.mark.parametrize(
    ("vocabulary", "error", "words"),
    [
        ("", ValueError, "empty vocabulary"),
        ("aba", ValueError, "'a' as token 0 and 2"),
        (["a", "bc"], ValueError, "'bc' as token 1"),
        (["a", ""], ValueError, "'' as token 1"),
        (["a", "\udfff"], ValueError, "as token 1"),
        (["a", 3], TypeError, "3 as token 1"),
    ],
)
def test_a_vocabulary_that_is_none(vocabulary: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        text.CharacterTokenizer(vocabulary)


@pytest.mark.parametrize("tokenizer", [text.ByteTokenizer(), text.CharacterTokenizer("".join(map(chr, range(256))))])
def test_tokens_that_are_none(tokenizer: text.Tokenizer) -> None:
    for bad in ([0, 256], np.array([0, -1])):
        with pytest.raises(ValueError, match=f"the token {bad[1]} at index 1; expected 0 to 255"):
            tokenizer.decode(bad)
    with pytest.raises(ValueError, match="shape"):
        tokenizer.decode(np.zeros((2, 3), np.int64))
    for strange in ([0.5], ["a"], [True]):
        with pytest.raises(TypeError, match="expected integers"):
            tokenizer.decode(strange)
    with pytest.raises(TypeError, match="expected str"):
        tokenizer.encode(3)  # type: ignore[arg-type]


def test_bytes_that_are_no_utf8() -> None:
    tokenizer = text.ByteTokenizer()
    tokens = list("naï".encode())[:-1]
    with pytest.raises(ValueError, match=r"the byte 0xC3 at offset 2 is no UTF-8"):
        tokenizer.decode(tokens)
    assert tokenizer.decode(tokens, errors="replace") == "na\ufffd"
    with pytest.raises(ValueError, match="errors='ignore'"):
        tokenizer.decode(tokens, errors="ignore")
    with pytest.raises(ValueError, match=r"U\+D800 at index 1 \(line 1, column 2\)"):
        tokenizer.encode("a\ud800")


def test_a_file_of_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(SAMPLE.encode())
    assert text.read_text(path) == SAMPLE  # the \r too
    path.write_bytes(b"good so far\n" + "é".encode("latin-1") + b"!")
    with pytest.raises(ValueError, match=r"text: the byte 0xE9 at offset 12 is no UTF-8"):
        text.read_text(path)


# ---- Files of tokenizers -----------------------------------------------------------------------------------------------------


def test_tokenizers_come_back_from_files(tmp_path: Path) -> None:
    content = invented(1)
    for tokenizer in (text.ByteTokenizer(), text.CharacterTokenizer.from_text(content), text.CharacterTokenizer('z"\\\n\0a')):
        path = tmp_path / "tokenizer.json"
        tokenizer.save(path)
        json.loads(path.read_text(encoding="utf-8"))
        back = text.load_tokenizer(path)
        assert type(back) is type(tokenizer) and back.size == tokenizer.size
        assert getattr(back, "vocabulary", "") == getattr(tokenizer, "vocabulary", "")
        assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "tokenizer.json"),
        (b"[1", "tokenizer.json"),
        (b"[" * 100_000, "tokenizer.json"),
        (b"3", "no tokenizer"),
        (b'{"kind": "bytes"}', "no tokenizer"),
        (b'\xff{"kind"', "0xFF at offset 0"),
        (b'{"fastnn.tokenizer": 2, "kind": "bytes"}', "fastnn.tokenizer 2; expected 1"),
        (b'{"fastnn.tokenizer": 1}', "the kind None"),
        (b'{"fastnn.tokenizer": 1, "kind": "words", "vocabulary": ["a"]}', "the kind 'words'"),
        (b'{"fastnn.tokenizer": 1, "kind": "characters"}', "without a list"),
        (b'{"fastnn.tokenizer": 1, "kind": "characters", "vocabulary": "ab"}', "without a list"),
        (b'{"fastnn.tokenizer": 1, "kind": "characters", "vocabulary": []}', "empty vocabulary"),
        (b'{"fastnn.tokenizer": 1, "kind": "characters", "vocabulary": ["a", "a"]}', "'a' as token 0 and 1"),
        (b'{"fastnn.tokenizer": 1, "kind": "characters", "vocabulary": ["a", 3]}', "3 as token 1"),
    ],
)
def test_files_that_are_no_tokenizers(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        text.load_tokenizer(path)
    assert str(path) in str(caught.value)


def test_a_file_of_hugging_face_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    path = tmp_path / "tokenizer.json"
    path.write_text('{"version": "1.0", "model": {"type": "WordLevel"}}')
    with pytest.raises(ModuleNotFoundError, match=r"pip install '\.\[text\]'"):
        text.load_tokenizer(path)


def test_a_file_of_hugging_face(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=None))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"])
    theirs.train_from_iterator([SAMPLE * 20, "to be or not to be " * 20], trainer)
    theirs.save(str(path))
    ours = text.load_tokenizer(path)
    assert isinstance(ours, text.HuggingFaceTokenizer)
    assert ours.size == theirs.get_vocab_size() and ours.dtype == np.uint16
    for content in (SAMPLE, "to be<end>", "", invented(2)):
        tokens = ours.encode(content)
        assert tokens.dtype == np.uint16
        assert tokens.tolist() == theirs.encode(content).ids
        assert ours.decode(tokens) == content
    with pytest.raises(ValueError, match=f"the token {ours.size} at index 0"):
        ours.decode([ours.size])
    ours.save(tmp_path / "again.json")
    assert text.load_tokenizer(tmp_path / "again.json").encode(SAMPLE).tolist() == ours.encode(SAMPLE).tolist()
    path.write_text('{"version": "1.0", "model": {"type": "Nonsense"}}')
    with pytest.raises(ValueError, match=r"expected a tokenizer\.json"):
        text.load_tokenizer(path)


# ---- Files of tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_tokens_come_back_from_files(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 200, n).astype(dtype) for n in (0, 1, 1000, 0, 77)]
    assert text.write_tokens(path, iter(parts)) == 1078
    tokens = text.open_tokens(path)
    assert isinstance(tokens, np.memmap) and not tokens.flags.writeable
    assert tokens.dtype == dtype
    assert np.array_equal(tokens, np.concatenate(parts))
    assert np.array_equal(np.load(path), tokens)  # for any other program
    assert text.write_tokens(path, parts[2]) == 1000
    assert np.array_equal(text.open_tokens(path), parts[2])
    assert text.write_tokens(path, [3, 1, 2], dtype=dtype) == 3
    assert text.open_tokens(path).tolist() == [3, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.npy"]


def test_what_is_no_token_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    text.write_tokens(path, np.arange(3, dtype=np.uint16))
    before = path.read_bytes()
    for tokens, dtype, error, words in (
        ([], None, ValueError, "no tokens"),
        ([np.zeros(0, np.uint16)], None, ValueError, "no tokens"),
        (np.zeros((2, 2), np.uint16), None, ValueError, "shape"),
        (np.zeros(3), None, TypeError, "float64"),
        (np.zeros(3, np.int64), None, ValueError, "int64; expected uint8, uint16, int32"),
        (np.array([0, 65536]), "uint16", ValueError, "the token 65536 in array 0"),
        (np.array([0, -1]), "uint16", ValueError, "the token -1 in array 0"),
        ([np.array([1], np.uint8), np.array([300], np.uint16)], None, ValueError, "the token 300 in array 1"),
    ):
        with pytest.raises(error, match=words):
            text.write_tokens(path, tokens, dtype)
        assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.npy"]


def test_files_that_are_no_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    text.write_tokens(path, np.arange(1000, dtype=np.uint16))
    whole = path.read_bytes()
    arrays = (np.zeros(3), np.zeros((2, 2), np.uint16), np.zeros(0, np.uint16), np.zeros(3, np.int64), np.array([None]))
    for content in (b"", b"text", whole[:-1], whole[:100], *arrays):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content)
        with pytest.raises(ValueError, match="expected") as caught:
            text.open_tokens(path)
        assert str(path) in str(caught.value)
    np.savez(tmp_path / "many.npz", np.arange(3))
    with pytest.raises(ValueError, match="archive"):
        text.open_tokens(tmp_path / "many.npz")
    with pytest.raises(FileNotFoundError):
        text.open_tokens(tmp_path / "nothing.npy")


# ---- Windows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "context", "batch"), [(100, 7, 4), (8, 7, 1), (15, 7, 4), (14, 7, 4), (500, 1, 3)])
def test_windows_cover_all_once(length: int, context: int, batch: int) -> None:
    tokens = np.random.default_rng(0).integers(0, 1000, length).astype(np.uint16)
    windows = text.Windows(tokens, context, batch)
    batches = list(windows)
    assert len(batches) == len(windows)
    assert all(len(x) == batch for x, _ in batches[:-1]) and 0 < len(batches[-1][0]) <= batch
    x, y = (np.concatenate(part) for part in zip(*batches))
    assert x.dtype == y.dtype == np.int32 and x.shape == y.shape == ((length - 1) // context, context)
    assert np.array_equal(x.ravel(), tokens[: x.size])
    assert np.array_equal(y.ravel(), tokens[1 : y.size + 1])
    assert length - 1 - x.size < context
    assert np.array_equal(np.concatenate([x for x, _ in windows]), x)  # it begins anew


def test_random_windows_are_everywhere_and_repeatable() -> None:
    tokens = np.arange(60, dtype=np.uint16)
    windows = text.RandomWindows(tokens, 50, 64, seed=3)
    assert iter(windows) is windows
    starts = []
    for _ in range(20):
        x, y = next(windows)
        assert x.shape == y.shape == (64, 50)
        assert np.array_equal(x, x[:, :1] + np.arange(50)) and np.array_equal(y, x + 1)
        starts.append(x[:, 0])
    counts = np.bincount(np.concatenate(starts), minlength=10)
    assert len(counts) == 10  # 0 to 9: the last window ends with the last token as what follows
    assert counts.min() > 90 and counts.max() < 170  # of 1280: 128 on average, a deviation of 11
    again = text.RandomWindows(tokens, 50, 64, seed=3)
    assert all(np.array_equal(next(again)[0][:, 0], start) for start in starts)
    assert not np.array_equal(next(text.RandomWindows(tokens, 50, 64, seed=4))[0][:, 0], starts[0])
    fastnn.set_seed(5)
    first, second = (next(text.RandomWindows(tokens, 50, 64))[0] for _ in range(2))
    fastnn.set_seed(5)
    assert np.array_equal(next(text.RandomWindows(tokens, 50, 64))[0], first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", [text.Windows, text.RandomWindows])
def test_windows_that_are_none(kind: Any) -> None:
    for arguments, error, words in (
        ((np.arange(64), 64, 2), ValueError, "expected one axis of more than the context, 64"),
        ((np.zeros((9, 9), int), 4, 2), ValueError, "shape"),
        ((np.arange(9), 0, 2), ValueError, "context=0"),
        ((np.arange(9), 2.5, 2), ValueError, r"context=2\.5"),
        ((np.arange(9), 2, 0), ValueError, "batch_size=0"),
        ((np.arange(9.0), 2, 2), TypeError, "expected integers"),
    ):
        with pytest.raises(error, match=words):
            kind(*arguments)
    with pytest.raises(ValueError, match="seed"):
        text.RandomWindows(np.arange(9), 2, 2, seed=-1)


def test_a_model_learns_from_a_mapped_file(tmp_path: Path) -> None:
    tokenizer = text.CharacterTokenizer("abcd")
    text.write_tokens(tmp_path / "corpus.npy", tokenizer.encode("abacd" * 400))
    tokens = text.open_tokens(tmp_path / "corpus.npy")
    fastnn.set_seed(0)
    model = GPT(GPTConfig(4, 8, layers=1, heads=2, width=16))
    loss, perplexity = losses.SparseCategoricalCrossentropy(from_logits=True), fastnn.metrics.Perplexity(from_logits=True)
    model.compile(fastnn.optimizers.AdamW(0.01), loss, metrics=[perplexity])
    history = model.fit(
        text.RandomWindows(tokens[:-400], 8, 16, seed=0),
        steps_per_epoch=50,
        epochs=4,
        validation_data=text.Windows(tokens[-400:], 8),
        verbose=0,
    ).history
    # Only what follows the first character of a window may be open: after "a" either "b" or "c" comes.
    assert history["val_loss"][-1] < 0.2 < 0.3 < history["loss"][0]
    assert history["val_perplexity"][-1] == pytest.approx(np.exp(history["val_loss"][-1]), rel=1e-5)
