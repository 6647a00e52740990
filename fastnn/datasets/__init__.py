"""Data to try a network on: real digits that ship with the package, MNIST files that you have, a computed flower.

Nothing here goes online. `load_digits` and `load_mnist` return the same `ImageData`: code for one works on the other.
"""

from fastnn.datasets._data import DataError, ImageData, stratified_split
from fastnn.datasets._digits import load_digits
from fastnn.datasets._flower import make_flower
from fastnn.datasets._mnist import load_mnist

__all__ = ["DataError", "ImageData", "load_digits", "load_mnist", "make_flower", "stratified_split"]
