"""Models."""

from fastnn.models.cloning import clone_model
from fastnn.models.functional import Functional
from fastnn.models.gpt import GPT, GPTConfig
from fastnn.models.language_model import LanguageModel
from fastnn.models.model import Model
from fastnn.models.sequential import Sequential
from fastnn.models.vision_transformer import VisionTransformer, VisionTransformerConfig
from fastnn.saving import load_model

__all__ = [
    "GPT",
    "Functional",
    "GPTConfig",
    "LanguageModel",
    "Model",
    "Sequential",
    "VisionTransformer",
    "VisionTransformerConfig",
    "clone_model",
    "load_model",
]
