"""Models as files.

One safetensors file holds a model: its weights as tensors that any safetensors library reads, by names such as `dense/kernel`,
and as metadata its architecture (from which Python makes the model again), its graph (which C++ runs without Python), and in
a checkpoint the state of training. docs/file-format.md describes it. Nothing in a file is code, and nothing is read by pickle.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastnn import _core
from fastnn.layers.layer import initial_weights
from fastnn.serialization import Decoder, Encoder
from fastnn.tracing import Array, Variable, flatten, named_variables, read_variables, renamed_scopes, write_variables
from fastnn.utils import generator

if TYPE_CHECKING:
    from fastnn.training import Trainer

__all__ = ["load_model", "read_checkpoint", "save_model"]

_FORMAT: int = _core.format_version  # docs/file-format.md says what it means; a greater number is of a newer fastnn
_SUFFIX = ".safetensors"
_RESERVED = "fastnn."  # names that begin with it are ours: what is no weight
_OPTIMIZER = "fastnn.optimizer/"
_METRICS = "fastnn.metrics/"
_COPIES = 16  # of the weights of a model within models, each of which makes its parts anew
_PARTS = {"model", "inputs", "named_inputs", "frozen", "compile"}  # of the architecture


# ---- Writing -----------------------------------------------------------------------------------------------------------------


def save_model(model: Trainer, path: str | os.PathLike[str], include_optimizer: bool = True) -> None:
    """Writes a model into one file; `model.save` does it.

    Args:
        model: a model that is built.
        path: a name that ends in `.safetensors`. A file that exists is replaced in one step, or stays as it was.
        include_optimizer: whether what the optimizer remembers goes along.

    Raises:
        ValueError: another ending, a model that is not built, a layer or Variable that a file cannot hold.
        OSError: the file cannot be written.

    Example:
        >>> fastnn.saving.save_model(fastnn.Sequential([layers.Dense(3)]), "model.keras")
        Traceback (most recent call last):
        ...
        ValueError: model.keras: ...
    """
    file = _file_name(path)
    model._require_built("save")
    tensors, metadata, _ = _contents(model, include_optimizer)
    _core.write_safetensors(file, tensors, metadata)


def save_weights(model: Trainer, path: str | os.PathLike[str]) -> None:
    """What `model.save_weights` does."""
    file = _file_name(path)
    model._require_built("save_weights")
    weights = model.named_weights()
    tensors = dict(zip(weights, read_variables(list(weights.values()))))
    _core.write_safetensors(file, tensors, {"fastnn.format": str(_FORMAT)})


def model_to_bytes(model: Trainer) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a model's file, and the user's own classes and functions in it, by name."""
    tensors, metadata, custom_objects = _contents(model, include_optimizer=True)
    return _core.safetensors_bytes(tensors, metadata), custom_objects


def save_checkpoint(model: Trainer, path: str, state: Mapping[str, Any]) -> None:
    """A model file with all that `restore_checkpoint` needs: the model, the optimizer, the metrics, and `state`."""
    tensors, metadata, _ = _contents(model, include_optimizer=True, include_metrics=True)
    seed, stream = generator.state()
    state = {"generator": {"seed": seed, "stream": stream}, **state}
    metadata["fastnn.state"] = _core.dump_json(Encoder().encode(state, "the state of training"), path)
    _core.write_safetensors(path, tensors, metadata)


def _contents(
    model: Trainer, include_optimizer: bool, include_metrics: bool = False
) -> tuple[dict[str, Array], dict[str, str], dict[str, Any]]:
    """The tensors and the metadata of a model's file, and the user's own classes and functions in it."""
    names = _paths(model)
    encoder = Encoder()
    variables = model.named_variables()
    metadata = {
        "fastnn.format": str(_FORMAT),
        "fastnn.model": _core.dump_json(_architecture(model, names, encoder), model.name),
    }
    constants: list[Array] = []
    if model.built:
        graph, constants = _graph(model, names, variables)
        metadata["fastnn.graphs"] = f'{{"predict":{graph}}}'
    if include_optimizer and model.loss is not None:
        variables |= _optimizer_variables(model)
    if include_metrics:
        variables |= _metric_variables(model)
    tensors = dict(zip(variables, read_variables(list(variables.values()))))
    tensors |= {_constant_name(i): value for i, value in enumerate(constants)}
    return tensors, metadata, encoder.custom_objects


