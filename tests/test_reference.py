"""The reference against central differences in float64, against automatic differentiation, and against known values."""

import math
from collections.abc import Callable

import numpy as np
import pytest

autograd = pytest.importorskip("autograd", reason="autograd is not installed")

import autograd.numpy as anp
import autograd.scipy.special as asp
from opcases import CASES
from oprecord import Case, assert_close, every, widened

from fastnn import reference
from fastnn.reference import ACTIVATIONS, LOSSES, UPDATES

DIFFERENTIABLE = [name for name, row in ACTIVATIONS.items() if row.differentiable]

# The definitions, for automatic differentiation.
DEFINITIONS: dict[str, Callable] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + anp.exp(-z)),
    "tanh": anp.tanh,
    "relu": lambda z: anp.where(z > 0, z, 0),
    "leaky_relu": lambda z, alpha=0.01: anp.where(z > 0, z, alpha * z),
    "elu": lambda z, alpha=1.0: anp.where(z > 0, z, alpha * (anp.exp(z) - 1)),
    "softplus": lambda z: anp.log(1 + anp.exp(z)),
    "gelu": lambda z: z * (1 + asp.erf(z / math.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + anp.exp(-z)),
    "softmax": lambda z: anp.exp(z) / anp.sum(anp.exp(z), axis=-1, keepdims=True),
}


