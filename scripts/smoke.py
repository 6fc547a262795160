"""Uses an installed fastnn from outside the checkout: the wheel must hold all it needs."""

from __future__ import annotations

import sys
from importlib.metadata import version

import fastnn

foreign = {"matplotlib", "tqdm", "PIL", "pytest", "pybind11"} & set(sys.modules)
if foreign:
    sys.exit(f"smoke: import fastnn imported {sorted(foreign)}; expected NumPy alone")
if fastnn.__version__ != version("fastnn"):
    sys.exit(f"smoke: fastnn.__version__ is {fastnn.__version__}; expected {version('fastnn')}")

import numpy as np  # noqa: E402  (what fastnn brings along is looked at first)

from fastnn import layers  # noqa: E402

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 8)).astype(np.float32)
labels = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
model = fastnn.Sequential([layers.Dense(16, activation="relu", input_shape=(8,)), layers.Dense(2, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, labels, epochs=40, batch_size=32, verbose=0)
accuracy = float((model.predict(x, verbose=0).argmax(axis=1) == labels).mean())
if not accuracy > 0.9:
    sys.exit(f"smoke: accuracy {accuracy:.3f} on separable data after 40 epochs; expected more than 0.9")
print(f"smoke: fastnn {fastnn.__version__} from {fastnn.__file__} trained to accuracy {accuracy:.3f}")
