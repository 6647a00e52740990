"""The compiled ops against the reference in float64: every ISA, dtype, size around vectors and tiles, special value."""

import numpy as np
import pytest
from opcases import CASES, forward
from oprecord import Arguments, Case, assert_close, describe, every, special_values, widened

from fastnn import kernels, reference
from fastnn.reference import ACTIVATIONS, LOSSES, UPDATES

DENSE = ("affine_forward", "affine_backward")


def check_all(case: Case, dtype: str) -> None:
    """Compare every shape and variant of a case."""
    rng = np.random.default_rng(len(case.name))
    for shape, variant in every(case):
        arguments = case.make(rng, shape, dtype, **variant)
        want = case.run(reference, widened(arguments))
        assert_close(case, dtype, arguments, case.run(kernels, arguments), want)


@pytest.mark.parametrize("name", [name for name in CASES if name not in DENSE])
def test_agrees_with_reference(name: str, isa: str, dtype: str) -> None:
    check_all(CASES[name], dtype)


@pytest.mark.parametrize("name", DENSE)
def test_dense_agrees_with_reference(name: str, isa: str, gemm: str, dtype: str) -> None:
    check_all(CASES[name], dtype)


def buffers(case: Case, arguments: Arguments, results: dict[str, object]) -> dict[str, np.ndarray]:
    """New buffers, filled with NaN or ones, for the outputs that the call did not already name."""
    like = {**results, case.outputs[0]: next(v for v in results.values() if isinstance(v, np.ndarray))}
    like |= {name: like["gradient"] for name in case.outputs if "gradient" in results}
    made = {}
    for name in case.outputs:
        if name not in arguments and isinstance(like.get(name), np.ndarray):
            fill = np.nan if like[name].dtype.kind == "f" else 1
            made[name] = np.full(like[name].shape, fill, like[name].dtype)
    return made


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.outputs and name != "kl_sparsity"])
def test_fills_the_buffers_that_it_is_given(name: str, isa: str, dtype: str) -> None:
    case = CASES[name]
    rng = np.random.default_rng(1)
    shape = {1: (33,), 2: (5, 17), 3: (5, 7, 17)}[len(case.bench_shape)]
    for variant in case.variants:
        settings = {key: value for key, value in variant.items() if key != "shapes"}
        arguments = case.make(rng, shape, dtype, **settings)
        plain = case.run(kernels, arguments)
        if not any(isinstance(v, np.ndarray) for v in plain.values()):
            continue
        given = buffers(case, arguments, plain)
        filled = case.run(kernels, {**arguments, **given})
        for key, value in plain.items():
            np.testing.assert_array_equal(filled[key], value)
        returned = [value for value in filled.values() if isinstance(value, np.ndarray)]
        for key, buffer in given.items():
            if (name, key) != ("affine_forward", "z"):
                assert any(value is buffer for value in returned), f"{name}: {key} is not what came back"


def test_affine_forward_gives_the_preactivation(isa: str, gemm: str, dtype: str) -> None:
    rng, case = np.random.default_rng(2), CASES["affine_forward"]
    for activation in ACTIVATIONS:
        a = case.make(rng, (5, 7, 19), dtype, activation=activation)
        z = np.full((5, 19), np.nan, dtype)
        y = kernels.affine_forward(**a, z=z)
        linear = {**a, "activation": "identity"}
        assert_close(case, dtype, linear, {"out": z}, case.run(reference, widened(linear)))
        np.testing.assert_array_equal(y, kernels.affine_forward(**a))


@pytest.mark.parametrize("name", [name for name in CASES if name.split("_")[-1] in ("forward", "backward")])
def test_in_place(name: str, isa: str, dtype: str) -> None:
    if name in DENSE:
        pytest.skip("a dense layer has no element to overwrite")
    case = CASES[name]
    for shape in ((1, 1), (3, 17), (5, 100)):
        arguments = case.make(np.random.default_rng(3), shape, dtype, **case.variants[0])
        want = getattr(kernels, name)(**arguments)
        for key, value in arguments.items():
            if isinstance(value, np.ndarray):
                own = value.copy()
                assert getattr(kernels, name)(**{**arguments, key: own, "out": own}) is own
                np.testing.assert_array_equal(own, want, f"{name} in the place of {key}")


