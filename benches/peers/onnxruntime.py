"""ONNX Runtime, which infers only: the network as an ONNX model, channels first as ONNX has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches import networks
from benches.networks import Conv, Dense, Flatten, MaxPool, Network, Weights
from benches.peers import protocol


def model(network: Network, weights: Weights) -> bytes:
    """The network as a file of ONNX."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    arrays: list[Any] = []

    def constant(array: Any) -> str:
        arrays.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{len(arrays)}"))
        return str(arrays[-1].name)

    def node(op: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    shape = ["batch", network.shape[-1], *network.shape[:-1]]
    source = iter(weights)
    channels, x = network.shape[-1], "x"
    for layer in network.layers:
        if isinstance(layer, Conv) and not layer.normalized and not layer.same:
            kernel, bias = next(source)
            x = node("Conv", x, constant(kernel.transpose(3, 2, 0, 1)), constant(bias), strides=[layer.strides] * 2)
            channels = layer.filters
        elif isinstance(layer, MaxPool):
            x = node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        elif isinstance(layer, Flatten):
            x = node("Flatten", x)
        elif isinstance(layer, Dense):
            kernel, bias = next(source)
            x = node("Gemm", x, constant(networks.channels_first(kernel, channels)), constant(bias))
            channels = layer.units
        else:
            raise ValueError(f"onnxruntime: {layer}; expected layers of the CNN or the MLP; add it here")
        if getattr(layer, "relu", False):
            x = node("Relu", x)
    node("Softmax", x, axis=1)
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        arrays,
    )
    # An opset that every ONNX Runtime of the last years reads, whatever the newest is that `onnx` can write.
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


class OnnxRuntime:
    def __init__(self, task: protocol.Task) -> None:
        protocol.refuse_others("onnxruntime", task.network, Conv, MaxPool, Flatten, Dense)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = task.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self.batch_size = task.batch_size
        self.session = onnxruntime.InferenceSession(
            model(task.network, task.weights), options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, x: Any) -> Any:
        return np.ascontiguousarray(np.moveaxis(x, -1, 1))

    def predict(self, images: Any) -> Any:
        outputs = np.empty((len(images), 10), np.float32)
        for start in range(0, len(images), self.batch_size):
            batch = slice(start, start + self.batch_size)
            (outputs[batch],) = self.session.run(None, {"x": images[batch]})
        return outputs

    def train(self, images: int, epochs: int) -> None:
        raise NotImplementedError("ONNX Runtime: it does not train; expected a workload of inference")


def _version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


if __name__ == "__main__":
    protocol.run("onnxruntime", _version, OnnxRuntime)
