"""Who makes a training step, who predicts, who computes an activation: one file a rival, no timing here.

Each starts from our network's parameters. What a rival can be spared is spared: inputs are already in its own arrays,
results have buffers where it takes them, and of several ways to say the same the faster one is taken.
"""

from collections.abc import Callable
from functools import partial

from peers import with_jax, with_numpy, with_onnxruntime, with_sklearn, with_torch
from peers.contender import Call, Contender, Learner, Unavailable

__all__ = [
    "ADAM", "ESTIMATORS", "LEARNERS", "OPS", "OURS", "PREDICTIONS", "PRODUCTS", "STEPS", "Call", "Contender", "Learner",
    "Unavailable",
]  # fmt: skip

OURS = "fastnn"
# Each is made by (workload, dtype).
STEPS: dict[str, Callable[..., Contender]] = {
    OURS: with_numpy.our_step,
    "products": with_numpy.products,
    "NumPy": partial(with_numpy.our_step, backend="reference"),
    "JAX": with_jax.step,
    "JAX scan": with_jax.scan,
    "PyTorch": with_torch.step,
    "PyTorch compiled": with_torch.step_compiled,
    "scikit-learn": with_sklearn.step,
}
# Each is made by (workload, network, X).
PREDICTIONS: dict[str, Callable[..., Call]] = {
    OURS: with_numpy.our_predict,
    "NumPy": with_numpy.numpy_predict,
    "JAX": with_jax.predict,
    "PyTorch": with_torch.predict,
    "PyTorch compiled": with_torch.predict_compiled,
    "scikit-learn": with_sklearn.predict,
    "onnxruntime": with_onnxruntime.predict,
    "onnxruntime bound": with_onnxruntime.predict_bound,
}
# Each is made by (product, its operands x, W, dY, room for the result): one matrix product of a layer. Only ours
# follows FASTNN_GEMM; NumPy has OpenBLAS in its wheels, PyTorch has MKL.
PRODUCTS: dict[str, Callable[..., Call]] = {
    OURS: with_numpy.our_product,
    "NumPy's BLAS": with_numpy.product,
    "MKL": with_torch.product,
    "onnxruntime": with_onnxruntime.product,
}
# Each is made by (network at its start, X, y, batch size, learning rate of Adam, seed).
LEARNERS: dict[str, Callable[..., Learner]] = {
    OURS: with_numpy.our_learner,
    "JAX": with_jax.learner,
    "PyTorch": with_torch.learner,
    "scikit-learn": with_sklearn.learner,
}
# Each is made by (name of the activation, z).
OPS: dict[str, Callable[..., Call]] = {OURS: with_numpy.our_op, "NumPy": with_numpy.numpy_op, "PyTorch": with_torch.op}
# Each is made by (parameters, gradients), and has made two steps.
ADAM: dict[str, Callable[..., Call]] = {OURS: with_numpy.our_adam, "PyTorch": with_torch.adam}
# Each gives its class of a name, MLPClassifier or MLPRegressor.
ESTIMATORS: dict[str, Callable[..., type]] = {
    OURS: partial(with_sklearn.estimator, "fastnn.sklearn"),
    "scikit-learn": partial(with_sklearn.estimator, "sklearn.neural_network"),
}
