"""Pictures of training: loss curves, activations, images and decisions. Draws only; computes nothing about a network.

Every function returns a `matplotlib.figure.Figure`, writes it where ``path`` says, and can draw into a figure or
subfigure of yours instead of a new one (``figure=``). There is no global state: no pyplot, no display needed.
Colours are those of Okabe and Ito, which stay apart for colour-blind readers; line styles and markers differ as well.

matplotlib is imported on first use: ``pip install "fastnn[plot]"``.
"""

from fastnn.plot._curves import history, loss_curves, smoothed
from fastnn.plot._figure import new_figure
from fastnn.plot._histograms import activation_histograms
from fastnn.plot._images import as_images, image_grid, predictions
from fastnn.plot._plane import decision_boundary

__all__ = [
    "activation_histograms",
    "as_images",
    "decision_boundary",
    "history",
    "image_grid",
    "loss_curves",
    "new_figure",
    "predictions",
    "smoothed",
]
