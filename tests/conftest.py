"""What every test relies on: calm threads, and nothing that a test forces in the core outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# NumPy's threads would only take the cores from ours. Read once, when NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from fastnn import _core
from harness import SERIAL_BELOW

_core._more_threads_than_cpus(True)  # so that teams of any size are tested anywhere


@pytest.fixture(autouse=True)
def _core_as_found() -> Iterator[None]:
    isa, threads = _core.isa(), _core.num_threads()
    yield
    _core._use_isa(isa)
    _core.set_num_threads(threads)
    _core._serial_below(SERIAL_BELOW)
    _core._reverse_phases(False)
    for op in _core.ops():
        _core._use_variant(op["name"], "")
