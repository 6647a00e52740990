"""Single steps and the optimisers that take them."""

import copy
import pickle
import weakref

import numpy as np
import pytest
from backends import on_both
from fits import small_network

import fastnn
from fastnn import SGD, Adam

RNG = np.random.default_rng


# --- Single steps -----------------------------------------------------------------------------------------------------


@on_both
def test_train_step_converts_and_learns(backend: str) -> None:
    rng = RNG(0)
    X, y = rng.normal(size=(32, 3)), rng.integers(0, 2, 32)
    fast, slow, adam = small_network(backend, task="multiclass"), small_network(backend, task="multiclass"), Adam(0.05)
    for _ in range(30):
        loss = fast.train_step(X.astype("float32"), y.astype(np.intp), adam)
        assert slow.train_step(X.tolist(), y.tolist(), adam) == loss
    np.testing.assert_array_equal(fast.parameters, slow.parameters)
    assert loss < 0.6
    assert adam.state(fast).t == adam.state(slow).t == 30


@on_both
def test_train_step_that_is_not_finite_changes_nothing(backend: str) -> None:
    net, adam = small_network(backend), Adam(0.1)
    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    X[1, 1] = np.inf
    net.weights[0][1] = 0.0
    before = net.parameters.copy()
    assert np.isnan(net.train_step(X, Y, adam))
    np.testing.assert_array_equal(net.parameters, before)
    assert adam.state(net).t == 0
    assert not adam.state(net).slots.any()


@on_both
def test_train_step_follows_schedule_rate_and_reset(backend: str) -> None:
    X, Y = np.ones((1, 3)), np.ones((1, 2))
    net = small_network(backend, dtype="float64")

    def rate(optimizer: SGD) -> float:
        net.loss_and_gradients(X, Y)
        gradient, before = net.gradients.copy(), net.parameters.copy()
        net.train_step(X, Y, optimizer)
        return float(np.linalg.norm(net.parameters - before) / np.linalg.norm(gradient))

    scheduled = SGD(lambda step: 0.01 * (step + 1))
    assert [rate(scheduled) for _ in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    scheduled.reset(net)
    assert rate(scheduled) == pytest.approx(0.01)
    plain = SGD(0.05)
    assert rate(plain) == pytest.approx(0.05)
    plain.lr = 0.02
    assert rate(plain) == pytest.approx(0.02)
    with pytest.raises(TypeError, match="optimizer: wanted an optimiser"):
        net.train_step(X, Y, "adam")


def test_an_optimizer_keeps_networks_apart_and_lets_them_go() -> None:
    adam, X, Y = Adam(0.1), np.ones((1, 3)), np.ones((1, 2))
    nets = [small_network("reference", seed=seed) for seed in (0, 1)]
    nets[0].train_step(X, Y, adam)
    nets[0].train_step(X, Y, adam)
    nets[1].train_step(X, Y, adam)
    assert [adam.state(net).t for net in nets] == [2, 1]
    gone = weakref.ref(nets[0])
    del nets[0]
    assert gone() is None
    assert len(adam._states) == 1


# --- Optimisers as objects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, "lr: wanted a finite number >= 0, got -0.1"),
        (lambda: SGD(float("nan")), ValueError, "lr: "),
        (lambda: SGD("fast"), TypeError, "lr: wanted a number or a schedule, got 'fast'"),
        (lambda: SGD(0.1, momentum=1.0), ValueError, r"momentum: wanted a number in \[0, 1\), got 1.0"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "momentum > 0"),
        (lambda: Adam(beta2=1.0), ValueError, "beta2"),
        (lambda: Adam(epsilon=0.0), ValueError, "epsilon: wanted a finite number > 0"),
        (lambda: fastnn.AdamW(weight_decay=-1), ValueError, "weight_decay"),
        (lambda: fastnn.RMSprop(beta=None), TypeError, "beta: wanted a number, got None"),
        (lambda: SGD(0.1, clip_norm=0.0), ValueError, "clip_norm"),
        (lambda: setattr(Adam(), "beta1", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "clip_norm", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "weight_decay", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(SGD(0.1), "momentum", 0.5), AttributeError, "only lr can be changed"),
        (lambda: setattr(SGD(0.1, 0.5), "nesterov", True), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "kind", "sgd"), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "schedule", None), AttributeError, "only lr can be changed"),
        (lambda: setattr(Adam(), "lr", -1.0), ValueError, "lr: "),
        (lambda: Adam().gamma, AttributeError, "'Adam' object has no attribute 'gamma'"),
    ],
)
def test_optimizers_refuse(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_optimizers_copy_their_settings_only() -> None:
    adam, net = Adam(0.1, clip_norm=2.0), small_network("reference")
    net.train_step(np.ones((1, 3)), np.ones((1, 2)), adam)
    for other in (pickle.loads(pickle.dumps(adam)), copy.copy(adam), copy.deepcopy(adam)):
        assert repr(other) == repr(adam) == "Adam(lr=0.1, beta1=0.9, beta2=0.999, epsilon=1e-08, clip_norm=2.0)"
        assert other.state(net).t == 0
    assert adam.state(net).t == 1


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_momentum_of_sgd(momentum: float) -> None:
    assert SGD(0.1, momentum).momentum == momentum


@on_both
def test_a_state_takes_over_what_is_put_into_it(backend: str) -> None:
    adam, X, Y = Adam(0.1), np.ones((1, 3)), np.ones((1, 2))
    net, other = small_network(backend), small_network(backend)
    net.train_step(X, Y, adam)
    state, kept = adam.state(net), adam.state(net).slots.copy()
    net.train_step(X, Y, adam)
    state.slots, state.t, net.parameters[...] = kept, 1, other.parameters
    other.train_step(X, Y, twin := Adam(0.1))
    twin.state(other).t, other.parameters[...] = 1, net.parameters
    net.train_step(X, Y, adam)
    other.train_step(X, Y, twin)
    np.testing.assert_array_equal(net.parameters, other.parameters)
    with pytest.raises(ValueError, match=r"state.slots: wanted shape \(2, 26\), got \(2, 25\)"):
        state.slots = kept[:, 1:]
    with pytest.raises(AttributeError, match="kind: this state is of 'adam'"):
        state.kind = "sgd"


@on_both
def test_a_network_made_anew_wants_another_state(backend: str) -> None:
    net, adam, X, Y = small_network(backend), Adam(0.1), np.ones((1, 3)), np.ones((1, 2))
    net.train_step(X, Y, adam)
    net.__init__([3, 5, 2], backend=backend)  # type: ignore[misc]
    for call in (lambda: net.fit(X, Y, optimizer=adam), lambda: net.train_step(X, Y, adam)):
        with pytest.raises(ValueError, match=r"state.slots: wanted float32 \(2, 32\), got float32 \(2, 26\)"):
            call()
    assert net.history is None
