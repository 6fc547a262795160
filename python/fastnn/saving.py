"""Models as files.

One safetensors file holds a model: its weights as tensors that any safetensors library reads, by names such as `dense/kernel`,
and as metadata its architecture (from which Python makes the model again), its graph (which C++ runs without Python), and in
a checkpoint the state of training. docs/file-format.md describes it. Nothing in a file is code, and nothing is read by pickle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastnn import _core
from fastnn.layers.layer import initial_weights
from fastnn.serialization import Decoder, Encoder
from fastnn.tracing import Array, Variable, named_variables, read_variables, renamed_scopes, write_variables
from fastnn.utils import generator

if TYPE_CHECKING:
    from fastnn.training import Trainer

__all__ = ["load_model", "read_checkpoint", "save_model"]

_FORMAT = 1  # docs/file-format.md says what it means; a file with a greater number is from a newer fastnn
_SUFFIX = ".safetensors"
_RESERVED = "fastnn."  # names that begin with it are ours: what is no weight
_OPTIMIZER = "fastnn.optimizer/"
_METRICS = "fastnn.metrics/"


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
    names = _portable_names(model)
    weights = {f"{names[layer.name]}/{name}": v for layer in model.layers for name, v in layer.named_weights().items()}
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
    names = _portable_names(model)
    encoder = Encoder()
    variables = _model_variables(model, names)
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


def _portable_names(model: Trainer) -> dict[str, str]:
    """How a file calls the layers: as the user named them, else numbered within the model.

    `conv2d_7`, because the process has made seven others, is `conv2d` in the file: the same model gives the same file, and
    the weights of one fit another that is made in the same way.
    """
    names = {}
    taken = {layer.name for layer in model.layers if not layer.auto_named}
    for layer in model.layers:
        name, number = layer.name, 0
        if layer.auto_named:
            name = base = layer.default_name()
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
        if name.startswith(_RESERVED):
            raise ValueError(
                f"{layer.name}: a layer of this name in a file; expected none that begins with {_RESERVED}; rename it"
            )
        names[layer.name] = name
    return names


def _portable_name(model: Trainer) -> str:
    return type(model).__name__.lower() if model.auto_named else model.name


def _model_variables(model: Trainer, names: Mapping[str, str]) -> dict[str, Variable]:
    return {f"{names[layer.name]}/{name}": v for layer in model.layers for name, v in layer.named_variables().items()}


def _optimizer_variables(model: Trainer) -> dict[str, Variable]:
    return {_OPTIMIZER + name: v for name, v in named_variables(model.optimizer).items()}


def _metric_variables(model: Trainer) -> dict[str, Variable]:
    return {f"{_METRICS}{m.name}/{name}": v for m in model.metrics for name, v in named_variables(m).items()}


def _architecture(model: Trainer, names: Mapping[str, str], encoder: Encoder) -> dict[str, Any]:
    """The model and how it was compiled as JSON values, under the names of the file."""
    described = encoder.encode(model, model.name)
    described["config"]["name"] = _portable_name(model)
    for layer in described["config"]["layers"]:
        if "name" not in layer["config"]:
            raise ValueError(
                f"{layer['class']}: its get_config returns no name, which files need; expected the constructor's arguments and "
                "**super().get_config(); add the latter"
            )
        layer["config"]["name"] = names.get(layer["config"]["name"], layer["config"]["name"])
    compiled = None
    if model.loss is not None:
        compiled = encoder.encode(
            {"optimizer": model.optimizer, "loss": model.loss, "metrics": model.metrics[1:]}, f"{model.name}: compile"
        )
    return {"model": described, "compile": compiled}


def _graph(model: Trainer, names: Mapping[str, str], variables: Mapping[str, Variable]) -> tuple[str, list[Array]]:
    """The graph of a prediction as JSON, which names the Variables as the file does, and its constants."""
    key = tuple(variables)
    if model._file_graph is None or model._file_graph[0] != key:
        with renamed_scopes({model.name: _portable_name(model), **names}):
            graph = model._prediction_graph()
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
    names = _portable_names(model)
    weights: dict[str, Variable] = {}
    state: set[str] = set()
    for layer in model.layers:
        own = layer.named_weights()
        weights |= {f"{names[layer.name]}/{name}": v for name, v in own.items()}
        state |= {f"{names[layer.name]}/{name}" for name in layer.named_variables() if name not in own}
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
    names = _portable_names(model)
    ours, theirs = _architecture(model, names, Encoder()), _architecture_of(path, metadata)
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
    variables = _model_variables(model, names) | _optimizer_variables(model) | _metric_variables(model)
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
    from fastnn.training import Trainer

    architecture = _architecture_of(where, metadata)
    used: set[str] = set()

    def stored(name: str, shape: tuple[int, ...]) -> Array:
        # Before it is allocated: a hostile file may ask for weights of any size, but holds only so many.
        used.add(name)
        return _fitting(where, {name: (shape, "float32")}, {name: tensors[name]} if name in tensors else {})[0]

    decoder = Decoder(where, custom_objects)
    try:
        with generator.paused(), initial_weights(stored):
            model = decoder.decode(architecture["model"])
            if not isinstance(model, Trainer):
                raise TypeError(f"the architecture makes {model!r}; expected a model; write the file again")
            if architecture["compile"] is not None and compile:
                model.compile(**decoder.decode(architecture["compile"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(error if str(error).startswith(where) else f"{where}: {error}") from error
    variables = _model_variables(model, {layer.name: layer.name for layer in model.layers})
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
    if not isinstance(architecture, dict) or architecture.keys() != {"model", "compile"}:
        raise ValueError(f"{where}: fastnn.model is no model with its compile arguments; expected both; write the file again")
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

    def save(self, path: str | os.PathLike[str], include_optimizer: bool = True) -> None:
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
