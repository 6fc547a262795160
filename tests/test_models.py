"""Functional and subclassed models, layers within layers, frozen layers, several inputs and outputs, batches and weights of "
"samples."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

X = np.random.default_rng(0).random((24, 6), dtype=np.float32)
LABELS = (X[:, 0] * 3).astype(np.int64)


def two_inputs(**options: Any) -> fastnn.Model:
    """Two inputs, a layer used twice, a branch, an op between layers, two outputs."""
    image, age = fastnn.Input((6,), name="image"), fastnn.Input((6,), name="age")
    shared = layers.Dense(5, activation="tanh", name="shared")
    joined = shared(image) * 2.0 + shared(age)
    hidden = layers.Dropout(0.2)(layers.Dense(5, activation="relu")(joined) * 0.0 + joined)
    model = fastnn.Model(
        [image, age],
        {"kind": layers.Dense(3, activation="softmax", name="last")(hidden), "size": layers.Dense(1)(ops.relu(joined))},
        **options,
    )
    model.compile(
        fastnn.optimizers.SGD(0.1),
        loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
        metrics={"kind": ["accuracy"]},
        loss_weights={"size": 0.5},
    )
    return model


class Residual(layers.Layer):
    """Layers in an attribute and in a list, and a weight of its own."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.blocks = [layers.Dense(units, activation="relu"), layers.Dropout(0.5)]

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", (), fastnn.initializers.Constant(0.5))

    def call(self, x: Any) -> Any:
        y = x
        for block in self.blocks:
            y = block(y)  # `training` comes from the call that this one is part of
        return x + y * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, **super().get_config()}


