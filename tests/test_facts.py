"""What the machine is decides how work is divided, not what is computed: every plan on any machine, by forced facts."""

import os
import subprocess
import sys

import numpy as np
import pytest
from backends import TOLERANCE, relative_error

import fastnn
from fastnn import MLP, _core, kernels

# Caches so small that everything is copied and goes layer by layer; others so large that nothing is; and the families.
FACTS = {
    "tiny": "vendor=unknown,family=0,model=0,l1=4K,l2=4K,l3=0",
    "huge": "vendor=unknown,family=0,model=0,l1=1M,l2=64M,l3=512M",
    "zen 4": "vendor=amd,family=25,model=17,l1=32K,l2=1M,l3=32M",
    "zen 5": "vendor=amd,family=26,model=2,l1=48K,l2=1M,l3=32M",
    "intel": "vendor=intel,family=6,model=207,l1=48K,l2=2M,l3=300M",
}
every_fact = pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
# Batch, inputs, outputs: around whole vectors, tiles and panels of every instruction set, strides of a page, short sums
# and long ones, more rows than are multiplied with the panels at a time.
SHAPES = [
    (1, 17, 1),
    (1, 300, 70),
    (2, 61, 33),
    (2, 31, 5),
    (3, 40, 20),
    (5, 600, 3),
    (8, 16, 52),
    (25, 100, 37),
    (33, 513, 57),
    (64, 70, 49),
    (70, 1030, 19),
    (41, 64, 1024),
    (30, 1024, 200),
    (26, 200, 300),  # 8 rows are left beyond whole tiles of 6
    (29, 4, 150),
    (30, 150, 4),
    (803, 70, 60),
]


def data(rng: np.random.Generator, *shape: int, dtype: str) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(dtype)


@pytest.mark.parametrize("gemm", ["own", "auto"])
@every_fact
@pytest.mark.parametrize(("B", "n_in", "n_out"), SHAPES)
def test_products_agree_with_the_reference(
    isa: str, dtype: str, facts: str, gemm: str, B: int, n_in: int, n_out: int
) -> None:
    rng = np.random.default_rng(0)
    x, w, b, dy = (data(rng, *s, dtype=dtype) for s in ((B, n_in), (n_in, n_out), (n_out,), (B, n_out)))
    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    with fastnn.cpu(facts), fastnn.gemm(gemm):
        y = kernels.affine_forward(x, w, b)
        dx, dw, db = kernels.affine_backward(dy, x, w, y)
    x64, w64, b64, dy64 = wide
    for got, exact in ((y, x64 @ w64 + b64), (dx, dy64 @ w64.T), (dw, x64.T @ dy64), (db, dy64.sum(axis=0))):
        assert relative_error(got, exact) < TOLERANCE[dtype] / 4  # a term too many or too few is far more


@every_fact
@pytest.mark.parametrize(("n_in", "n_out"), [(100, 100), (37, 7), (70, 53), (530, 21), (16, 1), (1024, 130), (600, 9)])
def test_a_row_has_the_same_bits_in_any_batch(isa: str, dtype: str, facts: str, n_in: int, n_out: int) -> None:
    rng = np.random.default_rng(1)
    x, w, b = (data(rng, *s, dtype=dtype) for s in ((67, n_in), (n_in, n_out), (n_out,)))
    with fastnn.cpu(facts), fastnn.gemm("own"):
        together = kernels.affine_forward(x, w, b)
        back = kernels.affine_backward(together, x, w, together, dw=False, db=False)[0]
        for start, stop in ((0, 1), (1, 3), (3, 6), (6, 11), (11, 30), (30, 67)):
            some = np.ascontiguousarray(x[start:stop])
            y = kernels.affine_forward(some, w, b)
            np.testing.assert_array_equal(y, together[start:stop])
            dx = kernels.affine_backward(y, some, w, y, dw=False, db=False)[0]
            np.testing.assert_array_equal(dx, back[start:stop])


NETWORKS = [
    {"sizes": [30, 70, 300, 5], "activation": ["relu", "gelu"], "output": "softmax"},
    {"sizes": [49, 1100, 33], "activation": "tanh", "output": "identity", "l2": 0.1},
    {"sizes": [20, 210, 60, 1], "activation": "silu", "output": "sigmoid", "dropout": [0.0, 0.3]},
    {"sizes": [30, 540, 530, 4], "activation": "relu", "output": "softmax"},
]


