"""The command line: ``python -m fastnn`` or ``fastnn``. Reads arguments, calls one function, words its errors."""

import argparse
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
        0 done, 2 something that was asked for is missing or damaged (one sentence on standard error), 130 interrupted.

    Examples
    --------
    >>> main(["demo", "--data", "no/such/folder"])
    2
    """
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("\nfastnn: interrupted", file=sys.stderr)
        return 130


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

    info = commands.add_parser(
        "info", help="say which instruction set, BLAS and how many threads are used, and what forces each"
    )
    info.set_defaults(run=_info)
    return parser


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds; argparse makes one line of its error."""

    def read(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"wanted a whole number from {low} to {high}, got {text!r}")

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


def _info(_: argparse.Namespace) -> int:
    from fastnn.config import show_config

    show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())