class Classifier(fastnn.Model):
    def __init__(self, units: int = 6, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.residual = Residual(units)
        self.last = layers.Dense(3, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.residual(x))

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


CUSTOM = {"Residual": Residual, "Classifier": Classifier}


class TestFunctional:
    def test_it_computes_what_its_layers_compute(self):
        model = two_inputs()
        shared, last = model.get_layer("shared"), model.get_layer("last")
        joined = np.tanh(X @ shared.kernel.numpy()) * 2 + np.tanh(X[::-1] @ shared.kernel.numpy())
        logits = joined @ last.kernel.numpy()
        expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        outputs = model.predict([X, X[::-1]])
        np.testing.assert_allclose(outputs["kind"], expected, rtol=1e-5)
        assert outputs["size"].shape == (24, 1)
        for form in ([X, X[::-1]], (X, X[::-1]), {"age": X[::-1], "image": X}):
            again = model(form)
            for name in outputs:
                np.testing.assert_array_equal(again[name], outputs[name])
        assert model.output_shape == {"kind": (None, 3), "size": (None, 1)}
        assert model.input_shape == [(None, 6), (None, 6)]
        assert model.layers[0].name == "shared"

    def test_it_trains(self):
        fastnn.set_seed(0)
        model = two_inputs()
        y = {"kind": LABELS, "size": X.sum(-1)}
        history = model.fit([X, X], y, epochs=60, batch_size=8, verbose=0).history
        assert set(history) == {"loss", "kind_loss", "size_loss", "kind_accuracy"}
        assert history["loss"][-1] < 0.7 * history["loss"][0]
        for total, kind, size in zip(*(history[name] for name in ("loss", "kind_loss", "size_loss"))):
            assert total == pytest.approx(kind + 0.5 * size, rel=1e-5)
        results = model.evaluate([X, X], y, return_dict=True)
        outputs = model.predict([X, X])
        assert results["size_loss"] == pytest.approx(np.mean((outputs["size"][:, 0] - X.sum(-1)) ** 2), rel=1e-4)

    def test_only_one_output_has_a_loss(self):
        model = two_inputs()
        model.compile("sgd", loss={"kind": "sparse_categorical_crossentropy"})
        with pytest.raises(ValueError, match="the loss does not depend on dense"):
            model.fit([X, X], {"kind": LABELS}, verbose=0)
        model.layers[-1].trainable = False
        model.compile("sgd", loss={"kind": "sparse_categorical_crossentropy"})
        assert set(model.fit([X, X], {"kind": LABELS}, verbose=0).history) == {"loss", "kind_loss"}

    def test_one_program_for_all_batch_sizes(self):
        model = two_inputs()
        whole = model.predict([X, X])
        for size in (1, 7, 24):
            parts = model.predict([X, X], batch_size=size)
            for name in whole:
                np.testing.assert_array_equal(parts[name], whole[name])

    def test_files(self, tmp_path):
        model = two_inputs(name="pair")
        y = {"kind": LABELS, "size": X.sum(-1)}
        model.fit([X, X], y, batch_size=8, verbose=0)
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors")
        assert loaded.evaluate([X, X], y, return_dict=True) == model.evaluate([X, X], y, return_dict=True)
        for m in (model, loaded):
            m.fit([X, X], y, batch_size=8, shuffle=False, verbose=0)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        duplicate = copy.deepcopy(model)
        np.testing.assert_array_equal(duplicate.predict([X, X])["size"], model.predict([X, X])["size"])
        two_inputs(name="pair").save(tmp_path / "other.safetensors")

    def test_models_as_layers(self, tmp_path):
        inner = fastnn.Sequential([layers.Dense(4, activation="relu"), layers.Dense(6)], name="inner")
        x = fastnn.Input((6,))
        model = fastnn.Model(x, layers.Dense(1)(inner(x) + inner(x * 0.5)))
        model.compile("adam", "mse")
        model.fit(X, X.sum(-1), epochs=2, verbose=0)
        assert len(model.weights) == 6
        assert "inner/dense/kernel" in model.named_weights()
        model.save(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(fastnn.load_model(tmp_path / "model.safetensors").predict(X), model.predict(X))
        nested = fastnn.Sequential([fastnn.Sequential([layers.Dense(3, input_shape=(6,))]), layers.Dense(2)])
        assert nested.predict(X).shape == (24, 2)

    def test_two_hundred_layers(self):
        x = y = fastnn.Input((8,))
        for _ in range(200):
            y = layers.Dense(8)(y)
        model = fastnn.Model(x, y)
        assert len(model.layers) == 200 and model.predict(np.zeros((2, 8))).shape == (2, 8)

    def test_values_that_are_no_tensors(self):
        x = fastnn.Input((6,))
        for use, words in (
            (lambda: bool(x), "has no truth value"),
            (lambda: np.sum(x), "has no numbers"),
            (lambda: fastnn.function(lambda: x + 1.0)(), "expected an array"),
        ):
            with pytest.raises(TypeError, match=words):
                use()

    def test_what_is_refused(self):
        x, other = fastnn.Input((6,)), fastnn.Input((6,))
        y = layers.Dense(3)(x)
        with pytest.raises(ValueError, match=r"outputs need <Input 'input.*; expected only the model's inputs"):
            fastnn.Model(x, layers.Dense(3)(y + layers.Dense(3)(other)))
        with pytest.raises(TypeError, match=r"inputs of <SymbolicTensor.*; expected fastnn.Input"):
            fastnn.Model(y, layers.Dense(3)(y))
        with pytest.raises(TypeError, match="outputs of 3; expected symbolic tensors"):
            fastnn.Model(x, 3)
        with pytest.raises(ValueError, match="two layers named 'same'"):
            fastnn.Model(x, layers.Dense(3, name="same")(layers.Dense(3, name="same")(x)))
        with pytest.raises(ValueError, match="expected different ones; pass name="):
            fastnn.Model([x, x], y)
        with pytest.raises(ValueError, match=r"conv2d_?\d*: input of shape \(None, 6\); expected 4 axes"):
            layers.Conv2D(3, 3)(x)

    @pytest.mark.parametrize(
        ("x", "words"),
        [
            (X, "x is ndarray; expected 2 arrays, image, age"),
            ([X], "x is 1 arrays; expected 2"),
            ({"image": X, "agee": X}, "x with the keys image, agee; expected image, age"),
            ([X, X[:5]], "samples: x 'image' 24, x 'age' 5; expected as many of each"),
            ([X, X[:, :2]], r"x 'age' has shape \(24, 2\); expected \(None, 6\)"),
        ],
    )
    def test_data_that_does_not_fit(self, x, words):
        model = two_inputs()
        with pytest.raises(ValueError, match=words):
            model.predict(x)

    def test_options_of_outputs(self):
        model = two_inputs()
        for options, error, words in (
            ({"loss": {"kinds": "mse"}}, ValueError, "'kinds' does not exist; .*did you mean 'kind'"),
            ({"loss": ["mse"]}, ValueError, "1 entries in loss; expected 2, one for each of kind, size"),
            ({"loss": [None, None]}, ValueError, "for no output"),
            ({"loss": "mse", "metrics": ["accuracy", "mse", "mse"]}, ValueError, "3 entries in metrics"),
            ({"loss": "mse", "loss_weights": 2.0}, TypeError, "of several outputs; expected a list or a dict"),
            ({"loss": "mse", "loss_weights": ["a", 1]}, ValueError, "loss_weights='a'"),
        ):
            with pytest.raises(error, match=words):
                model.compile("sgd", **options)
        with pytest.raises(ValueError, match="y 'size' has shape"):
            model.fit([X, X], {"kind": LABELS, "size": X[:3, 0]}, verbose=0)


class TestSubclasses:
    def test_it_trains_and_draws_dropout_only_then(self):
        fastnn.set_seed(0)
        model = Classifier()
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        losses = model.fit(X, LABELS, epochs=40, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        np.testing.assert_array_equal(model.predict(X), model.predict(X))
        assert not np.array_equal(model(X, training=True), model(X, training=True))
        assert list(model.named_weights()) == [
            "residual/factor",
            "residual/blocks/0/kernel",
            "residual/blocks/0/bias",
            "last/kernel",
            "last/bias",
        ]
        assert int(model.named_variables()["residual/blocks/1/random_state"].numpy()[1]) > 0

    def test_files(self, tmp_path):
        model = Classifier()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(X, LABELS, verbose=0)
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects=CUSTOM)
        assert isinstance(loaded, Classifier)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        for m in (model, loaded):
            m.fit(X, LABELS, shuffle=False, verbose=0)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_layer_within_layers_in_a_sequential(self, tmp_path):
        model = fastnn.Sequential([Residual(6, input_shape=(6,)), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        before = model.get_weights()
        model.fit(X, LABELS, epochs=3, verbose=0)
        assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects=CUSTOM)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))

    def test_several_inputs_and_outputs(self):
        class Both(fastnn.Model):
            def __init__(self) -> None:
                super().__init__()
                self.left, self.right = layers.Dense(2), layers.Dense(1)

            def call(self, x: Any) -> Any:
                return self.left(x["a"]), self.right(x["a"] + x["b"])

        model = Both()
        left, right = model.predict({"a": X, "b": X})
        assert left.shape == (24, 2) and right.shape == (24, 1)
        model.compile("sgd", loss=["mse", "mse"])
        assert set(model.fit({"a": X, "b": X}, [X[:, :2], X[:, 0]], verbose=0).history) == {
            "loss",
            "output_1_loss",
            "output_2_loss",
        }

    def test_what_is_refused(self):
        class Odd(fastnn.Model):
            pass

        with pytest.raises(TypeError, match="inputs and outputs of a subclass"):
            Odd(fastnn.Input((2,)), fastnn.Input((2,)))
        with pytest.raises(ValueError, match="before the shape of the input is known"):
            Classifier().save("a.safetensors")

        class Two(fastnn.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, x: Any) -> Any:
                return self.dense(x), x

        model = Two()
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="2 outputs and 1 losses; expected as many"):
            model.fit(X, X[:, :2], verbose=0)