def fitted(settings: dict, dtype: str, n_threads: int) -> tuple[np.ndarray, list[float], np.ndarray]:
    """Parameters, losses and a prediction after a shuffled fit whose last batch is shorter."""
    rng = np.random.default_rng(2)
    net = MLP(**settings, seed=3, dtype=dtype)
    X = data(rng, 333, settings["sizes"][0], dtype=dtype)
    n_out = settings["sizes"][-1]
    y = rng.integers(0, n_out, 333) if settings["output"] == "softmax" else data(rng, 333, n_out, dtype=dtype) ** 2
    with fastnn.threads(n_threads):
        history = net.fit(X, y, optimizer=fastnn.Adam(0.003, clip_norm=5.0), epochs=2, batch_size=130)
        net.train_step(X, y, fastnn.SGD(0.01))
        return net.parameters.copy(), history.loss, net.predict(X)


@every_fact
@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_a_fit_has_the_same_bits_for_any_number_of_threads(isa: str, dtype: str, facts: str, number: int) -> None:
    with fastnn.cpu(facts), fastnn.gemm("own"):
        one, *others = (fitted(NETWORKS[number], dtype, n) for n in (1, 2, 5))
    for other in others:
        np.testing.assert_array_equal(other[0], one[0])
        assert other[1] == one[1]
        np.testing.assert_array_equal(other[2], one[2])


@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_every_plan_gives_the_same_network(isa: str, number: int) -> None:
    results = []
    for facts in FACTS.values():
        with fastnn.cpu(facts), fastnn.gemm("own"):
            results.append(fitted(NETWORKS[number], "float64", 2))
    for parameters, losses, outputs in results[1:]:
        assert relative_error(parameters, results[0][0]) < 1e-10
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-11)
        assert relative_error(outputs, results[0][2]) < 1e-10


# Inputs: around as many rows of W as a stripe may have at most. Outputs: those whose stripes are longest, and fewer.
@pytest.mark.parametrize("n_in", [167, 168, 192, 193, 215, 250, 400])
@pytest.mark.parametrize("n_out", [70, 150, 200])
@pytest.mark.parametrize("l2", ["512K", "1M"])
def test_a_stripe_is_no_longer_than_its_room(isa: str, dtype: str, l2: str, n_in: int, n_out: int) -> None:
    """A step, which makes the gradient by stripes in scratch beside the copy of x, against the whole gradient."""
    rng = np.random.default_rng(5)
    with fastnn.cpu(f"vendor=unknown,l1=32K,l2={l2}"), fastnn.gemm("own"):
        for B in (64, 128, 300):
            X, y = data(rng, B, n_in, dtype=dtype), data(rng, B, n_out, dtype=dtype)
            net = MLP([n_in, n_out], output="identity", seed=1, dtype=dtype)
            before = net.parameters.astype(np.float64)
            net.train_step(X, y, fastnn.SGD(1.0))
            x, wide = X.astype(np.float64), before[: n_in * n_out].reshape(n_in, n_out)
            error = x @ wide + before[n_in * n_out :] - y
            exact = np.concatenate([(x.T @ error).ravel(), error.sum(axis=0)]) / B
            assert relative_error(net.parameters, before - exact) < TOLERANCE[dtype]


@every_fact
def test_gradients_and_input_gradients_by_every_plan(isa: str, dtype: str, facts: str) -> None:
    rng = np.random.default_rng(4)
    settings = {"sizes": [52, 260, 1030, 4], "activation": "tanh", "output": "identity", "l2": 0.1, "seed": 1}
    X, y = data(rng, 90, 52, dtype=dtype), data(rng, 90, 4, dtype=dtype)
    with fastnn.cpu(facts), fastnn.gemm("own"):
        net = MLP(**settings, dtype=dtype)
        loss, _ = net.loss_and_gradients(X, y)
        assert net.loss(X, y) == loss  # the squares of weights, too, are added in one order
        dx = net.input_gradient(X, y)
    twin = MLP(**settings, dtype="float64", backend="reference")
    twin.parameters[...] = net.parameters
    expected, _ = twin.loss_and_gradients(X.astype(np.float64), y.astype(np.float64))
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype])
    assert relative_error(net.gradients, twin.gradients) < TOLERANCE[dtype]
    assert relative_error(dx, twin.input_gradient(X.astype(np.float64), y.astype(np.float64))) < TOLERANCE[dtype]