def _paths(model: Trainer) -> dict[str, str]:
    """How a file calls the model and each layer in it, by the names that they have in this process."""
    names = {model.name: type(model).__name__.lower() if model.auto_named else model.name}
    for path, layer in model._walk():
        if path:
            names[layer.name] = path.rstrip("/").rpartition("/")[2]
    names |= {spec.name: name for name, spec in zip(model._input_names(), model._inputs)}
    for name in model.named_layers():
        if name.startswith(_RESERVED):
            raise ValueError(f"{name}: a layer of this name in a file; expected none that begins with {_RESERVED}; rename it")
    return names


def _optimizer_variables(model: Trainer) -> dict[str, Variable]:
    return {_OPTIMIZER + name: v for name, v in named_variables(model.optimizer).items()}


def _metric_variables(model: Trainer) -> dict[str, Variable]:
    shapes = model.output_shape if len(model._output_names) > 1 else [model.output_shape]
    for shape, group in zip([shapes[name] for name in sorted(shapes)] if isinstance(shapes, dict) else shapes, model._metrics):
        for metric in group:
            metric.build(shape)  # or a metric that has seen no batch would have no place for what the file holds
    named = zip(model._log_names, model.metrics)
    return {f"{_METRICS}{log}/{name}": v for log, metric in named for name, v in named_variables(metric).items()}


def _architecture(model: Trainer, names: Mapping[str, str], encoder: Encoder) -> dict[str, Any]:
    """The model and how it was compiled as JSON values, under the names of the file."""
    for layer in model.layers:
        if not layer.auto_named and "name" not in layer.get_config():
            raise ValueError(
                f"{layer.name}: its get_config returns no name, which files need; expected the constructor's arguments and "
                "**super().get_config(); add the latter"
            )
    frozen = [path for path, layer in model._walk() if not layer.trainable]
    pairs = zip(model._input_names(), model._inputs)
    shapes = [[name, list(spec.sample_shape), spec.dtype] for name, spec in pairs] if model.built else None
    structured = isinstance(model.input_shape, dict) if model._structure is not None else None
    compiled = encoder.encode(model._compile_config(), f"{model.name}: compile")
    excluded = _descend(compiled, ("optimizer", "config", "exclude_from_weight_decay"))
    if excluded:  # Variables by the names of this process
        paths = {v.name: path for path, v in model.named_weights().items()}
        excluded["names"] = sorted(paths.get(name, name) for name in excluded["names"])
    return {
        "model": _renamed(encoder.encode(model, model.name), names),
        "inputs": shapes,
        "named_inputs": structured,
        "frozen": frozen,
        "compile": compiled,
    }


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Encoded objects, those within them too, under other names."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(item, names) for key, item in value.items()}
    if value.keys() == {"class", "config"} and isinstance(value["config"].get("name"), str):
        renamed["config"]["name"] = names.get(value["config"]["name"], value["config"]["name"])
    return renamed


def _graph(model: Trainer, names: Mapping[str, str], variables: Mapping[str, Variable]) -> tuple[str, list[Array]]:
    """The graph of a prediction as JSON, which names the Variables as the file does, and its constants."""
    key = tuple(variables)
    if model._file_graph is None or model._file_graph[0] != key:
        with renamed_scopes(names):
            graph, *_ = model._prediction_graph()
        by_core = {id(v._core): name for name, v in variables.items()}
        read: list[str] = []
        for variable in graph.variables():
            if id(variable) not in by_core:
                raise ValueError(
                    f"{model.name}: '{variable.name}' belongs to no layer; expected every Variable to be a weight or an "
                    "attribute of its layer, where a file can find it; make it with add_weight"
                )
            read.append(by_core[id(variable)])
        constants = graph.constants()
        text = graph.to_json(read, [_constant_name(i) for i in range(len(constants))])
        model._file_graph = key, text, constants
    _, text, constants = model._file_graph
    return text, constants


def _constant_name(index: int) -> str:
    return f"fastnn.constants/predict/{index}"


def _file_name(path: str | os.PathLike[str]) -> str:
    """The path as a string, if its ending is ours."""
    name = os.fsdecode(path)
    if name.endswith(_SUFFIX):
        return name
    ending = os.path.splitext(name)[1]
    why = ""
    if ending in (".keras", ".h5", ".hdf5"):
        why = f", because {ending} is a format of Keras that only Keras's own libraries read and write"
    raise ValueError(f"{name}: expected a name that ends in {_SUFFIX}{why}; name it {os.path.splitext(name)[0]}{_SUFFIX}")