class TestFreezing:
    def test_frozen_layers_stay_and_the_others_learn(self, tmp_path):
        model = fastnn.Sequential([layers.Dense(5, activation="relu", input_shape=(6,)), layers.Dense(3, activation="softmax")])
        model.layers[0].trainable = False
        model.compile("adam", "sparse_categorical_crossentropy")
        before = model.get_weights()
        model.fit(X, LABELS, epochs=2, verbose=0)
        after = model.get_weights()
        assert [np.array_equal(a, b) for a, b in zip(before, after)] == [True, True, False, False]
        steps = model._training_program(model._prepare(X, LABELS, "test")).function.describe([[24, 6], [24], [8]])["steps"]
        assert not any(step["op"] == "relu_backward" for step in steps)  # what is frozen costs no backward pass
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors")
        assert [layer.trainable for layer in loaded.layers] == [False, True]
        assert len(loaded.trainable_variables) == 2

    def test_of_all_below(self):
        model = Classifier()
        model.build((6,))
        model.residual.trainable = False
        assert [v.name for v in model.trainable_variables] == [v.name for v in model.last.weights]
        model.trainable = False
        assert model.trainable_variables == []
        model.compile("sgd", "sparse_categorical_crossentropy")
        with pytest.raises(ValueError, match="no trainable weights"):
            model.fit(X, LABELS, verbose=0)
        model.trainable = True
        assert len(model.trainable_variables) == 5

    def test_learning_the_other_half(self):
        """Transfer: what was learnt on three classes, frozen, helps with two others from few samples."""
        fastnn.set_seed(1)
        rng = np.random.default_rng(1)
        centres = rng.normal(size=(5, 6)).astype(np.float32) * 2
        labels = np.repeat(np.arange(5), 60)
        x = centres[labels] + rng.normal(size=(300, 6)).astype(np.float32) * 0.3
        base = fastnn.Sequential([layers.Dense(16, activation="relu", input_shape=(6,))])
        first = fastnn.Sequential([base, layers.Dense(3, activation="softmax")])
        first.compile("adam", "sparse_categorical_crossentropy")
        first.fit(x[labels < 3], labels[labels < 3], epochs=20, verbose=0)
        base.trainable = False
        second = fastnn.Sequential([base, layers.Dense(2, activation="softmax")])
        second.compile(fastnn.optimizers.Adam(0.05), "sparse_categorical_crossentropy", ["accuracy"])
        few = np.concatenate([np.flatnonzero(labels == c)[:10] for c in (3, 4)])
        before = base.get_weights()
        second.fit(x[few], labels[few] - 3, epochs=30, verbose=0)
        assert second.evaluate(x[labels >= 3], labels[labels >= 3] - 3)[1] > 0.95
        np.testing.assert_array_equal(before[0], base.get_weights()[0])


