"""The Keras face: what a user of Keras expects of Sequential, and what bad input gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers


def small_cnn(**compile_arguments) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [
            layers.Conv2D(4, (3, 3), activation="relu", input_shape=(12, 12, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        **{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **compile_arguments}
    )
    return model


def bars(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images with a bright bar in one of three places."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, samples)
    images = rng.random((samples, 12, 12, 1), dtype=np.float32) * 0.3
    for image, label in zip(images, labels):
        image[:, 1 + 4 * label : 3 + 4 * label] += 0.7
    return images, labels


@pytest.fixture
def data():
    return bars(70)


class TestTheProgramOfTheReadme:
    def test_it_builds_and_summarises(self, capsys):
        model = fastnn.Sequential(
            [
                layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu"),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu"),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        assert model.count_params() == 93_322
        assert model.output_shape == (None, 10)
        model.fit(np.zeros((40, 28, 28), np.uint8), np.zeros(40, np.uint8), epochs=1, verbose=0)
        model.summary()
        text = capsys.readouterr().out
        assert "(None, 3, 3, 64)" in text
        assert "93,322" in text
        assert "Memory of a training program at batch 32" in text

    def test_it_overfits_32_samples(self):
        fastnn.set_seed(0)
        images, labels = bars(32)
        model = small_cnn()
        history = model.fit(images, labels, batch_size=8, epochs=60, verbose=0).history
        assert history["loss"][-1] < 0.05 < history["loss"][0]
        loss, accuracy = model.evaluate(images, labels)
        assert accuracy == 1.0
        assert loss < 0.05
        probabilities = model.predict(images)
        np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(probabilities.argmax(1), labels)

    def test_it_generalises(self):
        fastnn.set_seed(1)
        model = small_cnn()
        model.fit(*bars(300), epochs=8, verbose=0)
        assert model.evaluate(*bars(200, seed=9), return_dict=True)["accuracy"] > 0.97


class TestDeterminism:
    @staticmethod
    def trained(threads: int, isa: str | None = None) -> list[np.ndarray]:
        fastnn.set_seed(3)
        fastnn.set_num_threads(threads)
        model = small_cnn()
        model.fit(*bars(70), epochs=2, batch_size=16, verbose=0)
        return model.get_weights()

    def test_the_same_bits_for_any_number_of_threads(self):
        _core._serial_below(0.0)
        first = self.trained(1)
        for threads in (2, 3, 8):
            for a, b in zip(first, self.trained(threads)):
                np.testing.assert_array_equal(a, b)

    def test_another_seed_gives_other_weights(self):
        fastnn.set_seed(1)
        first = small_cnn().get_weights()[0]
        fastnn.set_seed(2)
        assert not np.array_equal(first, small_cnn().get_weights()[0])

    def test_every_isa_learns_nearly_the_same(self):
        losses = []
        for isa in _core.available_isas():
            _core._use_isa(isa)
            fastnn.set_seed(3)
            losses.append(small_cnn().fit(*bars(70), epochs=2, verbose=0).history["loss"])
        for other in losses[1:]:
            np.testing.assert_allclose(other, losses[0], rtol=1e-3)

    def test_predictions_do_not_depend_on_the_batch(self, data):
        model = small_cnn()
        whole = model.predict(data[0])
        np.testing.assert_array_equal(model.predict(data[0], batch_size=7), whole)
        np.testing.assert_array_equal(model.predict(data[0][3:4]), whole[3:4])
        np.testing.assert_array_equal(model(data[0]), whole)

    def test_predictions_in_batches_can_be_interrupted(self):
        model = fastnn.Sequential([layers.Dense(2, input_shape=(4,))])
        x = np.ones((1 << 21, 4), np.float32)
        model.predict(x[:1])

        def alarm(*_):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, alarm)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                model.predict(x, batch_size=1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        np.testing.assert_array_equal(model.predict(x[:3], batch_size=1), model.predict(x[:3]))

    def test_batches_of_a_function(self):
        twice = fastnn.Sequential([layers.Dense(3, input_shape=(2,))])
        function = twice._prediction_program([np.ones((1, 2), np.float32)], False).function
        with pytest.raises(ValueError, match="run_batches: 0 samples, 2 at a time; expected at least one"):
            function.run_batches([np.ones((0, 2), np.float32)], 2, False)
        with pytest.raises(ValueError, match="run_batches: 4 samples, 0 at a time; expected at least one"):
            function.run_batches([np.ones((4, 2), np.float32)], 0, False)
        with pytest.raises(ValueError, match="expected arrays with as many rows as the first"):
            function.run_batches([np.ones((4, 2), np.float32), np.ones((3, 2), np.float32)], 2, False)
        with pytest.raises(ValueError, match="run_batches: 0 samples"):
            function.run_batches([], 2, False)
        graph = _core.Graph()
        graph.set_outputs(graph.node("sum", [graph.input("x", "float32", [2, 3])], {}, "", ""))
        with pytest.raises(ValueError, match="run_batches: a result that is one number; expected a row for each sample"):
            _core.Function(graph).run_batches([np.ones((4, 3), np.float32)], 2, False)
        for rows in (1, 2, 3, 5, 9):
            (found,) = function.run_batches([np.arange(10, dtype=np.float32).reshape(5, 2)], rows, False)
            np.testing.assert_array_equal(found, twice.predict(np.arange(10, dtype=np.float32).reshape(5, 2)))


class TestFit:
    def test_history_and_validation(self, data):
        model = small_cnn()
        history = model.fit(*data, epochs=3, validation_split=0.2, verbose=0)
        assert history.epoch == [0, 1, 2]
        assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
        assert all(len(v) == 3 for v in history.history.values())
        history = model.fit(*data, epochs=5, initial_epoch=3, validation_data=bars(20, 5), verbose=0)
        assert history.epoch == [3, 4]
        expected = model.evaluate(*bars(20, 5), return_dict=True)
        assert history.history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-6)

    def test_the_loss_of_an_epoch_is_the_mean_over_samples(self):
        x, y = np.arange(10.0, dtype=np.float32)[:, None], np.arange(10.0, dtype=np.float32) ** 2
        model = fastnn.Sequential([layers.Dense(1, input_shape=(1,), kernel_initializer="zeros")])
        model.compile(optimizer=fastnn.optimizers.SGD(learning_rate=0.0), loss="mse")
        history = model.fit(x, y, batch_size=4, verbose=0)
        assert history.history["loss"] == [pytest.approx(float(np.mean(y**2)), rel=1e-6)]
        assert model.evaluate(x, y) == pytest.approx(float(np.mean(y**2)), rel=1e-6)

    def test_shuffling_visits_every_sample_once(self):
        seen = []

        class Watch(fastnn.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                seen.append(logs["loss"])

        x = (2.0 ** np.arange(8)).astype(np.float32)[:, None]
        model = fastnn.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="ones", input_shape=(1,))])
        model.compile(optimizer=fastnn.optimizers.SGD(0.0), loss=lambda t, p: fastnn.ops.sum(p, axes=-1))
        orders = []
        for shuffle in (False, True, True):
            seen.clear()
            model.fit(x, np.zeros((8, 1), np.float32), batch_size=1, shuffle=shuffle, verbose=0, callbacks=[Watch()])
            sums = np.round(np.array(seen) * np.arange(1, 9)).astype(int)
            orders.append(np.diff([0, *sums]).tolist())
        assert orders[0] == [2**i for i in range(8)]
        assert sorted(orders[1]) == orders[0] == sorted(orders[2])
        assert len({tuple(o) for o in orders}) == 3

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64", "float64", "bool"])
    def test_labels_of_any_integer_dtype_and_shape(self, data, dtype):
        images, labels = data
        labels = np.minimum(labels, 1)
        results = []
        for y in (labels, labels.astype(dtype), labels.astype(dtype)[:, None]):
            fastnn.set_seed(0)
            model = small_cnn()
            model.fit(images, y, verbose=0)
            results.append(model.evaluate(images, y))
        assert results[0] == results[1] == results[2]

    @pytest.mark.parametrize("dtype", ["uint8", "float64", "float16", "int16", "bool"])
    def test_samples_of_any_dtype(self, data, dtype):
        images = (data[0] * 3).astype(dtype)
        model = small_cnn()
        model.fit(images, data[1], verbose=0)
        np.testing.assert_allclose(model.predict(images), model.predict(images.astype(np.float32)), rtol=1e-6)

    def test_a_last_axis_of_one_is_adjusted(self, data):
        images, labels = data
        model = small_cnn()
        model.fit(images[..., 0], labels, verbose=0)
        np.testing.assert_array_equal(model.predict(images[..., 0]), model.predict(images))
        flat = fastnn.Sequential([layers.Dense(1, input_shape=(3,))])
        flat.compile("sgd", "mse")
        x = np.ones((4, 3), np.float32)
        assert flat.evaluate(x, np.ones(4)) == flat.evaluate(x, np.ones((4, 1)))
        assert flat.evaluate(x[..., None], np.ones(4)) == flat.evaluate(x, np.ones(4))

    def test_non_contiguous_and_read_only_arrays(self, data):
        images, labels = data
        wide = np.repeat(images, 2, axis=0)
        wide.flags.writeable = False
        model = small_cnn()
        np.testing.assert_array_equal(model.predict(wide[::2]), model.predict(images))
        model.fit(wide[::2], np.repeat(labels, 2)[::2], verbose=0)
        model.fit(np.asfortranarray(images), labels, verbose=0)

    def test_callbacks(self, data):
        calls = []

        class Stop(fastnn.callbacks.Callback):
            def on_train_begin(self, logs=None):
                calls.append("train")

            def on_epoch_begin(self, epoch, logs=None):
                calls.append(f"epoch {epoch} of {self.params['epochs']}")

            def on_train_batch_begin(self, batch, logs=None):
                self.model.optimizer.learning_rate = 0.01 / (batch + 1)

            def on_epoch_end(self, epoch, logs=None):
                calls.append(sorted(logs))
                self.model.stop_training = True

            def on_train_end(self, logs=None):
                calls.append("end")

        model = small_cnn()
        model.fit(*data, epochs=5, batch_size=35, verbose=0, callbacks=[Stop()])
        assert calls == ["train", "epoch 0 of 5", ["accuracy", "loss"], "end"]
        assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.005)
        with pytest.raises(TypeError, match="pass instances"):
            model.fit(*data, callbacks=[Stop], verbose=0)

    def test_verbose_speaks_on_standard_error_only(self, data, capsys):
        model = small_cnn()
        model.fit(*data, epochs=2, verbose=2)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("Epoch") == 2
        assert "accuracy" in err
        model.fit(*data, verbose=0)
        model.evaluate(*data)
        model.predict(data[0])
        assert capsys.readouterr() == ("", "")
        model.evaluate(*data, verbose=1)
        model.predict(data[0], verbose=1)
        out, err = capsys.readouterr()
        assert out == ""
        assert "loss: " in err
        assert "70 samples" in err

    def test_interrupting_keeps_the_last_whole_step(self, data):
        weights = []

        class Interrupt(fastnn.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                weights.append(self.model.get_weights())
                if batch == 2:
                    raise KeyboardInterrupt

        model = small_cnn()
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data, batch_size=8, verbose=0, callbacks=[Interrupt()])
        for a, b in zip(weights[-1], model.get_weights()):
            np.testing.assert_array_equal(a, b)
        model.fit(*data, verbose=0)

    def test_train_on_batch(self, data):
        model = small_cnn()
        first, _ = model.train_on_batch(*data)
        for _ in range(30):
            last = model.train_on_batch(*data, return_dict=True)
        assert last["loss"] < first
        assert set(last) == {"loss", "accuracy"}

    def test_dropout_drops_in_training_only(self):
        model = fastnn.Sequential([layers.Dropout(0.5, seed=1, input_shape=(1000,))])
        x = np.ones((4, 1000), np.float32)
        np.testing.assert_array_equal(model(x), x)
        first, second = model(x, training=True), model(x, training=True)
        assert set(np.unique(first)) == {0.0, 2.0}
        assert 0.4 < (first == 0).mean() < 0.6
        assert not np.array_equal(first, second)


class TestLossesAndMetrics:
    @pytest.mark.parametrize(
        ("loss", "from_logits"),
        [
            ("sparse", False),
            ("sparse", True),
            ("categorical", False),
            ("categorical", True),
            ("binary", False),
            ("binary", True),
        ],
    )
    def test_cross_entropies_learn(self, loss, from_logits):
        fastnn.set_seed(0)
        x, labels = bars(60)
        classes = {
            "sparse": fastnn.losses.SparseCategoricalCrossentropy,
            "categorical": fastnn.losses.CategoricalCrossentropy,
            "binary": fastnn.losses.BinaryCrossentropy,
        }
        activation = None if from_logits else ("sigmoid" if loss == "binary" else "softmax")
        targets = labels if loss == "sparse" else fastnn.utils.to_categorical(labels)
        model = fastnn.Sequential(
            [layers.Flatten(input_shape=(12, 12, 1)), layers.Dense(16, "relu"), layers.Dense(3, activation)]
        )
        model.compile(fastnn.optimizers.Adam(0.01), classes[loss](from_logits=from_logits), ["accuracy"])
        model.fit(x, targets, epochs=25, verbose=0)
        results = model.evaluate(x, targets, return_dict=True)
        assert results["accuracy"] == 1.0
        assert results["loss"] < 0.1

    def test_values(self):
        p = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
        labels = np.array([1, 0])
        one_hot = np.eye(3)[labels]
        expected = -np.log([0.5, 0.1]).mean()
        assert fastnn.losses.SparseCategoricalCrossentropy()(labels, p) == pytest.approx(expected)
        assert fastnn.losses.CategoricalCrossentropy()(one_hot, p) == pytest.approx(expected)
        assert fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, np.log(p)) == pytest.approx(expected)
        assert fastnn.losses.CategoricalCrossentropy(from_logits=True)(one_hot, np.log(p)) == pytest.approx(expected)
        binary = -(one_hot * np.log(p) + (1 - one_hot) * np.log(1 - p)).mean()
        assert fastnn.losses.BinaryCrossentropy()(one_hot, p) == pytest.approx(binary)
        assert fastnn.losses.BinaryCrossentropy(from_logits=True)(one_hot, np.log(p / (1 - p))) == pytest.approx(binary)
        assert fastnn.losses.MeanSquaredError()(one_hot, p) == pytest.approx(((one_hot - p) ** 2).mean())

    def test_metric_objects_and_names(self, data):
        model = small_cnn(metrics=[fastnn.metrics.SparseCategoricalAccuracy(name="hits"), "sparse_categorical_accuracy"])
        results = model.evaluate(*data, return_dict=True)
        assert results["hits"] == results["sparse_categorical_accuracy"]
        assert results["hits"] == pytest.approx((model.predict(data[0]).argmax(1) == data[1]).mean())

    def test_optimizers_match_their_formulas(self):
        for optimizer in (fastnn.optimizers.SGD(0.1), fastnn.optimizers.SGD(0.1, momentum=0.9)):
            w = fastnn.Variable(np.array([1.0, -2.0], np.float32))

            @fastnn.function
            def step(optimizer=optimizer, w=w):
                _, gradients = fastnn.value_and_grad(lambda: fastnn.ops.sum(w * w), variables=[w])()
                optimizer.apply(gradients, [w])

            velocity, expected = np.zeros(2), w.numpy().astype(np.float64)
            for _ in range(5):
                step()
                gradient = 2 * expected
                velocity = optimizer.momentum * velocity - 0.1 * gradient
                expected = expected + velocity
            np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)
            assert optimizer.iterations.numpy() == 5


class TestModelSurface:
    def test_add_pop_and_layers(self):
        model = fastnn.models.Sequential(name="m")
        model.add(fastnn.Input(shape=(4,)))
        model.add(layers.Dense(3, name="first"))
        model.add(layers.Dense(2))
        assert model.output_shape == (None, 2)
        assert [type(layer) for layer in model.layers] == [layers.Dense, layers.Dense]
        assert model.get_layer("first") is model.layers[0] is model.get_layer(index=0)
        assert model.pop().units == 2
        assert model.output_shape == (None, 3)
        assert model.predict(np.ones((2, 4))).shape == (2, 3)
        with pytest.raises(ValueError, match="did you mean 'first'"):
            model.get_layer("frist")

    def test_weights_round_trip_between_predictions(self, data):
        a, b = small_cnn(), small_cnn()
        assert not np.array_equal(a.predict(data[0]), b.predict(data[0]))
        b.set_weights(a.get_weights())
        np.testing.assert_array_equal(a.predict(data[0]), b.predict(data[0]))
        wrong = a.get_weights()
        wrong[0] = wrong[0] + 1
        wrong[-1] = np.zeros(4)
        with pytest.raises(ValueError, match=r"shape \(4,\); expected \(3,\); nothing was changed"):
            b.set_weights(wrong)
        np.testing.assert_array_equal(a.predict(data[0]), b.predict(data[0]))

    def test_a_model_without_input_shape_builds_on_data(self):
        model = fastnn.Sequential([layers.Flatten(), layers.Dense(2)])
        with pytest.raises(ValueError, match="before the shape of the input is known"):
            model.summary()
        assert model.predict(np.ones((3, 4, 5))).shape == (3, 2)
        assert model.count_params() == 42

    def test_a_layer_that_does_not_fit_is_not_kept(self):
        model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
        with pytest.raises(ValueError, match="4 axes"):
            model.add(layers.Conv2D(2, 3))
        model.add(layers.Dense(2))
        assert model.output_shape == (None, 2)
        late = fastnn.Sequential([layers.Conv2D(2, 3)])
        with pytest.raises(ValueError, match="expected"):
            late.predict(np.ones((1, 2, 2, 1)))
        assert late.predict(np.ones((1, 8, 8, 3))).shape == (1, 6, 6, 2)

    def test_an_input_shape_that_contradicts(self):
        with pytest.raises(ValueError, match=r"input_shape=\(5,\) for an input of shape \(batch, 4\)"):
            fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3, input_shape=(5,))])
        model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
        model.pop()
        model.add(layers.Dense(3, input_shape=(5,)))
        assert model.input_shape == (None, 5)
        model.build((None, 5))

    def test_weights_of_strangers_are_not_silently_left_out(self, data):
        inner = layers.Dense(3)

        class Outer(layers.Layer):
            def call(self, x):
                return inner(x)

        model = fastnn.Sequential([layers.Flatten(), Outer(), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="would never be trained"):
            model.fit(*data, verbose=0)

    def test_a_layer_of_ones_own(self, data):
        class Scale(layers.Layer):
            def build(self, input_shape):
                self.factor = self.add_weight("factor", (input_shape[-1],), fastnn.initializers.get("ones"))

            def call(self, x):
                return x * self.factor

        model = fastnn.Sequential([layers.Flatten(), Scale(), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(*data, epochs=2, verbose=0)
        assert not np.array_equal(model.layers[1].factor.numpy(), np.ones(144))

    def test_the_first_prediction_from_several_threads_builds_once(self):
        for _ in range(10):
            model = fastnn.Sequential([layers.Dense(8) for _ in range(3)])
            barrier = threading.Barrier(4)
            results = []

            def work(model=model, barrier=barrier, results=results):
                barrier.wait()
                results.append(model.predict(np.ones((2, 5))))

            workers = [threading.Thread(target=work) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            assert len(model.weights) == 6
            assert all(np.array_equal(r, results[0]) for r in results)

    def test_layers_alone(self):
        x = np.arange(4.0, dtype=np.float32).reshape(1, 2, 2, 1)
        np.testing.assert_array_equal(layers.Rescaling(0.5, 1.0)(x), x * 0.5 + 1.0)
        np.testing.assert_array_equal(layers.MaxPooling2D()(x).ravel(), [3.0])
        np.testing.assert_array_equal(layers.Flatten()(x), x.reshape(1, 4))
        np.testing.assert_allclose(layers.Activation("sigmoid")(x), 1 / (1 + np.exp(-x)), rtol=1e-6)
        assert layers.Conv2D(3, 2)(x).shape == (1, 1, 1, 3)

    @pytest.mark.parametrize(
        "layer",
        [
            layers.Dense(3, "relu", use_bias=False, kernel_initializer="he_normal"),
            layers.Conv2D(2, (3, 2), strides=2, padding="same", activation="tanh", input_shape=(8, 8, 3)),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Activation("softmax"),
            layers.Dropout(0.3, seed=4),
            layers.Rescaling(2.0, -1.0),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_layers_round_trip_through_their_config(self, layer):
        copy = type(layer).from_config(layer.get_config())
        assert repr(copy.get_config()) == repr(layer.get_config())

    def test_initializers(self):
        fastnn.set_seed(0)
        for name, variance in (
            ("glorot_uniform", 2 / 300),
            ("glorot_normal", 2 / 300),
            ("he_uniform", 0.02),
            ("he_normal", 0.02),
        ):
            values = fastnn.initializers.get(name)((100, 200))
            assert values.dtype == np.float32
            assert abs(values.mean()) < 0.003
            assert values.var() == pytest.approx(variance, rel=0.05)
        np.testing.assert_array_equal(fastnn.initializers.get("zeros")((2, 2)), np.zeros((2, 2)))
        a = fastnn.initializers.GlorotUniform(seed=5)
        np.testing.assert_array_equal(a((3, 4)), a((3, 4)))
        kernel = fastnn.initializers.HeNormal(seed=1)((3, 3, 32, 64))
        assert kernel.var() == pytest.approx(2 / (9 * 32), rel=0.05)

    def test_to_categorical(self):
        np.testing.assert_array_equal(fastnn.utils.to_categorical([1, 0], 3), [[0, 1, 0], [1, 0, 0]])
        assert fastnn.utils.to_categorical(np.array([[1], [2]])).shape == (2, 3)
        for bad in ([3], [-1]):
            with pytest.raises(ValueError, match="expected 0 <= label < 3"):
                fastnn.utils.to_categorical(bad, 3)
        with pytest.raises(TypeError, match="expected integers"):
            fastnn.utils.to_categorical([0.5])

    @pytest.mark.parametrize(
        ("labels", "num_classes", "message"),
        [
            ([0.0, np.inf], None, "a label inf; expected integers"),
            ([0.0, np.nan], 3, "a label nan; expected integers"),
            ([1e300], None, "a label 1e\\+300; expected integers"),
            ([[1], [1, 2]], None, "expected rows of equal length"),
            ([1], "a", "num_classes='a'; expected a positive integer"),
            ([1], 2.5, "num_classes=2.5; expected a positive integer"),
        ],
    )
    def test_to_categorical_refuses(self, labels, num_classes, message):
        with pytest.raises(ValueError, match=f"to_categorical: .*{message}.*; "):
            fastnn.utils.to_categorical(labels, num_classes)

    @pytest.mark.parametrize(
        ("first", "error", "message"),
        [
            ([[1.0, 2.0], [3.0]], ValueError, "m: 'd/kernel': .*; expected rows of equal length; "),
            ("abc", TypeError, "m: 'd/kernel' given an array of dtype <U3; expected numbers; nothing was changed"),
            (np.ones((2, 1), complex), TypeError, "dtype complex128; expected numbers"),
            (None, TypeError, "dtype object; expected numbers"),
        ],
    )
    def test_weights_that_are_no_numbers(self, first, error, message):
        model = fastnn.Sequential([layers.Dense(1, name="d", input_shape=(2,))], name="m")
        before = model.get_weights()
        with pytest.raises(error, match=message):
            model.set_weights([first, np.zeros(1)])
        with pytest.raises(error, match=message.replace("m: ", "d: ")):
            model.layers[0].set_weights([first, np.zeros(1)])
        with pytest.raises(TypeError, match="expected a list of arrays"):
            model.set_weights(None)
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        with pytest.raises(ValueError, match=r"variable 'd/bias': .*; expected rows of equal length; "):
            model.layers[0].bias.assign([[1.0, 2.0], [3.0]])

    def test_every_public_module_comes_with_import_fastnn(self):
        program = "import fastnn, sys; [getattr(fastnn, name) for name in dir(fastnn)]; fastnn.layers.Dense(1)"
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_import_loads_no_sub_module_and_no_other_package(self):
        program = (
            "import numpy, sys; before = set(sys.modules); import fastnn; new = set(sys.modules) - before; "
            "bad = [m for m in new if not m.startswith('fastnn') and m.split('.')[0] not in sys.stdlib_module_names]; "
            "assert not bad, bad; assert {m for m in new if m.startswith('fastnn')} == {'fastnn', 'fastnn._core'}, new"
        )
        subprocess.run([sys.executable, "-c", program], check=True)


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"optimizer": "adm"}, "did you mean 'adam'"),
            ({"loss": "sparse_categorical_crossentropi"}, "did you mean 'sparse_categorical_crossentropy'"),
            ({"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
            ({"loss": "mse", "metrics": ["accuracy"]}, "'accuracy' with the loss MeanSquaredError"),
            ({"loss": None}, "compile without a loss"),
            ({"metrics": ["accuracy", "accuracy"]}, "different names"),
        ],
    )
    def test_compile(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            small_cnn(**arguments)

    def test_one_hot_targets_for_a_sparse_loss(self, data):
        with pytest.raises(ValueError, match="use categorical_crossentropy"):
            small_cnn().fit(data[0], np.eye(3)[data[1]])

    def test_classes_instead_of_objects(self):
        for make in (
            lambda: small_cnn(loss=fastnn.losses.SparseCategoricalCrossentropy),
            lambda: small_cnn(optimizer=fastnn.optimizers.Adam),
            lambda: layers.Dense(2, kernel_initializer=fastnn.initializers.HeNormal),
        ):
            with pytest.raises(TypeError, match="expected"):
                make()

    def test_hooks_that_do_not_exist(self, data):
        class Typo(fastnn.callbacks.Callback):
            def on_epoch_ends(self, epoch, logs=None): ...

        with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
            small_cnn().fit(*data, callbacks=Typo(), verbose=0)

    @pytest.mark.parametrize("rate", [float("nan"), -1.0, "fast"])
    def test_learning_rates(self, rate):
        optimizer = fastnn.optimizers.SGD(0.5)
        with pytest.raises(ValueError, match="expected a finite number"):
            optimizer.learning_rate = rate
        assert float(optimizer.learning_rate) == 0.5

    def test_freezing(self):
        layer = layers.Dense(2, input_shape=(3,))
        with pytest.raises(TypeError, match="trainable='no'; expected True or False"):
            layer.trainable = "no"

    def test_names(self):
        with pytest.raises(ValueError, match="did you mean 'relu'"):
            layers.Dense(2, activation="rellu")
        with pytest.raises(ValueError, match="did you mean 'glorot_uniform'"):
            layers.Dense(2, kernel_initializer="glorot_unifrom")
        with pytest.raises(AttributeError, match="did you mean 'Conv2D'"):
            _ = layers.Conv2d
        with pytest.raises(AttributeError):
            _ = fastnn.nonsense

    @pytest.mark.parametrize(
        "make",
        [
            lambda: layers.Dense(0),
            lambda: layers.Dense(2.5),
            lambda: layers.Conv2D(4, (3,)),
            lambda: layers.Conv2D(4, (3, 0)),
            lambda: layers.Conv2D(4, 3, padding="full"),
            lambda: layers.Conv2D(4, 3, strides=(1, -1)),
            lambda: layers.MaxPooling2D("2"),
            lambda: layers.Dropout(1.0),
            lambda: layers.Dropout(-0.1),
            lambda: fastnn.Input(shape=(0,)),
            lambda: fastnn.optimizers.Adam(learning_rate=-1.0),
            lambda: fastnn.optimizers.Adam(beta_1=1.0),
            lambda: fastnn.optimizers.SGD(momentum=1.0),
            lambda: fastnn.optimizers.SGD(nesterov=True),
            lambda: fastnn.optimizers.SGD(momentum="a"),
            lambda: fastnn.optimizers.SGD(learning_rate=None),
            lambda: fastnn.optimizers.Adam(beta_2="a"),
            lambda: fastnn.optimizers.Adam(epsilon="a"),
            lambda: fastnn.ops.sgd_update(np.float64(0.1), None, [np.ones(2)], [np.ones(2)], nesterov=True),
            lambda: layers.Dropout("a"),
            lambda: layers.Rescaling("a"),
            lambda: fastnn.initializers.HeNormal(seed=-1),
            lambda: fastnn.initializers.RandomNormal(stddev="a"),
            lambda: fastnn.initializers.RandomUniform(0.5, 0.0),
            lambda: fastnn.set_num_threads(0),
            lambda: fastnn.set_num_threads(10**20),
            lambda: fastnn.metrics.BinaryAccuracy(threshold="a"),
            lambda: fastnn.Variable([[1.0], [1.0, 2.0]]),
            lambda: fastnn.set_seed(-1),
            lambda: fastnn.Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="a")]),
            lambda: fastnn.Sequential([layers.Dense(2), fastnn.Input(shape=(2,))]),
            lambda: fastnn.Sequential().predict(np.ones((1, 2))),
            lambda: fastnn.Sequential().pop(),
        ],
    )
    def test_arguments(self, make):
        with pytest.raises(ValueError, match=r"; expected .*; "):
            make()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: fastnn.set_num_threads("a"),
            lambda: fastnn.set_num_threads(True),
            lambda: fastnn.set_seed("a"),
            lambda: fastnn.initializers.HeNormal(seed="a"),
            lambda: layers.Dropout(0.5, seed="a"),
            lambda: fastnn.Sequential(layers.Dense(2)),
            lambda: fastnn.Sequential([layers.Dense(2)]).build(4),
            lambda: fastnn.Sequential([layers.Dense(2)]).compile(loss="mse", metrics="accuracy"),
            lambda: fastnn.Sequential([layers.Dense(2)]).compile(loss="mse", metrics=fastnn.metrics.Mean()),
            lambda: fastnn.Sequential([layers.Dense(2)]).get_layer(index="a"),
            lambda: fastnn.Sequential([layers.Dense(2)]).get_layer(index=0.0),
            lambda: fastnn.ops.clip(np.ones(2), "a", 1.0),
            lambda: fastnn.ops.sum(np.ones(2), "a"),
            lambda: fastnn.ops.dropout(np.ones(2), np.array([0, 0]), rate="a"),
            lambda: fastnn.ops.sgd_update(np.float64(0.1), None, [np.ones(2)], [np.ones(2)], nesterov="a"),
            lambda: fastnn.ops.sgd_update(np.float64(0.1), None, [np.ones(2)], [np.ones(2)], momentum="a"),
        ],
    )
    def test_arguments_of_the_wrong_type(self, make):
        with pytest.raises(TypeError, match=r"; expected .*; "):
            make()

    def test_a_kernel_larger_than_the_image(self):
        with pytest.raises(ValueError, match="; expected") as error:
            fastnn.Sequential([layers.Conv2D(4, (5, 5), name="big", input_shape=(3, 3, 1))])
        assert "big" in str(error.value)

    def test_layers_that_do_not_fit_are_named(self):
        with pytest.raises(ValueError, match="late_conv"):
            fastnn.Sequential([layers.Flatten(input_shape=(4, 4, 1)), layers.Conv2D(2, 3, name="late_conv")])
        with pytest.raises(TypeError, match="not classes"):
            fastnn.Sequential([layers.Flatten])

    def test_fit_before_compile(self, data):
        model = fastnn.Sequential([layers.Flatten(), layers.Dense(3)])
        for call in (lambda: model.fit(*data), lambda: model.evaluate(*data), lambda: model.train_on_batch(*data)):
            with pytest.raises(ValueError, match="before compile"):
                call()
        assert model.predict(data[0]).shape == (70, 3)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x, y: (x, y[:-1]), "one target per sample"),
            (lambda x, y: (x[:0], y[:0]), "empty arrays"),
            (lambda x, y: (x[:, :5], y), r"x has shape \(70, 5, 12, 1\); expected \(None, 12, 12, 1\)"),
            (lambda x, y: (x.reshape(70, -1), y), "expected"),
            (lambda x, y: (np.float32(1.0), y), "single number"),
            (lambda x, y: (x, np.eye(3)[y]), "targets of shape"),
            (lambda x, y: (x, y + 1), "label 3 at position"),
            (lambda x, y: (x, y - 1), "label -1 at position"),
        ],
    )
    def test_shapes_and_labels(self, data, change, message):
        model = small_cnn()
        before = model.get_weights()
        for method in (model.fit, model.evaluate, model.train_on_batch):
            x, y = change(*data)
            with pytest.raises(ValueError, match=message):
                method(x, y)
        if "label" not in message:
            for a, b in zip(before, model.get_weights()):
                np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize("bad", [np.array([None] * 70), np.array(["a"] * 70), np.ones((70, 12, 12, 1), complex)])
    def test_arrays_without_numbers(self, data, bad):
        model = small_cnn()
        with pytest.raises(TypeError, match="expected numbers"):
            model.fit(bad, data[1])
        with pytest.raises(TypeError):
            model.predict(bad)

    def test_ragged_lists(self, data):
        with pytest.raises(ValueError, match="rows of equal length"):
            small_cnn().fit([[1, 2], [3]], data[1])

    @pytest.mark.parametrize(
        "options",
        [
            {"batch_size": 0},
            {"batch_size": -1},
            {"batch_size": 2.5},
            {"epochs": 0},
            {"verbose": 3},
            {"validation_split": 1.0},
            {"validation_split": 0.999},
            {"validation_split": "a"},
            {"verbose": "no"},
            {"validation_data": np.ones(3)},
            {"initial_epoch": -1},
        ],
    )
    def test_options(self, data, options):
        with pytest.raises(ValueError, match="expected"):
            small_cnn().fit(*data, **options)
        with pytest.raises(TypeError):
            small_cnn().fit(*data, workers=2)

    @pytest.mark.parametrize("verbose", ["no", 3, -1, None, 0.5])
    def test_verbose(self, data, verbose):
        model = small_cnn()
        for call in (lambda: model.evaluate(*data, verbose=verbose), lambda: model.predict(data[0], verbose=verbose)):
            with pytest.raises(ValueError, match=r"verbose=.*; expected 'auto', 0, 1 or 2; "):
                call()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_data_that_is_not_finite(self, data, value):
        images, labels = data
        images = images.copy()
        images[40] = value
        model = small_cnn()
        before = model.get_weights()
        with pytest.raises(ValueError, match=r"fit: epoch 1, batch 2: .*sequential.*/loss.*not finite"):
            model.fit(images, labels, batch_size=16, shuffle=False, verbose=0)
        changed = model.get_weights()
        assert not np.array_equal(before[0], changed[0])
        assert all(np.isfinite(w).all() for w in changed)
        with pytest.raises(ValueError, match="evaluate: batch 1"):
            model.evaluate(images, labels)
        with pytest.raises(ValueError, match="train_on_batch"):
            model.train_on_batch(images, labels)
        for a, b in zip(changed, model.get_weights()):
            np.testing.assert_array_equal(a, b)
        output = model.predict(images)
        assert not np.isfinite(output[40]).all()
        assert np.isfinite(np.delete(output, 40, axis=0)).all()

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("FASTNN_ISA", "mmx", f"one of {', '.join(fastnn._core.available_isas())}"),
            ("FASTNN_ISA", "", "one of generic"),
            *(
                ("FASTNN_NUM_THREADS", value, "a number from 1 to 256")
                for value in ("0", "-1", "257", "1.5", "x", "", "٣", "9" * 5000)
            ),
        ],
        ids=lambda value: value[:40],
    )
    def test_the_environment(self, name, value, expected):
        default, told = self._runtime({})
        assert told == ""
        found, told = self._runtime({name: value})
        assert found == default
        assert f"RuntimeWarning: {name}='{value}'; expected {expected}" in told
        assert f"; using {found[0 if name == 'FASTNN_NUM_THREADS' else 1]}" in told

    @pytest.mark.parametrize("isa", fastnn._core.available_isas())
    def test_the_environment_is_heard(self, isa):
        for threads in ("1", "256", " 3"):
            found, told = self._runtime({"FASTNN_ISA": isa, "FASTNN_NUM_THREADS": threads})
            assert (found, told) == ([str(int(threads)), isa], "")

    @staticmethod
    def _runtime(environment):
        """Threads and instruction set of a process with these variables, and what it says on standard error."""
        program = "import fastnn; print(fastnn.num_threads(), fastnn._core.isa())"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FASTNN_")}
        result = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", program], env=clean | environment, capture_output=True, text=True, check=True
        )
        return result.stdout.split(), result.stderr
