"""XNNPACK by way of TensorFlow Lite, which infers only, on batches of one size: the network as operations of TensorFlow."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from benches.networks import Conv, Dense, Flatten, MaxPool, Network, Weights
from benches.peers import protocol


def model(network: Network, weights: Weights, batch_size: int) -> bytes:
    """The network as a file of TensorFlow Lite. Its weights are constants: behind variables little would come to XNNPACK."""
    import tensorflow as tf

    def forward(x: Any) -> Any:
        source = iter(weights)
        for layer in network.layers:
            if isinstance(layer, Conv) and not layer.normalized and not layer.same:
                kernel, bias = next(source)
                x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, layer.strides, "VALID"), bias)
            elif isinstance(layer, MaxPool):
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            elif isinstance(layer, Flatten):
                x = tf.reshape(x, (batch_size, -1))
            elif isinstance(layer, Dense):
                kernel, bias = next(source)
                x = tf.nn.bias_add(tf.matmul(x, kernel), bias)
            else:
                raise ValueError(f"xnnpack: {layer}; expected layers of the CNN or the MLP; add it here")
            if getattr(layer, "relu", False):
                x = tf.nn.relu(x)
        return tf.nn.softmax(x)

    traced = tf.function(forward, input_signature=[tf.TensorSpec((batch_size, *network.shape), tf.float32)])
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()]).convert())


class XNNPack:
    def __init__(self, task: protocol.Task) -> None:
        protocol.refuse_others("xnnpack", task.network, Conv, MaxPool, Flatten, Dense)
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import tensorflow as tf

        self.batch_size = task.batch_size
        self.interpreter = tf.lite.Interpreter(
            model_content=model(task.network, task.weights, task.batch_size), num_threads=task.threads
        )
        self.interpreter.allocate_tensors()
        ((self.input,), (self.output,)) = (
            [tensor["index"] for tensor in details]
            for details in (self.interpreter.get_input_details(), self.interpreter.get_output_details())
        )
        # What XNNPACK does not take runs on kernels of TensorFlow Lite's own, several times as slow.
        taken = [op for op in self.interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
        if [(self.input in op["inputs"], list(op["outputs"])) for op in taken] != [(True, [self.output])]:
            sys.exit(f"xnnpack: takes {len(taken)} parts of the network; expected all as one; do not trust this speed")

    def prepare(self, x: Any) -> Any:
        return np.ascontiguousarray(x)

    def predict(self, images: Any) -> Any:
        outputs = np.empty((len(images), 10), np.float32)
        for start in range(0, len(images), self.batch_size):
            batch = slice(start, start + self.batch_size)
            self.interpreter.set_tensor(self.input, images[batch])
            self.interpreter.invoke()
            outputs[batch] = self.interpreter.get_tensor(self.output)
        return outputs

    def train(self, images: int, epochs: int) -> None:
        raise NotImplementedError("XNNPACK: it does not train; expected a workload of inference")


def _version() -> str:
    import tensorflow as tf

    return f"of tensorflow {tf.__version__}"


if __name__ == "__main__":
    protocol.run("xnnpack", _version, XNNPack)