def regression() -> fastnn.Sequential:
    fastnn.set_seed(3)
    model = fastnn.Sequential([layers.Dense(3, activation="softmax", input_shape=(6,))])
    model.compile(fastnn.optimizers.SGD(0.5), "sparse_categorical_crossentropy", ["accuracy"])
    return model


class TestWeightsOfSamples:
    def test_of_zero_are_left_out(self):
        """Weights of 0 and 1 give the gradient of the others alone, but for the division by all."""
        weights = (np.arange(24) % 2).astype(np.float32) * 2
        model, other = regression(), regression()
        model.fit(X, LABELS, sample_weight=weights, batch_size=24, verbose=0)
        other.fit(X[1::2], LABELS[1::2], batch_size=24, verbose=0)
        for a, b in zip(model.get_weights(), other.get_weights()):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)

    def test_of_classes(self):
        model, other = regression(), regression()
        factors = {0: 3.0, 2: 0.5}
        plain = {"shuffle": False, "verbose": 0}
        model.fit(X, LABELS, class_weight=factors, **plain)
        other.fit(X, LABELS, sample_weight=[factors.get(int(c), 1.0) for c in LABELS], **plain)
        both = regression()
        both.fit(X, LABELS, class_weight=factors, sample_weight=np.full((24, 1), 1.0), **plain)
        for a, b, c in zip(model.get_weights(), other.get_weights(), both.get_weights()):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)
        one_hot = fastnn.utils.to_categorical(LABELS, 3)
        model.compile("sgd", "categorical_crossentropy")
        model.fit(X, one_hot, class_weight=factors, verbose=0)

    def test_in_evaluate_and_single_steps(self):
        model = regression()
        plain = model.evaluate(X, LABELS, return_dict=True)
        doubled = model.evaluate(X, LABELS, sample_weight=np.full(24, 2.0), return_dict=True)
        assert doubled["loss"] == pytest.approx(2 * plain["loss"]) and doubled["accuracy"] == plain["accuracy"]
        assert model.train_on_batch(X, LABELS, sample_weight=np.full(24, 2.0))[0] == pytest.approx(doubled["loss"])

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"sample_weight": np.ones(5)}, ValueError, r"sample_weight: shape \(5,\); expected \(24,\)"),
            ({"sample_weight": -np.ones(24)}, ValueError, "negative or not finite"),
            ({"sample_weight": np.full(24, np.nan)}, ValueError, "negative or not finite"),
            ({"class_weight": [1.0, 2.0]}, TypeError, "expected a dict"),
            ({"class_weight": {-1: 2.0}}, ValueError, "expected classes"),
            ({"class_weight": {0: float("nan")}}, ValueError, "not finite"),
        ],
    )
    def test_that_are_none(self, options, error, words):
        with pytest.raises(error, match=words):
            regression().fit(X, LABELS, verbose=0, **options)