# ---- Reading -----------------------------------------------------------------------------------------------------------------


def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Any:
    """Reads a model that `model.save` wrote.

    Args:
        path: the file; a checkpoint will do.
        custom_objects: classes and functions of your own that the model uses, by name.
        compile: whether to compile it as it was when saved, with what its optimizer remembered.

    Returns:
        A model, with the layers' names as the file has them.

    Raises:
        ValueError: no model file, a damaged or hostile one, one of a newer fastnn, a class that is unknown.
        OSError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> class Double(layers.Layer):
        ...     def call(self, x):
        ...         return x * 2.0
        >>> model = fastnn.Sequential([Double(input_shape=(1,))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/double.safetensors")
        ...     copy = fastnn.load_model(f"{folder}/double.safetensors", custom_objects={"Double": Double})
        >>> copy.predict(np.ones((1, 1)))
        array([[2.]], dtype=float32)
    """
    file = _file_name(path)
    tensors, metadata = _core.read_safetensors(file)
    return _model(file, tensors, metadata, custom_objects, compile)


def model_from_bytes(data: bytes, custom_objects: Mapping[str, Any]) -> Any:
    """The inverse of `model_to_bytes`."""
    tensors, metadata = _core.parse_safetensors(data)
    return _model("a model's bytes", tensors, metadata, custom_objects)


