"""Networks, optimisers, schedules, files, whatever comes in: both backends agree, or refuse with nothing changed.

Hypothesis draws architectures, batches, and what replaces one of their arguments.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import BACKENDS, TOLERANCE
from hypothesis import given
from hypothesis import strategies as st
from oprecord import Arguments, describe
from strategies import CHANGES, SCALARS, SEEDS, batch, examples, networks

import fastnn
from fastnn import MLP, SGD, NonFiniteLossError, _core, config, schedules

BAD_NUMBERS = {str(value): value for value in (np.nan, np.inf, -1, 2, 1e3, -0.0)}

# Everything that can be asked of a network with a batch; what comes back is compared.
CALLS: dict[str, Callable[[MLP, Any, Any, Any], list[Any]]] = {
    "predict": lambda net, X, y, w: [net.predict(X)],
    "activations": lambda net, X, y, w: net.activations(X),
    "loss": lambda net, X, y, w: [net.loss(X, y, w, step=3)],
    "loss_and_gradients": lambda net, X, y, w: [net.loss_and_gradients(X, y, w)[0], net.gradients],
    "input_gradient": lambda net, X, y, w: [net.input_gradient(X, y)],
    "jacobian": lambda net, X, y, w: [net.jacobian(X)],
    "train_step": lambda net, X, y, w: [net.train_step(X, y, SGD(0.05), w), net.parameters],
    "fit": lambda net, X, y, w: [
        net.fit(X, y, sample_weight=w, optimizer=SGD(0.05, momentum=0.5), epochs=2, batch_size=16).loss,
        net.parameters,
    ],
}


def answer(net: MLP, call: Callable[[MLP], list[Any]]) -> tuple[str | None, list[Any]]:
    """The results, or the refusal with the network as before; a finite network if training went wrong on the way."""
    before = net.parameters.copy()
    try:
        return None, call(net)
    except (TypeError, ValueError) as error:
        if net.history is None:
            np.testing.assert_array_equal(net.parameters, before)
        elif "learning-rate schedule" not in str(error):  # the only thing found wrong late, when its step comes
            raise
        return f"{type(error).__name__}: {error}", [net.parameters]
    except NonFiniteLossError:
        assert np.isfinite(net.parameters).all()
        return "not finite", []


def assert_same(got: list[Any], want: list[Any]) -> None:
    for one, wanted in zip(map(np.asarray, got), map(np.asarray, want), strict=True):
        assert one.shape == wanted.shape
        assert one.dtype == wanted.dtype
        # What cancels leaves the rounding of numbers of the order of one, or of the largest.
        size = 1 + np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
        np.testing.assert_allclose(one, wanted, rtol=0, atol=1000 * TOLERANCE["float64"] * size)


def spoil(data: st.DataObject, given: Arguments, name: str, lists: bool) -> None:
    """Another form of one array, another thing in its place, or one bad number in it."""
    a = given[name]
    if not isinstance(a, np.ndarray):
        return
    what = data.draw(st.sampled_from([*CHANGES, *BAD_NUMBERS]))
    with np.errstate(all="ignore"):
        if what in CHANGES:
            given[name] = CHANGES[what](a)
        elif np.isfinite(BAD_NUMBERS[what]) or a.dtype.kind == "f":
            given[name] = a.copy()
            given[name][tuple(data.draw(st.integers(0, n - 1)) for n in a.shape)] = BAD_NUMBERS[what]
            if lists:
                given[name] = given[name].tolist()


@pytest.mark.parametrize("call", CALLS)
@examples(100)
@given(data=st.data(), arguments=networks(), changed=st.sampled_from(("nothing", "X", "y", "sample_weight")))
def test_networks_agree(call: str, data: st.DataObject, arguments: dict[str, Any], changed: str) -> None:
    """In float64, where no slope depends on what rounding did to a pre-activation near a kink."""
    compiled, reference = (MLP(**arguments, dtype="float64", backend=backend) for backend in BACKENDS)
    given = batch(data, compiled)
    if changed in given:
        # A single step does not look into arrays that need no conversion.
        spoil(data, given, changed, lists=call == "train_step")
    with config.isa(data.draw(st.sampled_from(_core.available_isas()))):
        refusal, got = answer(compiled, lambda net: CALLS[call](net, **_short(given)))
    wanted_refusal, want = answer(reference, lambda net: CALLS[call](net, **_short(given)))
    assert refusal == wanted_refusal, describe(given)
    assert_same(got, want)


def _short(given: Arguments) -> Arguments:
    return {"X": given["X"], "y": given["y"], "w": given["sample_weight"]}


# --- Settings ---------------------------------------------------------------------------------------------------------

# Good arguments of all that takes numbers; one of them is replaced by anything.
SETTINGS: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "SGD": (fastnn.SGD, {"lr": 0.01, "momentum": 0.5, "nesterov": True, "clip_norm": 1.0}),
    "Momentum": (fastnn.Momentum, {"lr": 0.01, "beta": 0.9, "clip_norm": 1.0}),
    "RMSprop": (fastnn.RMSprop, {"lr": 0.01, "beta": 0.9, "epsilon": 1e-8}),
    "Adagrad": (fastnn.Adagrad, {"lr": 0.01, "epsilon": 1e-8}),
    "Adam": (fastnn.Adam, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}),
    "AdamW": (fastnn.AdamW, {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.01}),
    "constant": (schedules.constant, {"lr": 0.01}),
    "step_decay": (schedules.step_decay, {"lr": 0.01, "every": 2, "factor": 0.5}),
    "exponential": (schedules.exponential, {"lr": 0.01, "decay": 0.9}),
    "inverse_scaling": (schedules.inverse_scaling, {"lr": 0.01, "power": 0.5}),
    "inverse_time": (schedules.inverse_time, {"lr": 0.01, "decay": 0.1}),
    "cosine": (schedules.cosine, {"lr": 0.01, "steps": 10, "final": 0.001}),
    "warmup": (schedules.warmup, {"schedule": 0.01, "steps": 3}),
    "piecewise": (schedules.piecewise, {"boundaries": [2, 4], "rates": [0.1, 0.01, 0.001]}),
}


@pytest.mark.parametrize("name", SETTINGS)
@examples(60)
@given(data=st.data())
def test_settings_are_refused_or_train_both_backends_alike(name: str, data: st.DataObject) -> None:
    make, good = SETTINGS[name]
    key = data.draw(st.sampled_from(list(good)))
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.random.default_rng(1).normal(size=(12, 2))

    def trained(net: MLP) -> list[Any]:
        made = make(**{**good, key: value})
        optimizer = made if isinstance(made, fastnn.Optimizer) else SGD(made)
        return [net.fit(X, y, optimizer=optimizer, epochs=2, batch_size=5).loss, net.parameters]

    value = data.draw(SCALARS)
    nets = [MLP([3, 4, 2], "tanh", dtype="float64", seed=1, backend=backend) for backend in BACKENDS]
    with np.errstate(all="ignore"):
        (refusal, got), (wanted_refusal, want) = (answer(net, trained) for net in nets)
    assert refusal == wanted_refusal, (key, value)
    assert_same(got, want)


FIT: Arguments = {"epochs": 2, "batch_size": 5, "shuffle": True, "early_stopping": None, "progress": False}
FIT |= {"validation_data": None, "callbacks": (), "optimizer": None}
NETWORK: Arguments = {"sizes": [3, 4, 2], "activation": "tanh", "output": None, "loss": None, "task": None}
NETWORK |= {"init": "auto", "dropout": 0.1, "l2": 0.1, "l2_form": "sum", "sparsity": None, "seed": 1}


@pytest.mark.parametrize("name", [*FIT, *NETWORK])
@examples(40)
@given(value=SCALARS)
def test_arguments_are_refused_or_taken_by_both_backends_alike(name: str, value: Any) -> None:
    """Any one argument of `MLP` or `fit`, any value: an error of the documented kinds, or the same training."""
    if name == "epochs" and isinstance(value, int) and value > 2:
        return  # as many as asked for, however long it takes
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.random.default_rng(1).uniform(size=(12, 2))
    outcomes = []
    for backend in BACKENDS:
        try:
            net = MLP(**{**NETWORK, **({name: value} if name in NETWORK else {})}, dtype="float64", backend=backend)
        except (TypeError, ValueError) as error:
            outcomes.append((str(error), []))
            continue
        if net.parameters.size > 1000 or net.seed != 1:
            return
        options = {**FIT, **({name: value} if name in FIT else {})}

        def trained(net: MLP, options: Arguments = options) -> list[Any]:
            return [net.fit(X, y, **options).loss, net.parameters]

        outcomes.append(answer(net, trained))
    (refusal, got), (wanted_refusal, want) = outcomes
    assert refusal == wanted_refusal
    assert_same(got, want)


@pytest.mark.parametrize("setting", [config.isa, config.gemm, config.denormals, config.threads])
@given(value=SCALARS)
@examples(40)
def test_process_settings_are_refused_or_taken_back(setting: Callable[[Any], Any], value: Any) -> None:
    def in_force() -> tuple[str, str, str, int]:
        return _core.isa(), _core.gemm(), _core.denormals(), _core.num_threads()

    before = in_force()
    try:
        with setting(value):
            pass
    except (TypeError, ValueError):
        pass
    assert before == in_force()


# --- Files ------------------------------------------------------------------------------------------------------------


@examples(100)
@given(arguments=networks(), dtype=st.sampled_from(("float32", "float64")), seed=SEEDS)
def test_files_bring_back_any_network(arguments: dict[str, Any], dtype: str, seed: int) -> None:
    """Every finite bit pattern of the parameters, denormals and negative zeros too."""
    net = MLP(**arguments, dtype=dtype)
    bits = np.random.default_rng(seed).bytes(net.parameters.nbytes)
    anything = np.frombuffer(bits, dtype)
    net.parameters[:] = np.where(np.isfinite(anything), anything, -0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        net.save(path)
        again = MLP.load(path)
    assert again.spec == net.spec
    assert again.parameters.tobytes() == net.parameters.tobytes()
