"""
The C++ core of fastnn: arrays in, arrays out. Not a public interface.
"""
from __future__ import annotations
import collections.abc
import numpy
import os
import typing
__all__: list[str] = ['Extent', 'Function', 'Graph', 'UnsupportedTensor', 'Variable', 'available_isas', 'compiler', 'dump_json', 'execute', 'format_version', 'isa', 'load_function', 'load_graphs', 'num_threads', 'num_threads_reason', 'ops', 'parallel_backend', 'parse_json', 'parse_safetensors', 'passes', 'random_permutation', 'random_uniform', 'read_safetensors', 'read_variables', 'safetensors_bytes', 'set_num_threads', 'write_safetensors', 'write_variables']
class Extent:
    """
    The length of an axis that is not known while tracing: an integer times named symbols.
    """
    def __eq__(self, arg0: typing.Any) -> bool:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> typing.Any:
        ...
    def __init__(self, symbol: str) -> None:
        ...
    def __int__(self) -> typing.Any:
        ...
    def __mul__(self, arg0: typing.Any) -> typing.Any:
        ...
    def __repr__(self) -> str:
        ...
    def __rmul__(self, arg0: typing.Any) -> typing.Any:
        ...
class Variable:
    """
    Memory that outlives runs; fastnn.Variable is the public face.
    """
    name: str
    def __init__(self, name: str, value: numpy.ndarray) -> None:
        ...
    def read(self) -> numpy.ndarray:
        ...
    def write(self, value: numpy.ndarray) -> None:
        ...
    @property
    def dtype(self) -> str:
        ...
    @property
    def shape(self) -> tuple:
        ...
    @property
    def version(self) -> int:
        ...
class Graph:
    """
    What a trace records. Values are integers.
    """
    def __init__(self) -> None:
        ...
    def bind_variable(self, variable: Variable, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def constant(self, array: numpy.ndarray) -> int:
        ...
    def constants(self) -> list[numpy.ndarray]:
        """
        Their values, in order.
        """
    def dtype(self, value: typing.SupportsInt | typing.SupportsIndex) -> str:
        ...
    def fuse(self) -> None:
        """
        Runs the passes that come before differentiation.
        """
    def input(self, name: str, dtype: str, shape: typing.Any) -> int:
        ...
    def inputs(self) -> list:
        ...
    def node(self, op: str, inputs: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex | None], attributes: dict, layer: str, line: str) -> list[int]:
        ...
    def nodes(self) -> list:
        """
        Every node as (op, inputs, outputs, attributes, layer, line), in order.
        """
    def replaced(self) -> list:
        """
        The nodes that passes have turned into others, as they were.
        """
    def set_outputs(self, values: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]) -> None:
        ...
    def shape(self, value: typing.SupportsInt | typing.SupportsIndex) -> tuple:
        ...
    def to_json(self, variables: collections.abc.Sequence[str], constants: collections.abc.Sequence[str]) -> str:
        """
        The graph as a model file has it, with tensor names for its variables and constants.
        """
    def variable(self, variable: Variable) -> int:
        ...
    def variables(self) -> list[Variable]:
        """
        Those that it reads or assigns, in order.
        """
class Function:
    """
    A traced graph with the programs planned from it.
    """
    def __init__(self, graph: Graph) -> None:
        ...
    def describe(self, shapes: collections.abc.Sequence[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]]) -> dict:
        """
        The program for inputs of these shapes: its steps and the memory it needs.
        """
    def run(self, inputs: list, commit: bool, profile: bool = False) -> typing.Any:
        ...
    def run_batches(self, inputs: list, rows: typing.SupportsInt | typing.SupportsIndex, commit: bool) -> list:
        """
        The results for all rows of the inputs, of which each run gets so many.
        """
    def variables(self) -> list[Variable]:
        ...
class UnsupportedTensor:
    """
    A tensor in a file, of a dtype that fastnn lacks; raises when used.
    """
    def __array__(self, dtype: typing.Any = None, copy: typing.Any = None) -> numpy.ndarray:
        ...
    def __repr__(self) -> str:
        ...
    @property
    def dtype(self) -> str:
        """
        As the file calls it: 'BF16'.
        """
    @property
    def name(self) -> str:
        ...
    @property
    def shape(self) -> tuple:
        ...
