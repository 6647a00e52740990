"""Model files: what is written comes back; whatever was damaged, cut, altered or is none of ours is refused."""

import json
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS, on_both

from fastnn import MLP, ModelFileError

safetensors = pytest.importorskip("safetensors.numpy")


def _net(**options: object) -> MLP:
    return MLP([5, 4, 3], activation=[("leaky_relu", 0.2)], output="softmax", **{"seed": 2**64 - 1, **options})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    _net().save(path)
    return path


def _parts(path: Path) -> tuple[dict, dict]:
    """Tensors and metadata of a file, as an editor of such files sees them."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return safetensors.load(content), header["__metadata__"]


def _write(path: Path, tensors: dict, metadata: dict | None) -> Path:
    path.write_bytes(safetensors.save(tensors, metadata))
    return path


@on_both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(tmp_path: Path, backend: str, dtype: str) -> None:
    net = MLP(
        [5, 7, 4, 2],
        activation="sigmoid",
        output=("elu", 0.7),
        loss="squared_error",
        dropout=[0.1, 0.25],
        l2=1e-3,
        l2_form="sum",
        sparsity=(0.05, 2.0),
        dtype=dtype,
        seed=11,
        backend=backend,
    )
    path = tmp_path / "model.safetensors"
    net.save(path)
    for other in BACKENDS:
        again = MLP.load(path, backend=other)
        assert again.spec == net.spec
        assert again.backend == other
        np.testing.assert_array_equal(again.parameters, net.parameters)
    X = np.random.default_rng(0).normal(size=(6, 5))
    np.testing.assert_array_equal(MLP.load(str(path), backend=backend).predict(X), net.predict(X))
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_other_programs_can_read_it(saved: Path) -> None:
    tensors, metadata = _parts(saved)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    assert shapes == {
        "layers.0.weight": (5, 4),
        "layers.0.bias": (4,),
        "layers.1.weight": (4, 3),
        "layers.1.bias": (3,),
    }
    assert json.loads(metadata["network"])["sizes"] == [5, 4, 3]
    np.testing.assert_array_equal(tensors["layers.0.weight"], MLP.load(saved).weights[0])


def test_every_truncation_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, *range(200, len(content), 37), len(content) - 1]:
        saved.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"model\.safetensors: "):
            MLP.load(saved)


def test_every_changed_byte_is_refused_or_means_the_same(saved: Path) -> None:
    content, net = bytearray(saved.read_bytes()), MLP.load(saved)
    refused = 0
    for position in range(0, len(content), 3):
        changed = content.copy()
        changed[position] ^= 0x10
        saved.write_bytes(changed)
        try:
            again = MLP.load(saved)
        except ModelFileError:
            refused += 1
        else:  # such as a letter of white space in the header
            assert again.spec == net.spec
            np.testing.assert_array_equal(again.parameters, net.parameters)
    assert refused > 0.95 * len(range(0, len(content), 3))


def test_more_bytes_behind_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="damaged"):
        MLP.load(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 something else entirely, long enough to be read", "damaged"),
        (struct.pack("<Q", 2**63) + b"{}", "damaged"),
        (safetensors.save({"a": np.zeros(3, "f4")}), "not written by fastnn"),
        (safetensors.save({"a": np.zeros(3, "f4")}, {"format": "pt"}), "not written by fastnn"),
    ],
)
def test_files_of_others_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        MLP.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.update(format_version="2"), "wanted format version 1, got 2"),
        (lambda t, m: m.pop("format_version"), "got None"),
        (lambda t, m: m.pop("network"), "description of the network is damaged"),
        (lambda t, m: m.update(network="{}"), "wanted exactly the entries"),
        (lambda t, m: m.update(network="[" * 100_000), "description of the network is damaged"),
        (lambda t, m: m.update(network=m["network"].replace('"relu"', '"x"').replace("leaky_relu", "x")), "got 'x'"),
        (lambda t, m: m.update(network=m["network"].replace("[5, 4, 3]", "[5, 4.0, 3]")), "wanted an integer"),
        (lambda t, m: m.update(network=m["network"].replace("[5, 4, 3]", '"543"')), "sequence of integers"),
        (lambda t, m: m.update(network=m["network"].replace("[5, 4, 3]", "[5, 1000000000, 3]")), "wanted shape"),
        (lambda t, m: m.update(network=m["network"].replace("0.0]]", "NaN]]")), "'softmax' takes no alpha, got nan"),
        (lambda t, m: m.update(network=m["network"].replace("float32", "float64")), "wanted dtype float64, got F32"),
        (lambda t, m: m.update(network=m["network"].replace("18446744073709551615", "1")), "checksum"),
        (lambda t, m: m.update(sha256="0" * 64), "checksum"),
        (lambda t, m: m.pop("sha256"), "checksum"),
        (lambda t, m: t.pop("layers.1.bias"), "wanted the tensors .*got"),
        (lambda t, m: t.update(extra=np.zeros(1, "f4")), "got extra, layers.0.bias"),
        (
            lambda t, m: t.update({"layers.0.weight": t["layers.0.weight"].T.copy()}),
            r"wanted shape \(5, 4\), got \(4, 5\)",
        ),
        (lambda t, m: t.update({"layers.0.bias": t["layers.0.bias"].astype("f8")}), "wanted dtype float32, got F64"),
        (lambda t, m: t.update({"layers.0.bias": t["layers.0.bias"].astype("f2")}), "wanted dtype float32, got F16"),
        (lambda t, m: t["layers.0.bias"].fill(np.nan), "NaN or infinite"),
        (lambda t, m: t["layers.1.weight"].fill(np.inf), "NaN or infinite"),
        (lambda t, m: t["layers.1.weight"].fill(0.5), "checksum"),
    ],
)
def test_altered_files_are_refused_with_the_reason(saved: Path, change: object, message: str) -> None:
    tensors, metadata = _parts(saved)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    change(tensors, metadata)
    _write(saved, tensors, metadata)
    with pytest.raises(ModelFileError, match=message):
        MLP.load(saved)


# What runs code from data ends in one of these; a pickle that would, is there to show that they are seen.
EXECUTES = """
import pickle, sys
from pathlib import Path
from fastnn import MLP, ModelFileError