def assert_same_kind(got: object, want: object, dtype: str, message: str, scale: object = 0.0) -> None:
    """NaN and infinities at the same positions, everything else close, relative to itself and to `scale`."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), f"{message}: NaN")
    # One rounding error away from the largest number is infinity: those count as equal.
    info = np.finfo(dtype)
    near = info.max * (1 - 16 * info.eps)
    with np.errstate(all="ignore"):
        ends = (np.abs(got) >= near) & (np.abs(want) >= near) & (np.sign(got) == np.sign(want))
        close = np.abs(got - want) <= 64 * info.eps * (np.abs(want) + scale) + 8 * info.smallest_subnormal
    wrong = ~(np.isnan(want) | ends | close)
    assert not wrong.any(), f"{message}: {got[wrong][:5]} instead of {want[wrong][:5]}"


def activation_specials(name: str, way: str, dtype: str, alpha: float | None) -> list[Arguments]:
    """Special values in one argument beside ordinary ones in the others, at several distances from the start."""
    values = special_values(dtype)
    z = np.concatenate([values, np.ones(5, dtype), values, np.full(2, -0.5, dtype), values])
    extra = {} if alpha is None else {"alpha": alpha}
    if way == "forward":
        return [{"z": z, **extra}]
    result = []
    for source, dy in ((z, np.full_like(z, -1.5)), (np.linspace(-2, 2, z.size, dtype=dtype), z)):
        arguments = {"dy": dy, "y": forward(name, source, alpha), **extra}
        result.append({**arguments, "z": source} if ACTIVATIONS[name].needs_z else arguments)
    return result


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("name", [name for name, row in ACTIVATIONS.items() if not row.rowwise])
def test_special_values(name: str, way: str, isa: str, dtype: str) -> None:
    row = ACTIVATIONS[name]
    if way == "backward" and not row.differentiable:
        pytest.skip("forward only")
    case = CASES[f"{name}_{way}"]
    for alpha in (None,) if row.alpha is None else (None, 0.25):
        for arguments in activation_specials(name, way, dtype, alpha):
            got, want = case.run(kernels, arguments)["out"], case.run(reference, arguments)["out"]
            # A slope may be near one of its zeros.
            scale = np.nan_to_num(np.abs(np.float64(arguments["dy"])), posinf=0.0) if way == "backward" else 0.0
            assert_same_kind(got, want, dtype, f"{case.name} {alpha}", scale)


def special_rows(dtype: str, columns: int = 19) -> np.ndarray:
    """Rows of ordinary numbers, each with one or two special ones."""
    x = np.random.default_rng(4).normal(size=(12, columns)).astype(dtype)
    info = np.finfo(dtype)
    x[1, 3], x[2, columns - 1], x[3, 0] = np.nan, np.inf, -np.inf
    x[4, :2] = np.inf, -np.inf
    x[5, :] = -np.inf
    x[6, 5] = info.max / 2
    x[7, :] = info.smallest_subnormal
    x[8, 1:3] = info.tiny, 0.0
    x[9, :] = 0.0
    x[10, 4] = -info.max / 2
    return x


def test_softmax_of_a_row_does_not_depend_on_its_neighbours(isa: str, dtype: str) -> None:
    # A row beyond the range where exponentials need no shift makes all rows of its line take the shifted ones.
    rng = np.random.default_rng(5)
    for columns in (1, 3, 10, 33, 128, 300):
        z = rng.uniform(-30, 30, size=(41, columns)).astype(dtype)
        alone = np.vstack([kernels.softmax_forward(row[None]) for row in z])
        np.testing.assert_array_equal(kernels.softmax_forward(z), alone)
        z[::3] *= 1000
        np.testing.assert_array_equal(kernels.softmax_forward(z)[1::3], alone[1::3])


def test_softmax_special_values(isa: str, dtype: str) -> None:
    z = special_rows(dtype)
    y = CASES["softmax_forward"].run(reference, {"z": z})["out"]
    assert_same_kind(CASES["softmax_forward"].run(kernels, {"z": z})["out"], y, dtype, "softmax_forward")
    finite = np.where(np.isfinite(y), y, 1 / 19).astype(dtype)
    for arguments in ({"dy": np.ones_like(z), "y": y}, {"dy": z, "y": finite}):
        case = CASES["softmax_backward"]
        got, want = case.run(kernels, arguments)["out"], case.run(reference, arguments)["out"]
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        bound = 1e-5 * np.abs(np.where(np.isfinite(arguments["dy"]), arguments["dy"], 1)).max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            assert (np.isnan(want) | (got == want) | (np.abs(got - want) <= bound)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_affine_forward_special_values(activation: str, isa: str, gemm: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x = special_rows(dtype)
    w, b = rng.uniform(0.1, 0.5, size=(19, 21)).astype(dtype), rng.normal(size=21).astype(dtype)
    w[:, ::2] *= -1
    arguments = {"x": x, "w": w, "b": b, "activation": activation}
    case = CASES["affine_forward"]
    got, want = case.run(kernels, arguments)["out"], case.run(reference, arguments)["out"]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    usable = np.isfinite(x).all(axis=1) & (np.abs(x) < 1e3).all(axis=1)
    assert_close(case, dtype, {**arguments, "x": x[usable]}, {"out": got[usable]}, {"out": want[usable]})
    with np.errstate(invalid="ignore"):
        ends = np.isinf(want)
    np.testing.assert_array_equal(got[ends], want[ends])


@pytest.mark.parametrize("spoiled", ["dy", "x", "w"])
def test_affine_backward_special_values(spoiled: str, isa: str, gemm: str, dtype: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        case = CASES["affine_backward"]
        arguments = case.make(np.random.default_rng(6), (9, 11, 13), dtype, activation="sigmoid")
        arguments[spoiled][3, 5] = value
        got, want = case.run(kernels, arguments), case.run(reference, arguments)
        for name in want:
            message = f"{name} with {value} in {spoiled}"
            np.testing.assert_array_equal(np.isnan(got[name]), np.isnan(want[name]), message)
            np.testing.assert_array_equal(np.isinf(got[name]), np.isinf(want[name]), message)
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-4, err_msg=message)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [True, False])
def test_loss_special_values(name: str, labels: bool, isa: str, dtype: str) -> None:
    if labels and not LOSSES[name].labels:
        pytest.skip("takes no labels")
    case = CASES[name]
    values = special_rows(dtype)
    argument = LOSSES[name].gradient[1:]
    for row in range(len(values)):
        one = np.ascontiguousarray(values[row : row + 1])
        target = np.full(1, 7) if labels else np.full_like(one, 1 / 32)
        arguments = {argument: one, "target": target}
        got, want = case.run(kernels, arguments), case.run(reference, arguments)
        message = f"{name} row {row}"
        if np.isfinite(want["loss"]):
            assert got["loss"] == pytest.approx(want["loss"], rel=1e-5, abs=1e-6), message
        else:
            np.testing.assert_array_equal(got["loss"], want["loss"], message)
        np.testing.assert_array_equal(np.isnan(got["gradient"]), np.isnan(want["gradient"]), message)
        np.testing.assert_allclose(got["gradient"], want["gradient"], rtol=1e-5, atol=1e-6, err_msg=message)


@pytest.mark.parametrize("name", UPDATES)
def test_update_special_values(name: str, isa: str, dtype: str) -> None:
    case = CASES[f"{name}_update"]
    g = np.tile(special_values(dtype), 3)
    arguments = case.make(np.random.default_rng(7), g.shape, dtype)
    arguments["g"] = g
    for slot in UPDATES[name].slots:
        arguments[slot] = np.zeros_like(g)
    got, want = case.run(kernels, arguments), case.run(reference, arguments)
    for key in want:
        assert_same_kind(got[key], want[key], dtype, f"{name} {key} ({describe(arguments)})")
