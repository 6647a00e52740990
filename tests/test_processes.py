"""fastnn in other processes: every way to start one, joblib, interruption, exit, imports, thread pools of others."""

import multiprocessing
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from textwrap import dedent

import numpy as np
import pytest

import fastnn
from fastnn import MLP

SIZES = [40, 300, 120, 10]
SECONDS = 40
unix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and fork")
forks = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this platform")
quiet_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((800, SIZES[0])).astype("float32"), rng.integers(0, SIZES[-1], 800)


def work(seed: int, gemm: str = "own") -> tuple[list[float], np.ndarray]:
    """Losses and predictions of a small fit on two threads."""
    X, y = data()
    with fastnn.threads(2), fastnn.gemm(gemm):
        net = MLP(SIZES, output="softmax", seed=seed)
        return net.fit(X, y, epochs=2).loss, net.predict(X)


def assert_same(got: tuple[list[float], np.ndarray], want: tuple[list[float], np.ndarray]) -> None:
    assert got[0] == want[0]
    np.testing.assert_array_equal(got[1], want[1])


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a new interpreter makes of ``code``."""
    command = [sys.executable, "-X", "faulthandler", "-c", dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def assert_fine(done: subprocess.CompletedProcess[str], printed: str = "fine\n") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


# --- Starting processes -----------------------------------------------------------------------------------------------


@quiet_fork
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_start_method_after_threads_were_used(method: str) -> None:
    modes = ("own", "blas")
    want = [work(1, gemm) for gemm in modes]  # the pools of fastnn and of BLAS have threads now
    with multiprocessing.get_context(method).Pool(1) as pool:
        got = pool.starmap_async(work, [(1, gemm) for gemm in modes]).get(SECONDS)
    for one, wanted in zip(got, want, strict=True):
        assert_same(one, wanted)


def exit_code_in_fork(child: Callable[[], None]) -> int | None:
    """How a forked process ends that calls ``child``; None where it hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(0)
        finally:
            os._exit(1)
    end = time.monotonic() + SECONDS / 4
    while time.monotonic() < end:
        if (done := os.waitpid(pid, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(done[1])
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


@forks
@quiet_fork
@pytest.mark.parametrize("gemm", ["own", "blas"])
def test_fork_while_another_thread_trains(gemm: str) -> None:
    """The child has no such thread, but what it held: the pool, a place in BLAS, and the network itself."""
    X, y = data()
    want = work(2, gemm)
    net = MLP(SIZES, output="softmax", seed=1)
    stop = threading.Event()

    def train() -> None:
        with fastnn.threads(2), fastnn.gemm(gemm):
            while not stop.is_set():
                net.fit(X, y, epochs=2)

    def child() -> None:
        assert_same(work(2, gemm), want)
        assert np.isfinite(net.predict(X)).all()
        assert np.isfinite(net.fit(X, y, epochs=1).loss).all()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(2):
            time.sleep(0.01)
            assert exit_code_in_fork(child) == 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend: str) -> None:
    joblib = pytest.importorskip("joblib")
    want = [work(seed) for seed in range(4)]
    got = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(work)(seed) for seed in range(4))
    for one, wanted in zip(got, want, strict=True):
        assert_same(one, wanted)


# --- Interruption and exit --------------------------------------------------------------------------------------------

LONG_FIT = """
    import sys, signal, threading, time
    import numpy as np
    import fastnn

    X = np.random.default_rng(0).random((2000, 200), np.float32)
    y = np.random.default_rng(1).random((2000, 300), np.float32)
    begun = threading.Event()

    class Begin(fastnn.Callback):
        def on_epoch_end(self, fit):
            begun.set()

    def fit(seed=0):
        net = fastnn.MLP([200, 400, 300], seed=seed)
        net.fit(X, y, epochs=1, batch_size=500, callbacks=[Begin()])
        net.fit(X, y, epochs=10**6, batch_size=500)
"""


