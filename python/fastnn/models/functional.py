"""Models that are nets of calls between symbolic tensors."""

from __future__ import annotations

from typing import Any

from fastnn import _core
from fastnn.layers.core import Input
from fastnn.layers.layer import Layer, shapes_of
from fastnn.models.model import Model, portable_names
from fastnn.symbolic import Call, Operation, SymbolicTensor, record
from fastnn.tracing import flatten, unflatten


class Functional(Model):
    """What `fastnn.Model(inputs, outputs)` makes: it keeps the calls that lead from inputs to outputs, and replays them.

    Args:
        inputs: an `Input`, or a list or dict of them.
        outputs: symbolic tensors computed from these, one or a list or dict of them.
        name: default `functional` with a number.

    Raises:
        ValueError: outputs that need other inputs, layers that are named alike.
        TypeError: something in their place that is no symbolic tensor.

    Example:
        >>> image, age = fastnn.Input((4,), name="image"), fastnn.Input((1,), name="age")
        >>> shared = layers.Dense(2)
        >>> both = shared(image) + layers.Dense(2)(age)
        >>> model = fastnn.Model([image, age], layers.Dense(1)(both))
        >>> model.predict({"image": np.ones((3, 4)), "age": np.ones((3, 1))}).shape
        (3, 1)
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(name=name)
        leaves, structure = flatten(inputs)
        for leaf in leaves:
            if not isinstance(leaf, Input):
                raise TypeError(f"{self.name}: inputs of {leaf!r}; expected fastnn.Input; pass what Input returned")
        if len({id(leaf) for leaf in leaves}) != len(leaves) or len({leaf.name for leaf in leaves}) != len(leaves):
            raise ValueError(
                f"{self.name}: inputs named {', '.join(leaf.name for leaf in leaves)}; expected different ones; pass name="
            )
        self._result, self._result_structure = flatten(outputs)
        for leaf in self._result:
            if not isinstance(leaf, SymbolicTensor):
                raise TypeError(f"{self.name}: outputs of {leaf!r}; expected symbolic tensors; apply layers or ops to inputs")
        self._calls = _calls_before(self.name, self._result, leaves)
        layers = list(dict.fromkeys(call.target for call in self._calls if isinstance(call.target, Layer)))
        named: dict[str, Layer] = {}
        for layer in layers:
            if named.setdefault(layer.name, layer) is not layer:
                raise ValueError(f"{self.name}: two layers named '{layer.name}'; expected unique names; pass name=")
        self._layers = layers
        self._inputs, self._structure = leaves, structure
        self._output_names = _output_names(outputs, self._result)
        self._output_shapes = shapes_of(outputs)
        self.built = True  # its layers were when they were called

    def named_layers(self) -> dict[str, Layer]:
        """The layers in the order of their first calls, by the names that files give them.

        Example:
            >>> x = fastnn.Input((4,))
            >>> list(fastnn.Model(x, layers.Dense(2)(layers.Dense(3)(x))).named_layers())
            ['dense', 'dense_1']
        """
        return portable_names(self._layers)

    def build(self, input_shape: Any) -> None:
        """Does nothing: a functional model is built from the start.

        Args:
            input_shape: is known.
        """

    def call(self, x: Any, training: bool = False) -> Any:
        """The outputs for inputs, inside a trace.

        Args:
            x: tensors in the form of the model's inputs.
            training: is known to the layers by the call that they are part of.

        Returns:
            Tensors in the form of the model's outputs.
        """
        values: dict[int, Any] = {}

        def value_of(tensor: SymbolicTensor) -> Any:
            return values[id(tensor)] if tensor.call is None else values[id(tensor.call)][tensor.index]

        if isinstance(x, dict) and self._structure is not None:
            x = [x[spec.name] for spec in self._inputs] if _is_list(self._structure) else x
        values.update((id(spec), tensor) for spec, tensor in zip(self._inputs, flatten(x)[0]))
        for call in self._calls:
            values[id(call)] = call.replay(value_of)
        return unflatten(self._result_structure, [value_of(tensor) for tensor in self._result])

    # ---- Configuration -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Inputs, layers, and the calls between them.

        Returns:
            A dict: `name`, `inputs` and `layers` (the objects), `calls` (each the number of its layer, or an op with its
            attributes, and its arguments), `outputs`, where `{"input": i}` and `{"call": i, "result": j}` stand for tensors.
        """
        numbers = {id(call): i for i, call in enumerate(self._calls)}
        inputs = {id(spec): i for i, spec in enumerate(self._inputs)}
        layers = {id(layer): i for i, layer in enumerate(self._layers)}

        def reference(leaf: Any) -> Any:
            if isinstance(leaf, SymbolicTensor):
                return (
                    {"input": inputs[id(leaf)]} if leaf.call is None else {"call": numbers[id(leaf.call)], "result": leaf.index}
                )
            return leaf

        calls = []
        for call in self._calls:
            arguments, options = unflatten(call.structure, [reference(leaf) for leaf in call.leaves])
            target = call.target
            if isinstance(target, Operation):
                attributes = {name: _plain(value) for name, value in target.attributes.items()}
                calls.append({"op": target.op, "attributes": attributes, "arguments": arguments})
            else:
                calls.append({"layer": layers[id(target)], "arguments": arguments, "options": options})
        return {
            "name": self.name,
            "inputs": unflatten(self._structure, list(self._inputs)),
            "layers": self._layers,
            "calls": calls,
            "outputs": unflatten(self._result_structure, [reference(leaf) for leaf in self._result]),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Functional:
        """A model of equal layers, with new weights.

        Args:
            config: what `get_config` returned.

        Raises:
            ValueError: calls of layers or results that do not exist.
        """
        specs, structure = flatten(config["inputs"])
        inputs = [Input.from_config(spec.get_config()) for spec in specs]
        layers = [type(layer).from_config(layer.get_config()) for layer in config["layers"]]
        results: list[list[SymbolicTensor]] = []

        def tensor(value: Any) -> Any:
            if isinstance(value, dict) and value.keys() == {"input"}:
                return _entry("inputs", inputs, value["input"])
            if isinstance(value, dict) and value.keys() == {"call", "result"}:
                return _entry("results", _entry("calls", results, value["call"]), value["result"])
            if isinstance(value, dict):
                return {key: tensor(item) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)(tensor(item) for item in value)
            return value

        for call in config["calls"]:
            if "op" in call:
                attributes = {name: _restored(value) for name, value in call["attributes"].items()}
                made = record(Operation(call["op"], attributes), tensor(call["arguments"]))
            else:
                made = record(_entry("layers", layers, call["layer"]), tensor(call["arguments"]), tensor(call["options"]))
            results.append(flatten(made)[0])
        return cls(unflatten(structure, inputs), tensor(config["outputs"]), name=config["name"])


def _calls_before(where: str, outputs: list[SymbolicTensor], inputs: list[Input]) -> list[Call]:
    """The calls that the outputs need, each after those it needs itself."""
    known = {id(spec) for spec in inputs}
    order: list[Call] = []
    done: set[int] = set()
    stack: list[tuple[Call, bool]] = []

    def need(tensor: SymbolicTensor) -> None:
        if tensor.call is not None:
            stack.append((tensor.call, False))
        elif id(tensor) not in known:
            raise ValueError(f"{where}: outputs need {tensor!r}; expected only the model's inputs; add it to them")

    for output in reversed(outputs):
        need(output)
    while stack:
        call, ready = stack.pop()
        if id(call) in done:
            continue
        if ready:
            done.add(id(call))
            order.append(call)
            continue
        stack.append((call, True))
        for tensor in reversed(call.inputs):
            need(tensor)
    return order


def _output_names(outputs: Any, leaves: list[SymbolicTensor]) -> list[str]:
    """Of several outputs the keys of their dict, or the names of the layers that make them, numbered where they repeat."""
    if len(leaves) == 1:
        return []
    if isinstance(outputs, dict):
        return sorted(outputs)
    names: list[str] = []
    for leaf in leaves:
        target = None if leaf.call is None else leaf.call.target
        base = target.name if isinstance(target, Layer) else target.op if isinstance(target, Operation) else "input"
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names


def _is_list(structure: Any) -> bool:
    return structure[0] is list or structure[0] is tuple


def _entry(what: str, items: Any, index: Any) -> Any:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(items):
        raise ValueError(f"Functional: {index!r} of {len(items)} {what}; expected a number below; see get_config")
    return items[index]


def _plain(value: Any) -> Any:
    """An attribute without symbolic extents, which become {"extent": "2*batch"}."""
    if isinstance(value, _core.Extent):
        return {"extent": repr(value)}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"extent"} and isinstance(value["extent"], str):
        extent: Any = 1
        for factor in value["extent"].split("*"):
            extent = extent * (int(factor) if factor.isdigit() else _core.Extent(factor))
        return extent
    return tuple(_restored(item) for item in value) if isinstance(value, (tuple, list)) else value
