"""ONNX Runtime, which predicts and does not train."""

from typing import Any

import environment
import numpy as np
from workloads import Workload

import fastnn
from peers.contender import Call, layers, need


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
    options = runtime.SessionOptions()
    options.intra_op_num_threads = environment.threads()
    return runtime, runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def predict(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """``session.run``."""
    _, session = _session(workload, net, len(X))
    return lambda: session.run(None, {"x": X})[0]


def predict_bound(workload: Workload, net: fastnn.MLP, X: np.ndarray) -> Call:
    """``run_with_iobinding`` with input and output bound."""
    runtime, session = _session(workload, net, len(X))
    binding = session.io_binding()
    out = np.empty((len(X), net.sizes[-1]), np.float32)
    value = runtime.OrtValue.ortvalue_from_numpy(X)
    binding.bind_ortvalue_input("x", value)
    binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)

    def call() -> np.ndarray:
        session.run_with_iobinding(binding)
        return out

    return call
