"""What every test relies on: calm threads, and nothing that a test forces in the core outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Tests run teams of four for microseconds on machines of two cores that others use too. Workers that spin while they wait then
# take the core from those they wait for: the suite was 15 times slower. Read once, when the libraries are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from fastnn import _core
from harness import SERIAL_BELOW


@pytest.fixture(autouse=True)
def _core_as_found() -> Iterator[None]:
    isa, threads = _core.isa(), _core.num_threads()
    yield
    _core._use_isa(isa)
    _core.set_num_threads(threads)
    _core._serial_below(SERIAL_BELOW)
    for op in _core.ops():
        _core._use_variant(op["name"], "")
