"""Records what Keras computes for the cases of `cases.py` in `fixtures.npz`.

By hand, with an interpreter that has keras and a backend: `python tests/keras/make_fixtures.py` records the cases that are not
in the file yet and drops what has no case any more; with `--all` it records everything anew; with `--compare` it writes
nothing, and tells where Keras, perhaps on another backend (KERAS_BACKEND), differs from the file. The file in the repository
was made with Keras 3.15 on TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cases
import numpy as np

import keras

# Steps are not compiled: for a few batches that takes longer than they do.
FILE = Path(__file__).with_name("fixtures.npz")
stored = dict(np.load(FILE, allow_pickle=False)) if FILE.exists() else {}
known = set() if {"--all", "--compare"} & set(sys.argv) else {key.rsplit("/", 1)[0] for key in stored}
found: dict[str, Any] = {}


def record(group: str, label: str, **arrays: Any) -> None:
    for name, array in arrays.items():
        found[f"{group}/{label}/{name}"] = np.asarray(array)


def new(group: str, table: Any) -> Any:
    """What is not recorded yet; the rest is kept."""
    for case in table:
        key = f"{group}/{case if isinstance(case, str) else case.label()}"
        if key not in known:
            yield case
        else:
            found.update({name: array for name, array in stored.items() if name.rsplit("/", 1)[0] == key})


def schedules(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with schedules in the place of their descriptions."""
    made = dict(arguments)
    if isinstance(made.get("learning_rate"), tuple):
        name, options = made["learning_rate"]
        made["learning_rate"] = getattr(keras.optimizers.schedules, name)(**options)
    return made


def randomise(layer: Any, rng: np.random.Generator) -> list[Any]:
    layer.set_weights([cases.random_weight(rng, w.name, w.shape) for w in layer.weights])
    for inner in (layer, *getattr(layer, "layers", ())):
        if isinstance(inner, keras.layers.Normalization):
            inner.finalize_state()  # or it goes on with the weights it had
    return list(layer.get_weights())


def numbered(name: str, arrays: Any) -> dict[str, Any]:
    return {f"{name}{i}": array for i, array in enumerate(arrays)}


for case in new("layers", cases.LAYERS):
    layer = getattr(keras.layers, case.name)(**cases.with_layers(case.arguments, keras.layers))
    layer.trainable = case.trainable
    x = cases.input_of(case)
    if case.apart:
        case.called(layer, x)
    else:
        layer.build([part.shape for part in x] if isinstance(x, list) else x.shape)
    record("layers", case.label(), **numbered("weight", randomise(layer, case.rng())))
    options = {"training": False} if case.name in ("Dropout", "BatchNormalization") else cases.call_of(case)
    record("layers", case.label(), y=cases.joined(case.called(layer, x, **options)))
    if case.training:
        y = layer(x, training=True)
        record("layers", case.label(), y_training=y, **numbered("after", layer.get_weights()))

for case in new("trained", cases.TRAINED):
    layer = getattr(keras.layers, case.name)(**cases.with_layers(case.arguments, keras.layers))
    inputs = [keras.Input(shape) for shape in case.shapes()]
    # Named so that weights come in this order.
    hidden = [keras.layers.Dense(x.shape[-1], name=f"dense{i}")(x) for i, x in enumerate(inputs)]
    model = keras.Model(inputs if case.several() else inputs[0], case.called(layer, hidden if len(hidden) > 1 else hidden[0]))
    randomise(model, case.rng())
    model.compile(keras.optimizers.SGD(cases.RATE, momentum=0.9), loss="mean_squared_error", run_eagerly=True)
    losses = []
    for step in range(10):
        losses.append(model.train_on_batch(*cases.batch_of(case, step, model.output_shape[1:])))
    record("trained", case.label(), run=np.concatenate([losses, *(w.ravel() for w in model.get_weights())]).astype(np.float32))

for case in new("losses", cases.LOSSES):
    y_true, y_pred = cases.targets_of(case, 0)
    loss = getattr(keras.losses, case.name)
    each = loss(**case.arguments, reduction=None)(y_true, y_pred)
    record("losses", case.label(), each=each, mean=loss(**case.arguments)(y_true, y_pred))

