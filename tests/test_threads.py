"""Threads: the same bits for any number, several callers at once, and a pool that survives fork."""

import multiprocessing
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn
from fastnn import MLP

SIZES = [50, 120, 60, 10]


def network(**settings: object) -> MLP:
    return MLP(SIZES, output="softmax", seed=3, **settings)


def data(rows: int = 700, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, SIZES[0])).astype(dtype), rng.integers(0, SIZES[-1], rows)


def trained(n_threads: int, dtype: str, batch_size: int | None) -> tuple[np.ndarray, list[float]]:
    X, y = data(2500, dtype)
    net = network(dtype=dtype, dropout=0.2, l2=1e-3)
    with fastnn.threads(n_threads):
        history = net.fit(X, y, optimizer=fastnn.Adam(1e-2, clip_norm=1.0), epochs=2, batch_size=batch_size)
    return net.parameters.copy(), history.loss


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [128, None])  # None: longer than one chunk
def test_same_bits_for_any_number_of_threads(isa: str, dtype: str, batch_size: int | None) -> None:
    with fastnn.gemm("own"):
        parameters, losses = trained(1, dtype, batch_size)
        assert np.isfinite(losses).all()
        for n_threads in (2, 7):
            more_parameters, more_losses = trained(n_threads, dtype, batch_size)
            np.testing.assert_array_equal(more_parameters, parameters)
            assert more_losses == losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_in_any_batch(isa: str, dtype: str) -> None:
    X, _ = data(150, dtype)
    net = network(dtype=dtype)
    with fastnn.gemm("own"):
        together = net.predict(X)
        for i in (0, 1, 31, 32, 149):
            np.testing.assert_array_equal(net.predict(X[i : i + 1])[0], together[i])
            np.testing.assert_array_equal(net.predict(X[i]), together[i])


def test_deterministic_holds_where_blas_would_serve() -> None:
    X, y = data(40)
    X = np.repeat(X, 20, axis=1)  # 1000 inputs
    for mode in ("auto", "blas"):
        with fastnn.gemm(mode), fastnn.isa("base"):  # "auto" prefers BLAS there
            net = MLP([1000, 300, 10], output="softmax", seed=1, deterministic=True)
            together = net.predict(X)
            for i in (0, 17, 39):
                np.testing.assert_array_equal(net.predict(X[i]), together[i])
            again = pickle.loads(pickle.dumps(net))
            assert again.deterministic
            losses = []
            for one, n_threads in ((net, 1), (again, 5)):
                with fastnn.threads(n_threads):
                    losses.append(one.fit(X, y, optimizer=fastnn.SGD(0.1), epochs=2).loss)
            assert losses[0] == losses[1]
            np.testing.assert_array_equal(net.parameters, again.parameters)
    with pytest.raises(ValueError, match="deterministic"):
        MLP([2, 1], backend="reference", deterministic=True)


def test_several_threads_predict_with_one_network() -> None:
    X, _ = data(600)
    net = network()
    expected = net.predict(X)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: net.predict(X), range(200)))
    assert all(np.array_equal(result, expected) for result in results)


def test_several_threads_train_networks_of_their_own() -> None:
    X, y = data()

    def loss(seed: int) -> float:
        net = MLP(SIZES, output="softmax", seed=seed)
        return net.fit(X, y, epochs=3, batch_size=64).loss[-1]

    alone = [loss(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(loss, range(6))) == alone


def test_threads_predict_with_networks_that_others_train() -> None:
    """There the parameters move, and longer batches make the workspace grow: neither shows a stray number."""
    X, y = data(1500)
    fitted, resting = [network() for _ in range(2)], network()
    expected = resting.predict(X)
    stop = threading.Event()

    def predict() -> int:
        rounds = 0
        while not stop.is_set():
            for net in fitted:
                assert np.isfinite(net.predict(X)).all()
                np.testing.assert_allclose(net.activations(X[:70])[-1].sum(axis=1), 1, rtol=1e-4)
            np.testing.assert_array_equal(resting.predict(X), expected)
            rounds += 1
        return rounds

    def train(net: MLP) -> list[float]:
        return [loss for size in (16, 128, 1500) for loss in net.fit(X, y, epochs=2, batch_size=size).loss]

    # The setting is the whole process's, so no thread may set it for itself.
    with fastnn.threads(2), ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(predict) for _ in range(2)]
        losses = list(pool.map(train, fitted))
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    # The seed is one, and a reader changes nothing.
    assert losses[0] == losses[1] == train(network())


def test_using_one_workspace_from_two_threads_is_refused() -> None:
    X, y = data()
    net = network()
    barrier = threading.Barrier(2)
    refusals: list[str] = []

    def evaluate() -> None:
        barrier.wait(10)
        for _ in range(2000):
            try:
                net.loss(X, y)
            except RuntimeError as error:
                refusals.append(str(error))
                return

    threads = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The call runs without the GIL, so that the two meet in the engine within a few calls; one is sent away.
    assert refusals
    assert all("another thread" in message for message in refusals)
    assert np.isfinite(net.loss(X, y))


def _predict_in_child(net: MLP, X: np.ndarray, expected: np.ndarray) -> None:
    sys.exit(0 if np.array_equal(net.predict(X), expected) else 1)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_fork_after_threads_were_used() -> None:
    X, _ = data(2000)
    net = network()
    with fastnn.threads(4), fastnn.gemm("own"):
        expected = net.predict(X)  # the pool has threads now
        child = multiprocessing.get_context("fork").Process(target=_predict_in_child, args=(net, X, expected))
        child.start()
        child.join(30)
        alive = child.is_alive()
        if alive:
            child.kill()
        assert not alive, "the child hangs"
        assert child.exitcode == 0
        np.testing.assert_array_equal(net.predict(X), expected)
