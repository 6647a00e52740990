"""ONNX Runtime, which predicts and does not train."""

from typing import Any

import environment
import numpy as np
from workloads import Product, Workload

import fastnn
from peers.contender import Call, layers, need


def _options(runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = environment.threads()
    return options


def _session(workload: Workload, net: fastnn.MLP, rows: int) -> tuple[Any, Any]:
    """The runtime and a session of our network."""
    runtime, onnx = need("onnxruntime", "onnx")
    nodes, constants, source = [], [], "x"
    names = {"relu": "Relu", "tanh": "Tanh", "softmax": "Softmax", "sigmoid": "Sigmoid", "identity": "Identity"}
    parameters = layers(net)
    for k, (W, b) in enumerate(parameters):
        constants += [onnx.numpy_helper.from_array(a, f"{name}{k}") for name, a in (("W", W), ("b", b))]
        activation = names[workload.activation if k < len(parameters) - 1 else workload.output]
        nodes.append(onnx.helper.make_node("Gemm", [source, f"W{k}", f"b{k}"], [f"z{k}"]))
        source = "y" if k == len(parameters) - 1 else f"a{k}"
        nodes.append(onnx.helper.make_node(activation, [f"z{k}"], [source]))
    real = onnx.TensorProto.FLOAT
    ends = [
        onnx.helper.make_tensor_value_info(n, real, [rows, s])
        for n, s in zip("xy", (net.sizes[0], net.sizes[-1]), strict=True)
    ]
    graph = onnx.helper.make_graph(nodes, "mlp", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return runtime, _loaded(runtime, model)


def _loaded(runtime: Any, model: Any) -> Any:
    return runtime.InferenceSession(model.SerializeToString(), _options(runtime), providers=["CPUExecutionProvider"])


def product(product: Product, x: np.ndarray, W: np.ndarray, dY: np.ndarray, out: np.ndarray) -> Call:
    """One Gemm node, its arguments and result bound; forward, W is a constant of the model, which it packs once."""
    runtime, onnx = need("onnxruntime", "onnx")
    given = {"forward": {"x": x, "W": W}, "input gradient": {"d": dY, "W": W}, "weight gradient": {"x": x, "d": dY}}
    flags = {"input gradient": {"transB": 1}, "weight gradient": {"transA": 1}}.get(product.name, {})
    arrays = given[product.name]
    constant = ["W"] if product.name == "forward" else []
    real = onnx.helper.np_dtype_to_tensor_dtype(W.dtype)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", list(arrays), ["y"], **flags)],
        "product",
        [onnx.helper.make_tensor_value_info(n, real, a.shape) for n, a in arrays.items() if n not in constant],
        [onnx.helper.make_tensor_value_info("y", real, out.shape)],
        [onnx.numpy_helper.from_array(arrays[n], n) for n in constant],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    session = _loaded(runtime, model)
    return _bound(runtime, session, {n: a for n, a in arrays.items() if n not in constant}, out)


def _bound(runtime: Any, session: Any, given: dict[str, np.ndarray], out: np.ndarray) -> Call:
    """Runs a session with all its arguments and its result, named y, bound to arrays."""
    binding = session.io_binding()
    for name, array in given.items():
        binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_output("y", "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)

    def call() -> np.ndarray:
        session.run_with_iobinding(binding)
        return out

    return call


def predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """``session.run``."""
    _, session = _session(workload, net, len(X))
    return lambda: session.run(None, {"x": X})[0]


def predict_bound(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """``run_with_iobinding`` with input and output bound."""
    runtime, session = _session(workload, net, len(X))
    return _bound(runtime, session, {"x": X}, np.empty((len(X), net.sizes[-1]), np.float32))
