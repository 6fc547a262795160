"""The command `fastnn`.

Results go to standard output, progress and messages to standard error. Exit status: 0 done, 1 failed, 2 used
wrongly, 130 stopped with Ctrl-C. A command's imports happen when it runs: `fastnn --version` answers at once.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import fastnn
from fastnn.cli.recipe import RECIPES, GPTRecipe, Recipe

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command `fastnn`.

    Args:
        argv: its arguments; default those of this process.

    Returns:
        The exit status.

    Raises:
        SystemExit: after `--help`, `--version` and wrong usage, as argparse does.

    Example:
        >>> from fastnn.cli import main
        >>> main(["info"])  # doctest: +ELLIPSIS
        fastnn ...
        0
    """
    arguments = _parser().parse_args(argv)
    status: int
    try:
        status, result = arguments.run(arguments)
    except KeyboardInterrupt as stop:
        return _fail(130, "interrupted" + (f" {stop}" if str(stop) else ""), arguments.debug)
    except Exception as error:
        text = str(error)
        if not isinstance(error, (ValueError, TypeError, OSError, ImportError)):
            # Those carry a sentence for the user; of any other the name helps, and may be all there is.
            text = f"{type(error).__name__}: {text}".removesuffix(": ")
        return _fail(1, f"error: {text}", arguments.debug)
    return max(status, _print(result) if result else 0)


def _fail(status: int, message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"fastnn: {message}", file=sys.stderr)
    return status


def _print(result: str) -> int:
    try:
        print(result, flush=True)
    except OSError as error:  # a closed pipe, a full disk
        # Python flushes once more at exit, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever closed the pipe has read enough
            print(f"fastnn: error: standard output: {error.strerror}", file=sys.stderr)
        return 1
    return 0


# ---- Arguments ---------------------------------------------------------------------------------------------


