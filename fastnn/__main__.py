"""The command line: ``python -m fastnn`` or ``fastnn``. Reads arguments, calls one function, words its errors."""

import argparse
import contextlib
import io
import os
import reprlib
import sys
from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0 done, 1 what reads the output has gone away, 2 something that was asked for is missing or damaged or cannot be
        written (one sentence on standard error), 130 interrupted.

    Examples
    --------
    >>> main(["demo", "--data", "no/such/folder"])
    2
    """
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or – shows a question mark
    try:
        code = int(arguments.run(arguments))
        print(end="", flush=True)  # here, where an error can still be told
        return code
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        print(f"fastnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nfastnn: interrupted", file=sys.stderr)
        return 130


def _drop_output() -> None:
    """What standard output holds and cannot write goes nowhere: Python would try to write it again when it ends."""
    try:
        print(end="", flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description="Fast multilayer perceptrons on the CPU.")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser(
        "demo",
        help="train on handwritten digits, compiled and in NumPy, and draw the result",
        description="Trains the same network on handwritten digits twice, with the compiled code and in NumPy; prints "
        "test accuracy and time of both and writes a picture.",
    )
    demo.add_argument(
        "--data", metavar="DIR", help="folder of MNIST's four IDX files; default the digits in the package"
    )
    demo.add_argument("--epochs", type=_whole_number(1, 10**6), metavar="N", help="default 30, or 5 with --data")
    demo.add_argument("--output", default="fastnn-demo.png", metavar="PNG", help="default %(default)s")
    demo.add_argument("--seed", type=_whole_number(0, 2**64 - 1), default=0, metavar="N", help="default %(default)s")
    demo.set_defaults(run=_demo)

    bench = commands.add_parser(
        "bench",
        help="time the compiled code against NumPy on this machine",
        description="Times training steps, predictions and activations, compiled and in NumPy, in less than a minute; "
        "prints a table and writes it as JSON and, with matplotlib, as a picture.",
    )
    bench.add_argument("--output", default="fastnn-bench.json", metavar="JSON", help="default %(default)s")
    bench.add_argument("--threads", type=_whole_number(1, 64), default=1, metavar="N", help="default %(default)s")
    bench.add_argument(
        "--rounds",
        type=_whole_number(1, 1000),
        default=15,
        metavar="N",
        help="of which the median is taken; default 15",
    )
    bench.set_defaults(run=_bench)

    info = commands.add_parser(
        "info", help="say which instruction set, BLAS and how many threads are used, and what forces each"
    )
    info.set_defaults(run=_info)
    return parser


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds; argparse makes one line of its error."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):  # Python reads a few thousand digits, no more
            if text.isdecimal() and low <= int(text) <= high:
                return int(text)
        raise argparse.ArgumentTypeError(f"wanted a whole number from {low} to {high}, got {reprlib.repr(text)}")

    return read


def _demo(arguments: argparse.Namespace) -> int:
    from fastnn.datasets import DataError
    from fastnn.demo import DemoError, run_demo

    try:
        run_demo(arguments.data, arguments.epochs, arguments.output, arguments.seed)
    except (DataError, DemoError) as error:
        print(f"fastnn demo: {error}", file=sys.stderr)
        return 2
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from fastnn.bench import BenchError, run_bench

    try:
        run_bench(arguments.output, threads=arguments.threads, rounds=arguments.rounds)
    except BenchError as error:
        print(f"fastnn bench: {error}", file=sys.stderr)
        return 2
    return 0


def _info(_: argparse.Namespace) -> int:
    from fastnn.config import show_config

    show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())
