"""Vision Transformer: an image as a sequence of patches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastnn import ops
from fastnn.layers import Conv2D, Dense, LayerNormalization, PositionEmbedding, TransformerEncoder
from fastnn.models.model import Model


@dataclass(frozen=True)
class VisionTransformerConfig:
    """The sizes of a `VisionTransformer`.

    Args:
        classes: of images.
        image_size: height and width of an image, a multiple of `patch_size`.
        patch_size: height and width of a patch.
        layers: blocks in a row.
        heads: of attention in each block; divides the width.
        width: features of a patch.
        intermediate_dim: units of the first dense layer of a block.
        dropout: the part that is dropped of the weights of attention, and of what each block adds.

    Example:
        >>> fastnn.models.VisionTransformerConfig(classes=10).patch_size
        4
    """

    classes: int = 10
    image_size: int = 28
    patch_size: int = 4
    layers: int = 4
    heads: int = 4
    width: int = 64
    intermediate_dim: int = 128
    dropout: float = 0.0


class VisionTransformer(Model):
    """Patches of an image through encoders of the Transformer; the mean over patches, as logits of classes.

    The mean stands in the place of a token for the class, as in Beyer et al.

    Args:
        config: its sizes.
        name: default the class's name with a number.

    Input: images `(batch, image_size, image_size, channels)`; output: logits `(batch, classes)`.

    Raises:
        ValueError: sizes that are no positive integers, patches that do not divide the image, heads that do not divide the
            width.
        TypeError: no VisionTransformerConfig.

    Source:
        Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, arXiv:2010.11929; Beyer, Zhai, Kolesnikov, "Better
        plain ViT baselines for ImageNet-1k", 2022, arXiv:2205.01580.

    Example:
        >>> model = fastnn.models.VisionTransformer(fastnn.models.VisionTransformerConfig(classes=3, layers=2))
        >>> model.predict(np.zeros((2, 28, 28, 1))).shape
        (2, 3)
    """

    def __init__(self, config: VisionTransformerConfig, name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(config, VisionTransformerConfig):
            raise TypeError(
                f"{self.name}: config={config!r}; expected a VisionTransformerConfig; pass for example "
                "VisionTransformerConfig(classes=10)"
            )
        if config.image_size % config.patch_size:
            raise ValueError(
                f"{self.name}: patch_size={config.patch_size} for image_size={config.image_size}; expected a number that "
                "divides it; choose another one, or pad the images"
            )
        self.config = config
        self.patches = Conv2D(config.width, config.patch_size, strides=config.patch_size)
        self.positions = PositionEmbedding((config.image_size // config.patch_size) ** 2)
        self.blocks = [
            TransformerEncoder(config.intermediate_dim, config.heads, config.dropout, activation="gelu", normalize_first=True)
            for _ in range(config.layers)
        ]
        self.norm = LayerNormalization(epsilon=1e-5)
        self.head = Dense(config.classes)

    def call(self, images: Any) -> Any:  # type: ignore[override]
        x = self.patches(images)
        x = self.positions(ops.reshape(x, (x.shape[0], -1, x.shape[-1])))
        for block in self.blocks:
            x = block(x)
        return self.head(ops.mean(self.norm(x), 1))

    def get_config(self) -> dict[str, Any]:
        """The sizes, and the name."""
        return {"config": asdict(self.config), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> VisionTransformer:
        """A model from what `get_config` returned, with new weights.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(VisionTransformerConfig(**config["config"]), config["name"])
