"""The fourth way in: Cython code that cimports the kernels, built and run in a folder of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastnn import reference

pytest.importorskip("Cython")
pytest.importorskip("setuptools")

MODULE = """
from fastnn.fnn cimport FNN_F32, FNN_F64, FNN_relu
from fastnn.kernels cimport affine, table

def layer(float[:, ::1] x, float[:, ::1] w, float[::1] b, float[:, ::1] y):
    cdef Py_ssize_t B = x.shape[0], I = x.shape[1], O = w.shape[1]
    with nogil:
        affine(FNN_F32, &y[0, 0], &x[0, 0], &w[0, 0], &b[0], B, I, O)
        table(FNN_F32).activation_forward[FNN_relu](&y[0, 0], &y[0, 0], 0.0, B, O)

def real_sizes():
    return table(FNN_F32).size, table(FNN_F64).size
"""

SETUP = """
import os
import fastnn
from Cython.Build import cythonize
from setuptools import Extension, setup

# Cython looks for pxd files along sys.path, where an editable install does not stand.
site = os.path.dirname(os.path.dirname(fastnn.__file__))
setup(name="user", ext_modules=cythonize(
    [Extension("user", ["user.pyx"], include_dirs=[fastnn.get_include()])],
    include_path=[site], compiler_directives={"language_level": "3"}))
"""

RUN = """
import numpy as np, user
x, w, b = (np.load(f"{name}.npy") for name in "xwb")
y = np.empty((x.shape[0], w.shape[1]), np.float32)
user.layer(x, w, b, y)
np.save("y.npy", y)
assert user.real_sizes() == (4, 8), user.real_sizes()
"""


@pytest.mark.slow
def test_cimport(tmp_path: Path) -> None:
    for name, text in {"user.pyx": MODULE, "setup.py": SETUP, "run.py": RUN}.items():
        (tmp_path / name).write_text(text)
    rng = np.random.default_rng(0)
    arrays = {"x": (5, 7), "w": (7, 9), "b": (9,)}
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in arrays.values())
    for name, array in zip(arrays, (x, w, b), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    for command in (["setup.py", "-q", "build_ext", "--inplace"], ["run.py"]):
        result = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), reference.affine_forward(x, w, b, "relu"), rtol=5e-6, atol=1e-6
    )
