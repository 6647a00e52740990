"""An op is one place: a row in fnn_ops.def, its reference twin, its shim, its case. This fails when one is missing."""

import inspect
import re
from pathlib import Path

import pytest
from opcases import CASES

from fastnn import kernels, reference
from fastnn.reference import ACTIVATIONS, LOSSES, UPDATES

TABLES = {"ACTIVATIONS", "LOSSES", "UPDATES"}
OPS = sorted(set(reference.__all__) - TABLES)
DEFINITIONS = Path(__file__).parent.parent / "src_c" / "fnn_ops.def"
# The public ops that each of the other rows serves; none where only the engine calls it.
OTHER_ROWS = {
    "gemm_nn": ("affine_forward", "affine_backward"),
    "gemm_nt": ("affine_backward",),
    "gemm_tn": ("affine_backward",),
    "transpose": (),
    "column_sums": ("affine_backward", "kl_sparsity"),
    "add_outer": ("kl_sparsity",),
    "random_words": ("random_words", "permutation"),
    "dropout": ("dropout_forward", "dropout_backward"),
    "gather": (),
    "panels": ("affine_backward",),
    "fill_rows": (),
    "sum_of_squares": (),
    "all_finite": (),
    "all_up_to": (),
    "rows_sum_to_one": (),
    "convert": (),
    "narrow_forward": (),
    "narrow_input_gradient": (),
    "narrow_parameter_gradient": (),
    "narrow_pack": (),
    "narrow_unpack": (),
}


def rows(kind: str) -> dict[str, list[str]]:
    """The rows FNN_<kind>(name, …) of fnn_ops.def: name and further arguments."""
    if not DEFINITIONS.exists():
        pytest.skip("the C sources are not beside the tests")
    text = re.sub(r"/\*.*?\*/", "", DEFINITIONS.read_text(), flags=re.S)
    found = re.findall(rf"^\s*FNN_{kind}\((\w+)\s*(?:,([^\n]*))?", text, flags=re.M)
    assert found, f"no row FNN_{kind} in {DEFINITIONS.name}"
    return {name: [part.strip(" )") for part in rest.split(",")] if rest else [] for name, rest in found}


def parameters(module: object, name: str) -> list[tuple[str, object, object]]:
    signature = inspect.signature(getattr(module, name))
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize("name", OPS)
def test_kernel_has_name_and_signature_of_reference(name: str) -> None:
    assert parameters(kernels, name) == parameters(reference, name)


@pytest.mark.parametrize("name", OPS)
def test_kernel_has_docstring_of_reference(name: str) -> None:
    document = getattr(reference, name).__doc__
    assert getattr(kernels, name).__doc__ == document
    for section in ("Parameters", "Raises", "Examples"):
        # Python 3.13 takes the indentation away when it compiles.
        assert re.search(rf"{section}\n *---", document), f"{name}: docstring has no section {section}"


def test_same_ops_in_both_modules() -> None:
    assert {name for name in kernels.__all__ if name not in TABLES} == set(OPS)
    assert kernels.affine_forward is not reference.affine_forward


def test_every_op_has_a_case_and_every_case_an_op() -> None:
    assert set(CASES) == set(OPS)


@pytest.mark.parametrize("name", OPS)
def test_case_names_the_arguments_of_its_op(name: str) -> None:
    accepted = inspect.signature(getattr(reference, name)).parameters
    case = CASES[name]
    assert set(case.outputs) | set(case.updated) <= set(accepted)
    assert {p for p in accepted if p in ("out", "z", "dx", "dw", "db", "dz", "da")} - {"z"} <= set(case.outputs)


def test_activation_rows() -> None:
    found = rows("ACTIVATION")
    assert set(found) == set(ACTIVATIONS)
    for name, (kind, alpha, needs_z) in found.items():
        row = ACTIVATIONS[name]
        assert float(alpha) == (row.alpha or 0.0), name
        assert bool(int(needs_z)) == row.needs_z, name
        assert (kind == "ROWWISE") == row.rowwise, name
        assert (kind != "THRESHOLD") == row.differentiable, name
        assert f"{name}_forward" in OPS
        assert (f"{name}_backward" in OPS) == row.differentiable, name


def test_loss_rows() -> None:
    found = rows("LOSS")
    assert set(found) == set(LOSSES) <= set(OPS)
    for name, row in LOSSES.items():
        assert row.gradient in inspect.signature(getattr(reference, name)).parameters
        assert row.link in ACTIVATIONS


def test_update_rows() -> None:
    found = rows("UPDATE")
    assert set(found) == set(UPDATES)
    for name, row in UPDATES.items():
        assert int(found[name][0]) == len(row.slots), name
        wanted = inspect.signature(getattr(reference, f"{name}_update")).parameters
        names = ["p", "g", *row.slots, "lr", *(["t"] if row.counts else []), *row.hyper, "l2", "scale"]
        assert list(wanted) == names
        assert {key: wanted[key].default for key in row.hyper} == dict(row.hyper)


def test_other_rows() -> None:
    found = rows("OP")
    assert set(found) == set(OTHER_ROWS), "say in OTHER_ROWS which public ops the row serves"
    served = {name for names in OTHER_ROWS.values() for name in names}
    listed = {f"{a}_{way}" for a in ACTIVATIONS for way in ("forward", "backward")} | {f"{u}_update" for u in UPDATES}
    assert set(OPS) - listed - set(LOSSES) == served
