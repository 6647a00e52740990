"""Every op of `fastnn.kernels` in plain NumPy: the definition of what each means, and what the tests compare with.

Imports NumPy, the standard library and `fastnn._table` only. The arithmetic is that of the arrays' dtype, float32 or
float64.
"""

from fastnn._table import ACTIVATIONS, LOSSES, UPDATES
from fastnn.reference.activations import (
    elu_forward,
    gelu_forward,
    identity_forward,
    leaky_relu_forward,
    relu_forward,
    sigmoid_forward,
    silu_forward,
    softmax_forward,
    softplus_forward,
    step_forward,
    tanh_forward,
)
from fastnn.reference.adaptive import adagrad_update, adam_update, adamw_update, rmsprop_update
from fastnn.reference.dense import affine_backward, affine_forward
from fastnn.reference.derivatives import (
    elu_backward,
    gelu_backward,
    identity_backward,
    leaky_relu_backward,
    relu_backward,
    sigmoid_backward,
    silu_backward,
    softmax_backward,
    softplus_backward,
    tanh_backward,
)
from fastnn.reference.losses import kl_sparsity, sigmoid_cross_entropy, softmax_cross_entropy, squared_error
from fastnn.reference.random import dropout_backward, dropout_forward, permutation, random_words
from fastnn.reference.updates import averaged_momentum_update, momentum_update, nesterov_update, sgd_update

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "UPDATES",
    "adagrad_update",
    "adam_update",
    "adamw_update",
    "affine_backward",
    "affine_forward",
    "averaged_momentum_update",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "identity_backward",
    "identity_forward",
    "kl_sparsity",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "momentum_update",
    "nesterov_update",
    "permutation",
    "random_words",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "sgd_update",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_backward",
    "softmax_cross_entropy",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "squared_error",
    "step_forward",
    "tanh_backward",
    "tanh_forward",
]
