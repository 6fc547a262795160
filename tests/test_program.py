"""Programs: compute, guard, commit; memory; passes; threads."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from fastnn.tracing import Trace, apply


def test_assignments_are_committed_together():
    a, b = fastnn.Variable(1.0, name="a"), fastnn.Variable(10.0, name="b")

    @fastnn.function
    def swap(x):
        old = a + 0.0
        a.assign(b)
        b.assign(old + x)
        return a + b

    assert swap(np.float32(5.0)) == 16.0
    assert (a.numpy(), b.numpy()) == (10.0, 6.0)


def test_two_variables_swap_without_arithmetic():
    a, b = fastnn.Variable(np.arange(3.0)), fastnn.Variable(np.full(3, 7.0))

    @fastnn.function
    def swap():
        old = ops.reshape(a, (3,))
        a.assign(ops.reshape(b, (3,)))
        b.assign(old)
        return old

    np.testing.assert_array_equal(swap(), np.arange(3.0))
    np.testing.assert_array_equal(a.numpy(), np.full(3, 7.0))
    np.testing.assert_array_equal(b.numpy(), np.arange(3.0))


def test_a_result_may_be_an_argument_a_variable_or_the_same_twice():
    w = fastnn.Variable(np.arange(2.0))

    @fastnn.function
    def f(x):
        y = x * 2
        return x, w, y, y, ops.reshape(y, (2, 1))

    x = np.array([1.0, 2.0])
    for got, expected in zip(f(x), (x, w.numpy(), x * 2, x * 2, (x * 2)[:, None])):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_reading_after_assigning_in_a_trace_gives_the_new_value():
    a = fastnn.Variable(1.0)

    @fastnn.function
    def f():
        a.assign(a + 1.0)
        first = a * 10.0
        a.assign(a * 2.0)
        return first, a * 1.0

    assert f() == (20.0, 4.0)
    assert a.numpy() == 4.0


def test_without_commit_nothing_is_written():
    a = fastnn.Variable(np.zeros(3))

    @fastnn.function
    def f(x):
        a.assign(a + x)
        return ops.sum(a)

    assert f.compute(np.ones(3)) == 3.0
    np.testing.assert_array_equal(a.numpy(), np.zeros(3))
    assert f(np.ones(3)) == 3.0
    np.testing.assert_array_equal(a.numpy(), np.ones(3))


def test_variables_that_share_a_page_have_memory_of_their_own():
    made: list[tuple[fastnn.Variable, int]] = []

    def make(start: int) -> None:
        for i in range(start, start + 60):  # from a hundred bytes to more than a megabyte
            variable = fastnn.Variable(np.full(25 * 2 ** (i % 15), i, np.float32))
            if i % 7 == 3:
                continue  # others come into its place, or beside it
            made.append((variable, i))

    threads = [threading.Thread(target=make, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # what it made outlives it
    make(1000)
    for variable, i in made:
        assert variable.numpy().min() == variable.numpy().max() == i
        variable.assign(variable.numpy() + 1)
    for variable, i in made:
        assert variable.numpy().min() == variable.numpy().max() == i + 1
    del made[::2]
    make(2000)
    assert all(np.all(variable.numpy() == i + (i < 2000)) for variable, i in made)


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer keeps what was freed")
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="nobody says how much memory the process has")
def test_pages_go_with_their_variables():
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    kept = fastnn.Variable(np.ones(150_000, np.float32))
    before = resident()
    for _ in range(300):  # of 600 kilobytes: alone in the last page
        fastnn.Variable(np.ones(150_000, np.float32))
    latest = kept
    for _ in range(300):  # and where another lives until the next is there
        latest = fastnn.Variable(np.ones(150_000, np.float32))
    assert resident() < before + 40e6
    assert kept.numpy().min() == latest.numpy().min() == 1


def _guarded_step(w):
    @fastnn.function
    def step(x, labels):
        loss, (dw,) = fastnn.value_and_grad(
            lambda: ops.check_finite(ops.mean(ops.sparse_softmax_cross_entropy(ops.dense(x, w), labels))), variables=[w]
        )()
        w.assign(w - 0.1 * dw)
        return loss

    return step


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_failed_step_changes_nothing(threads):
    w = fastnn.Variable(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    step = _guarded_step(w)
    x, labels = np.ones((5, 4), np.float32), np.array([0, 1, 2, 0, 1])
    fastnn.set_num_threads(threads)
    _core._serial_below(0.0)
    step(x, labels)
    before = w.numpy()
    for bad_x, bad_labels, message in (
        (x, np.array([0, 7, 2, 9, 1]), "label 7 at position 1; expected 0 <= label < 3"),
        (x, np.array([0, 1, 2, -1, 1]), "label -1 at position 3"),
        (np.full_like(x, np.nan), labels, "not finite"),
        (np.full_like(x, np.inf), labels, "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            step(bad_x, bad_labels)
        np.testing.assert_array_equal(w.numpy(), before)
    step(x, labels)
    assert not np.array_equal(w.numpy(), before)


def training_step(model, optimizer):
    @fastnn.function
    def step(x):
        loss, gradients = fastnn.value_and_grad(
            lambda: ops.mean(ops.square(model(x, training=True))), variables=model.trainable_variables
        )()
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def test_optimizer_updates_run_in_commit_on_the_variables():
    model = fastnn.Sequential([fastnn.layers.Dense(4, activation="relu", input_shape=(3,)), fastnn.layers.Dense(2)])
    step = training_step(model, fastnn.optimizers.Adam())
    steps = step.describe(np.ones((8, 3), np.float32))["steps"]
    assert [s["op"] for s in steps if s["commit"]] == ["adam_update"]
    assert steps[-1]["commit"]


def test_an_update_multiplies_the_gradients_of_small_batches_itself():
    def trained(batch: int, optimizer: fastnn.optimizers.Optimizer) -> tuple[list[str], list[np.ndarray]]:
        fastnn.set_seed(3)
        model = fastnn.Sequential([fastnn.layers.Dense(150, activation="relu", input_shape=(130,)), fastnn.layers.Dense(120)])
        step = training_step(model, optimizer)
        x = np.random.default_rng(0).standard_normal((batch, 130)).astype(np.float32)
        for _ in range(3):
            step(x)
        return [s["op"] for s in step.describe(x)["steps"]], [v.numpy() for v in model.trainable_variables]

    for make in (fastnn.optimizers.Adam, lambda: fastnn.optimizers.SGD(0.01, momentum=0.9), fastnn.optimizers.Lion):
        kernels, got = trained(20, make())
        assert "dense_backward_kernel" not in kernels
        _core._disable_passes({"product_update"})
        try:
            kernels, expected = trained(20, make())
        finally:
            _core._disable_passes(set())
        assert kernels.count("dense_backward_kernel") == 2
        assert all(np.array_equal(a, b) for a, b in zip(got, expected))
    assert trained(200, fastnn.optimizers.Adam())[0].count("dense_backward_kernel") == 2  # more work than memory
    clipped = fastnn.optimizers.Adam(global_clipnorm=1.0)  # reads every gradient before the update does
    assert trained(20, clipped)[0].count("dense_backward_kernel") == 2


def ops_with_and_without(passes: set[str], step: Any, x: Any) -> tuple[list[str], list[str]]:
    """The ops of a plan with these passes and of one without them, which make the same bits."""

    def computed() -> tuple[list[str], Any]:
        function = fastnn.function(step)
        return [s["op"] for s in function.describe(x)["steps"]], function(x)

    fused, got = computed()
    _core._disable_passes(passes)
    try:
        plain, expected = computed()
    finally:
        _core._disable_passes(set())
    assert len(got) == len(expected) and all(np.array_equal(a, b) for a, b in zip(got, expected))
    return fused, plain


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "mish"])
@pytest.mark.parametrize("rows", [9, 300])
def test_what_is_done_to_a_product_is_done_by_it(name: str, rows: int):
    """relu, residuals, slopes and sums of gradients; the bits are those of one op after the other."""
    rng = np.random.default_rng(0)
    w, v, x = (rng.standard_normal(shape).astype(np.float32) for shape in [(130, 250), (250, 130), (rows, 130)])
    bias = rng.standard_normal(250).astype(np.float32)

    def block(x):
        return x + ops.dense(getattr(ops, name)(ops.dense(x, w, bias)), v)

    def step(x):
        return fastnn.value_and_grad(lambda x: ops.mean(ops.square(block(block(x)))))(x)

    fused, plain = ops_with_and_without({"product_epilogue", "activation_slope"}, step, x)
    backward = f"{name}_backward"
    assert plain.count("add") == 4 and plain.count(backward) == 2
    assert not {"add", "relu", backward} & set(fused) and fused.count("multiply") == plain.count("multiply")


@pytest.mark.parametrize("channels", [3, 24])  # direct, and by Winograd's way
def test_what_is_done_to_a_convolution_is_done_by_it(channels: int):
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(shape) for shape in [(3, 12, 12, channels), (3, 3, channels, channels), channels])

    def loss(x):
        y = ops.max_pool2d(ops.relu(ops.conv2d(ops.relu(ops.conv2d(x, kernel, padding="same")), kernel, bias, padding="same")))
        for _ in range(2):
            y = y + ops.conv2d(ops.relu(ops.conv2d(y, kernel, bias, padding="same")), kernel, padding="same")
        return ops.mean(ops.square(y))

    fused, plain = ops_with_and_without({"product_epilogue"}, lambda x: fastnn.value_and_grad(loss)(x), x)
    assert plain.count("add") == 4 and plain.count("relu") == 3 and plain.count("relu_backward") == 4
    assert not {"add", "relu"} & set(fused)
    assert fused.count("relu_backward") == 1  # of what the pool's gradient is multiplied by


@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm])
def test_what_a_residual_adds_to_the_gradient_of_a_norm_is_added_by_it(norm: Any):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 5, 40)).astype(np.float32)
    gamma = rng.standard_normal(40).astype(np.float32)

    def step(x):
        def loss(x):
            for _ in range(3):
                x = x + ops.tanh(norm(x, gamma))
            return ops.mean(ops.square(x))

        return fastnn.value_and_grad(loss)(x)

    fused, plain = ops_with_and_without({"norm_gradient_sum"}, step, x)
    assert plain.count("add") == 6 and fused.count("add") == 3


def test_a_norm_adds_only_what_is_there_before_it_and_what_nobody_else_reads():
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)

    def both_ways(step: Any) -> tuple[list[str], list[str]]:
        return ops_with_and_without({"norm_gradient_sum"}, step, x)

    # Two norms of one x: the second to be computed takes the gradient of the first, not the other way round.
    fused, plain = both_ways(
        lambda x: fastnn.value_and_grad(lambda x: ops.sum(ops.square(ops.layer_norm(x)) + ops.rms_norm(x)))(x)
    )
    assert fused.count("add") == plain.count("add") - 1
    # The gradient is a result as well as a term.
    given = [np.ones((4, 6), np.float32), x, None, np.zeros(4, np.float32), np.ones(4, np.float32)]

    def read_twice(x):
        dx = apply("layer_norm_backward", [x, *given[1:]], outputs=3)[0]
        return dx, dx + x

    def stretched(x):
        row = x[:1] * np.float32(2)  # there before the norm, but of another shape
        dx = apply("layer_norm_backward", [x, *given[1:]], outputs=3)[0]
        return (dx + row,)

    for step in (read_twice, stretched):
        fused, plain = both_ways(step)
        assert fused == plain and "add" in fused


def test_what_only_passes_make_has_no_derivative():
    x, w = np.ones((3, 4), np.float32), np.ones((5, 4), np.float32)
    with pytest.raises(ValueError, match=r"'gelu' has no derivative of its slope; expected its first result alone"):
        fastnn.grad(lambda x: ops.sum(apply("gelu", [x], outputs=2, slope=True)[1]))(x)
    with pytest.raises(
        ValueError, match=r"'dense_backward_input' has no derivative with epilogue='add'; use the op 'add' itself"
    ):
        fastnn.grad(lambda x: ops.sum(apply("dense_backward_input", [x, w, np.ones((3, 5), np.float32)], epilogue="add")))(x)
    image, kernel = np.ones((1, 4, 4, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match=r"'conv2d_backward_input' has no derivative with epilogue='multiply'; use the op"):
        fastnn.grad(
            lambda x: ops.sum(apply("conv2d_backward_input", [x, kernel, image], image_size=(4, 4), epilogue="multiply"))
        )(image)
    given = [x, np.ones(4, np.float32), np.zeros(3, np.float32), np.ones(3, np.float32), x]
    with pytest.raises(ValueError, match="layer_norm_backward"):
        fastnn.grad(lambda x: ops.sum(apply("layer_norm_backward", [x, *given], outputs=3)[0]))(x)


def test_an_epilogue_that_a_product_does_not_have_stays_an_op():
    w = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    gated = fastnn.function(lambda x: ops.dense(x, w) * ops.silu(ops.dense(x, w)) + np.float32(1))
    x = np.ones((3, 8), np.float32)
    assert [s["op"] for s in gated.describe(x)["steps"]] == ["dense", "dense", "silu", "multiply", "add"]
    stretched = fastnn.function(lambda x: ops.dense(x, w) + x[:1])
    assert "add" in [s["op"] for s in stretched.describe(x)["steps"]]
    twice = fastnn.function(lambda x: (y := ops.dense(x, w)) + y)
    np.testing.assert_array_equal(twice(x), 2 * (x @ w))


def test_memory_is_shared_between_values_that_do_not_live_together():
    def chain(x):
        for _ in range(20):
            x = ops.tanh(ops.dense(x, np.eye(64, dtype=np.float32)))
        return ops.sum(x)

    described = fastnn.function(chain).describe(np.ones((64, 64), np.float32))
    one = 64 * 64 * 4
    assert described["intermediate_bytes"] >= 40 * one
    assert described["arena_bytes"] <= 3 * one


def test_unused_work_is_removed():
    def f(x):
        ops.softmax(ops.matmul(x, x))
        return ops.relu(x)

    described = fastnn.function(f).describe(np.ones((4, 4)))
    assert [s["op"] for s in described["steps"]] == ["relu"]
    w = fastnn.Variable(np.ones((3, 3)))
    gradient = fastnn.function(lambda x: fastnn.grad(lambda: ops.sum(ops.dense(x, w)), variables=[w])())
    assert "dense_backward_input" not in [s["op"] for s in gradient.describe(np.ones((2, 3)))["steps"]]


@pytest.mark.parametrize("sparse", [True, False])
def test_softmax_with_cross_entropy_is_computed_from_logits(sparse):
    name = "sparse_cross_entropy" if sparse else "cross_entropy"
    targets = np.array([0, 2]) if sparse else np.eye(3)[[0, 2]]

    def loss(z, t):
        return ops.sum(getattr(ops, name)(ops.softmax(z), t))

    step = fastnn.value_and_grad(loss)
    z = np.array([[1.0, 2.0, 3.0], [300.0, 0.0, -300.0]])
    value, gradient = step(z, targets)
    # The second row's probability is exactly 0 in any float: from probabilities the loss would be clipped.
    assert value == pytest.approx(2.40760596 + 600.0, abs=1e-7)
    p = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(gradient, p / p.sum(1, keepdims=True) - np.eye(3)[[0, 2]], atol=1e-12)

    _core._disable_passes({"softmax_cross_entropy"})
    try:
        mild = z[:1]
        fused, plain = step(mild, targets[:1]), fastnn.value_and_grad(loss)(mild, targets[:1])
        assert plain[0] == pytest.approx(fused[0], rel=1e-12)
        np.testing.assert_allclose(plain[1], fused[1], rtol=1e-10, atol=1e-14)
        kernels = [s["op"] for s in fastnn.function(loss).describe(mild, targets[:1])["steps"]]
        assert name in kernels
        assert f"{'sparse_' if sparse else ''}softmax_cross_entropy" not in kernels
    finally:
        _core._disable_passes(set())
    with pytest.raises(ValueError, match="'nonsense' does not exist; expected one of softmax_cross_entropy, conv2d_block"):
        _core._disable_passes({"nonsense"})
    with pytest.raises(
        ValueError, match=r"'mmx' is not available on this machine; expected one of generic(, avx2)?(, avx512)?;"
    ):
        _core._use_isa("mmx")


def test_results_are_equal_with_every_pass_off():
    rng = np.random.default_rng(1)
    w = rng.standard_normal((6, 3))
    x, labels = rng.standard_normal((9, 6)), rng.integers(0, 3, 9)

    def loss(w, x, labels):
        return ops.mean(ops.sparse_cross_entropy(ops.softmax(ops.dense(x, w)), labels))

    with_passes = fastnn.value_and_grad(loss)(w, x, labels)
    _core._disable_passes(set(_core.passes()))
    try:
        without = fastnn.value_and_grad(loss)(w, x, labels)
    finally:
        _core._disable_passes(set())
    assert with_passes[0] == pytest.approx(without[0], rel=1e-12)
    np.testing.assert_allclose(with_passes[1], without[1], rtol=1e-10)


def test_plans_are_kept_for_several_batch_sizes():
    f = fastnn.function(lambda x: ops.sum(ops.tanh(x), axes=1), shapes=[("batch", 3)])
    rng = np.random.default_rng(0)
    for n in [*range(40), 3, 0, 39]:
        x = rng.standard_normal((n, 3))
        np.testing.assert_allclose(f(x), np.tanh(x).sum(1), rtol=1e-12)


class TestThreads:
    def test_the_budget(self):
        fastnn.set_num_threads(3)
        assert fastnn.num_threads() == 3
        for bad in (0, -1, 257):
            with pytest.raises(ValueError, match="expected 1 to 256"):
                fastnn.set_num_threads(bad)
        assert fastnn.num_threads() == 3

    def test_concurrent_predictions_agree(self):
        model = fastnn.Sequential([fastnn.layers.Dense(64, activation="tanh", input_shape=(32,)), fastnn.layers.Dense(8)])
        rng = np.random.default_rng(0)
        inputs = [rng.standard_normal((n, 32)).astype(np.float32) for n in (1, 5, 64, 200)]
        expected = [model.predict(x) for x in inputs]
        failures: list[str] = []

        def work() -> None:
            for _ in range(25):
                for x, y in zip(inputs, expected):
                    if not np.array_equal(model.predict(x), y):
                        failures.append("different bits")

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not failures

    def test_transformed_weights_follow_the_weights(self):
        """What predictions keep of weights is that of their last value, whoever predicts while they change."""
        kernel = fastnn.Variable(np.zeros((3, 3, 32, 32), np.float32))
        convolve = fastnn.function(lambda x: ops.sum(ops.conv2d(x, kernel, padding="same")))
        rng = np.random.default_rng(0)
        x = rng.standard_normal((1, 12, 12, 32)).astype(np.float32)
        kernels = [rng.standard_normal((3, 3, 32, 32)).astype(np.float32) for _ in range(4)]
        _core._use_variant("conv2d", "winograd-2")
        assert convolve(x) == 0
        expected = [float(fastnn.function(lambda x, k: ops.sum(ops.conv2d(x, k, padding="same")))(x, k)) for k in kernels]
        for _ in range(3):
            for value, total in zip(kernels, expected):
                kernel.assign(value)
                assert convolve(x) == total and convolve(x) == total
        seen: list[float] = []

        def predict() -> None:
            seen.append(float(convolve(x)))

        with looping(predict, predict, predict):
            while len(seen) < 300 or len(set(seen)) < 2:
                for value in kernels:
                    kernel.assign(value)
        assert set(seen) <= set(expected)

    def test_weights_that_training_changes_are_transformed_in_each_step(self):
        model = fastnn.Sequential([fastnn.layers.Conv2D(32, 3, input_shape=(12, 12, 32))])
        model.compile("sgd", "mse")
        x, y = np.zeros((1, 12, 12, 32), np.float32), np.zeros((1, 10, 10, 32), np.float32)
        predicting = model._prediction_program([x], False).function.describe([x.shape])
        training = model._training_program(model._prepare(x, y, "test")).function.describe([x.shape, y.shape, [1]])
        assert predicting["prepared_bytes"] > 16 * 32 * 32 * 4
        assert training["prepared_bytes"] == 0

    def test_a_prediction_sees_whole_steps_only(self):
        a, b = fastnn.Variable(np.zeros(20_000)), fastnn.Variable(np.zeros(20_000))

        @fastnn.function
        def step():
            a.assign(a + 1.0)
            b.assign(b + 1.0)

        @fastnn.function
        def difference():
            return ops.sum(ops.abs(a - b))

        step(), difference()
        stop = threading.Event()
        seen: list[float] = []

        def read() -> None:
            while not stop.is_set():
                seen.append(float(difference()))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(200):
            step()
        stop.set()
        reader.join()
        assert seen
        assert set(seen) == {0.0}

    def test_a_writer_is_not_starved_by_readers(self):
        w = fastnn.Variable(np.zeros(1000))
        f = fastnn.function(lambda: ops.sum(w))
        f()
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                f()

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        began = time.monotonic()
        for i in range(50):
            w.assign(np.full(1000, float(i)))
        elapsed = time.monotonic() - began
        stop.set()
        for reader in readers:
            reader.join()
        assert elapsed < 30.0


def in_forked_child(work):
    """Forks and returns the exit code of the child, 0 if work() is true there; fails if the child hangs."""
    child = os.fork()
    if child == 0:
        succeeded = False
        try:
            succeeded = work()
        finally:
            os._exit(0 if succeeded else 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


@contextlib.contextmanager
def looping(*works):
    """Runs each function over and over in a thread of its own."""
    stop = threading.Event()

    def loop(work):
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=loop, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(_core.parallel_backend() == "serial", reason="built without threads")
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="nobody says how many CPUs there are for this process")
def test_no_more_workers_than_cpus():
    f = fastnn.function(lambda x: ops.matmul(x, x))
    x = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    fastnn.set_num_threads(64)
    _core._serial_below(0.0)
    crowded = f(x)
    assert _core._last_run_threads() == 64  # as tests want it
    _core._more_threads_than_cpus(False)
    try:
        np.testing.assert_array_equal(f(x), crowded)
        assert 1 <= _core._last_run_threads() <= len(os.sched_getaffinity(0))
    finally:
        _core._more_threads_than_cpus(True)
    assert fastnn.num_threads() == 64


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
class TestFork:
    def test_a_child_works(self):
        fastnn.set_num_threads(2)
        _core._serial_below(0.0)
        f = fastnn.function(lambda x: ops.matmul(x, x))
        x = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
        expected = f(x)
        assert in_forked_child(lambda: all(np.array_equal(f(x), expected) for _ in range(20))) == 0
        np.testing.assert_array_equal(f(x), expected)

    def test_while_other_threads_run(self):
        """A child gets a model that nobody is in the middle of using, and can predict and train with it."""
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((256, 64)).astype(np.float32), rng.integers(10, size=256)
        model = fastnn.Sequential([fastnn.layers.Dense(256, activation="relu", input_shape=(64,)), fastnn.layers.Dense(10)])
        model.compile(loss=fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.train_on_batch(x, y)
        expected = model.predict(x)

        def works():
            same = np.array_equal(model.predict(x), expected)
            return same and np.isfinite(model.train_on_batch(x, y))

        with looping(lambda: model.predict(x), lambda: model.predict(x[:7])):
            assert [in_forked_child(works) for _ in range(20)] == [0] * 20

    def test_never_sees_half_a_commit(self):
        count = [fastnn.Variable(np.zeros(100_000, np.int64)) for _ in range(4)]

        @fastnn.function
        def step():
            for variable in count:
                variable.assign(variable + 1)
            return fastnn.ops.sum(count[0])

        def whole():
            now = np.stack([variable.numpy() for variable in count])
            step()
            return np.all(now == now[0, 0]) and np.all(count[-1].numpy() == now[0, 0] + 1)

        step()
        with looping(step):
            assert [in_forked_child(whole) for _ in range(20)] == [0] * 20

    def test_while_another_thread_traces(self):
        tracing = threading.Event()

        @fastnn.function
        def slow(x):
            tracing.set()
            time.sleep(0.2)
            return x + 1.0

        with looping(lambda: slow(np.zeros(2))):
            tracing.wait()
            assert in_forked_child(lambda: np.array_equal(slow(np.ones(3)), np.full(3, 2.0))) == 0


def test_the_core_refuses_inputs_of_another_shape():
    with Trace() as trace:
        x = trace.input("x", "float32", (_core.Extent("batch"), 3))
        trace.graph.set_outputs([ops.relu(x)._value])
    f = _core.Function(trace.graph)
    assert f.run([np.ones((2, 3), np.float32)], False)[0].shape == (2, 3)
    with pytest.raises(ValueError, match=r"input 'x': shape \(2, 4\); expected \(batch, 3\)"):
        f.run([np.ones((2, 4), np.float32)], False)
    with pytest.raises(TypeError, match="input 'x': float64; expected float32"):
        f.run([np.ones((2, 3))], False)
    with pytest.raises(ValueError, match="0 inputs; expected 1"):
        f.run([], False)