class Trap:
    def __reduce__(self):
        return (exec, ("TRAPPED = True",))

def load_all():
    assert MLP.load(files[0]).predict([1.0] * 5).shape == (3,)
    for path in files[1:]:
        try:
            MLP.load(path)
        except ModelFileError:
            pass
        else:
            raise AssertionError(f"{path} was accepted")

files = [Path(path) for path in sys.argv[1:]]
files[1].write_bytes(pickle.dumps(Trap()))
load_all()  # imports what it needs
seen, watched = [], ("compile", "exec", "import", "marshal.loads", "os.system", "pickle.find_class", "subprocess.Popen")
sys.addaudithook(lambda event, arguments: seen.append(event) if event in watched else None)
load_all()
assert seen == [], seen
pickle.loads(files[1].read_bytes())
assert {"pickle.find_class", "exec"} <= set(seen), seen
print("fine")
"""


def test_loading_executes_nothing(saved: Path, tmp_path: Path) -> None:
    tensors, metadata = _parts(saved)
    source = "__import__('os').system('true')"
    code = [
        metadata | {"network": source},
        metadata | {"network": metadata["network"].replace('"softmax"', f'"{source}"')},
    ]
    altered = [_write(tmp_path / f"code{i}", tensors, one) for i, one in enumerate(code)]
    command = [sys.executable, "-c", EXECUTES, str(saved), str(tmp_path / "pickle"), *map(str, altered)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


def test_a_missing_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        MLP.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match=str(tmp_path.name)):
        MLP.load(tmp_path)


def test_saving_what_could_not_be_loaded_is_refused(saved: Path) -> None:
    before, net = saved.read_bytes(), _net()
    net.biases[0][1] = np.nan
    with pytest.raises(ValueError, match="wanted finite numbers to save"):
        net.save(saved)
    assert saved.read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is full"):
        _net(seed=1).save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]
    with pytest.raises(FileNotFoundError):
        _net().save(saved.parent / "no folder" / "model")


posix = pytest.mark.skipif(os.name != "posix", reason="modes, links, pipes, and replacing a file that is open")


@posix
def test_saves_from_several_threads_do_not_meet(tmp_path: Path) -> None:
    path, nets = tmp_path / ("m" * 250), [MLP([300, 300, 2], seed=seed) for seed in range(4)]
    nets[0].save(path)
    with ThreadPoolExecutor(4) as pool:
        saves = [pool.submit(net.save, path) for net in nets * 10]
        while not all(save.done() for save in saves):
            assert MLP.load(path).seed < 4
        for save in saves:
            save.result()
    assert os.listdir(tmp_path) == [path.name]


@posix
def test_modes_stay_and_new_ones_are_the_umasks(saved: Path) -> None:
    saved.chmod(0o640)
    _net(seed=1).save(saved)
    assert saved.stat().st_mode & 0o777 == 0o640
    before = os.umask(0o027)
    try:
        _net().save(saved.parent / "new")
    finally:
        os.umask(before)
    assert (saved.parent / "new").stat().st_mode & 0o777 == 0o640


@posix
def test_what_a_link_points_to_is_replaced(saved: Path) -> None:
    (saved.parent / "folder").mkdir()
    for name, target in {"link": saved, "dangling": saved.parent / "folder" / "new"}.items():
        link = saved.parent / name
        link.symlink_to(target)
        _net(seed=1).save(link)
        assert link.is_symlink()
        assert MLP.load(target).seed == 1


@posix
def test_a_pipe_is_written_to(saved: Path) -> None:
    pipe = saved.parent / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # for both, so that neither side waits for the other
    try:
        _net(seed=1).save(pipe)
        assert pipe.is_fifo()
        saved.write_bytes(os.read(end, 1 << 16))
    finally:
        os.close(end)
    assert MLP.load(saved).seed == 1


@pytest.mark.parametrize("path", [-1, None, 1.5], ids=repr)
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(TypeError, match=f"path: wanted a path, got {path}"):
        MLP.load(path)
    with pytest.raises(TypeError, match=f"path: wanted a path, got {path}"):
        _net().save(path)


def test_the_callers_descriptor_stays_open(saved: Path) -> None:
    with open(saved, "rb") as file:
        with pytest.raises(TypeError, match="path: wanted a path, got"):
            MLP.load(file.fileno())
        os.fstat(file.fileno())


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes of POSIX")
def test_pipes(tmp_path: Path) -> None:
    """Written to as they are; not read, for that would wait."""
    code = "from fastnn import MLP; MLP([3, 2], seed=0).save('/dev/stdout')"
    written = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    (tmp_path / "file").write_bytes(written)
    np.testing.assert_array_equal(MLP.load(tmp_path / "file").parameters, MLP([3, 2], seed=0).parameters)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="pipe: wanted a regular file"):
        MLP.load(tmp_path / "pipe")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="model"):
        MLP([3, 2]).save(f"{tmp_path}/model{os.sep}")
    assert not list(tmp_path.iterdir())
