"""GPT and the Vision Transformer: they are what they say, learn, and come back from files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, ops
from fastnn.models import GPT, GPTConfig, VisionTransformer, VisionTransformerConfig

SMALL = GPTConfig(vocabulary=11, context=12, layers=2, heads=2, width=16)


def tokens(count: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, SMALL.vocabulary, (count, length))


def built(config: GPTConfig = SMALL) -> GPT:
    fastnn.set_seed(1)
    model = GPT(config)
    model.build((None, config.context))
    return model


def compiled(model: Any) -> Any:
    model.compile(fastnn.optimizers.AdamW(3e-3), losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def test_gpt_is_the_network_of_the_paper() -> None:
    """The same written out in NumPy."""
    model = built()
    for w in model.weights:
        w.assign(np.random.default_rng(len(w.name) + w.size).standard_normal(w.shape).astype(np.float32) * 0.3)
    weights = {name: w.numpy().astype(np.float64) for name, w in model.named_weights().items()}

    def norm(x: Any, path: str) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * weights[f"{path}/gamma"] + weights[f"{path}/beta"]

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1 + ops.erf(x / np.sqrt(2)))

    ids = tokens(3, SMALL.context)
    x = weights["tokens/embeddings"][ids] + weights["positions/position_embeddings"]
    for i in range(SMALL.layers):
        w = {name.removeprefix(f"blocks/{i}/"): value for name, value in weights.items()}
        h = norm(x, f"blocks/{i}/attention_norm")
        q, k, v = (np.einsum("btd,dnh->bnth", h, w[f"attention/{p}/kernel"]) + w[f"attention/{p}/bias"][None, :, None]
                   for p in ("query", "key", "value"))  # fmt: skip
        scores = np.einsum("bnth,bnsh->bnts", q, k) / np.sqrt(SMALL.width / SMALL.heads)
        scores = np.where(np.tri(SMALL.context) == 1, scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        y = np.einsum("bnts,bnsh->btnh", p / p.sum(-1, keepdims=True), v)
        x = x + np.einsum("btnh,nhd->btd", y, w["attention/attention_output/kernel"]) + w["attention/attention_output/bias"]
        h = gelu(norm(x, f"blocks/{i}/feedforward_norm") @ w["intermediate/kernel"] + w["intermediate/bias"])
        x = x + h @ w["output_dense/kernel"] + w["output_dense/bias"]
    logits = norm(x, "norm") @ weights["tokens/embeddings"].T
    np.testing.assert_allclose(model.predict(ids), logits, rtol=2e-4, atol=2e-4 * np.abs(logits).max())


def test_its_weights_are_those_of_the_sizes() -> None:
    c = SMALL
    block = 4 * c.width * (c.width + 1) + 2 * 4 * c.width**2 + 4 * c.width + c.width + 4 * c.width
    assert built().count_params() == (c.vocabulary + c.context) * c.width + c.layers * block + 2 * c.width
    untied = built(GPTConfig(**{**vars(SMALL), "tied": False}))
    assert untied.count_params() == built().count_params() + c.vocabulary * c.width
    assert untied.predict(tokens(2, 12)).shape == (2, 12, 11)


def test_no_token_sees_a_later_one() -> None:
    model, ids = built(), tokens(2, 12)
    before = model.predict(ids)
    changed = ids.copy()
    changed[:, 7:] = (changed[:, 7:] + 1) % SMALL.vocabulary
    after = model.predict(changed)
    assert np.array_equal(after[:, :7], before[:, :7])
    assert not np.any(np.all(after[:, 7:] == before[:, 7:], axis=-1))


def test_it_learns_a_fixed_text_by_heart_with_dropout_and_without() -> None:
    text = tokens(16, 13)
    for dropout, limit in ((0.0, 0.2), (0.1, 1.0)):
        fastnn.set_seed(0)
        model = compiled(GPT(GPTConfig(**{**vars(SMALL), "dropout": dropout})))
        history = model.fit(text[:, :-1], text[:, 1:], batch_size=8, epochs=200, verbose=0).history
        assert history["loss"][-1] < limit < 2 < history["loss"][0]
        assert history["accuracy"][-1] > 0.7


def test_a_training_step_has_no_softmax_of_its_own() -> None:
    """Loss and gradient are those of logits."""
    model = compiled(built())
    profile = str(fastnn.profile(model, tokens(4, 12), tokens(4, 12, seed=1)))
    assert "sparse_softmax_cross_entropy_backward" in profile and "attention_backward" in profile


def test_the_same_bits_for_any_number_of_threads() -> None:
    results = []
    before = fastnn.num_threads()
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        model = compiled(built(GPTConfig(**{**vars(SMALL), "dropout": 0.2})))
        model.fit(tokens(16, 12), tokens(16, 12, seed=1), batch_size=8, epochs=3, verbose=0)
        results.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    fastnn.set_num_threads(before)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("kind", ["gpt", "vision"])
def test_files_and_copies(kind: str, tmp_path: Path) -> None:
    model: Any
    if kind == "gpt":
        model, x, y = built(), tokens(8, 12), tokens(8, 12, seed=1)
    else:
        model = VisionTransformer(VisionTransformerConfig(classes=4, image_size=8, layers=2, heads=2, width=8))
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((8, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 8)
    compiled(model).fit(x, y, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "model.safetensors")
    clone = fastnn.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (fastnn.load_model(tmp_path / "model.safetensors"), copy.deepcopy(model), clone):
        assert np.array_equal(other.predict(x), model.predict(x))
        assert other.config == model.config


def test_vision_transformer_learns() -> None:
    """Which quarter of the image is bright."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 64)
    x = rng.standard_normal((64, 8, 8, 1)).astype(np.float32)
    for image, label in zip(x, y):
        image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 2
    model = compiled(VisionTransformer(VisionTransformerConfig(classes=4, image_size=8, layers=2, heads=2, width=16)))
    model.fit(x, y, batch_size=16, epochs=40, verbose=0)
    assert model.evaluate(x, y)[1] > 0.95