_MNIST = {
    "mnist-cnn": "a small convolutional network",
    "mnist-transformer": "a small Vision Transformer",
    "mnist-lstm": "an LSTM that reads images row by row",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastnn", description="Neural networks that live inside other software.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    parser.add_argument("--cmake-dir", action=_CMakeDir, help="print the folder for CMAKE_PREFIX_PATH: the C++ library's")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = commands.add_parser("train", help="train a model that fastnn ships", allow_abbrev=False)
    models = train.add_subparsers(title="models", metavar="MODEL", required=True)
    for name, what in _MNIST.items():
        _add_mnist(models.add_parser(name, help=f"{what} on MNIST", allow_abbrev=False), RECIPES[name], what)
    _add_gpt(models.add_parser("gpt", help="a small GPT that writes text, character by character", allow_abbrev=False))

    predict = commands.add_parser("predict", help="read the digits in pictures", allow_abbrev=False)
    _add_predict(predict)

    evaluate = commands.add_parser("evaluate", help="measure a model on test images", allow_abbrev=False)
    _add_evaluate(evaluate)

    generate = commands.add_parser("generate", help="write text with a trained model", allow_abbrev=False)
    _add_generate(generate)

    info = commands.add_parser("info", help="show what this installation runs on", allow_abbrev=False)
    info.add_argument("--json", action="store_true", help="print one JSON object")
    _add_debug(info)
    info.set_defaults(run=_info)
    return parser


class _CMakeDir(argparse.Action):
    """Answers at once, as `--version` does; what is installed lies beside the compiled module, not beside this file."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        folder = Path(fastnn._core.__file__).parent / "cmake"
        if not (folder / "fastnnConfig.cmake").is_file():
            parser.exit(
                1,
                f"fastnn: error: {folder}: no fastnnConfig.cmake; expected the C++ library, which an installation has; "
                "install fastnn again, with pip\n",
            )
        parser.exit(_print(str(folder)))


def _add_mnist(parser: argparse.ArgumentParser, recipe: Recipe, what: str) -> None:
    parser.description = (
        f"Trains {what} on the 60,000 training images of MNIST, tests it on the other "
        f"10,000, and writes its history, the model, a checkpoint and three pictures. The learning rate {Recipe.SCHEDULE}."
    )
    option = parser.add_argument
    # No defaults here: with --resume, what is not given comes from the checkpoint.
    option("--epochs", type=_whole(1), metavar="N", help=f"passes over the images (default: {recipe.epochs})")
    option("--batch-size", type=_whole(1), metavar="N", help=f"images a step (default: {recipe.batch_size})")
    option(
        "--learning-rate",
        type=_positive,
        metavar="RATE",
        help=f"Adam's, at its highest (default: {recipe.learning_rate})",
    )
    option(
        "--seed",
        type=_whole(0, 2**63 - 1),
        metavar="N",
        help=f"of weights and shuffling; the same seed gives the same bits (default: {recipe.seed})",
    )
    _add_threads(parser)
    _add_data(parser)
    option(
        "--out",
        type=Path,
        default=Path("runs", recipe.model),
        metavar="DIR",
        help="where the files go; an earlier run there moves to DIR.1, DIR.2, ... (default: %(default)s)",
    )
    _add_resume(parser)
    option(
        "--profile",
        action="store_true",
        help="after the training, show the time of every op of a training step, and write it as a trace for "
        "chrome://tracing or ui.perfetto.dev",
    )
    option("--json", action="store_true", help="print one JSON object instead of a summary")
    _add_debug(parser)
    parser.set_defaults(run=_train, model=recipe.model)


def _add_gpt(parser: argparse.ArgumentParser) -> None:
    recipe = GPTRecipe()
    parser.description = (
        "Trains a decoder of the Transformer to predict the next character of a text, of which the last tenth is held out to "
        "validate on, and writes its history, the model, a checkpoint, the vocabulary and a picture. The learning rate "
        f"{recipe.SCHEDULE}."
    )
    option = parser.add_argument
    # No defaults here either.
    option("--text", type=Path, metavar="FILE", help="a text in UTF-8 (default: Python's own documentation)")
    option("--layers", type=_whole(1), metavar="N", help=f"blocks in a row (default: {recipe.layers})")
    option("--heads", type=_whole(1), metavar="N", help=f"of attention in each; divides the width (default: {recipe.heads})")
    option("--width", type=_whole(1), metavar="N", help=f"features of a character (default: {recipe.width})")
    option("--context", type=_whole(1), metavar="N", help=f"characters that the model sees (default: {recipe.context})")
    option("--batch-size", type=_whole(1), metavar="N", help=f"windows of that length a step (default: {recipe.batch_size})")
    option("--iterations", type=_whole(1), metavar="N", help=f"steps (default: {recipe.iterations})")
    option(
        "--dropout",
        type=_share,
        metavar="SHARE",
        help=f"what is dropped in training, from 0 to below 1 (default: {recipe.dropout})",
    )
    option("--learning-rate", type=_positive, metavar="RATE", help=f"AdamW's, at its highest (default: {recipe.learning_rate})")
    option(
        "--seed",
        type=_whole(0, 2**63 - 1),
        metavar="N",
        help=f"of weights, windows and dropout; the same seed gives the same bits (default: {recipe.seed})",
    )
    _add_threads(parser)
    option(
        "--out",
        type=Path,
        default=Path("runs/gpt"),
        metavar="DIR",
        help="where the files go; an earlier run there moves to DIR.1, DIR.2, ... (default: %(default)s)",
    )
    _add_resume(parser)
    option("--json", action="store_true", help="print one JSON object instead of a summary")
    _add_debug(parser)
    parser.set_defaults(run=_train_gpt)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Reads the digit in each picture: of any size, dark on light or light on dark. Of an IDX file it reads all images."
    )
    _add_model(parser)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a picture of one digit (PNG, JPEG, ...), or an IDX file of 28 x 28"
    )
    _add_threads(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with all probabilities")
    _add_debug(parser)
    parser.set_defaults(run=_predict)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measures loss and accuracy of a model on test images: those of MNIST, or others of their form."
    _add_model(parser)
    _add_threads(parser)
    _add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a summary")
    _add_debug(parser)
    parser.set_defaults(run=_evaluate)


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Continues a text, token after token, with a model that `fastnn train gpt` has made."
    _add_model(parser)
    option = parser.add_argument
    option("--prompt", required=True, metavar="TEXT", help="what the text begins with")
    option("--tokens", type=_whole(1), default=500, metavar="N", help="how many to add (default: %(default)s)")
    option("--greedy", action="store_true", help="always the most probable token, instead of drawing one")
    option("--temperature", type=_positive, metavar="T", help="below 1 what is probable becomes more so (default: 1)")
    option("--top-k", type=_whole(1), metavar="N", help="draw among so many most probable tokens (default: all)")
    option(
        "--top-p",
        type=_positive,
        metavar="P",
        help="draw among the fewest tokens whose probabilities add up to it, at most 1 (default: all)",
    )
    option("--repetition-penalty", type=_positive, metavar="X", help="above 1, tokens that the text has already become rarer")
    option(
        "--seed",
        type=_whole(0, 2**63 - 1),
        metavar="N",
        help="the same seed draws the same text, with any number of threads (default: another one each time)",
    )
    _add_threads(parser)
    option("--json", action="store_true", help="print one JSON object at the end, instead of the text as it comes")
    _add_debug(parser)
    parser.set_defaults(run=_generate)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model's file, or the folder of a run")


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=_whole(1, 256),
        metavar="N",
        help="1 to 256 (default: FASTNN_NUM_THREADS, else the CPUs this process may use)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder of four IDX files with images of 28 x 28 (default: MNIST, from fastnn-datasets)",
    )


def _add_resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, from its checkpoint: it ends with the same bits as if it had never stopped",
    )


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    expected = f"a whole number from {low} to {high}" if high else f"a whole number, at least {low}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{text}; expected {expected}")
        return value

    return parse


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < 1.0:  # false for NaN
        raise argparse.ArgumentTypeError(f"{text}; expected a number from 0 to below 1, such as 0.1")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1e-37 < value < 1e38:  # what float32 holds; false for NaN
        raise argparse.ArgumentTypeError(f"{text}; expected a number above 0, such as 0.001")
    return value


# ---- Commands ----------------------------------------------------------------------------------------------


def _train(arguments: argparse.Namespace) -> tuple[int, str]:
    from fastnn.cli import train

    _use_threads(arguments)
    given = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "learning_rate", "seed")}
    options = {name: value for name, value in given.items() if value is not None}
    result = train.mnist(
        arguments.model,
        options,
        data=arguments.data,
        out=arguments.out,
        resume=arguments.resume,
        profile=arguments.profile,
    )
    return 0, result.as_json() if arguments.json else result.summary()


def _train_gpt(arguments: argparse.Namespace) -> tuple[int, str]:
    from dataclasses import fields

    from fastnn.cli.gpt import gpt

    _use_threads(arguments)
    given = {field.name: getattr(arguments, field.name) for field in fields(GPTRecipe)}
    options = {name: value for name, value in given.items() if value is not None}
    result = gpt(options, text=arguments.text, out=arguments.out, resume=arguments.resume)
    return 0, result.as_json() if arguments.json else result.summary()


def _generate(arguments: argparse.Namespace) -> tuple[int, str]:
    import secrets

    from fastnn.cli.generate import generate

    _use_threads(arguments)
    names = ("temperature", "top_k", "top_p", "repetition_penalty", "seed")
    options = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.greedy:
        options["greedy"] = True
    elif "seed" not in options:
        options["seed"] = secrets.randbits(62)
    result = generate(arguments.model, arguments.prompt, arguments.tokens, options, stream=not arguments.json)
    return 0, result.as_json() if arguments.json else ""


def _predict(arguments: argparse.Namespace) -> tuple[int, str]:
    from fastnn.cli import predict

    _use_threads(arguments)
    result = predict.predict(arguments.model, arguments.files)
    return 0 if result.complete else 1, result.as_json() if arguments.json else result.summary()


def _evaluate(arguments: argparse.Namespace) -> tuple[int, str]:
    from fastnn.cli import predict

    _use_threads(arguments)
    result = predict.evaluate(arguments.model, arguments.data)
    return 0, result.as_json() if arguments.json else result.summary()


def _use_threads(arguments: argparse.Namespace) -> None:
    if arguments.threads is not None:
        fastnn.set_num_threads(arguments.threads)


def _info(arguments: argparse.Namespace) -> tuple[int, str]:
    from fastnn.cli import info

    facts = info.collect()
    return 0, info.as_json(facts) if arguments.json else info.summary(facts)