@unix
def test_ctrl_c_from_outside_keeps_network_and_history() -> None:
    code = (
        dedent(LONG_FIT)
        + """
signal.signal(signal.SIGINT, signal.default_int_handler)
class Tell(fastnn.Callback):
    def on_epoch_end(self, fit):
        if len(fit.history.loss) == 1:
            print("training", flush=True)

net, adam = fastnn.MLP([200, 400, 300], seed=0), fastnn.Adam()
with fastnn.threads(2):
    net.fit(X, y, epochs=1, optimizer=adam)
    try:
        net.fit(X, y, epochs=10**6, batch_size=500, optimizer=adam, callbacks=[Tell()])
    except KeyboardInterrupt:
        h, t = net.history, adam.state(net).t - 16
        assert len(h.loss) >= 1 and np.isfinite(h.loss).all() and h.n_steps // 4 == len(h.loss), h
        assert 0 <= t - h.n_steps <= 1
        assert np.isfinite(net.fit(X, y, epochs=1, optimizer=adam).loss).all()
        print("fine")
"""
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "training\n"  # an epoch of the second fit is over
    child.send_signal(signal.SIGINT)
    try:
        out, err = child.communicate(timeout=SECONDS)
    finally:
        child.kill()
    assert (child.returncode, out, err) == (0, "fine\n", "")


LONG_CALLS = ("predict(X)", "activations(X)[-1]", "loss(X, Y)", "loss_and_gradients(X, Y)", "input_gradient(X, Y)")


@unix
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_ends_a_long_call(call: str) -> None:
    """A call that would take ten seconds or so; what fills an array of the caller's goes on to its end.

    The handler has to come three times, which it can within one call only if that looks for signals.
    """
    code = """
        import os, signal, threading
        import numpy as np
        from fastnn import MLP

        def third_time(*_):
            global came
            came += 1
            if came == 3:
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, third_time)
        net, X = MLP([16, 2000, 2000, 10], seed=0), np.ones((200_000, 16), np.float32)
        Y, came = np.ones((len(X), 10), np.float32), 0
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        try:
            net.CALL
            assert False, f"it went on to its end, and the handler came {came} times"
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            X, Y, out = X[:3000], Y[:3000], np.empty((3000, 10), np.float32)
            threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                while True:
                    out[...] = 7
                    net.predict(X, out)
            except KeyboardInterrupt:
                assert len(np.unique(out, axis=0)) == 1
            assert np.isfinite(net.loss(X, Y))
            print("fine")
    """
    assert_fine(run(code.replace("CALL", call)))


@pytest.mark.parametrize("gemm", ["own", "blas"])
def test_exit_while_other_threads_train(gemm: str) -> None:
    code = (
        dedent(LONG_FIT)
        + """
with fastnn.threads(2), fastnn.gemm(sys.argv[1]):
    for seed in range(2):
        threading.Thread(target=fit, args=(seed,), daemon=True).start()
    begun.wait(30)
    time.sleep(float(sys.argv[2]))
    print("fine")
"""
    )
    for seconds in (0.0, 0.03):
        assert_fine(run(code, gemm, str(seconds)))


def test_exit_functions_may_still_use_networks() -> None:
    # The gate before BLAS is closed by then, but not for the thread that closed it.
    code = """
        import atexit
        def last():
            with fastnn.gemm("blas"):
                print("fine" if (net.predict(X) == before).all() else "other")
        atexit.register(last)
        import numpy as np, fastnn
        X, net = np.ones((300, 200), np.float32), fastnn.MLP([200, 300], seed=0)
        with fastnn.gemm("blas"):
            before = net.predict(X)
    """
    assert_fine(run(code))


# --- Imports ----------------------------------------------------------------------------------------------------------

USE = """
    import importlib, sys
    import numpy as np
    import fastnn
    X, y = np.ones((5, 3), np.float32), np.zeros((5, 2), np.float32)
    def use(package):
        net = package.MLP([3, 4, 2], seed=1)
        return [*net.fit(X, y, optimizer=package.SGD(0.1), epochs=3).loss, *net.predict(X).ravel(),
                *package.kernels.relu_forward(X).ravel(), *package.reference.tanh_forward(X).ravel()]
    want, old = use(fastnn), fastnn.MLP([3, 2], seed=2)
    predicted = old.predict(X)
"""


@pytest.mark.parametrize(
    "again",
    [
        """
for name in [name for name in sys.modules if name.split(".")[0] == "fastnn"]:
    del sys.modules[name]
import fastnn as second
assert second is not fastnn and second.MLP is not fastnn.MLP
""",
        """
for name in ("_blas", "_core", "engine", "kernels", "reference"):
    importlib.reload(sys.modules[f"fastnn.{name}"])
second = importlib.reload(fastnn)
""",
    ],
    ids=["deleted", "reloaded"],
)
def test_importing_twice(again: str) -> None:
    check = """
assert use(second) == want
assert (old.predict(X) == predicted).all() and np.isfinite(old.fit(X, y, epochs=2).loss).all()
print("fine")
"""
    assert_fine(run(dedent(USE) + again + check))


@pytest.mark.parametrize("first", ["main", "sub"])
def test_sub_interpreters_are_refused(first: str) -> None:
    code = """
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        if sys.argv[1] == "main":
            import fastnn
        attempt = '''if True:
            import sys
            try:
                import fastnn
            except ImportError as error:
                assert "wanted the main interpreter, got a sub-interpreter" in str(error), error
                assert "numpy" not in sys.modules
                print("refused", flush=True)
        '''
        other = interpreters.create()
        failed = interpreters.run_string(other, attempt)
        assert failed is None, failed
        interpreters.destroy(other)
        import fastnn
        assert fastnn.MLP([2, 1]).predict([1.0, 2.0]).shape == (1,)
        print("fine")
    """
    assert_fine(run(code, first), "refused\nfine\n")


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_the_gil_stays_off() -> None:
    code = """
        import sys
        import fastnn, fastnn.engine, fastnn.kernels
        print(sys._is_gil_enabled())
    """
    assert_fine(run(code), "False\n")


# --- Other libraries' threads -----------------------------------------------------------------------------------------


def test_beside_the_thread_pools_of_others() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    code = """
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np
        import torch, sklearn.neural_network, fastnn
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
        X = np.random.default_rng(0).random((400, 64)).astype(np.float32)
        y = np.random.default_rng(1).integers(0, 5, 400)
        torch.set_num_threads(2)

        def ours(gemm):
            net = fastnn.MLP([64, 300, 5], output="softmax", seed=0)
            return net.fit(X, y, epochs=2).loss + net.predict(X).ravel().tolist()
        def torchs(_):
            torch.manual_seed(0)
            a = torch.from_numpy(X)
            return float((a @ a.T).relu().sum()) > 0
        def theirs(_):
            return KMeans(3, n_init=1, random_state=0).fit(X).labels_.tolist()

        jobs = [ours, torchs, theirs] * 2
        # BLAS adds in another order with fewer threads, and KMeans takes them from all while it runs.
        for gemm, of_blas, same in (
            ("own", None, np.array_equal), ("blas", 1, np.array_equal), ("blas", None, np.allclose)
        ):
            with fastnn.threads(2), fastnn.gemm(gemm), threadpool_limits(of_blas, user_api="blas"):
                alone = [job(None) for job in jobs[:3]]
                with ThreadPoolExecutor(3) as pool:
                    together = list(pool.map(lambda job: job(None), jobs))
                assert all(same(*pair) for pair in zip(together, alone * 2)), (gemm, of_blas)
        print("fine")
    """
    assert_fine(run(code))
