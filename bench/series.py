"""Time against the size of the batch and the width of the layers: ``python bench/series.py [--save]``.

A training step and a prediction of 784-100-100-10 for batches of 1 to 4096 rows, and a training step of networks with
two hidden layers of 2 to 2048 units for batches of 128, everybody's beside ours on the same number of threads. Rounds
alternate between the contenders, the figure is the median. It takes about five minutes.
"""

import argparse
import gc
import sys
from collections.abc import Iterator

import environment

BATCHES = tuple(2**k for k in range(13))
WIDTHS = tuple(2**k for k in range(1, 12))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of every contender; default 1")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--largest", type=int, default=4096, help="batch and width; default 4096, which is all")
    environment.add_output(parser)
    return environment.parsed(parser, "rounds")


if __name__ == "__main__":  # before NumPy and the rivals are imported
    ARGUMENTS = _arguments()
    environment.start_again_with(ARGUMENTS.threads)

import races
from timing import interleaved
from workloads import Workload, sgd

from fastnn.bench import duration

# torch.compile would spend more time on compiling every size than all others on running, and JAX's scan repeats JAX.
LEFT_OUT = ("PyTorch compiled", "JAX scan", "onnxruntime bound")


def curves(largest: int) -> Iterator[tuple[str, int, races.Race]]:
    """Name of the curve, place on its axis, and what is timed there."""
    for batch in (n for n in BATCHES if n <= largest):
        workload = Workload((784, 100, 100, 10), batch, "relu", "softmax", sgd)
        yield "step by batch", batch, races.step(workload)
        yield "prediction by batch", batch, races.prediction(workload)
    for width in (n for n in WIDTHS if n <= largest):
        workload = Workload((width, width, width, 10), 128, "relu", "softmax", sgd)
        yield "step by width", width, races.step(workload)


def main(arguments: argparse.Namespace) -> int:
    facts, rows = environment.facts(), []
    print(f"{facts['cpu']}; {facts['isa']}, {facts['threads']} thread(s), load at the start {facts['load']:.2f}")
    for curve, x, race in curves(arguments.largest):
        lineup, absent = race.make([side for side in race.sides if side not in LEFT_OUT])
        calls = {side: contender.call for side, contender in lineup.items()}
        found = interleaved(calls, rounds=arguments.rounds, seconds=0.005)
        seconds = {side: timing.median for side, timing in found.items()}
        rows += [{"curve": curve, "x": x, "side": side, "seconds": float(f"{s:.4g}")} for side, s in seconds.items()]
        left_out = "".join(f"; left out: {side} ({reason})" for side, reason in absent.items())
        print(f"{curve:20}{x:6}  {', '.join(f'{side} {duration(s)}' for side, s in seconds.items())}{left_out}")
        del lineup, calls
        gc.collect()
    environment.write_json(environment.outputs(arguments, "series"), facts, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