for case in new("metrics", cases.METRICS):
    metric = getattr(keras.metrics, case.name)(**case.arguments)
    results = []
    for part in (0, 1):
        y_true, y_pred = cases.targets_of(case, part)
        metric.update_state(y_pred) if case.name == "Mean" else metric.update_state(y_true, y_pred)
        results.append(metric.result())
    record("metrics", case.label(), results=np.array([float(r) for r in results]))

found.update({name: array for name, array in stored.items() if name.startswith("optimizers/start/")})
for case in new("optimizers", cases.OPTIMIZERS):
    optimizer = getattr(keras.optimizers, case.name)(**schedules(case.arguments))
    if case.exclude:
        optimizer.exclude_from_weight_decay(var_names=list(case.exclude))
    x, y, _ = cases.training_data("optimizers")
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, activation="tanh", name="first"), keras.layers.Dense(2, name="last")]
    )
    start = randomise(model, np.random.default_rng(0))
    model.compile(optimizer, loss="mean_squared_error", run_eagerly=True)
    steps = []
    for i in range(len(x)):
        model.train_on_batch(x[i], y[i])
        steps.append(model.get_weights())
    record("optimizers", "start", **numbered("weight", start))  # the same for all
    record("optimizers", case.label(), **numbered("weight", [np.stack(w) for w in zip(*steps)]))

for case in new("schedules", cases.SCHEDULES):
    schedule = getattr(keras.optimizers.schedules, case.name)(**case.arguments)
    record("schedules", case.label(), rates=np.array([float(schedule(s)) for s in cases.STEPS_OF_SCHEDULES]))

for case in new("activations", cases.ACTIVATIONS):
    y = getattr(keras.activations, case.name)(keras.ops.convert_to_tensor(cases.values_of(case)), **case.arguments)
    record("activations", case.label(), y=y)

for case in new("initializers", cases.INITIALIZERS):
    many = np.asarray(getattr(keras.initializers, case.name)(**case.arguments)(case.given), np.float64)
    record("initializers", case.label(), spread=np.array([many.mean(), many.std(), many.min(), many.max()]))

for name in new("models", cases.MODELS):
    layers, loss, metrics, options = cases.MODELS[name]
    weighted = options.get("weighted_metrics")
    options = {key: value for key, value in options.items() if key != "weighted_metrics"}
    x, y, weights = cases.training_data(name)
    options = {**options, "sample_weight": weights} if "sample_weight" in options else options
    dtype = "int32" if x.dtype == np.int32 else "float32"
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=dtype), *(getattr(keras.layers, n)(**a) for n, a in layers)])
    start = randomise(model, np.random.default_rng(0))
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), loss=loss, metrics=metrics, weighted_metrics=weighted, run_eagerly=True
    )
    history = model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0, **options).history
    record("models", name, **numbered("weight", start), **numbered("after", model.get_weights()))
    record("models", name, **{f"history {k}": np.array(v) for k, v in history.items()})
    evaluated = model.evaluate(x, y, batch_size=6, verbose=0)
    logs = [log for log in history if not log.startswith("val_")]
    # What is among metrics and weighted_metrics is there once more at the end.
    record("models", name, evaluated=np.array(evaluated[: len(logs)]), predicted=model.predict(x, verbose=0))

if "--compare" in sys.argv:
    for key in sorted(found.keys() | stored.keys()):
        if key not in found or key not in stored:
            print("only in one of the two:", key)
            continue
        scale = max(1.0, float(np.abs(stored[key]).max(initial=0.0)))
        if (error := float(np.abs(found[key] - stored[key]).max(initial=0.0)) / scale) > 1e-5 and "initializers" not in key:
            print(f"{error:.1e} {key}")
else:
    np.savez_compressed(FILE, **found)
    made_with = f"keras {keras.__version__} on {keras.backend.backend()}"
    print(f"{FILE.name}: {len(found)} arrays, {FILE.stat().st_size:,} bytes, {made_with}")
