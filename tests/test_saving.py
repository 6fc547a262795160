"""Models as files: what comes back, what the files hold, what bad files get."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import fastnn
from fastnn import _core, layers, losses, metrics, ops, saving
from fastnn.utils import generator


def bars(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((samples, 12, 12, 1), dtype=np.float32), rng.integers(0, 3, samples)


def small_cnn(optimizer: Any = "adam", **names: str) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [
            layers.Conv2D(4, (3, 3), activation="relu", input_shape=(12, 12, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(6, 3, padding="same", kernel_initializer=fastnn.initializers.HeNormal(seed=3)),
            layers.Activation("tanh"),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(8, activation="relu", name=names.get("hidden")),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def trained() -> fastnn.Sequential:
    model = small_cnn()
    model.fit(*bars(40), batch_size=16, epochs=1, verbose=0)
    return model


class Scale(layers.Layer):
    """A layer of a user: a weight, a Variable beside it, a parameter."""

    def __init__(self, start: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.start = start
        self.calls = fastnn.Variable(0, name="calls", trainable=False)

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", (input_shape[-1],), fastnn.initializers.Constant(self.start))

    def call(self, x: Any, training: bool) -> Any:
        if training:
            self.calls.assign(self.calls + 1)
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start, **super().get_config()}


class Inner(layers.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(3, bias_initializer="ones")

    def call(self, x: Any) -> Any:
        return self.dense(x)


class HalfSquared(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true) * 0.5, axes=-1)


class Largest(metrics.Metric):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_pred, axes=-1)


def wave(x: Any) -> Any:
    return ops.tanh(x * 2.0)


CUSTOM = {"Scale": Scale, "HalfSquared": HalfSquared, "Largest": Largest, "wave": wave}


def custom_model() -> fastnn.Sequential:
    model = fastnn.Sequential([Scale(0.5, input_shape=(3,)), layers.Dense(2, activation=wave)])
    model.compile(fastnn.optimizers.SGD(0.1, momentum=0.5), loss=HalfSquared(), metrics=[Largest("largest")])
    return model


def assert_equal_weights(a: fastnn.Sequential, b: fastnn.Sequential) -> None:
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


class TestWhatComesBack:
    def test_the_model_with_its_bits(self, trained, tmp_path):
        x, y = bars(50, seed=1)
        path = tmp_path / "model.safetensors"
        trained.save(path)
        loaded = fastnn.load_model(path)
        assert_equal_weights(trained, loaded)
        np.testing.assert_array_equal(loaded.predict(x), trained.predict(x))
        assert loaded.evaluate(x, y, return_dict=True) == trained.evaluate(x, y, return_dict=True)
        assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in trained.layers]
        assert loaded.layers[2].kernel_initializer.seed == 3
        assert loaded.output_shape == (None, 3)
        assert fastnn.models.load_model is fastnn.load_model

    @pytest.mark.parametrize("optimizer", ["adam", fastnn.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "sgd"])
    def test_training_goes_on_with_the_same_bits(self, optimizer, tmp_path):
        model = small_cnn(optimizer)
        x, y = bars(48)
        model.fit(x, y, batch_size=16, verbose=0)
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors")
        assert int(loaded.optimizer.iterations) == 3
        for m in (model, loaded):
            m.fit(x, y, batch_size=16, shuffle=False, verbose=0)  # with dropout: its random state comes along
        assert_equal_weights(model, loaded)

    def test_what_does_not_decay_is_known_by_its_place(self, tmp_path):
        """Names of Variables differ between processes: here the loaded layers are called otherwise."""
        layers.Dense(1)  # takes a name
        optimizer = fastnn.optimizers.AdamW(0.1, weight_decay=0.5)
        model = fastnn.Sequential([layers.Dense(3, bias_initializer="ones", input_shape=(2,)), Inner()])
        optimizer.exclude_from_weight_decay(var_list=[model.layers[0].bias, model.layers[1].dense.bias])
        model.compile(optimizer, "mse")
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects={"Inner": Inner})
        assert loaded.layers[1].dense.bias.name != model.layers[1].dense.bias.name
        for m in (model, loaded):
            m.fit(np.zeros((4, 2)), np.zeros((4, 3)), epochs=3, verbose=0)
        assert_equal_weights(model, loaded)

    def test_without_the_optimizer_it_begins_anew(self, trained, tmp_path):
        trained.save(tmp_path / "small.safetensors", include_optimizer=False)
        trained.save(tmp_path / "large.safetensors")
        loaded = fastnn.load_model(tmp_path / "small.safetensors")
        assert int(loaded.optimizer.iterations) == 0
        sizes = [os.path.getsize(tmp_path / f"{name}.safetensors") for name in ("small", "large")]
        assert sizes[1] > sizes[0] + 2 * 4 * trained.count_params() - 100
        loaded.fit(*bars(16), verbose=0)
        assert int(loaded.optimizer.iterations) == 1

    def test_uncompiled(self, trained, tmp_path):
        trained.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", compile=False)
        with pytest.raises(ValueError, match="before compile"):
            loaded.evaluate(*bars(4))
        bare = fastnn.Sequential([layers.Dense(2, input_shape=(3,))])
        bare.save(tmp_path / "bare.safetensors")
        assert fastnn.load_model(tmp_path / "bare.safetensors").loss is None

    def test_what_a_user_has_written(self, tmp_path):
        model = custom_model()
        x = np.random.default_rng(0).random((20, 3))
        model.fit(x, x[:, :2], epochs=2, batch_size=10, verbose=0)
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects=CUSTOM)
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
        assert int(loaded.layers[0].calls) == int(model.layers[0].calls) == 4
        assert loaded.layers[0].start == 0.5 and isinstance(loaded.loss, HalfSquared)
        assert loaded.metrics[1].name == "largest"
        for name in CUSTOM:
            with pytest.raises(ValueError, match=rf"model\.safetensors: '{name}' is not part of fastnn; .* custom_objects="):
                fastnn.load_model(tmp_path / "model.safetensors", custom_objects={k: v for k, v in CUSTOM.items() if k != name})

    def test_a_function_as_loss(self, tmp_path):
        def distance(y_true, y_pred):
            return ops.mean(ops.abs(y_pred - y_true), axes=-1)

        model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
        model.compile(loss=distance)
        model.save(tmp_path / "model.safetensors")
        loaded = fastnn.load_model(tmp_path / "model.safetensors", custom_objects={"distance": distance})
        assert loaded.evaluate(np.ones((2, 2)), np.ones((2, 1))) == model.evaluate(np.ones((2, 2)), np.ones((2, 1)))

    def test_copies(self, trained):
        for duplicate in (copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):
            assert_equal_weights(duplicate, trained)
            before = trained.get_weights()
            duplicate.fit(*bars(16), verbose=0)
            assert not np.array_equal(duplicate.get_weights()[0], before[0])
            np.testing.assert_array_equal(trained.get_weights()[0], before[0])
        duplicate = pickle.loads(pickle.dumps(custom_model()))
        assert isinstance(duplicate.layers[0], Scale)
        unbuilt = copy.deepcopy(fastnn.Sequential([layers.Dense(3), layers.Dropout(0.5)]))
        assert not unbuilt.built and unbuilt.predict(np.ones((2, 4))).shape == (2, 3)

    def test_a_pickle_holds_the_file_and_references_only(self, trained):
        named: list[str] = []

        class Reader(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                named.append(f"{module}.{name}")
                return super().find_class(module, name)

        Reader(io.BytesIO(pickle.dumps(trained))).load()
        assert named == ["fastnn.saving.model_from_bytes"]

    def test_variables_and_layers_copy(self):
        dense = layers.Dense(2)
        y = dense(np.ones((1, 3)))
        duplicate = copy.deepcopy(dense)
        np.testing.assert_array_equal(duplicate(np.ones((1, 3))), y)
        duplicate.kernel.assign(0.0)
        np.testing.assert_array_equal(dense(np.ones((1, 3))), y)
        variable = pickle.loads(pickle.dumps(fastnn.Variable(np.int64(3), name="step", trainable=False)))
        assert (variable.name, variable.trainable, int(variable)) == ("step", False, 3)

    def test_nothing_random_is_used_up(self, trained, tmp_path):
        fastnn.set_seed(5)
        before = generator.state()
        trained.save(tmp_path / "model.safetensors")
        fastnn.load_model(tmp_path / "model.safetensors")
        copy.deepcopy(trained)
        assert generator.state() == before


class TestTheFile:
    def test_anybody_can_read_the_weights(self, trained, tmp_path):
        trained.save(tmp_path / "model.safetensors")
        tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(tensors["conv2d/kernel"], trained.layers[0].kernel.numpy())
        np.testing.assert_array_equal(tensors["dense_1/bias"], trained.layers[-1].bias.numpy())
        assert tensors["fastnn.optimizer/iterations"] == 3
        with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
            metadata = file.metadata()
        assert metadata["fastnn.format"] == "1"
        assert metadata.keys() == {"fastnn.format", "fastnn.model", "fastnn.graphs"}
        architecture = json.loads(metadata["fastnn.model"])
        assert architecture["model"]["class"] == "models.Sequential"
        assert [layer["class"] for layer in architecture["model"]["config"]["layers"]][:2] == ["layers.Input", "layers.Conv2D"]

    def test_the_same_model_gives_the_same_bytes(self, tmp_path):
        written = []
        for i in range(2):
            fastnn.set_seed(0)
            model = small_cnn(hidden="hidden")
            model.fit(*bars(40), batch_size=16, verbose=0)
            model.save(tmp_path / f"{i}.safetensors")
            written.append((tmp_path / f"{i}.safetensors").read_bytes())
        assert written[0] == written[1]  # although the second one's layers are conv2d_2, ...
        loaded = fastnn.load_model(tmp_path / "0.safetensors")
        assert [layer.name for layer in loaded.layers][::3] == ["conv2d", "activation", "hidden"]
        loaded.save(tmp_path / "2.safetensors")
        assert (tmp_path / "2.safetensors").read_bytes() == written[0]
        loaded.pop()
        loaded.add(layers.Dense(4))  # finds a name of its own
        assert loaded.predict(bars(2)[0]).shape == (2, 4)

    def test_its_graph_predicts_without_the_model(self, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        trained.save(path)
        run = _core.load_function(str(path))
        for batch in (1, 7, 32):
            x, _ = bars(batch, seed=batch)
            np.testing.assert_array_equal(run.run([x], False)[0], trained.predict(x))

    def test_a_save_after_training_has_the_new_weights(self, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        trained.save(path)
        trained.fit(*bars(40), verbose=0)
        trained.save(path)
        x, _ = bars(5)
        np.testing.assert_array_equal(_core.load_function(str(path)).run([x], False)[0], trained.predict(x))
        trained.pop()
        trained.add(layers.Dense(5))
        trained.save(path)  # another graph
        np.testing.assert_array_equal(_core.load_function(str(path)).run([x], False)[0], trained.predict(x))


class TestWeights:
    def test_of_another_model(self, trained, tmp_path):
        path = tmp_path / "weights.safetensors"
        trained.save_weights(path)
        other = small_cnn()
        other.load_weights(path)
        assert_equal_weights(trained, other)
        assert len(safetensors.numpy.load_file(path)) == len(trained.weights)
        trained.save(path)  # whole models do as well
        other = small_cnn()
        other.load_weights(path)
        assert_equal_weights(trained, other)

    def test_of_somebody_else(self, trained, tmp_path):
        path = str(tmp_path / "weights.safetensors")
        trained.save_weights(path)
        tensors = {name: x.astype(np.float64) + 1 for name, x in safetensors.numpy.load_file(path).items()}
        safetensors.numpy.save_file(tensors, path)
        before = trained.get_weights()
        trained.load_weights(path)
        for x, y in zip(before, trained.get_weights()):
            np.testing.assert_allclose(y, x + 1, rtol=1e-6)

    def test_all_that_does_not_fit_is_named_and_nothing_changes(self, trained, tmp_path):
        path = str(tmp_path / "weights.safetensors")
        trained.save_weights(path)
        tensors = safetensors.numpy.load_file(path)
        del tensors["dense/kernel"], tensors["dense/bias"]
        tensors |= {"extra": np.ones(2), "conv2d/kernel": np.ones((3, 3, 1, 5)), "conv2d/bias": np.ones(4, np.float16)}
        safetensors.numpy.save_file(tensors, path)
        before = trained.get_weights()
        with pytest.raises(ValueError, match="nothing was changed") as caught:
            trained.load_weights(path)
        for words in (
            "missing dense/kernel, dense/bias",
            "surplus extra",
            "conv2d/kernel of shape (3, 3, 1, 5) for (3, 3, 1, 4)",
            "conv2d/bias of dtype F16, which fastnn lacks",
            path,
        ):
            assert words in str(caught.value)
        for x, y in zip(before, trained.get_weights()):
            np.testing.assert_array_equal(x, y)

    def test_predictions_see_all_or_none(self, tmp_path):
        """Weights are replaced while other threads predict: every output is one model's or the other's."""
        model = fastnn.Sequential([layers.Dense(64, input_shape=(64,)), layers.Dense(1)])
        x = np.ones((1, 64), np.float32)
        outputs = set()
        for i, value in enumerate((0.0, 1.0)):
            model.set_weights([np.full_like(w, value) for w in model.get_weights()])
            model.save_weights(tmp_path / f"{i}.safetensors")
            outputs.add(float(model.predict(x)[0, 0]))
        seen: set[float] = set()
        stop = threading.Event()

        def predict() -> None:
            while not stop.is_set():
                seen.add(float(model.predict(x)[0, 0]))

        threads = [threading.Thread(target=predict) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(200):
            model.load_weights(tmp_path / f"{i % 2}.safetensors")
        stop.set()
        for thread in threads:
            thread.join()
        assert seen <= outputs


class TestWhatIsNotWritten:
    @pytest.mark.parametrize("name", ["model.keras", "model.h5", "weights.h5", "model", "model.safetensors.bak", b"model.npz"])
    def test_other_endings(self, name, trained, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for call in (trained.save, trained.save_weights, trained.load_weights, fastnn.load_model, saving.read_checkpoint):
            with pytest.raises(ValueError, match=r"expected a name that ends in \.safetensors.*; name it .*\.safetensors"):
                call(name)
        if "keras" in str(name) or ".h5" in str(name):
            with pytest.raises(ValueError, match="a format of Keras"):
                trained.save(name)
        assert os.listdir(tmp_path) == []

    def test_models_that_no_file_can_hold(self, tmp_path):
        path = tmp_path / "model.safetensors"
        with pytest.raises(ValueError, match="save before the shape of the input is known"):
            fastnn.Sequential([layers.Dense(3)]).save(path)
        with pytest.raises(ValueError, match="save of a model without layers"):
            fastnn.Sequential().save(path)
        with pytest.raises(ValueError, match=r"none that begins with fastnn\."):
            fastnn.Sequential([layers.Dense(3, name="fastnn.optimizer", input_shape=(2,))]).save(path)

        class Nameless(Scale):
            def get_config(self) -> dict[str, Any]:
                return {"start": self.start}

        with pytest.raises(ValueError, match="get_config returns no name"):
            fastnn.Sequential([Nameless(name="scale", input_shape=(2,))]).save(path)

        stray = fastnn.Variable(np.ones(2, np.float32), name="stray", trainable=False)

        class Stray(layers.Layer):
            def call(self, x: Any) -> Any:
                return x * stray

        with pytest.raises(ValueError, match="'stray' belongs to no layer"):
            fastnn.Sequential([Stray(input_shape=(2,))]).save(path)

        class Odd(Scale):
            def get_config(self) -> dict[str, Any]:
                return {**super().get_config(), "start": object()}

        with pytest.raises(TypeError, match=r"\.start: <object .*expected a plain value"):
            fastnn.Sequential([Odd(input_shape=(2,))]).save(path)

        class Twice(layers.Layer):
            def build(self, input_shape: Any) -> None:
                self.add_weight("w", (1,), fastnn.initializers.Ones())
                self.add_weight("w", (1,), fastnn.initializers.Ones())

        with pytest.raises(ValueError, match=r"add_weight\('w'\) twice"):
            fastnn.Sequential([Twice(input_shape=(2,))])
        assert os.listdir(tmp_path) == []

    def test_two_classes_of_one_name(self, tmp_path):
        def other() -> type:
            return type("Scale", (Scale,), {})

        model = fastnn.Sequential([Scale(input_shape=(2,)), other()()])
        with pytest.raises(ValueError, match="two custom objects named Scale"):
            model.save(tmp_path / "model.safetensors")

    def test_a_full_disk(self, tmp_path):
        """In a child, because the limit stays: an error that names the file, the old one intact, nothing left behind."""
        path = tmp_path / "model.safetensors"
        child = subprocess.run([sys.executable, "-c", CHILD_WITH_FULL_DISK, str(path)], capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
        assert os.listdir(tmp_path) == ["model.safetensors"]
        assert fastnn.load_model(path).predict(np.ones((1, 4))).tolist() == [[0.0] * 3]

    def test_no_folder(self, trained, tmp_path):
        with pytest.raises(FileNotFoundError, match="folder"):
            trained.save(tmp_path / "folder" / "model.safetensors")
        with pytest.raises(FileNotFoundError):
            fastnn.load_model(tmp_path / "model.safetensors")


CHILD_WITH_FULL_DISK = """
import resource, signal, sys
import numpy as np, fastnn
from fastnn import layers
model = fastnn.Sequential([layers.Dense(3, kernel_initializer="zeros", input_shape=(4,))])
model.save(sys.argv[1])
model.set_weights([np.ones((4, 3)), np.ones(3)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    model.save(sys.argv[1])
except OSError as error:
    sys.exit(0 if error.filename == sys.argv[1] and "too large" in str(error).lower() else repr(error))
sys.exit("written")
"""


def rewrite(path: Path, **changes: Any) -> None:
    """The file with other metadata: `model` through a function of the parsed architecture."""
    tensors, metadata = _core.read_safetensors(str(path))
    if "model" in changes:
        architecture = json.loads(metadata["fastnn.model"])
        changes["model"](architecture)
        metadata["fastnn.model"] = json.dumps(architecture)
    for key in ("format", "state"):
        if key in changes:
            metadata[f"fastnn.{key}"] = changes[key]
    _core.write_safetensors(str(path), tensors, metadata)


HUGE_INPUT = {"class": "layers.Input", "config": {"shape": [10**6, 10**6], "name": "input"}}


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("version", "words"),
        [
            ("2", "of a newer fastnn; expected at most 1; update"),
            ("x", "expected a version"),
            ("-1", "version"),
            ("0", "version"),
        ],
    )
    def test_versions(self, version, words, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        trained.save(path)
        rewrite(path, format=version)
        for read in (fastnn.load_model, trained.load_weights):
            with pytest.raises(ValueError, match=rf"model\.safetensors: .*{words}"):
                read(path)

    def test_other_files(self, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        safetensors.numpy.save_file({"x": np.ones(2)}, path)
        with pytest.raises(ValueError, match="without a fastnn model"):
            fastnn.load_model(path)
        trained.save_weights(path)
        with pytest.raises(ValueError, match="weights without a model"):
            fastnn.load_model(path)
        trained.save(path)
        with pytest.raises(ValueError, match="no checkpoint"):
            saving.read_checkpoint(path)
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(ValueError, match=r"model\.safetensors: "):
            fastnn.load_model(path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda a: a["model"].update({"class": "os.system"}), "'os.system' is not part of fastnn"),
            (lambda a: a["model"].update({"class": "layers.Dens"}), "did you mean|does not exist|expected one of"),
            (lambda a: a["model"].update({"class": "layers.__builtins__"}), "does not exist"),
            (lambda a: a["model"].update({"class": ["layers.Dense"]}), "is not part of fastnn"),
            (lambda a: a.update(model=5), "the architecture makes 5"),
            (lambda a: a.update(model={"function": "eval"}), "'eval' is not part of fastnn"),
            (lambda a: a["model"].update(config={"x": 1}), "layers"),
            (lambda a: a["model"]["config"].update(layers=7), "layers|iterable"),
            (lambda a: a["model"]["config"]["layers"][-1]["config"].update(units=10**12), "dense_1/kernel of shape"),
            (lambda a: a["model"]["config"]["layers"][0]["config"].update(shape=[10**6, 10**6, 1]), "input of shape"),
            (lambda a: a["model"]["config"]["layers"].__setitem__(slice(0, 6), [HUGE_INPUT]), "dense/kernel of shape"),
            (lambda a: a["model"]["config"]["layers"][-1]["config"].update(units="many"), "units='many'"),
            (lambda a: a["model"]["config"]["layers"][-1]["config"].update(colour="red"), "does not take its configuration"),
            (lambda a: a["model"]["config"]["layers"][-1]["config"].update(name=7), "name=7"),
            (
                lambda a: a["model"]["config"]["layers"].append(copy.deepcopy(a["model"])),
                "input_shape=.* for an input of shape",
            ),
            (lambda a: a["model"]["config"]["layers"].pop(), "surplus dense_1/bias, dense_1/kernel"),
            (lambda a: a.update(compile={"optimizer": "adam"}), "without a loss"),
            (lambda a: a.update(compile={"loss": "mse", "speed": 9}), "speed"),
            (lambda a: a.update(compile=[1]), "mapping|argument"),
            (lambda a: a.pop("compile"), "expected all of them"),
        ],
    )
    def test_architectures(self, change, words, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        trained.save(path)
        rewrite(path, model=change)
        with pytest.raises(ValueError, match=words) as caught:
            fastnn.load_model(path)
        assert str(caught.value).startswith(str(path))

    def test_mutated_architectures(self, trained, tmp_path):
        """Values of a valid architecture exchanged at random: a model or a ValueError that names the file, nothing else."""
        path = tmp_path / "model.safetensors"
        trained.save(path)
        original = path.read_bytes()
        draw = random.Random(0)
        values = [
            None,
            True,
            -1,
            0,
            10**15,
            0.5,
            "",
            "relu",
            "layers.Dense",
            [],
            [1],
            {},
            {"class": 1, "config": {}},
            {"float": "nan"},
        ]
        refused = []

        def places(node: Any) -> list[tuple[Any, Any]]:
            pairs = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else [])
            return [(node, key) for key, _ in pairs] + [place for _, child in pairs for place in places(child)]

        def mutate(architecture: Any) -> None:
            container, key = draw.choice(places(architecture))
            container[key] = draw.choice(values)

        for _ in range(400):
            path.write_bytes(original)
            rewrite(path, model=mutate)
            try:
                fastnn.load_model(path)
            except ValueError as error:
                refused.append(str(error))
        assert len(refused) > 200
        assert [words for words in refused if not words.startswith(str(path))] == []

    def test_deep_and_broken_json(self, trained, tmp_path):
        path = tmp_path / "model.safetensors"
        for text in ("[" * 100_000, '{"model":' * 70 + "1" + "}" * 70, "", '{"model":1,"model":2}', "\x00"):
            tensors, metadata = saving._contents(trained, True)[:2]
            _core.write_safetensors(str(path), tensors, {**metadata, "fastnn.model": text})
            with pytest.raises(ValueError, match=re.escape(str(path))):
                fastnn.load_model(path)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer keeps what was freed")
class TestMemoryIsFlat:
    def test_over_loads(self, tmp_path):
        model = fastnn.Sequential([layers.Dense(64, input_shape=(256,))])
        model.compile(loss="mse")
        model.save(tmp_path / "model.safetensors")
        sizes = []
        for i in range(1000):
            fastnn.load_model(tmp_path / "model.safetensors")
            if i % 100 == 99:
                gc.collect()
                sizes.append(resident_bytes())
        assert sizes[-1] - sizes[2] < 4_000_000, sizes  # one leaked copy of the weights each time would be 46 MB

    def test_over_predictions_of_many_shapes(self):
        model = fastnn.Sequential([layers.Dense(16, activation="relu", input_shape=(64,)), layers.Dense(3)])
        rng = np.random.default_rng(0)
        x = rng.random((200, 64), dtype=np.float32)
        sizes = []
        for i in range(10_000):
            model.predict(x[: rng.integers(1, 200)])
            if i % 1000 == 999:
                gc.collect()
                sizes.append(resident_bytes())
        assert sizes[-1] - sizes[2] < 4_000_000, sizes  # one leaked program each time would be more