def test_a_network_keeps_the_facts_with_which_it_was_made() -> None:
    X = np.ones((300, 40), np.float32)
    with fastnn.cpu(FACTS["tiny"]):
        net = MLP([40, 500, 3], output="softmax", seed=0)
        inside = net.predict(X)
    net.loss(X, np.zeros(300, int))  # plans anew for more rows
    np.testing.assert_array_equal(net.predict(X), inside)


def test_facts_are_read_and_forced() -> None:
    here = _core.cpu()
    assert here["l1"] >= 4096
    assert here["l2"] >= here["l1"]
    with fastnn.cpu("vendor=intel,family=6,model=207,l1=48K,l2=2M,l3=300M"):
        forced = _core.cpu()
        assert forced.pop("limits").startswith("Intel")
        assert forced == {
            "vendor": "intel", "family": 6, "model": 207, "l1": 48 << 10, "l2": 2 << 20, "l3": 300 << 20
        }  # fmt: skip
    assert _core.cpu() == here
    with fastnn.cpu(""):
        machine = _core.cpu()
    with fastnn.cpu("l2=512K"):
        assert _core.cpu() == {**machine, "l2": 512 << 10}


@pytest.mark.parametrize(
    "text", ["l2", "l2=", "l2=0", "l1=1K", "l2=2G", "vendor=arm", "cores=4", "family=-1", "l2=2M;l3=0"]
)
def test_facts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="cpu: wanted"), fastnn.cpu(text):
        pass
    environment = {**os.environ, "FASTNN_CPU": text}
    run = subprocess.run(
        [sys.executable, "-c", "import fastnn"], env=environment, capture_output=True, text=True, check=False
    )
    assert f"ImportError: FASTNN_CPU={text}: cpu: wanted" in run.stderr.splitlines()[-1]


def test_the_environment_forces_facts() -> None:
    show = "from fastnn import _core; print(_core.cpu()['l2'], _core.cpu()['limits'])"
    environment = {**os.environ, "FASTNN_CPU": "vendor=intel,family=6,l2=3M"}
    run = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"{3 << 20} Intel")


@pytest.mark.parametrize("facts", ["huge", "zen 4", "zen 5", "intel"])
@pytest.mark.parametrize(("n_in", "n_out", "most"), [(512, 512, 128), (64, 64, 16), (600, 200, 75)])
def test_w_stays_as_it_stands_for_few_rows(isa: str, dtype: str, facts: str, n_in: int, n_out: int, most: int) -> None:
    least = 32 // np.dtype(dtype).itemsize
    with fastnn.cpu(FACTS[facts]), fastnn.gemm("own"):
        ways = [_core.way("input gradient", dtype, B, n_out, n_in) for B in (least - 1, least, most, most + 1)]
    assert [way == "flipped" for way in ways] == [False, True, True, False]


@pytest.mark.parametrize("facts", ["zen 4", "intel"])
def test_w_that_is_far_stays_for_twice_as_many_rows(facts: str) -> None:
    with fastnn.cpu(FACTS[facts].replace("l2=2M", "l2=1M")), fastnn.gemm("own"):
        assert _core.way("input gradient", "float32", 512, 1024, 1024) == "flipped"
        assert _core.way("input gradient", "float32", 513, 1024, 1024) != "flipped"
    with fastnn.cpu(FACTS[facts].replace("l2=1M", "l2=2M")), fastnn.gemm("own"):
        assert _core.way("input gradient", "float32", 512, 1024, 1024) != "flipped"


@pytest.mark.parametrize(
    ("facts", "found"), [("zen 4", "blas"), ("zen 5", "in place"), ("intel", "blas"), ("huge", "in place")]
)
def test_blas_makes_input_gradients_of_few_rows_only_where_a_row_says_so(facts: str, found: str) -> None:
    if "avx512" not in _core.available_isas():
        pytest.skip("BLAS has kernels for them with AVX-512")
    with fastnn.isa("avx512"), fastnn.gemm("auto"), fastnn.cpu(FACTS[facts]):
        assert _core.way("input gradient", "float32", 4, 64, 100) == found
        assert _core.way("input gradient", "float32", 9, 64, 1000) != "blas"