class Batches:
    """An iterable that begins anew."""

    def __init__(self, size: int = 8, weights: bool = False) -> None:
        self.size, self.weights, self.begun = size, weights, 0

    def __iter__(self) -> Any:
        self.begun += 1
        for i in range(0, 24, self.size):
            part = slice(i, i + self.size)
            yield (X[part], LABELS[part], np.ones(len(X[part]))) if self.weights else (X[part], LABELS[part])


class TestBatches:
    @pytest.mark.parametrize("weights", [False, True])
    def test_an_iterable_trains_as_arrays_do(self, weights):
        batches, model, other = Batches(weights=weights), regression(), regression()
        history = model.fit(batches, epochs=3, verbose=0).history
        expected = other.fit(X, LABELS, batch_size=8, epochs=3, shuffle=False, verbose=0).history
        assert batches.begun in (3, 4)
        for a, b in zip(model.get_weights(), other.get_weights()):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
        np.testing.assert_allclose(model.evaluate(Batches())[0], model.evaluate(X, LABELS)[0], rtol=1e-6)

    def test_a_generator_goes_on(self):
        def forever() -> Any:
            while True:
                yield from Batches()

        model, other = regression(), regression()
        model.fit(forever(), epochs=3, steps_per_epoch=2, verbose=0)
        other.fit(Batches(), epochs=2, verbose=0)
        for a, b in zip(model.get_weights(), other.get_weights()):
            np.testing.assert_array_equal(a, b)

    def test_steps_per_epoch_of_arrays(self):
        model = regression()
        model.fit(X, LABELS, batch_size=8, steps_per_epoch=2, verbose=0)
        assert int(model.optimizer.iterations) == 2

    def test_batches_of_any_size_and_validation(self):
        def uneven() -> Any:
            for size in (3, 5, 16):
                yield X[:size], LABELS[:size]

        history = regression().fit(uneven(), steps_per_epoch=3, validation_data=Batches(), verbose=0).history
        assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}

    @pytest.mark.parametrize(
        ("batches", "options", "words"),
        [
            (lambda: iter(Batches()), {}, "an iterator without steps_per_epoch"),
            (
                lambda: iter(Batches()),
                {"steps_per_epoch": 2, "epochs": 2},
                "the batches ended after 1; expected 2 in each epoch",
            ),
            (lambda: Batches(), {"steps_per_epoch": 4}, "the batches ended after 3; expected 4"),
            (lambda: iter([]), {"steps_per_epoch": 1}, "the batches ended after 0"),
            (lambda: (b for b in [X]), {"steps_per_epoch": 1}, r"batch 0 is ndarray; expected \(x, y\)"),
            (lambda: (b for b in [(X[:, :2], LABELS)]), {"steps_per_epoch": 1}, r"shape \(24, 2\); expected \(None, 6\)"),
            (lambda: Batches(), {"batch_size": 4}, "batch_size beside an iterable of batches"),
            (lambda: Batches(), {"validation_split": 0.5}, "beside an iterable of batches"),
            (lambda: Batches(), {"y": LABELS}, "y beside an iterable of batches"),
        ],
    )
    def test_batches_that_do_not_fit(self, batches, options, words):
        with pytest.raises(ValueError, match=words):
            regression().fit(batches(), verbose=0, **options)

    def test_a_batch_that_changes_shape_stops_after_whole_steps(self):
        def changing() -> Any:
            yield X[:8], LABELS[:8]
            yield X[:8, :3], LABELS[:8]

        model = regression()
        with pytest.raises(ValueError, match="epoch 1, batch 1: "):
            model.fit(changing(), steps_per_epoch=2, verbose=0)
        assert int(model.optimizer.iterations) == 1
