"""Models."""

from fastnn.models.cloning import clone_model
from fastnn.models.functional import Functional
from fastnn.models.model import Model
from fastnn.models.sequential import Sequential
from fastnn.saving import load_model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model"]
