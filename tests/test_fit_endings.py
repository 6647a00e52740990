"""How a fit ends that is interrupted at any place, refused, or ended by several errors; and fits beside each other."""

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from backends import on_both

from fastnn import MLP, Adam, Callback, fitting


def _data(m: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(m, 4)), rng.integers(0, 3, m)


def _net(backend: str = "compiled", **options: object) -> MLP:
    return MLP([4, 5, 3], output="softmax", dtype="float64", seed=3, backend=backend, **options)


class Nothing(Callback):
    def on_epoch_end(self, fit: object) -> None:
        pass


class Interruption:
    """Raises KeyboardInterrupt at the ``number``-th bytecode of the fit loop's own functions, as a signal would."""

    def __init__(self, number: int, names: set[str]) -> None:
        self.left, self.names = number, names

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != fitting.__file__ or frame.f_code.co_name not in self.names:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self._step


@on_both
@pytest.mark.parametrize("validated", [True, False])
def test_ctrl_c_anywhere_leaves_a_history_that_fits_together(backend: str, validated: bool) -> None:
    X, y = _data()
    before, number = sys.gettrace(), 0
    while True:
        number += 1
        net, adam = _net(backend), Adam(0.01)
        net.fit(X, y, optimizer=adam, epochs=1)
        tracer = Interruption(number, {"run", "_length", "_segment", "_record", "_hooks", "_validate"})
        options: dict[str, Any] = {"validation_data": (X, y)} if validated else {}
        sys.settrace(tracer)
        try:
            net.fit(X, y, optimizer=adam, epochs=2, batch_size=6, callbacks=[Nothing()], **options)
        except KeyboardInterrupt:
            pass
        else:
            break  # the fit has fewer bytecodes than that
        finally:
            sys.settrace(before)
        history, state = net.history, adam.state(net)
        assert len(history.loss) == len(history.lr)
        assert [len(history.val_loss), len(history.val_accuracy)] == [len(history.loss) if validated else 0] * 2
        assert history.n_steps == state.t - 1
        assert state.epoch == 1 + history.n_steps // 2
        assert len(history.loss) <= history.n_steps // 2
    assert number > 500
