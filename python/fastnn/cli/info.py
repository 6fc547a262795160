"""`fastnn info`: what this installation runs on."""

from __future__ import annotations

import json
import platform
from typing import Any

import numpy as np

import fastnn
from fastnn import _core


def collect() -> dict[str, Any]:
    """The facts, by the names that `--json` prints."""
    compiler = _core.compiler
    return {
        "version": fastnn.__version__,
        "isa": _core.isa(),
        "available_isas": list(_core.available_isas()),
        "threads": fastnn.num_threads(),
        "threads_reason": _core.num_threads_reason(),
        "parallel_backend": _core.parallel_backend(),
        "compiler": f"GCC {compiler}" if compiler[:1].isdigit() else compiler,  # GCC alone leaves out its name
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def as_json(facts: dict[str, Any]) -> str:
    """The facts as one line of JSON."""
    return json.dumps(facts)


def summary(facts: dict[str, Any]) -> str:
    """The facts for people."""
    rows = {
        "fastnn": facts["version"],
        "instructions": f"{facts['isa']} (available: {', '.join(facts['available_isas'])})",
        "threads": f"{facts['threads']} ({facts['threads_reason']})",
        "parallel": facts["parallel_backend"],
        "compiler": facts["compiler"],
        "NumPy": facts["numpy"],
        "Python": facts["python"],
    }
    return "\n".join(f"{name:<14}{value}" for name, value in rows.items())
