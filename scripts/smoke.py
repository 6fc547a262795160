"""Uses an installed fastnn as a newcomer would, from outside the checkout: the wheel must hold all it needs."""

from __future__ import annotations

import sys
from importlib.metadata import version

import fastnn

foreign = {name.partition(".")[0] for name in sys.modules} & {"matplotlib", "tqdm", "PIL", "pytest", "pybind11"}
if foreign:
    sys.exit(f"smoke: import fastnn imported {sorted(foreign)}; expected NumPy alone")
if fastnn.__version__ != version("fastnn"):
    sys.exit(f"smoke: fastnn.__version__ is {fastnn.__version__}; expected {version('fastnn')}")
print(f"smoke: fastnn {fastnn.__version__} from {fastnn.__file__}")
