"""The C++ interface: what is installed is found by CMake, and programs built against it predict as Python does."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers
from fastnn.cli import main
from model_file import write_model
from record_cases import record

ROOT = Path(__file__).parent.parent
SUFFIX = "dylib" if sys.platform == "darwin" else "so"
# Sanitizers are preloaded into Python; the compiler and CMake do better without, and the programs have their own.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def run(*command: str | Path, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [os.fspath(part) for part in command], env=ENVIRONMENT | variables, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == expect, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


def tool(name: str) -> str:
    """CMake and Ninja come with the environment's packages of that name."""
    found = shutil.which(name, path=os.fspath(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def cmake(source: Path, build: Path, *options: str) -> None:
    run(tool("cmake"), "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", *options)


def cmake_dir() -> str:
    return run(sys.executable, "-m", "fastnn", "--cmake-dir").stdout.strip()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs `host` and `example/mnist`."""
    build = tmp_path_factory.mktemp("programs")
    cmake(ROOT / "tests/cpp", build, f"-DCMAKE_PREFIX_PATH={cmake_dir()}", "-DCMAKE_BUILD_TYPE=Release")
    run(tool("cmake"), "--build", build)
    return build


# ---- What is installed -----------------------------------------------------------------------------------------------------


def test_the_folder_holds_the_library() -> None:
    folder = Path(cmake_dir())
    assert folder.parent == Path(_core.__file__).parent
    assert (folder / "fastnnConfig.cmake").is_file()
    assert (folder.parent / "include/fastnn/fastnn.h").is_file()
    library = folder.parent / f"lib/libfastnn.{SUFFIX}"
    assert b".debug_info" not in library.read_bytes() or b"__asan_init" in library.read_bytes()
    for file in folder.iterdir():
        assert os.fspath(ROOT) not in file.read_text(), f"{file} only works on this machine"


def test_a_missing_library_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_core, "__file__", os.fspath(tmp_path / "_core.so"))
    with pytest.raises(SystemExit) as stop:
        main(["--cmake-dir"])
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert out == "" and "no fastnnConfig.cmake; expected the C++ library" in err


def test_another_version_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(version LANGUAGES CXX)\nfind_package(fastnn ${WANTED} REQUIRED)\n"
    )
    for wanted, ok in (("0.1", True), ("0.0", False), ("0.2", False), ("1.0", False)):
        options = (f"-Dfastnn_DIR={cmake_dir()}", f"-DWANTED={wanted}")
        command = [tool("cmake"), "-S", tmp_path, "-B", tmp_path / wanted, "-G", "Ninja", *options]
        run(*command, f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", expect=0 if ok else 1)


def test_the_library_without_python(tmp_path: Path, images: Path, model: Path) -> None:
    """Configured with neither Python nor pybind11, installed, moved, found; what would be compiled again is taken from here."""
    build, prefix, moved = tmp_path / "build", tmp_path / "prefix", tmp_path / "moved to"
    without = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("Python", "Python3", "pybind11")]
    cmake(ROOT, build, "-DFASTNN_PYTHON=OFF", "-DBUILD_SHARED_LIBS=ON", *without)
    shutil.copy(Path(cmake_dir()).parent / f"lib/libfastnn.{SUFFIX}", build)
    run(tool("cmake"), "--install", build, "--prefix", prefix)
    prefix.rename(moved)
    installed = {os.fspath(path.relative_to(moved)) for path in moved.rglob("*") if path.is_file()}
    headers = {f"include/fastnn/{path.name}" for path in (ROOT / "csrc/include/fastnn").iterdir()}
    assert headers <= installed
    assert all("fastnn" in name for name in installed) and not any("python" in name.lower() for name in installed)
    cmake(ROOT / "examples/cpp", tmp_path / "example", f"-DCMAKE_PREFIX_PATH={moved}")
    run(tool("cmake"), "--build", tmp_path / "example")
    assert run(tmp_path / "example/mnist", model, images).stdout


def test_headers_stand_alone() -> None:
    """No internal header is reachable from what a C++ application includes."""
    folder = ROOT / "csrc/include/fastnn"
    for header in folder.iterdir():
        for line in header.read_text().splitlines():
            if line.startswith('#include "'):
                assert (folder.parent / line.split('"')[1]).is_file(), f"{header.name}: {line}"


# ---- Programs ----------------------------------------------------------------------------------------------------------------


def small_cnn(size: int) -> fastnn.Sequential:
    fastnn.set_seed(3)
    return fastnn.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(size, size, 1)),
            layers.Conv2D(8, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(10 if size == 28 else 3, activation="softmax"),
        ]
    )


PIXELS = np.random.default_rng(5).integers(0, 256, (11, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    write_model(path, small_cnn(28))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "images.idx"
    path.write_bytes(struct.pack(">IIII", 0x803, *PIXELS.shape) + PIXELS.tobytes())
    return path


def test_what_the_headers_promise(programs: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "model.safetensors", small_cnn(12))
    assert run(programs / "host", tmp_path / "model.safetensors").stdout.endswith("passed\n")


@pytest.mark.parametrize("batch", [None, 1, 4, 100])
def test_the_example_predicts_as_python_does(batch: int | None, programs: Path, model: Path, images: Path) -> None:
    x = PIXELS[..., None].astype(np.float32)
    scores = small_cnn(28).predict(x, verbose=0)
    assert len(set(scores.argmax(axis=1))) > 1, "a model that always says the same tests nothing"
    arguments = [] if batch is None else [str(batch)]
    lines = run(programs / "example/mnist", model, images, *arguments).stdout.splitlines()
    assert len(lines) == -(-len(PIXELS) // (batch or 32))
    assert [int(digit) for line in lines for digit in line.split()] == list(scores.argmax(axis=1))
    isa = run(programs / "example/mnist", model, images, *arguments, FASTNN_ISA="generic", FASTNN_NUM_THREADS="1")
    assert isa.stdout.splitlines() == lines


# ---- Recorded cases ----------------------------------------------------------------------------------------------------------


def test_recorded_cases_are_replayed(programs: Path, tmp_path: Path) -> None:
    """What `make neon` does with all of them, on another processor."""
    path = tmp_path / "cases.safetensors"
    record(path, each=2)
    lines = run(programs / "replay", path).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        *([isa, str(len(_core.ops()))] for isa in _core.available_isas()),
        [_core.isa(), "20"],
    ]


def test_a_wrong_result_is_noticed(programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "cases.safetensors"
    record(path, each=1)
    tensors, metadata = _core.read_safetensors(path)
    cases, models = json.loads(metadata["cases"]), json.loads(metadata["models"])
    wrong = next(case for case in cases if case["graphs"][0]["nodes"][0]["op"] == "tanh")
    for name in (wrong["results"][0]["tensor"], models[3]["result"]):
        tensors[name].flat[-1] += 1e-3
    _core.write_safetensors(path, tensors, metadata)
    failed = [line for line in run(programs / "replay", path, expect=1).stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == len(_core.available_isas()) * 2 + 1
    assert all(line.startswith(f"FAILED {wrong['name']} [") for line in failed[:-1])
    assert failed[-1].startswith(f"FAILED {models[3]['name']} [model]")
    del tensors[wrong["operands"][0]]
    _core.write_safetensors(path, tensors, metadata)
    assert "replay: " in run(programs / "replay", path, expect=2).stderr


def test_what_does_not_fit_ends_with_a_message(programs: Path, model: Path, images: Path, tmp_path: Path) -> None:
    def fails(*arguments: Any) -> str:
        result = run(programs / "example/mnist", *arguments, expect=1)
        assert result.stdout == "" and result.stderr.startswith("mnist: ") and result.stderr.count("\n") == 1
        return result.stderr

    assert "usage" in fails()
    assert "No such file" in fails(tmp_path / "missing", images)
    assert "not an IDX file" in fails(model, tmp_path / "missing")
    assert "not an IDX file" in fails(model, model)
    assert "BATCH" in fails(model, images, "0")
    assert "expected" in fails(images, images)
    whole = model.read_bytes()
    broken = tmp_path / "broken.safetensors"
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:size])
        assert f"{broken}: " in fails(broken, images)
    for change in ((b'\\"op\\":\\"conv2d\\"', b'\\"op\\":\\"convxd\\"'), (b'"fastnn.format":"1"', b'"fastnn.format":"2"')):
        assert whole.count(change[0]) == 1
        broken.write_bytes(whole.replace(*change))
        assert "; expected" in fails(broken, images)
    cut = tmp_path / "cut.idx"
    cut.write_bytes(images.read_bytes()[:-1])
    assert "cut short" in fails(model, cut)
    write_model(broken, small_cnn(12))
    assert "another size" in fails(broken, images)
