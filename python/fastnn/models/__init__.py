"""Models."""

from fastnn.models.sequential import Sequential
from fastnn.saving import load_model

__all__ = ["Sequential", "load_model"]