def test_blocks_in_sequential_functional_and_subclassed_models() -> None:
    x = np.random.default_rng(0).standard_normal((8, 6, 4)).astype(np.float32)
    for kind in (layers.TransformerEncoder, layers.TransformerDecoder):
        sequential = fastnn.Sequential([layers.SinusoidalPositions(input_shape=(6, 4)), kind(8, 2), layers.Dense(1)])
        inputs = fastnn.Input((6, 4))
        functional = fastnn.Model(inputs, layers.Dense(1)(kind(8, 2)(layers.SinusoidalPositions()(inputs))))

        class Own(fastnn.Model):
            def __init__(self, block: layers.Layer) -> None:
                super().__init__()
                self.positions, self.block, self.dense = layers.SinusoidalPositions(), block, layers.Dense(1)

            def call(self, x: Any) -> Any:  # type: ignore[override]
                return self.dense(self.block(self.positions(x)))

        own = Own(kind(8, 2))
        own.build((None, 6, 4))
        for model in (functional, own):
            model.set_weights(sequential.get_weights())
            assert np.array_equal(model.predict(x), sequential.predict(x))
            model.compile("adam", "mse")
            assert model.fit(x, x[:, :, :1], epochs=20, verbose=0).history["loss"][-1] < 10


def test_an_encoder_hides_what_the_mask_hides() -> None:
    encoder = layers.TransformerEncoder(8, 2, normalize_first=True)
    x = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(np.float32)
    mask = np.broadcast_to(np.arange(6) < 4, (2, 6, 6)).copy()
    changed = x.copy()
    changed[:, 4:] += 1
    assert np.array_equal(encoder(x, attention_mask=mask)[:, :4], encoder(changed, attention_mask=mask)[:, :4])
    assert not np.array_equal(encoder(x)[:, :4], encoder(changed)[:, :4])


def test_a_frozen_block_is_frozen_whenever_it_is_built() -> None:
    block = layers.TransformerEncoder(8, 2)
    block.trainable = False
    block(np.ones((1, 3, 4)))
    assert not block.trainable_variables and len(block.weights) == 16


def test_positions_continue_where_they_are_told() -> None:
    layer = layers.PositionEmbedding(10)
    table = layer(np.zeros((1, 10, 3)))[0]
    y = layer(np.zeros((2, 4, 3)), np.array([2, 6]))
    assert np.array_equal(y, [table[2:6], table[6:10]])
    with pytest.raises(ValueError, match="index 10 at position"):
        layer(np.zeros((1, 4, 3)), np.array([7]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.MultiHeadAttention(0, 4), "num_heads=0"),
        (lambda: layers.MultiHeadAttention(2, 4, dropout=1.0), "dropout=1"),
        (lambda: layers.MultiHeadAttention(2, 4, attention_axes=(1, 2)), "attention_axes=.1, 2."),
        (lambda: layers.MultiHeadAttention(2, 4)(np.ones((2, 3))), "query of shape .2, 3.; expected .batch, time, features"),
        (lambda: layers.MultiHeadAttention(2, 4)(np.ones((2, 3, 4)), return_attention_scores=True), "return_attention_scores"),
        (
            lambda: layers.MultiHeadAttention(2, 4)(np.ones((2, 3, 4)), np.ones((2, 5, 4)), use_causal_mask=True),
            "use_causal_mask=True for 3 queries and 5 keys",
        ),
        (
            lambda: layers.MultiHeadAttention(2, 4)(np.ones((2, 3, 4)), attention_mask=np.ones(3)),
            "attention_mask of shape .3,.",
        ),
        (lambda: layers.GroupQueryAttention(4, 6, 4), "6 heads of queries and 4 of keys"),
        (lambda: layers.TransformerEncoder(8, 3)(np.ones((2, 3, 4))), "3 heads for 4 features.*6"),
        (lambda: layers.TransformerEncoder(8, 2)(np.ones((2, 4))), "expected .batch, time, features"),
        (lambda: layers.TransformerDecoder(8, 2)(np.ones((2, 3, 4)), np.ones((2, 3, 4))), "an encoder_sequence with cross"),
        (lambda: layers.TransformerDecoder(8, 2, cross_attention=True)(np.ones((2, 3, 4))), "no encoder_sequence with cross"),
        (lambda: layers.PositionEmbedding(3)(np.ones((2, 4, 4))), "at most 3 in the second axis"),
        (lambda: layers.SinusoidalPositions(0.0), "max_wavelength=0"),
        (lambda: built(GPTConfig(heads=3)), "3 heads for 128 features"),
        (lambda: built().predict(np.full((1, 12), 11)), "index 11 at position 0"),
        (lambda: built().predict(tokens(1, 13)), "."),
        (lambda: VisionTransformer(VisionTransformerConfig(patch_size=5)), "patch_size=5 for image_size=28"),
    ],
)
def test_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "; expected " in str(caught.value)


def test_what_is_no_configuration_is_refused() -> None:
    for kind in (GPT, VisionTransformer):
        with pytest.raises(TypeError, match=r"config={'width': 3}; expected an? \w+; pass"):
            kind({"width": 3})
