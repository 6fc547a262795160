"""`python -m benches.compare`, without peers: what it measures, prints, writes and draws."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benches import compare, networks, report
from benches.peers import fastnn as participant
from benches.peers import protocol

import fastnn

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(300)  # seconds, but for a busy machine
def test_fastnn_alone(tmp_path: Path) -> None:
    options = ["--peers", "--workloads", "cnn-training", "mlp-inference", "gpt-generation", "--batch-size", "4"]
    options += ["--threads", "1", "--rounds", "2", "--seconds", "0.01"]
    command = [sys.executable, "-m", "benches.compare", *options, "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    written, picture = (Path(line) for line in lines[-2:])
    assert sorted(tmp_path.iterdir()) == sorted([written, picture])
    assert "cnn-training, batch 4, 1 thread: images" in lines
    assert "A hint only: 2 rounds; a result takes 7." in lines

    width, height = struct.unpack(">2I", picture.read_bytes()[16:24])
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert width >= 500
    assert height >= 300
    everything = json.loads(written.read_text())
    assert everything["versions"] == {"fastnn": fastnn.__version__}
    assert everything["options"]["batch_size"] == [4]
    assert everything["machine"]["peak_flops"]["1"] > 1e9
    assert [result["workload"] for result in everything["results"]] == options[2:5]
    for result in everything["results"]:
        assert (result["threads"], result["failed"], result["best_peer_ratio"]) == (1, {}, None)
        facts = result["participants"]["fastnn"]
        speed = facts["per_second"]
        assert speed["rounds"] == [turn["units"] / turn["seconds"] for turn in facts["turns"]]
        assert len(speed["rounds"]) == 2
        assert 0.0 < speed["low"] <= speed["median"] <= speed["high"]
        row = next(line for line in lines if line.startswith("  fastnn"))
        assert row.split()[1].replace(",", "").isdigit()
    training = everything["results"][0]["participants"]["fastnn"]
    assert abs(training["loss_before"] - math.log(10)) < 0.5
    assert training["loss_warm"] < training["loss_before"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--peers", "tensorflow"], "invalid choice: 'tensorflow' (choose from"),
        (["--workloads", "mnist"], "invalid choice: 'mnist' (choose from"),
        (["--threads", "0"], "--threads: 0; expected a whole number from 1 to 256"),
        (["--threads", "257"], "--threads: 257; expected a whole number from 1 to 256"),
        (["--batch-size", "many"], "--batch-size: many; expected a whole number from 1 to 4096"),
        (["--rounds", "0"], "--rounds: 0; expected a whole number"),
        (["--seconds", "nan"], "--seconds: nan; expected a number above 0"),
    ],
)
def test_wrong_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        compare.main(options)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_participant_that_ends_early_says_why() -> None:
    process = compare.Process([sys.executable, "-c", "import sys; print('{}', flush=True); input(); sys.exit('no luck')"])
    try:
        assert process.answer() == {}
        with pytest.raises(compare.Failed, match="no luck"):
            process.take_turn()
        with pytest.raises(compare.Failed, match="no luck"):
            process.take_turn()
    finally:
        process.stop()


def test_other_outputs_and_other_steps_are_told() -> None:
    ours = {"outputs": [[0.25, 0.75]], "loss_after_a_step": 2.0}
    assert compare.disagreement({"outputs": [[0.25001, 0.74999]], "loss_after_a_step": 2.01}, ours) is None
    for outputs in ([[0.26, 0.74]], [[math.nan, 0.75]]):
        assert "first outputs" in str(compare.disagreement({**ours, "outputs": outputs}, ours))
    for loss in (2.1, math.nan):
        assert "loss after the first step" in str(compare.disagreement({**ours, "loss_after_a_step": loss}, ours))


def test_channels_first_is_the_same_sum() -> None:
    random = np.random.default_rng(0)
    images, kernel = random.random((2, 3, 5, 4)), random.random((60, 7))
    flat = np.moveaxis(images, -1, 1).reshape(2, -1)
    np.testing.assert_allclose(flat @ networks.channels_first(kernel, 4), images.reshape(2, -1) @ kernel)


@pytest.mark.parametrize(
    "network", [networks.CNN, networks.MLP, networks.RESNET, networks.LSTM_256], ids=["cnn", "mlp", "resnet", "lstm"]
)
def test_weights_go_where_they_belong(network: networks.Network) -> None:
    weights = networks.initial_weights(network)
    model = networks.build(fastnn, network, weights)
    assert {array.shape[-1:] for array in model.get_weights()} == {array.shape[-1:] for group in weights for array in group}
    assert sum(array.size for array in model.get_weights()) == sum(array.size for group in weights for array in group)
    kernels = sorted((a for a in model.get_weights() if a.ndim > 1), key=lambda a: (a.shape, a.sum()))
    for ours, theirs in zip(kernels, sorted((group[0] for group in weights), key=lambda a: (a.shape, a.sum()))):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_a_gpt_go_where_they_belong() -> None:
    gpt = networks.GPT(vocabulary=7, context=5, layers=2, heads=2, width=6)
    weights = networks.initial_weights(gpt)
    model = participant._gpt(fastnn, gpt, weights)
    names = ["query", "key", "value", "attention_output", "norm", "up", "down", "norm"]
    assert len(weights) == 2 + 2 * len(names) + 1
    for k, name in enumerate(names[:4]):
        found = [weight.numpy().reshape(-1) for weight in model.weights if weight.name.endswith(f"/{name}/kernel")]
        for block, kernel in enumerate(found):
            np.testing.assert_array_equal(kernel, weights[2 + 8 * block + k][0].reshape(-1))
        assert len(found) == 2
    np.testing.assert_array_equal(model.tokens.embeddings.numpy(), weights[0][0])
    tokens = np.array([[3, 0, 6]], np.int32)
    x = weights[0][0][tokens] + weights[1][0][:3]
    np.testing.assert_array_equal(model.positions(model.tokens(tokens)), x)


def test_a_gpt_learns_the_next_character() -> None:
    gpt = networks.GPT(vocabulary=20, context=8)
    x, y, x_test, y_test = protocol.data(gpt, 50, 10)
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == ((50, 8), (50, 8), (10, 8), (10, 8))
    tokens = np.concatenate([x, x_test]).reshape(-1)
    np.testing.assert_array_equal(np.concatenate([y, y_test]).reshape(-1)[:-1], tokens[1:])
    counts = np.bincount(protocol.text(20, 100_000), minlength=20)
    assert counts.argmax() == 0  # a blank
    assert counts.min() > 0


def test_rows_of_images_are_sequences() -> None:
    x = protocol.data(networks.LSTM_128, 3, 1)[0]
    large, _, tests, _ = protocol.data(networks.LSTM_256, 3, 1)
    assert (x.shape, large.shape, tests.shape) == ((3, 28, 28), (3, 64, 128), (1, 64, 128))
    np.testing.assert_array_equal(large[:, 4:60:2, 8:120:4], x)


@pytest.mark.parametrize("peer", ["jax", "keras", "onnxruntime", "sklearn", "xnnpack"])
def test_peers_say_where_they_take_no_part(peer: str) -> None:
    command = [sys.executable, "-m", f"benches.peers.{peer}", "--workload", "gpt-training"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=100, check=False, input="")
    assert done.returncode == 1
    assert "takes no part where there is GPT; expected " in done.stderr


def test_everybody_has_a_color() -> None:
    assert list(report.COLORS) == ["fastnn", *(peer.name for peer in compare.PEERS)]


def invented(workloads: list[str], batch_sizes: list[int], threads: list[int], seed: int = 0) -> dict[str, Any]:
    """A report of all participants, one of which fails sometimes."""
    random = np.random.default_rng(seed)
    results = []
    for workload, count, batch_size in product(workloads, threads, batch_sizes):
        failed = {"jax": "no luck"} if batch_size == 8 else {}
        speeds = {name: list(random.uniform(1, 1.3, 3) * 10 ** random.uniform(0, 6)) for name in report.COLORS}
        participants: dict[str, Any] = {}
        for name in set(speeds) - set(failed):
            turns = [{"per_second": speed, "other_cpus": 0.5} for speed in speeds[name]]
            participants[name] = {"turns": turns, "per_second": compare.spread(speeds[name])}
            if name != "fastnn":
                ratios = [ours / theirs for ours, theirs in zip(speeds["fastnn"], speeds[name])]
                participants[name]["fastnn_ratio"] = compare.spread(ratios)
        result = {"workload": workload, "threads": count, "batch_size": batch_size, "participants": participants}
        result |= {"unit": compare.WORKLOADS[workload].unit, "absent": ["keras-jax"] if workload == "mlp-inference" else []}
        results.append({**result, "failed": failed, "best_peer_ratio": compare.spread([0.5, 1.0, 1.5])})
    machine = {"cpu": "Some Processor with a Long Name @ 2.80GHz", "cpus": 4, "isa": "avx512", "python": "3.12.1"}
    versions = {name: "1.2.3" for name in report.COLORS}
    return {"machine": machine, "versions": versions, "options": {"rounds": 3}, "missing": ["dynet"], "results": results}


def test_the_table() -> None:
    everything = invented(["cnn-training", "mlp-inference"], [1, 8], [2])
    lines = report.table(everything).splitlines()
    assert [line for line in lines if line.startswith(("cnn", "mlp"))] == [
        f"{workload}, batch {batch_size}, 2 threads: images"
        for workload in ("cnn-training", "mlp-inference")
        for batch_size in (1, 8)
    ]
    result = everything["results"][0]["participants"]
    begin = lines.index("cnn-training, batch 1, 2 threads: images") + 1
    medians = [float(line.split()[1].replace(",", "")) for line in lines[begin : begin + len(result)]]
    assert medians == sorted(medians, reverse=True)
    np.testing.assert_allclose(
        medians, sorted((each["per_second"]["median"] for each in result.values()), reverse=True), rtol=0.01
    )
    assert "not installed, so not compared: dynet" in lines
    assert "failed: jax, mlp-inference, batch 8: no luck" in lines
    assert [line for line in lines if line.startswith("take no part")] == ["take no part in mlp-inference: keras-jax"]
    assert max(map(len, lines[: next(i for i, line in enumerate(lines) if line.startswith("versions: "))])) <= 100


@pytest.mark.parametrize(
    ("workloads", "batch_sizes", "threads"),
    [
        (["mlp-inference"], [32], [1]),
        (["resnet-training", "cnn-inference"], [8, 1024], [1, 2]),
    ],
    ids=["one", "some"],
)
def test_no_words_of_the_picture_lie_on_others(workloads: list[str], batch_sizes: list[int], threads: list[int]) -> None:
    drawn = report.figure(invented(workloads, batch_sizes, threads))
    drawn.canvas.draw()  # which puts the legend and the ticks where they belong
    renderer = drawn.canvas.get_renderer()
    texts = [*drawn.texts, *drawn.legends[0].get_texts()]
    for panel in drawn.axes:
        low, high = panel.get_xlim()
        texts += [label for label in panel.get_xticklabels() if low <= label.get_position()[0] <= high]  # others are not drawn
        texts += [*panel.texts, panel.xaxis.label, panel._left_title, *panel.get_yticklabels()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_text()]
    for i, (words, box) in enumerate(boxes):
        assert drawn.bbox.x0 <= box.x0 and box.x1 <= drawn.bbox.x1, words
        assert drawn.bbox.y0 <= box.y0 and box.y1 <= drawn.bbox.y1, words
        assert not [other for other, space in boxes[:i] if box.overlaps(space)], words
