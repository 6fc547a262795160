"""What a model costs that waits between predictions: threads that spin would take a core from others."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import fastnn
from benches.networks import mnist_cnn
from fastnn import _core

_EVERY, _CALLS = 0.02, 500


@pytest.mark.parametrize("wanted", [1, 2], ids="{}t".format)
def test_predictions_far_apart(benchmark: Any, report: Any, small: bool, wanted: int) -> None:
    """A prediction of one image every 20 ms: the CPU time beyond that of as many back to back, as a share of a core."""
    calls = 5 if small else _CALLS
    x = np.random.default_rng(0).random((1, 28, 28, 1), np.float32)
    model = mnist_cnn(fastnn)
    before = _core.num_threads()
    _core.set_num_threads(wanted)
    try:
        right = model.predict(x, verbose=0)
        start = time.process_time()
        for _ in range(calls):
            np.testing.assert_array_equal(model.predict(x, verbose=0), right)
        work = time.process_time() - start
        seconds: dict[str, float] = {}

        def wait_and_predict() -> None:
            begin, cpu = time.perf_counter(), time.process_time()
            for call in range(calls):
                time.sleep(max(0.0, begin + call * _EVERY - time.perf_counter()))
                np.testing.assert_array_equal(model.predict(x, verbose=0), right)
            time.sleep(max(0.0, begin + calls * _EVERY - time.perf_counter()))
            seconds.update(cpu=time.process_time() - cpu, wall=time.perf_counter() - begin)

        benchmark.pedantic(wait_and_predict)
    finally:
        _core.set_num_threads(before)
    share = (seconds["cpu"] - work) / seconds["wall"]
    benchmark.extra_info.update(threads=wanted, work_seconds=work, **seconds, idle_share=share)
    report(
        f"idle between predictions, {wanted} threads: {share:.1%} of a core beyond the work (CPU time {seconds['cpu']:.2f} s "
        f"of {seconds['wall']:.1f} s; the work alone {work:.2f} s)"
    )
