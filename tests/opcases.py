"""One case for every public op: how to make its arguments, and at which sizes. `oprecord` says what a case is.

Tests and benchmarks iterate `CASES`; nothing else lists the ops. The contract test fails when an op has no case.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from oprecord import Arguments, Array, Case, Shape, assert_close, widened

from fastnn import reference
from fastnn.reference import ACTIVATIONS, LOSSES, UPDATES

# What the benchmarks need, from one place.
__all__ = ["CASES", "STREAMS", "Arguments", "Case", "assert_close", "forward", "widened"]

# Around every vector width (4, 8, 16, 32 elements) and around twice and four times the widest.
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000)
# Around every register tile: rows of 1 to 8 and columns of 1 to 3 vectors, and their combinations.
ROWS = tuple(range(18))
COLUMNS = (*range(51), 96, 100)

SHAPES_1D = tuple((n,) for n in SIZES)
SHAPES_ANY = (*SHAPES_1D, (), (3, 5), (2, 0), (0, 4), (2, 3, 17))
SHAPES_2D = tuple((rows, columns) for rows in (0, 1, 2, 3, 17) for columns in (*range(35), 50, 64, 96, 100))
SHAPES_ROWS = tuple((rows, columns) for rows, columns in SHAPES_2D if rows and columns)
SHAPES_DENSE = (
    *((rows, 7, columns) for rows in ROWS for columns in COLUMNS),
    *(
        (rows, inputs, columns)
        for rows in (1, 8, 9)
        for inputs in (0, 1, 2, 64, 100, 300)
        for columns in (0, 1, 10, 33)
    ),
    (64, 128, 100),
)
SHAPES_DENSE_FEW = tuple((rows, 7, columns) for rows in (0, 1, 5, 8, 17) for columns in (0, 1, 4, 10, 16, 33, 49, 100))


# --- activations -----------------------------------------------------------------------------------------------------


def _spread(rng: np.random.Generator, shape: Shape, dtype: str) -> Array:
    """Numbers of ordinary size, some near zero and some where activations saturate."""
    return np.asarray(rng.normal(size=shape) * rng.choice([0.01, 1.0, 6.0], size=shape), dtype)


def _alpha(name: str, alpha: float | None) -> Arguments:
    return {} if alpha is None else {"alpha": alpha}


def _forward_maker(name: str) -> Callable[..., Arguments]:
    def make(rng: np.random.Generator, shape: Shape, dtype: str, alpha: float | None = None) -> Arguments:
        return {"z": _spread(rng, shape, dtype), **_alpha(name, alpha)}

    return make


def forward(name: str, z: Array, alpha: float | None = None) -> Array:
    """The reference output of an activation by name."""
    with np.errstate(all="ignore"):
        return getattr(reference, f"{name}_forward")(z, **_alpha(name, alpha))


def _backward_maker(name: str) -> Callable[..., Arguments]:
    def make(rng: np.random.Generator, shape: Shape, dtype: str, alpha: float | None = None) -> Arguments:
        z = _spread(rng, shape, dtype)
        arguments = {"dy": np.asarray(rng.normal(size=shape), dtype), "y": forward(name, z, alpha)}
        if ACTIVATIONS[name].needs_z:
            arguments["z"] = z
        return {**arguments, **_alpha(name, alpha)}

    return make


def _backward_magnitude(a: Arguments) -> dict[str, Any]:
    # y is rounded, so that 1 - y and its like have an absolute error.
    return {"out": np.abs(a["dy"])}


def _softmax_backward_magnitude(a: Arguments) -> dict[str, Any]:
    dy, y = np.abs(a["dy"]), np.abs(a["y"])
    return {"out": y * (dy + (dy * y).sum(axis=-1, keepdims=True))}


def _activation_cases() -> Iterator[Case]:
    for name, row in ACTIVATIONS.items():
        variants: tuple[Mapping[str, Any], ...] = ({},) if row.alpha is None else ({}, {"alpha": 0.1}, {"alpha": 1.5})
        shapes = SHAPES_2D + ((3,), (2, 3, 5)) if row.rowwise else SHAPES_ANY
        bench = (128, 100)
        yield Case(f"{name}_forward", _forward_maker(name), shapes, bench, variants)
        if row.differentiable:
            magnitude = _softmax_backward_magnitude if row.rowwise else _backward_magnitude
            yield Case(f"{name}_backward", _backward_maker(name), shapes, bench, variants, magnitude=magnitude)


# --- dense layers ----------------------------------------------------------------------------------------------------


def _affine_forward_arguments(
    rng: np.random.Generator, shape: Shape, dtype: str, activation: str = "identity", bias: bool = True, **settings: Any
) -> Arguments:
    rows, inputs, columns = shape
    x = rng.normal(size=(rows, inputs)).astype(dtype)
    w = (rng.normal(size=(inputs, columns)) / max(inputs, 1) ** 0.5).astype(dtype)
    b = rng.normal(size=columns).astype(dtype) if bias else None
    return {"x": x, "w": w, "b": b, "activation": activation, **settings}


def _affine_forward_magnitude(a: Arguments) -> dict[str, Any]:
    bias = 0.0 if a["b"] is None else np.abs(a["b"])
    slope = max(1.13, a.get("alpha") or 0.0)  # the steepest activation is the GELU, unless alpha says otherwise
    magnitude = slope * (np.abs(a["x"]) @ np.abs(a["w"]) + bias)
    return {"out": magnitude.max(axis=1, keepdims=True, initial=0) if a["activation"] == "softmax" else magnitude}


def _affine_backward_arguments(
    rng: np.random.Generator, shape: Shape, dtype: str, activation: str = "identity", **settings: Any
) -> Arguments:
    alpha = settings.get("alpha")
    a = _affine_forward_arguments(rng, shape, dtype)
    z = reference.affine_forward(a["x"], a["w"], a["b"])
    default = ACTIVATIONS[activation].alpha
    arguments = {
        "dy": rng.normal(size=z.shape).astype(dtype),
        "x": a["x"],
        "w": a["w"],
        "y": forward(activation, z, None if default is None else alpha or default),
        "activation": activation,
        **settings,
    }
    if ACTIVATIONS[activation].needs_z:
        arguments["z"] = z
    return arguments


def _affine_backward_magnitude(a: Arguments) -> dict[str, Any]:
    dz = np.abs(a["dy"]) * max(1.13, a.get("alpha") or 0.0)
    if a["activation"] == "softmax":
        dz = _softmax_backward_magnitude(a)["out"]
    return {"dx": dz @ np.abs(a["w"]).T, "dw": np.abs(a["x"]).T @ dz, "db": dz.sum(axis=0)}


def _dense_cases() -> Iterator[Case]:
    few = {"shapes": SHAPES_DENSE_FEW}
    forwards: list[Mapping[str, Any]] = [{}, {"bias": False, **few}]
    backwards: list[Mapping[str, Any]] = [{}]
    for flags in (("dx",), ("dw",), ("db",), ("dx", "dw"), ("dx", "dw", "db")):
        backwards.append({"activation": "tanh", **dict.fromkeys(flags, False), **few})
    for name, row in ACTIVATIONS.items():
        forwards.append({"activation": name, **few})
        if row.alpha is not None:
            forwards.append({"activation": name, "alpha": 0.3, **few})
        if row.differentiable:
            backwards.append({"activation": name, **few})
            if row.alpha is not None:
                backwards.append({"activation": name, "alpha": 0.3, **few})
    yield Case(
        "affine_forward",
        _affine_forward_arguments,
        SHAPES_DENSE,
        (128, 784, 100),
        tuple(forwards),
        outputs=("z", "out"),
        magnitude=_affine_forward_magnitude,
    )
    yield Case(
        "affine_backward",
        _affine_backward_arguments,
        SHAPES_DENSE,
        (128, 784, 100),
        tuple(backwards),
        results=("dx", "dw", "db"),
        outputs=("dx", "dw", "db"),
        magnitude=_affine_backward_magnitude,
    )


# --- losses ----------------------------------------------------------------------------------------------------------


def _sample_weight(rng: np.random.Generator, rows: int, dtype: str) -> Array:
    weight = rng.uniform(0.1, 3.0, size=rows).astype(dtype)
    if rows > 1:
        weight[0] = 0.0
    return weight


def _loss_maker(name: str) -> Callable[..., Arguments]:
    def make(
        rng: np.random.Generator,
        shape: Shape,
        dtype: str,
        target: str = "rows",
        weighted: bool = False,
        **settings: Any,
    ) -> Arguments:
        rows, columns = shape
        values = (3 * rng.normal(size=shape)).astype(dtype)
        if target == "rows":
            wanted = (
                rng.dirichlet(np.ones(columns), size=rows) if name == "softmax_cross_entropy" else rng.random(shape)
            )
            wanted = wanted.astype(dtype)
        else:
            wanted = rng.integers(0, columns, size=rows).astype(target)
        weight = {"sample_weight": _sample_weight(rng, rows, dtype)} if weighted else {}
        return {LOSSES[name].gradient[1:]: values, "target": wanted, **weight, **settings}

    return make


def _share(a: Arguments, rows: int) -> Array:
    weight = a.get("sample_weight")
    weight = np.ones(rows) if weight is None else weight
    return (weight / weight.sum())[:, None]


def _loss_magnitude(a: Arguments) -> dict[str, Any]:
    values = np.abs(a["z"] if "z" in a else a["y"])
    share = _share(a, len(values))
    terms = (1 + values) * (1 + values)
    return {"loss": float((share * terms).sum()), "gradient": share * (1 + 0 * values)}


def _kl_arguments(
    rng: np.random.Generator, shape: Shape, dtype: str, weighted: bool = False, add: bool = False, **settings: Any
) -> Arguments:
    a = rng.uniform(0.02, 0.9, size=shape).astype(dtype)
    weight = {"sample_weight": _sample_weight(rng, shape[0], dtype)} if weighted else {}
    start = {"da": rng.normal(size=shape).astype(dtype)} if add else {}
    return {"a": a, "rho": 0.05, "beta": 3.0, **weight, **start, **settings}


def _kl_magnitude(a: Arguments) -> dict[str, Any]:
    share = _share(a, len(a["a"]))
    mean = (share * a["a"]).sum(axis=0)
    slope = a["beta"] * (a["rho"] / mean + (1 - a["rho"]) / (1 - mean))
    start = a.get("da")
    start = 0.0 if start is None or start is False else np.abs(start)
    return {"cost": float(slope.sum()) * 4, "da": 4 * share * slope / (1 - mean) + start}


def _loss_cases() -> Iterator[Case]:
    for name, row in LOSSES.items():
        variants: list[Mapping[str, Any]] = [{}, {"weighted": True}, {row.gradient: False}]
        if row.labels:
            variants += [{"target": kind, "weighted": kind == "uint8"} for kind in ("int64", "int32", "uint8", "int16")]
        yield Case(
            name,
            _loss_maker(name),
            SHAPES_ROWS,
            (128, 10),
            tuple(variants),
            results=("loss", "gradient"),
            outputs=(row.gradient,),
            magnitude=_loss_magnitude,
        )
    yield Case(
        "kl_sparsity",
        _kl_arguments,
        SHAPES_ROWS,
        (128, 100),
        ({}, {"weighted": True}, {"add": True}, {"da": False}),
        results=("cost", "da"),
        outputs=("da",),
        updated=("da",),
        magnitude=_kl_magnitude,
    )


# --- random numbers --------------------------------------------------------------------------------------------------

STREAMS = ({"seed": 0}, {"seed": 2**64 - 1, "step": 2**32 + 7, "layer": 3}, {"seed": 1 << 32, "step": -1, "layer": 1})


def _words_arguments(rng: np.random.Generator, shape: Shape, dtype: str, **stream: int) -> Arguments:
    return {"rows": shape[0], "cols": shape[1], **stream}


def _dropout_maker(argument: str) -> Callable[..., Arguments]:
    def make(rng: np.random.Generator, shape: Shape, dtype: str, keep: float, **stream: int) -> Arguments:
        return {argument: rng.normal(size=shape).astype(dtype), "keep": keep, **stream}

    return make


def _permutation_arguments(rng: np.random.Generator, shape: Shape, dtype: str, seed: int, step: int = 0) -> Arguments:
    return {"n": shape[0], "seed": seed, "step": step}


def _random_cases() -> Iterator[Case]:
    keeps = tuple({"keep": keep, **stream} for keep, stream in zip((0.5, 0.9, 1e-3), STREAMS, strict=True))
    keeps += ({"keep": 1.0, "seed": 5},)
    yield Case("random_words", _words_arguments, SHAPES_2D, (128, 100), STREAMS)
    yield Case("dropout_forward", _dropout_maker("x"), SHAPES_2D, (128, 100), keeps)
    yield Case("dropout_backward", _dropout_maker("dy"), SHAPES_2D, (128, 100), keeps)
    yield Case("permutation", _permutation_arguments, SHAPES_1D, (1797,), ({"seed": 0}, {"seed": 2**64 - 1, "step": 9}))


# --- updates ---------------------------------------------------------------------------------------------------------


def _update_maker(name: str) -> Callable[..., Arguments]:
    row = UPDATES[name]

    def make(rng: np.random.Generator, shape: Shape, dtype: str, t: int = 1, **settings: Any) -> Arguments:
        arguments: Arguments = {"p": np.asarray(rng.normal(size=shape), dtype)}
        arguments["g"] = np.asarray(rng.normal(size=shape), dtype)
        for slot in row.slots:
            # Averages of squares are not negative, averages of gradients may be.
            squares = slot == "s" or (slot == "v" and len(row.slots) == 2)
            state = np.asarray(rng.normal(size=shape), dtype)
            arguments[slot] = np.asarray(np.square(state)) if squares else state
        return {**arguments, "lr": 0.1, **({"t": t} if row.counts else {}), **settings}

    return make


def _update_magnitude(a: Arguments) -> dict[str, Any]:
    # g' may cancel; the parameters and gradients here are of the order of one.
    size = max((float(np.abs(v).max(initial=0)) for v in a.values() if isinstance(v, np.ndarray)), default=0.0)
    return dict.fromkeys(("p", "m", "v", "s"), size + size * size)


def _update_cases() -> Iterator[Case]:
    for name, row in UPDATES.items():
        variants: list[Mapping[str, Any]] = [{}, {"l2": 0.02}, {"scale": 0.25}, {"l2": 0.5, "scale": 2.0, "lr": 1e-3}]
        variants.append({key: value * 0.75 for key, value in row.hyper.items()})
        if row.counts:
            variants += [{"t": 7}, {"t": 10**6}]
        results = ("p", *row.slots)
        yield Case(
            f"{name}_update",
            _update_maker(name),
            SHAPES_ANY,
            (89610,),
            tuple(variants),
            results=results,
            outputs=(),
            updated=results,
            magnitude=_update_magnitude,
        )


CASES: dict[str, Case] = {
    case.name: case
    for cases in (_activation_cases(), _dense_cases(), _loss_cases(), _random_cases(), _update_cases())
    for case in cases
}
