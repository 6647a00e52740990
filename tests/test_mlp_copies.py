"""The network object as a thing: its views, copies and text, what importing it brings, settings of the process."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from backends import on_both
from fits import small_network

import fastnn
from fastnn import MLP, Adam

RNG = np.random.default_rng


# --- Views ------------------------------------------------------------------------------------------------------------


@on_both
def test_weights_and_biases_are_views(backend: str) -> None:
    net = small_network(backend, dtype="float64")
    vector = net.parameters
    net.weights[0][...] = 1.0
    net.biases[0][...] = 2.0
    net.weights[1] = np.full((4, 2), 3.0)
    net.biases[-1] = [4.0, 5.0]
    np.testing.assert_array_equal(vector, [1.0] * 12 + [2.0] * 4 + [3.0] * 8 + [4.0, 5.0])
    assert net.parameters is vector or np.shares_memory(net.parameters, vector)
    expected = np.tanh(np.ones(3) @ np.ones((3, 4)) + 2) @ np.full((4, 2), 3.0) + [4, 5]
    np.testing.assert_allclose(net.predict([1.0, 1.0, 1.0]), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"weights\[0\]: wanted shape \(3, 4\), got \(4, 3\)"):
        net.weights[0] = np.ones((4, 3))


@on_both
def test_gradients_are_views_of_the_flat_vector(backend: str) -> None:
    net = small_network(backend)
    loss, gradients = net.loss_and_gradients(np.ones((5, 3)), np.ones((5, 2)))
    assert isinstance(loss, float)
    assert [(dW.shape, db.shape) for dW, db in gradients] == [((3, 4), (4,)), ((4, 2), (2,))]
    flat = np.concatenate([a.ravel() for pair in gradients for a in pair])
    np.testing.assert_array_equal(flat, net.gradients)
    assert all(np.shares_memory(a, net.gradients) for pair in gradients for a in pair)
    assert np.any(flat)


# --- Copies, text, import ---------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_equal_and_independent(backend: str, again: object) -> None:
    net = small_network(backend, dropout=0.1, l2=0.1)
    net.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=1)
    other = again(net)
    assert (other.spec, other.backend, repr(other)) == (net.spec, net.backend, repr(net))
    assert other.history.loss == net.history.loss
    np.testing.assert_array_equal(other.parameters, net.parameters)
    other.parameters[...] = 0.0
    assert net.parameters.any()


class Tagged(MLP):
    def __init__(self, tag: object) -> None:
        super().__init__([3, 2], seed=0)
        self.tag = tag


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_keep_attributes_of_the_users(again: object) -> None:
    net, adam = Tagged(["a"]), Adam()
    net.self, net.note = net, 1
    net.train_step(np.ones((4, 3)), np.ones((4, 2)), adam)
    other = again(net)
    assert (type(other), other.tag, other.note) == (Tagged, ["a"], 1)
    assert other.self is (net if again is copy.copy else other)
    assert (other.tag is net.tag) == (again is copy.copy)
    before = net.parameters.copy()
    other.train_step(np.ones((4, 3)), np.ones((4, 2)), adam)
    assert (adam.state(net).t, adam.state(other).t) == (1, 1)
    np.testing.assert_array_equal(net.parameters, before)


@on_both
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"parameters": np.ones(5)}, ValueError, r"parameters: wanted shape \(26,\), got \(5,\)"),
        ({"parameters": np.full(26, "a")}, TypeError, "parameters: wanted an array of real numbers"),
        ({"backend": "gpu"}, ValueError, "backend: wanted"),
    ],
)
def test_a_state_that_is_refused_changes_nothing(
    backend: str, change: dict, error: type[Exception], message: str
) -> None:
    net = small_network(backend)
    engine, before = net._engine, net.parameters.copy()
    with pytest.raises(error, match=message):
        net.__setstate__({**net.__getstate__(), **change})
    assert net._engine is engine
    np.testing.assert_array_equal(net.parameters, before)


@on_both
@pytest.mark.parametrize(
    ("index", "value", "error", "message"),
    [
        (0, None, TypeError, r"weights\[0\]: wanted an array of real numbers, got NoneType"),
        (0, 1j, TypeError, r"weights\[0\]: wanted an array of real numbers"),
        (-1, np.ones(4), ValueError, r"weights\[-1\]: wanted shape \(4, 2\), got \(4,\)"),
        (0, np.ones(4), ValueError, r"weights\[0\]: wanted shape \(3, 4\), got \(4,\)"),
        (slice(0, 1), [np.ones((3, 4))], TypeError, "weights: number of a layer: wanted an integer, got slice"),
        (2, 0.0, IndexError, "out of range"),
    ],
)
def test_weights_say_what_they_take(
    backend: str, index: object, value: object, error: type[Exception], message: str
) -> None:
    net = small_network(backend)
    before = net.parameters.copy()
    with pytest.raises(error, match=message):
        net.weights[index] = value
    np.testing.assert_array_equal(net.parameters, before)
    net.weights[0], net.weights[-1], net.biases[1] = np.ones((3, 4)), 2, [3, 4]
    assert (net.weights[0] == 1).all()
    assert (net.weights[1] == 2).all()
    assert net.biases[1].tolist() == [3, 4]


def test_repr_says_what_it_is() -> None:
    net = MLP([784, 100, 10], output="softmax", seed=0)
    text = "MLP([784, 100, 10], activation='relu', output=softmax, loss=softmax_cross_entropy, "
    assert repr(net) == text + "79510 float32 parameters, compiled)"


def test_import_and_training_bring_only_what_they_need() -> None:
    optional = {"matplotlib", "tqdm", "safetensors", "sklearn", "torch", "autograd", "scipy.special"}
    own = {f"fastnn.{name}" for name in ("datasets", "kernels", "plot", "reference", "_reference_engine", "bench")}
    code = (
        "import sys, fastnn; fastnn.MLP([2, 1]).fit([[1, 2]], [3], epochs=1); "
        f"heavy = {optional | own} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert set(fastnn.__all__) <= set(dir(fastnn)); "
        "from fastnn import *; assert set(fastnn.__all__) <= set(globals()); "
        "assert kernels.relu_forward.__doc__ == reference.relu_forward.__doc__; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_show_config(capsys: pytest.CaptureFixture) -> None:
    config = fastnn.show_config()
    printed = capsys.readouterr().out
    assert config["version"] == fastnn.__version__
    assert config["isa"] in config["isa_available"]
    for part in (config["version"], config["isa"], config["blas"], config["denormals"], *config["environment"]):
        assert part in printed


def test_settings_come_back_after_the_block() -> None:
    before = fastnn.show_config()
    other = before["threads"] % 2 + 1
    facts = fastnn.cpu("l2=300K")
    with fastnn.isa("base"), fastnn.gemm("own"), facts, fastnn.denormals("keep"), fastnn.threads(other):
        inside = fastnn.show_config()
    assert inside["cpu"]["l2"] == 300 << 10
    assert [inside[choice] for choice in fastnn.config.VARIABLES if choice != "cpu"] == ["base", "own", "keep", other]
    assert fastnn.show_config() == before
    with pytest.raises(ZeroDivisionError), fastnn.isa("base"), fastnn.gemm("own"), fastnn.threads(other):
        raise ZeroDivisionError
    assert fastnn.show_config() == before
    wrongs = (fastnn.isa("mmx"), fastnn.gemm("gpu"), fastnn.cpu("l2=0"), fastnn.denormals("zero"), fastnn.threads(0))
    for wrong in wrongs:
        with pytest.raises(ValueError, match="wanted"), wrong:
            pass
    assert fastnn.show_config() == before
