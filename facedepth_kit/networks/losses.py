"""What training lowers: one function a loss, from a batch's target and prediction to a number.

The paper does not name its loss. Whole-image squared error leaves most of the face's error at its rim (face RMSE
0.037 in a trial, against 0.0203 with :func:`face_loss`), so the kit trains all seven networks with the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def image_loss(target: Any, prediction: Any) -> Any:
    """Mean squared error over the whole image, holes (1.0) included: the objective of the paper's networks here."""
    from keras import ops

    return ops.mean(ops.square(prediction - target))


def face_loss(target: Any, prediction: Any) -> Any:
    """Absolute plus four times squared error, weighted: ``target`` holds depth and :func:`face_weight` of each pixel.

    Shapes (n, 256, 256, 2) and (n, 256, 256, 1), depth 0..1. The rim outside the face does not count, so that a face
    pixel whose place is uncertain is not drawn into the background.
    """
    from keras import ops

    weight = target[..., 1]
    error = ops.abs(prediction[..., 0] - target[..., 0])
    return ops.sum(weight * (error + 4.0 * ops.square(error))) / (ops.sum(weight) + 1.0)


def surface_loss(target: Any, prediction: Any) -> Any:
    """The kit's objective: ``target`` holds depth and surface mask, ``prediction`` depth and the mask's logit.

    Both (n, 256, 256, 2), depth 0..1.
    Depth counts on the surface only (absolute plus four times squared error); the mask is learnt by cross-entropy.
    What the depth channel says off the surface is free, so no face pixel is drawn towards the background.
    """
    from keras import ops

    mask = target[..., 1]
    error = (prediction[..., 0] - target[..., 0]) * mask
    depth = (ops.sum(ops.abs(error)) + 4.0 * ops.sum(ops.square(error))) / (ops.sum(mask) + 1.0)
    logit = prediction[..., 1]
    entropy = ops.maximum(logit, 0.0) - logit * mask + ops.log1p(ops.exp(-ops.abs(logit)))
    return depth + 0.03 * ops.mean(entropy)


def slope_loss(target: Any, prediction: Any) -> Any:
    """:func:`surface_loss` plus half the absolute error of the steps to the right and down, so that relief looks right.

    A step counts where both of its pixels lie on the surface. Shapes as for :func:`surface_loss`.
    """
    from keras import ops

    mask = target[..., 1]
    error = prediction[..., 0] - target[..., 0]
    right = ops.abs(error[:, :, 1:] - error[:, :, :-1]) * mask[:, :, 1:] * mask[:, :, :-1]
    down = ops.abs(error[:, 1:] - error[:, :-1]) * mask[:, 1:] * mask[:, :-1]
    steps = (ops.sum(right) + ops.sum(down)) / (ops.sum(mask) + 1.0)
    return surface_loss(target, prediction) + 0.5 * steps


def masked_l1(target: Any, prediction: Any) -> Any:
    """Mean absolute error where something was measured; ``target`` (..., h, w, 2) holds depth and mask (0 or 1)."""
    from keras import ops

    mask = target[..., 1]
    return ops.sum(ops.abs(prediction[..., 0] - target[..., 0]) * mask) / (ops.sum(mask) + 1.0)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "image": image_loss,
    "face": face_loss,
    "surface": surface_loss,
    "slope": slope_loss,
    "masked": masked_l1,
}
# These teach a network two channels, depth and validity; the others depth alone.
TWO_CHANNELS = ("surface", "slope")
