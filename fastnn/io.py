"""Model files: safetensors, with the architecture as JSON in the metadata and a checksum over both.

Tensors are ``layers.<n>.weight`` (n_in, n_out) and ``layers.<n>.bias`` (n_out,), so that other programs can read them.
Nothing in a file is ever executed, and nothing is allocated before it is known that the file holds it.
"""

import contextlib
import hashlib
import itertools
import json
import os
import reprlib
import secrets
import stat
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.spec import NetworkSpec

Array = npt.NDArray[Any]

# Raised by one when a reader of the older form would misread the newer.
FORMAT_VERSION = 1
_DTYPES = {"F32": "float32", "F64": "float64"}


class ModelFileError(ValueError):
    """A model file is damaged, cut short, altered or none of ours; the message says which."""


def save(path: str | os.PathLike[str], spec: NetworkSpec, parameters: Array) -> None:
    """Write a network to ``path``, whole or not at all: a temporary file beside it takes its place when it is complete.

    An existing file's mode stays; of a symlink, what it points to is replaced; a device or pipe is written to.

    Parameters
    ----------
    path : path
        The file; what was there is replaced.
    spec : NetworkSpec
        The architecture, ``net.spec``.
    parameters : ndarray, shape (n_parameters,), dtype of the spec
        ``net.parameters``; finite.

    Raises
    ------
    TypeError
        ``path`` is no path.
    ValueError
        A parameter is NaN or infinite; such a file would be refused by `load`.
    OSError
        It cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> net = fastnn.MLP([3, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "model.safetensors"), net.spec, net.parameters)
    ...     os.listdir(folder)
    ['model.safetensors']
    """
    from safetensors.numpy import save as to_bytes

    parameters = parameters.copy()  # another thread may train them
    if not np.isfinite(parameters).all():
        raise ValueError("parameters: wanted finite numbers to save, got NaN or infinity")
    path = _text(path)
    description = json.dumps(spec.to_dict(), sort_keys=True)
    metadata = {
        "format": "fastnn",
        "format_version": str(FORMAT_VERSION),
        "network": description,
        "sha256": _checksum(description, parameters),
    }
    tensors = dict(_tensors(spec, parameters))
    _write(path, to_bytes(tensors, metadata))


def load(path: str | os.PathLike[str]) -> tuple[NetworkSpec, Array]:
    """The spec and the flat parameters of a file that `save` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    spec : NetworkSpec
        The architecture, checked as for a new network.
    parameters : ndarray, shape (n_parameters,), dtype of the spec
        W1 row by row, b1, W2, …; finite.

    Raises
    ------
    ModelFileError
        The file is damaged, cut short, altered, of a newer format, or none of ours.
    OSError
        It is missing or cannot be read.
    TypeError
        ``path`` is no path.

    Examples
    --------
    >>> import os, tempfile
    >>> net = fastnn.MLP([3, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "model.safetensors"))
    ...     spec, parameters = load(os.path.join(folder, "model.safetensors"))
    >>> spec == net.spec, bool((parameters == net.parameters).all())
    (True, True)
    """
    from safetensors import SafetensorError, safe_open

    path = _text(path)
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a pipe, opening would wait for its writer
        raise ModelFileError(f"{path}: wanted a regular file, got a device or a pipe")
    with open(path, "rb"):  # names the file in the error where it is a folder, or not ours to read
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            return _read(path, file)
    except SafetensorError as error:
        raise ModelFileError(f"{path}: damaged, cut short or no safetensors file ({error})") from None


def _text(path: str | os.PathLike[str]) -> str:
    """The path as text; an integer is none, though `open` would take it for a descriptor and close it."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: wanted a path, got {reprlib.repr(path)}") from None


def _read(path: str | os.PathLike[str], file: Any) -> tuple[NetworkSpec, Array]:
    metadata = file.metadata() or {}
    if metadata.get("format") != "fastnn":
        raise ModelFileError(f"{path}: a safetensors file, but not written by fastnn")
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ModelFileError(f"{path}: wanted format version {FORMAT_VERSION}, got {version}")
    description = metadata.get("network", "")
    try:
        spec = NetworkSpec.from_dict(json.loads(description))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"{path}: the description of the network is damaged ({error})") from None
    _check_layout(path, spec, file)
    parameters = np.empty(spec.n_parameters, spec.dtype)
    for name, view in _tensors(spec, parameters):
        view[...] = file.get_tensor(name)
    if not np.isfinite(parameters).all():
        raise ModelFileError(f"{path}: holds parameters that are NaN or infinite")
    if metadata.get("sha256") != _checksum(description, parameters):
        raise ModelFileError(f"{path}: altered since it was written, the checksum does not fit")
    return spec, parameters


def _check_layout(path: str | os.PathLike[str], spec: NetworkSpec, file: Any) -> None:
    """Names, shapes and dtypes as the spec wants them, from the header alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (n_in, n_out) in enumerate(itertools.pairwise(spec.sizes)):
        shapes[f"layers.{number}.weight"] = (n_in, n_out)
        shapes[f"layers.{number}.bias"] = (n_out,)
    found = set(file.keys())
    if found != set(shapes):
        raise ModelFileError(f"{path}: wanted the tensors {_some(set(shapes))}, got {_some(found)}")
    for name, shape in shapes.items():
        tensor = file.get_slice(name)
        if tuple(tensor.get_shape()) != shape:
            raise ModelFileError(f"{path}: {name}: wanted shape {shape}, got {tuple(tensor.get_shape())}")
        if _DTYPES.get(tensor.get_dtype()) != spec.dtype:
            raise ModelFileError(f"{path}: {name}: wanted dtype {spec.dtype}, got {tensor.get_dtype()}")


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:6]) + (", …" if len(listed) > 6 else "") or "none"


def _tensors(spec: NetworkSpec, flat: Array) -> list[tuple[str, Array]]:
    """Every tensor's name and view of the flat parameters."""
    named = []
    for number, (W, b) in enumerate(spec.layer_views(flat)):
        named += [(f"layers.{number}.weight", W), (f"layers.{number}.bias", b)]
    return named


def _checksum(description: str, parameters: Array) -> str:
    digest = hashlib.sha256(description.encode())
    digest.update(parameters.astype(parameters.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def _write(path: str, content: bytes) -> None:
    """Put ``content`` at ``path``, where a regular file stands or none in one step: nobody ever sees half of it."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if path.endswith(os.sep) or (mode is not None and not stat.S_ISREG(mode)):
        with open(path, "wb") as file:  # a device or a pipe, whose place no file may take; a folder is refused
            file.write(content)
        return
    path = os.path.realpath(path)  # what a symlink points to is replaced, not the link
    # A name of its own for each save, and a short one: the file's own may be as long as the system takes.
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.tmp")
    with open(temporary, "xb") as file:
        try:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows replaces no open file
            os.replace(temporary, path)
        except BaseException:
            file.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
