"""Gradients of random networks, of every kind there is, against central differences and automatic differentiation."""

from functools import cache

import numpy as np
import pytest
from backends import central_differences, on_both, relative_error
from networks import HIDDEN, N_CASES, OUTPUTS, Case, cost, random_case
from scipy.special import erf

from fastnn import MLP

each_case = pytest.mark.parametrize("number", range(N_CASES))


def test_the_cases_cover_every_activation_loss_and_form() -> None:
    cases = [random_case(number) for number in range(N_CASES)]
    specs = [case.network("reference").spec for case in cases]
    assert {name for spec in specs for name, _ in spec.activations[:-1]} == {_name(one) for one in HIDDEN}
    assert {(spec.activations[-1][0], spec.loss) for spec in specs} == {(_name(one), loss) for one, loss in OUTPUTS}
    assert {len(spec.sizes) - 1 for spec in specs} == {1, 2, 3, 4, 5, 6}
    assert {1, 300} <= {size for spec in specs for size in spec.sizes}
    assert {(spec.l2 > 0, spec.l2_form) for spec in specs} >= {(True, "mean"), (True, "sum"), (False, "mean")}
    assert {case.step is None for case in cases} == {True, False}
    assert {case.weight is None for case in cases} == {True, False}
    assert {spec.sparsity is None for spec in specs} == {True, False}


def _name(activation: object) -> object:
    return activation if isinstance(activation, str) else activation[0]


def _loss_and_gradient(net: MLP, case: Case) -> tuple[float, np.ndarray]:
    loss, _ = net.loss_and_gradients(case.X, case.target, case.weight, step=case.step)
    return loss, net.gradients.copy()


@cache
def _by_autograd(number: int) -> tuple[float, np.ndarray]:
    """Cost and gradient in float64 by HIPS autograd."""
    autograd = pytest.importorskip("autograd")
    import autograd.numpy as anp
    from autograd.scipy.special import erf as differentiable_erf

    case = random_case(number)
    net = case.network("reference")
    gradient_of = autograd.value_and_grad(lambda p: cost(anp, differentiable_erf, net.spec, p, case))
    loss, gradient = gradient_of(net.parameters.copy())
    return float(loss), gradient


@on_both
@each_case
def test_against_central_differences(number: int, backend: str) -> None:
    case = random_case(number)
    net = case.network(backend)
    _, analytic = _loss_and_gradient(net, case)
    some = np.random.default_rng(number).choice(analytic.size, min(analytic.size, 25), replace=False)
    # The last biases too: in some deep networks only the output has gradients of a size that says something.
    some = np.union1d(some, np.arange(max(analytic.size - 5, 0), analytic.size))
    where = np.array([i for i in some if not _crosses_a_kink(net, case, i)])
    assert len(where) >= len(some) / 2
    numeric = central_differences(net, where, case.X, case.target, case.weight, step=case.step)
    assert relative_error(numeric, analytic[where]) <= 1e-7


def _crosses_a_kink(net: MLP, case: Case, i: int) -> bool:
    """Whether parameter i, moved as far as the differences move it, takes a unit over a kink."""
    sides = []
    for shift in (-2e-4, 2e-4):
        p, kinks = net.parameters.copy(), []
        p[i] += shift
        cost(np, erf, net.spec, p, case, kinks)
        sides.append(kinks)
    return any((one != other).any() for one, other in zip(*sides, strict=True))


@on_both
@each_case
def test_against_automatic_differentiation(number: int, backend: str) -> None:
    case = random_case(number)
    wanted_loss, wanted = _by_autograd(number)
    loss, gradient = _loss_and_gradient(case.network(backend), case)
    assert loss == pytest.approx(wanted_loss, rel=1e-12)
    # Layer by layer, so that a small gradient does not hide behind a large one.
    for slices in case.network(backend).spec.layer_slices():
        for part in slices:
            assert relative_error(gradient[part], wanted[part]) <= 1e-7


@on_both
@each_case
def test_float32_against_automatic_differentiation_in_float64(number: int, backend: str) -> None:
    case = random_case(number)
    wanted_loss, wanted = _by_autograd(number)
    net = case.network(backend, "float32")
    loss, gradient = _loss_and_gradient(net, case)
    assert gradient.dtype == np.float32
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    assert relative_error(gradient, wanted) <= 1e-4


@on_both
@pytest.mark.parametrize("number", range(0, N_CASES, 3))
def test_input_gradient_and_jacobian(number: int, backend: str) -> None:
    case = random_case(number)
    net = case.network(backend)
    rng = np.random.default_rng(number)
    dY, direction = rng.normal(size=(len(case.X), net.sizes[-1])), rng.normal(size=case.X.shape)
    dX = net.input_gradient(case.X, dY)
    jacobian = net.jacobian(case.X)
    assert jacobian.shape == (len(case.X), net.sizes[-1], net.sizes[0])
    assert relative_error(np.einsum("boi,bo->bi", jacobian, dY), dX) <= 1e-12
    h = 1e-6
    numeric = (net.predict(case.X + h * direction) - net.predict(case.X - h * direction)) / (2 * h)
    assert relative_error(np.einsum("boi,bi->bo", jacobian, direction), numeric) <= 1e-7
    np.testing.assert_array_equal(net.jacobian(case.X[0]).shape, jacobian.shape[1:])


@on_both
def test_against_torch(backend: str) -> None:
    """The activations and losses as PyTorch has them, apart from our own second version in networks.py."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    hidden = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "leaky_relu": lambda z: functional.leaky_relu(z, 0.01),
        "elu": functional.elu,
        "softplus": functional.softplus,
        "gelu": functional.gelu,
        "silu": functional.silu,
    }
    rng = np.random.default_rng(0)
    net = MLP(
        [6, *(range(5, 13)), 4], activation=list(hidden), output="softmax", dtype="float64", seed=0, backend=backend
    )
    X, labels, weight = rng.normal(size=(30, 6)), rng.integers(0, 4, 30), rng.uniform(size=30)
    parameters = [
        torch.tensor(a, requires_grad=True) for pair in zip(net.weights, net.biases, strict=True) for a in pair
    ]
    a = torch.tensor(X)
    for function, W, b in zip([*hidden.values(), lambda z: z], parameters[::2], parameters[1::2], strict=True):
        a = function(a @ W + b)
    losses = functional.cross_entropy(a, torch.tensor(labels), reduction="none")
    wanted = (torch.tensor(weight) * losses).sum() / weight.sum()
    wanted.backward()
    loss, gradients = net.loss_and_gradients(X, labels, weight)
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    flat = [a for pair in gradients for a in pair]
    for got, parameter in zip(flat, parameters, strict=True):
        assert relative_error(got, parameter.grad.numpy()) <= 1e-9