def load_weights(model: Trainer, path: str | os.PathLike[str]) -> None:
    """What `model.load_weights` does."""
    file = _file_name(path)
    model._require_built("load_weights")
    tensors, metadata = _core.read_safetensors(file)
    if "fastnn.format" in metadata:
        _check_format(file, metadata)
    weights = model.named_weights()
    state = model.named_variables().keys() - weights.keys()
    wanted = {name: tensor for name, tensor in tensors.items() if not name.startswith(_RESERVED) and name not in state}
    _write(f"{file} for {model.name}", weights, wanted)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state of training in a checkpoint, without its model.

    Args:
        path: the file.

    Returns:
        A dict: `fit` with `epoch` and `step` (how many epochs are finished, and how many steps of the next), `samples`,
        `batch_size` and more; `callbacks`, what their `get_state` returned, by class, `History` among them.

    Raises:
        ValueError: no checkpoint, or a damaged one.
        OSError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> model = fastnn.Sequential([layers.Dense(1, input_shape=(2,))])
        >>> model.compile(loss="mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = fastnn.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        ...     history = model.fit(np.ones((64, 2)), np.ones((64, 1)), epochs=3, callbacks=backup, verbose=0)
        ...     checkpoint = fastnn.saving.read_checkpoint(f"{folder}/checkpoint.safetensors")
        >>> checkpoint["fit"]["epoch"], len(checkpoint["callbacks"]["History"]["history"]["loss"])
        (3, 3)
    """
    file = _file_name(path)
    return _state(file, _core.read_safetensors(file)[1])


def restore_checkpoint(model: Trainer, path: str) -> dict[str, Any]:
    """Makes a model what it was when `save_checkpoint` wrote the file, and returns the `state` of then.

    The model is of the same architecture and compiled alike, or nothing is changed.
    """
    tensors, metadata = _core.read_safetensors(path)
    state = _state(path, metadata)
    ours, theirs = _architecture(model, _paths(model), Encoder()), _architecture_of(path, metadata)
    for architecture in (ours, theirs):  # the rate is a Variable, which schedules change
        _descend(architecture, ("compile", "optimizer", "config")).pop("learning_rate", None)
    difference = _difference(ours, theirs, "")
    if difference is not None:
        raise ValueError(
            f"{path}: a checkpoint of another model: {difference}; expected one of {model.name} as it is; remove the file to "
            "start anew, or make the model that it belongs to"
        )
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = model.named_variables() | _optimizer_variables(model) | _metric_variables(model)
    _write(path, variables, {name: t for name, t in tensors.items() if not name.startswith("fastnn.constants/")})
    generator.reset(*(_integer(path, state, "generator", key) for key in ("seed", "stream")))
    return state


def _model(
    where: str,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str],
    custom_objects: Mapping[str, Any] | None,
    compile: bool = True,
) -> Any:
    from fastnn.layers.core import Input
    from fastnn.training import Trainer

    architecture = _architecture_of(where, metadata)
    left = Counter(_COPIES * [tuple(tensor.shape) for tensor in tensors.values()])

    def blank(name: str, shape: tuple[int, ...]) -> Array:
        # Before it is allocated: a hostile file may ask for weights of any size and number, but holds only so many.
        if left[shape] == 0:
            raise ValueError(
                f"{where}: {name} of shape {shape}; expected weights that the file holds; it is damaged, write it again"
            )
        left[shape] -= 1
        return np.zeros(shape, np.float32)

    decoder = Decoder(where, custom_objects)
    try:
        with generator.paused(), initial_weights(blank):
            model = decoder.decode(architecture["model"])
            if not isinstance(model, Trainer):
                raise TypeError(f"the architecture makes {model!r}; expected a model; write the file again")
            if architecture["inputs"] is not None and not model.built:
                inputs = [Input(shape, name=name, dtype=dtype) for name, shape, dtype in architecture["inputs"]]
                named = architecture["named_inputs"]
                tree: Any = {spec.name: None for spec in inputs} if named else [None] * len(inputs)
                model._build_with(inputs, None if named is None else flatten(tree)[1])
            for path, layer in model._walk():
                layer._trainable = path not in architecture["frozen"]
            if architecture["compile"] is not None and compile:
                model.compile(**decoder.decode(architecture["compile"]))
                model.optimizer.rename_excluded({path: v.name for path, v in model.named_weights().items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(error if str(error).startswith(where) else f"{where}: {error}") from error
    variables = model.named_variables()
    others = {name: t for name, t in tensors.items() if not name.startswith(_RESERVED)}
    optimizer = {name: t for name, t in tensors.items() if name.startswith(_OPTIMIZER)}
    if optimizer and compile and model.loss is not None:
        if not optimizer.keys() <= _optimizer_variables(model).keys():
            model.optimizer.build(model.trainable_variables)  # it had made its slots
        variables |= _optimizer_variables(model)
        others |= optimizer
    _write(where, variables, others)
    return model


def _architecture_of(where: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if "fastnn.format" not in metadata:
        raise ValueError(
            f"{where}: a safetensors file without a fastnn model; expected one that model.save wrote; for weights alone make "
            "the model and call its load_weights"
        )
    _check_format(where, metadata)
    if "fastnn.model" not in metadata:
        raise ValueError(
            f"{where}: weights without a model; expected a file of model.save; make the model and call its load_weights"
        )
    architecture = _core.parse_json(metadata["fastnn.model"], f"{where}: fastnn.model")
    if not isinstance(architecture, dict) or architecture.keys() != _PARTS:
        raise ValueError(
            f"{where}: fastnn.model is not {', '.join(sorted(_PARTS))}; expected all of them; write the file again"
        )
    return architecture


def _check_format(where: str, metadata: Mapping[str, str]) -> None:
    text = metadata["fastnn.format"]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise ValueError(f"{where}: format {text!r}; expected a version number; write the file again")
    if int(text) > _FORMAT:
        raise ValueError(f"{where}: format {text}, of a newer fastnn; expected at most {_FORMAT}; update fastnn to read it")


def _state(where: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if "fastnn.state" not in metadata:
        raise ValueError(f"{where}: no checkpoint; expected a file that BackupAndRestore wrote; load it with fastnn.load_model")
    _check_format(where, {"fastnn.format": "", **metadata})
    state = Decoder(where).decode(_core.parse_json(metadata["fastnn.state"], f"{where}: fastnn.state"))
    if not isinstance(state, dict):
        raise ValueError(f"{where}: a state of training that is no object; expected one; remove the file to start anew")
    return state


def _integer(where: str, state: Mapping[str, Any], *path: str) -> int:
    value: Any = state
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{where}: {'.'.join(path)} is {value!r}; expected an integer >= 0; remove the file to start anew")
    return value


def _write(where: str, variables: Mapping[str, Variable], tensors: Mapping[str, Any]) -> None:
    """Writes tensors into the Variables of the same names, all at once, or raises and changes nothing."""
    arrays = _fitting(where, {name: (v.shape, v.dtype) for name, v in variables.items()}, tensors)
    write_variables(list(variables.values()), arrays)


def _fitting(where: str, wanted: Mapping[str, tuple[tuple[int, ...], str]], tensors: Mapping[str, Any]) -> list[Array]:
    """The tensors in the order of what is wanted and of its dtypes; ValueError with all that does not fit."""
    problems = []
    missing = [name for name in wanted if name not in tensors]
    surplus = [name for name in tensors if name not in wanted]
    if missing:
        problems.append(f"missing {', '.join(missing)}")
    if surplus:
        problems.append(f"surplus {', '.join(surplus)}")
    for name, (shape, dtype) in wanted.items():
        tensor = tensors.get(name)
        if tensor is not None and tuple(tensor.shape) != shape:
            problems.append(f"{name} of shape {tuple(tensor.shape)} for {shape}")
        elif isinstance(tensor, _core.UnsupportedTensor):
            problems.append(f"{name} of dtype {tensor.dtype}, which fastnn lacks")
        elif tensor is not None and not np.can_cast(tensor.dtype, dtype, "same_kind"):
            problems.append(f"{name} of dtype {tensor.dtype} for {dtype}")
    if problems:
        raise ValueError(
            f"{where}: {'; '.join(problems)}; expected the weights of the same architecture; nothing was changed: make the "
            "model that the file belongs to"
        )
    return [np.asarray(tensors[name]).astype(dtype, copy=False) for name, (_, dtype) in wanted.items()]


def _descend(value: Any, path: Sequence[str]) -> dict[str, Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _difference(ours: Any, theirs: Any, path: str) -> str | None:
    """The first place where two JSON values differ, in words, or None."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(f"{path}.{key}".lstrip("."), ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs))]
    else:
        if type(ours) is type(theirs) and ours == theirs:
            return None
        a, b = (f"{len(v)} entries" if isinstance(v, list) else repr(v) for v in (ours, theirs))
        return f"{path} is {b} there and {a} here"
    return next((found for where, a, b in pairs if (found := _difference(a, b, where)) is not None), None)


# ---- The methods of models ---------------------------------------------------------------------------------------------------


class Savable:
    """The part of a model that knows files; models derive from it."""

    def save(self, path: str | os.PathLike[str], *, include_optimizer: bool = True) -> None:
        """Writes the model into one file; `fastnn.load_model` reads it, and so does a C++ program.

        Args:
            path: a name that ends in `.safetensors`. A file that exists is replaced in one step, or stays as it was.
            include_optimizer: whether what the optimizer remembers goes along, so that training can go on after loading; it
                is twice the size of the weights with Adam.

        Raises:
            ValueError: another ending, a model that is not built, a layer or Variable that a file cannot hold.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(f"{folder}/model.safetensors")
            ...     copy = fastnn.load_model(f"{folder}/model.safetensors")
            >>> x = np.ones((2, 4))
            >>> np.array_equal(copy.predict(x), model.predict(x))
            True
        """
        save_model(cast(Any, self), path, include_optimizer=include_optimizer)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Writes the weights alone, by names such as `dense/kernel`.

        Args:
            path: a name that ends in `.safetensors`; as for `save`.

        Raises:
            ValueError, OSError: as `save`.

        Example:
            >>> import tempfile
            >>> model, other = (fastnn.Sequential([layers.Dense(3, input_shape=(4,))]) for _ in range(2))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_weights(f"{folder}/weights.safetensors")
            ...     other.load_weights(f"{folder}/weights.safetensors")
            >>> np.array_equal(other.get_weights()[0], model.get_weights()[0])
            True
        """
        save_weights(cast(Any, self), path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Reads the weights out of a file that `save_weights` or `save` of an equal model wrote. The others may be predicting
        meanwhile: they see all of the old weights or all of the new ones.

        Args:
            path: the file; any safetensors file whose tensors have the names of the weights will do.

        Raises:
            ValueError: weights that are missing, surplus or of another shape, all of them named; nothing was changed. A file
                that is damaged; a model that is not built.
            OSError: the file cannot be read.

        Example:
            >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
            >>> model.load_weights("weights.h5")
            Traceback (most recent call last):
            ...
            ValueError: weights.h5: ...
        """
        load_weights(cast(Any, self), path)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A model of its own with equal weights and optimizer: what saving and loading gives, without a file."""
        return model_from_bytes(*model_to_bytes(cast(Any, self)))

    def __reduce__(self) -> Any:
        """For pickle, which stores the bytes of the file, and the user's own classes by reference."""
        return model_from_bytes, model_to_bytes(cast(Any, self))