def central_differences(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Gradient of f at x, an element at a time; x is changed meanwhile and restored."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + h
        above = f(x)
        x[i] = kept - h
        gradient[i] = (above - f(x)) / (2 * h)
        x[i] = kept
    return gradient


def assert_gradient(got: np.ndarray, want: np.ndarray, tolerance: float = 1e-7) -> None:
    assert np.linalg.norm(got - want) <= tolerance * (np.linalg.norm(got) + np.linalg.norm(want))


def apply(name: str, z: np.ndarray, **alpha: float) -> np.ndarray:
    return getattr(reference, f"{name}_forward")(z, **alpha)


def back(name: str, dy: np.ndarray, z: np.ndarray, **alpha: float) -> np.ndarray:
    extra = {"z": z} if ACTIVATIONS[name].needs_z else {}
    return getattr(reference, f"{name}_backward")(dy, apply(name, z, **alpha), **alpha, **extra)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_activation_gradient(name: str) -> None:
    rng = np.random.default_rng(0)
    z, dy = 2 * rng.normal(size=(6, 9)), rng.normal(size=(6, 9))
    for alpha in ({},) if ACTIVATIONS[name].alpha is None else ({}, {"alpha": 0.3}):
        differences = central_differences(lambda z, alpha=alpha: float((dy * apply(name, z, **alpha)).sum()), z)
        assert_gradient(back(name, dy, z, **alpha), differences)
        function = DEFINITIONS[name]
        automatic = autograd.grad(lambda z, alpha=alpha, f=function: anp.sum(dy * f(z, **alpha)))(z)
        np.testing.assert_allclose(back(name, dy, z, **alpha), automatic, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(apply(name, z, **alpha), function(z, **alpha), rtol=1e-13, atol=1e-15)


def test_derivatives_at_zero() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert back("relu", one, zero) == 0
    assert back("leaky_relu", one, zero) == 0.01
    assert back("leaky_relu", one, zero, alpha=0.2) == 0.2


def test_step() -> None:
    y = reference.step_forward(np.array([-1.0, -0.0, 0.0, 5e-324, np.inf, np.nan]))
    np.testing.assert_array_equal(y, [0, 0, 0, 1, 1, np.nan])


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_affine_gradients(name: str) -> None:
    rng = np.random.default_rng(1)
    x, w, b, dy = (rng.normal(size=shape) for shape in ((5, 4), (4, 6), (6,), (5, 6)))
    z = np.empty((5, 6))
    y = reference.affine_forward(x, w, b, name, z=z)
    np.testing.assert_allclose(z, x @ w + b, rtol=1e-14)
    np.testing.assert_allclose(y, apply(name, z), rtol=1e-14)
    gradients = reference.affine_backward(dy, x, w, y, name, z=z)

    def cost(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        return float((dy * reference.affine_forward(x, w, b, name)).sum())

    for gradient, differences in zip(
        gradients,
        (
            central_differences(lambda x: cost(x, w, b), x),
            central_differences(lambda w: cost(x, w, b), w),
            central_differences(lambda b: cost(x, w, b), b),
        ),
        strict=True,
    ):
        assert_gradient(gradient, differences)


def reference_loss(name: str, values: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> float:
    """The loss from its definition, without care for extreme values."""
    if target.ndim == 1:
        target = np.eye(values.shape[1])[target]
    if name == "softmax_cross_entropy":
        terms = -target * anp.log(DEFINITIONS["softmax"](values))
    elif name == "sigmoid_cross_entropy":
        a = DEFINITIONS["sigmoid"](values)
        terms = -target * anp.log(a) - (1 - target) * anp.log(1 - a)
    else:
        terms = (values - target) ** 2 / 2
    rows = anp.sum(terms, axis=1)
    return anp.mean(rows) if weight is None else anp.sum(weight * rows) / weight.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient(name: str, weighted: bool) -> None:
    argument = LOSSES[name].gradient[1:]
    for target in ("rows", "int64") if LOSSES[name].labels else ("rows",):
        a = CASES[name].make(np.random.default_rng(2), (7, 5), "float64", target=target, weighted=weighted)
        values, weight = a[argument], a.get("sample_weight")
        if target == "rows" and name == "softmax_cross_entropy":
            a["target"] *= 1.5  # rows need not sum to 1
        loss, gradient = getattr(reference, name)(**a)
        automatic = autograd.grad(lambda v, a=a, weight=weight: reference_loss(name, v, a["target"], weight))(values)
        assert loss == pytest.approx(reference_loss(name, values, a["target"], weight), rel=1e-13)
        np.testing.assert_allclose(gradient, automatic, rtol=1e-11, atol=1e-15)
        differences = central_differences(
            lambda v, a=a: getattr(reference, name)(**{**a, argument: v, LOSSES[name].gradient: False})[0], values
        )
        assert_gradient(gradient, differences)


def test_losses_of_extreme_logits() -> None:
    z = np.array([[1000.0, 0.0], [0.0, -1000.0]])
    assert reference.softmax_cross_entropy(z, np.array([1, 0]))[0] == 500
    assert reference.sigmoid_cross_entropy(z, np.zeros((2, 2)))[0] == pytest.approx(500 + math.log(2), rel=1e-15)
    labelled = reference.softmax_cross_entropy(z, np.array([0, 0]))
    assert labelled[0] == 0
    np.testing.assert_array_equal(labelled[1], 0)


def test_labels_equal_rows_of_an_identity_matrix() -> None:
    rng = np.random.default_rng(3)
    z, labels, weight = rng.normal(size=(8, 4)), rng.integers(0, 4, 8), rng.random(8)
    by_label = reference.softmax_cross_entropy(z, labels, weight)
    by_row = reference.softmax_cross_entropy(z, np.eye(4)[labels], weight)
    assert by_label[0] == pytest.approx(by_row[0], rel=1e-14)
    np.testing.assert_allclose(by_label[1], by_row[1], rtol=1e-14, atol=1e-17)


def test_weights_repeat_rows() -> None:
    rng = np.random.default_rng(4)
    weight = np.array([2.0, 0.0, 1.0, 3.0])
    repeats = weight.astype(int)
    y, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    loss = reference.squared_error(y, t, weight)[0]
    assert loss == pytest.approx(reference.squared_error(y.repeat(repeats, 0), t.repeat(repeats, 0))[0], rel=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_kl_sparsity(weighted: bool) -> None:
    arguments = CASES["kl_sparsity"].make(np.random.default_rng(5), (6, 4), "float64", weighted=weighted)
    a = arguments["a"]
    cost, da = reference.kl_sparsity(**arguments)
    mean = np.average(a, axis=0, weights=arguments.get("sample_weight"))
    rho, beta = arguments["rho"], arguments["beta"]
    divergence = rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))
    assert cost == pytest.approx(beta * divergence.sum(), rel=1e-13)
    differences = central_differences(lambda a: reference.kl_sparsity(**{**arguments, "a": a, "da": False})[0], a)
    assert_gradient(da, differences)
    start = np.random.default_rng(6).normal(size=a.shape)
    added = start.copy()
    assert reference.kl_sparsity(**arguments, da=added)[1] is added
    np.testing.assert_allclose(added, start + da, rtol=1e-13)


def test_sparsity_at_its_aim_costs_nothing() -> None:
    cost, da = reference.kl_sparsity(np.full((3, 2), 0.25), 0.25, 1.0)
    assert cost == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(da, 0, atol=1e-15)


def one_update(name: str, p: float, g: float, state: list[float], t: int, lr: float, **h: float) -> tuple[float, list]:
    """Each update for single numbers, from its source."""
    if name == "sgd":
        return p - lr * g, []
    if name == "momentum":
        v = h["momentum"] * state[0] - lr * g
        return p + v, [v]
    if name == "nesterov":
        v = h["momentum"] * state[0] - lr * g
        return p + h["momentum"] * v - lr * g, [v]
    if name == "averaged_momentum":
        v = h["beta"] * state[0] + (1 - h["beta"]) * g
        return p - lr * v, [v]
    if name in ("rmsprop", "adagrad"):
        s = h["beta"] * state[0] + (1 - h["beta"]) * g * g if name == "rmsprop" else state[0] + g * g
        return p - lr * g / (math.sqrt(s) + h["epsilon"]), [s]
    m = h["beta1"] * state[0] + (1 - h["beta1"]) * g
    v = h["beta2"] * state[1] + (1 - h["beta2"]) * g * g
    if name == "adamw":
        p *= 1 - lr * h["weight_decay"]
    corrected = m / (1 - h["beta1"] ** t), v / (1 - h["beta2"] ** t)
    return p - lr * corrected[0] / (math.sqrt(corrected[1]) + h["epsilon"]), [m, v]


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize(("l2", "scale"), [(0.0, 1.0), (0.1, 1.0), (0.0, 0.5), (0.1, 0.5)])
def test_updates(name: str, l2: float, scale: float) -> None:
    rng = np.random.default_rng(7)
    row = UPDATES[name]
    hyper = {key: value * 0.9 for key, value in row.hyper.items()}
    p = rng.normal(size=4)
    slots = {slot: np.zeros(4) for slot in row.slots}
    want, states = p.tolist(), [[0.0] * len(row.slots) for _ in p]
    for t in range(1, 6):
        g = rng.normal(size=4)
        count = {"t": t} if row.counts else {}
        update = getattr(reference, f"{name}_update")
        assert update(p, g, **slots, lr=0.05, **count, **hyper, l2=l2, scale=scale) is None
        for i, slope in enumerate(g):
            full = scale * slope + l2 * want[i]
            want[i], states[i] = one_update(name, want[i], full, states[i], t, 0.05, **hyper)
        np.testing.assert_allclose(p, want, rtol=1e-13)
        for k, slot in enumerate(row.slots):
            np.testing.assert_allclose(slots[slot], [state[k] for state in states], rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees_with_float64(name: str) -> None:
    case: Case = CASES[name]
    rng = np.random.default_rng(8)
    tried = 0
    for shape, variant in every(case):
        if sum(shape) % 5 == 0 or 0 in shape:  # a fifth of the sizes will do for NumPy, and all the empty ones
            arguments = case.make(rng, shape, "float32", **variant)
            wide = case.run(reference, widened(arguments))
            assert_close(case, "float32", arguments, case.run(reference, arguments), wide)
            tried += 1
    assert tried > 1