def _disable_passes(names: collections.abc.Set[str]) -> None:
    ...
def _dump_json(value: typing.Any) -> bytes:
    ...
def _json_get(text: bytes, steps: list, kind: str) -> typing.Any:
    ...
def _last_run_threads() -> int:
    ...
def _more_threads_than_cpus(allowed: bool) -> None:
    ...
def _parse_json(text: bytes, max_bytes: typing.SupportsInt | typing.SupportsIndex = 1048576, max_depth: typing.SupportsInt | typing.SupportsIndex = 64) -> typing.Any:
    ...
def _peak_bytes(threads: typing.SupportsInt | typing.SupportsIndex, size: typing.SupportsInt | typing.SupportsIndex) -> float:
    """
    Bytes per second of copies that read and write `size` bytes.
    """
def _peak_flops(threads: typing.SupportsInt | typing.SupportsIndex) -> float:
    """
    Measures what the machine can do: float32 operations per second.
    """
def _philox(key: typing.SupportsInt | typing.SupportsIndex, counter_low: typing.SupportsInt | typing.SupportsIndex, counter_high: typing.SupportsInt | typing.SupportsIndex) -> tuple[int, int, int, int]:
    ...
def _reads_distant_rows() -> bool:
    ...
def _reverse_phases(reversed: bool) -> None:
    ...
def _serial_below(seconds: typing.SupportsFloat | typing.SupportsIndex) -> None:
    ...
def _use_distant_rows(reads: bool) -> None:
    ...
def _use_isa(name: str) -> None:
    ...
def _use_variant(op: str, variant: str) -> None:
    ...
def available_isas() -> list[str]:
    ...
def dump_json(value: typing.Any, where: str) -> str:
    """
    None, bool, int, float, str, and lists and dicts of them, as a text.
    """
def execute(op: str, inputs: list, attributes: dict, out: typing.Any = None) -> list:
    """
    Runs one op on NumPy arrays.
    """
def isa() -> str:
    ...
def load_function(path: os.PathLike | str | bytes, graph: str = 'predict') -> Function:
    """
    A graph of a model file, ready to run.
    """
def load_graphs(path: os.PathLike | str | bytes) -> dict[str, Graph]:
    """
    The graphs of a model file, by name, as they were written. Those that name the same tensor share a Variable.
    """
def num_threads() -> int:
    ...
def num_threads_reason() -> str:
    ...
def ops() -> list:
    """
    The op table.
    """
def parallel_backend() -> str:
    ...
def parse_json(text: str, where: str) -> typing.Any:
    """
    The value of a text, which `where` names in errors; at most 64 MB and 64 levels deep.
    """
def parse_safetensors(data: bytes) -> tuple[dict[str, typing.Any], dict[str, str]]:
    """
    The same from the bytes of a file.
    """
def passes() -> list[str]:
    ...
def random_permutation(seed: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, step: typing.SupportsInt | typing.SupportsIndex, n: typing.SupportsInt | typing.SupportsIndex) -> numpy.ndarray:
    ...
def random_uniform(seed: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex, step: typing.SupportsInt | typing.SupportsIndex, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], dtype: str) -> numpy.ndarray:
    ...
def read_safetensors(path: os.PathLike | str | bytes) -> tuple[dict[str, typing.Any], dict[str, str]]:
    """
    The tensors of a file, by name, and its metadata.
    """
def read_variables(variables: collections.abc.Sequence[Variable]) -> list:
    """
    Copies of the values, all as of one moment.
    """
def safetensors_bytes(tensors: dict, metadata: collections.abc.Mapping[str, str] = {}) -> bytes:
    """
    What write_safetensors would write.
    """
def set_num_threads(threads: typing.SupportsInt | typing.SupportsIndex) -> None:
    ...
def write_safetensors(path: os.PathLike | str | bytes, tensors: dict, metadata: collections.abc.Mapping[str, str] = {}) -> None:
    """
    Replaces the file as a whole, or leaves it as it was.
    """
def write_variables(variables: collections.abc.Sequence[Variable], values: collections.abc.Sequence[numpy.ndarray]) -> None:
    """
    New values for all of them at once, or for none.
    """
__version__: str = '0.1.0'
compiler: str = '12.2.0'
format_version: int = 1
