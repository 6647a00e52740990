"""Damaged model files for the fuzzers: bytes changed at random, or the JSON within, signed again. Not a test itself.

A checksum guards the contents, so that of files changed byte by byte hardly one passes the first checks: `mutate` also
changes what the header says and signs that, as someone would who wants to harm.
"""

import contextlib
import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import MLP, ModelFileError

# What JSON can hold and nobody expects.
_VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 1, 2, 0.0, -0.0, 0.5, 1e308, 5e-324, float("nan"), float("inf"))
_VALUES += (2**31, 2**32, 2**53, 2**60, 2**63, 2**64, 10**400, "", "1", "nan", "float64", "softmax", "squared_error")
_VALUES += ("\ud800", "\0", "é" * 300, [], {}, [[]], [1, 1], ["relu", 0.5], {"sizes": 1}, [0] * 2000, [2**31] * 3)
_DTYPES = ("F16", "F32", "F64", "BF16", "F4", "F8_E8M0", "I64", "BOOL", "U8", "C64", "X")
_BYTES = (0, 1, 0x20, 0x22, 0x2C, 0x5B, 0x7B, 0x7D, 0x7F, 0x80, 0xFF)


def seeds(folder: Path) -> list[bytes]:
    """Files of small networks, between them with all that a description can say."""
    networks = (
        MLP([2, 1], seed=0),
        MLP([3, 4, 2], [("leaky_relu", 0.2)], output="softmax", dtype="float64", dropout=0.5, l2=1e-3, seed=2**64 - 1),
        MLP([2, 3, 3, 1], "sigmoid", task="binary", l2_form="sum", sparsity=(0.1, 2.0), seed=7),
    )
    path, found = folder / "seed", []
    for net in networks:
        net.save(path)
        found.append(path.read_bytes())
    return found


def mutate(rng: random.Random, content: bytes) -> bytes:
    """One to four changes."""
    for _ in range(rng.randint(1, 4)):
        # What was damaged before may have no header that could be changed.
        with contextlib.suppress(Exception):
            content = rng.choice((_damage, _alter_header, _alter_network, _alter_network, _alter_tensors))(rng, content)
    return content


def load(path: Path, content: bytes) -> bool:
    """Whether such a file is taken. Raises what is no `ModelFileError`, and AssertionError for an unsound network."""
    path.write_bytes(content)
    try:
        net = MLP.load(path)
    except ModelFileError:
        return False
    assert net.parameters.nbytes <= len(content), f"{net.parameters.nbytes} bytes from a file of {len(content)}"
    with np.errstate(all="ignore"):
        assert net.predict(np.zeros((1, net.sizes[0]))).shape == (1, net.sizes[-1])
    net.save(path)
    again = MLP.load(path)
    assert again.spec == net.spec
    np.testing.assert_array_equal(again.parameters, net.parameters)
    return True


def _damage(rng: random.Random, content: bytes) -> bytes:
    """Bytes changed, cut out, put in or doubled."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((0, 1, 1, 2, 8, 100)))
    new = bytes(rng.choice(_BYTES) for _ in range(rng.choice((0, 1, 1, 2, 8))))
    return content[:start] + rng.choice((new, new, content[start:end] * 2, b"")) + content[end:]


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _whole(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _signed(header: dict[str, Any], data: bytes) -> bytes:
    """The file with the checksum that belongs to its contents."""
    metadata = header["__metadata__"]
    digest = hashlib.sha256(metadata["network"].encode("utf-8", "surrogatepass"))
    for number in range(len(header)):
        for kind in ("weight", "bias"):
            tensor = header.get(f"layers.{number}.{kind}")
            if tensor:
                start, end = tensor["data_offsets"]
                digest.update(data[start:end])
    metadata["sha256"] = digest.hexdigest()
    return _whole(header, data)


def _alter_header(rng: random.Random, content: bytes) -> bytes:
    header, data = _parts(content)
    return rng.choice((_whole, _signed))(_altered(rng, header), data)


def _alter_network(rng: random.Random, content: bytes) -> bytes:
    header, data = _parts(content)
    metadata = header["__metadata__"]
    metadata["network"] = json.dumps(_altered(rng, json.loads(metadata["network"])))
    return _signed(header, data)


def _alter_tensors(rng: random.Random, content: bytes) -> bytes:
    """Other names, dtypes, shapes and places of the tensors, other numbers in them."""
    header, data = _parts(content)
    name = rng.choice([name for name in header if name != "__metadata__"])
    tensor, other = header[name], rng.choice(list(header.values()))
    change = rng.randrange(5)
    if change == 0:
        tensor["dtype"] = rng.choice(_DTYPES)
    elif change == 1:
        tensor["shape"] = rng.choice((tensor["shape"][::-1], [*tensor["shape"], 1], [], [0], [2**32, 2**32], [2**63]))
    elif change == 2:
        tensor["data_offsets"] = rng.choice((other.get("data_offsets"), [0, 0], [8, 0], [0, 2**63], [0, len(data)]))
    elif change == 3:
        header[rng.choice(("layers.0.weight", "layers.9.bias", "", "\0", "layers.00.weight"))] = header.pop(name)
    else:
        data = _damage(rng, data)
    return _signed(header, data)


def _altered(rng: random.Random, value: Any) -> Any:
    """The JSON value with one change somewhere within."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        change = rng.random()
        if change < 0.1:
            del value[key]
        elif change < 0.2 and isinstance(value, list):
            value.insert(key, value[key])
        elif change < 0.2:
            value[str(rng.choice(_VALUES))] = value[key]
        else:
            value[key] = _altered(rng, value[key])
        return value
    if isinstance(value, (int, float)) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 2, float(value), str(value)))
    return rng.choice(_VALUES)
