"""Interactive panels: sliders whose observers set a picture's bytes, nothing else, so that headless runs never hang."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.degradation import DegradationSettings, degrade
from facedepth_kit.depth import HOLE, DepthImage, DepthRange, colourize, shaded_relief
from facedepth_kit.evaluation.error import face_rmse

if TYPE_CHECKING:
    import ipywidgets

# Setting, label with unit, lowest and highest value of the slider; in the order of Figure 5's stages.
SLIDERS: tuple[tuple[str, str, float, float], ...] = (
    ("outline_holes", "outline holes (count)", 0, 200),
    ("outline_hole_px", "outline hole size (px)", 1, 96),
    ("random_holes", "random holes (count)", 0, 250),
    ("random_hole_px", "random hole size (px)", 1, 96),
    ("noise_mm", "depth noise (mm)", 0, 40),
    ("blur_px", "blur width (px)", 1, 25),
)


def panel_picture(ground_truth: DepthImage, degraded: DepthImage, depth_range: DepthRange) -> bytes:
    """Ground truth and degraded image side by side, colour above, shaded relief below, as PNG bytes."""
    import cv2

    both = (ground_truth, degraded)
    rows = [
        np.hstack([colourize(depth, depth_range) for depth in both]),
        np.hstack([shaded_relief(depth, depth_range) for depth in both]),
    ]
    ok, encoded = cv2.imencode(".png", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok
    return bytes(encoded)


def degradation_panel(
    ground_truth: DepthImage, depth_range: DepthRange, *, settings: DegradationSettings | None = None, seed: int = 0
) -> ipywidgets.Widget:
    """Sliders for every setting of the degradation beside the face they degrade; numbers and picture follow.

    Returns a widget; its ``settings`` attribute is a function that gives the settings as they stand, to be saved with
    ``facedepth_kit.settings.save_yaml``.
    """
    import ipywidgets as widgets

    start = settings or DegradationSettings()
    sliders = {name: _slider(name, label, low, high, getattr(start, name)) for name, label, low, high in SLIDERS}
    helper = widgets.Dropdown(
        options=["keep", "random", "blurred"],
        value="keep",
        description="hole values",
        style=_WIDE,
        layout={"width": "95%"},
    )
    number = widgets.IntSlider(value=seed, min=0, max=99, description="seed", style=_WIDE, layout={"width": "95%"})
    reset = widgets.Button(description="Back to the calibrated values", layout={"width": "95%"})
    picture = widgets.Image(format="png", width=512, height=512)
    numbers = widgets.HTML()

    def current() -> DegradationSettings:
        return replace(start, **{name: slider.value for name, slider in sliders.items()})

    def refresh(_: Any = None) -> None:
        rng = np.random.default_rng(number.value)
        degraded = degrade(ground_truth, depth_range=depth_range, settings=current(), rng=rng, hole_values=helper.value)
        picture.value = panel_picture(ground_truth, degraded, depth_range)
        face = ground_truth != HOLE
        share = float(np.mean(degraded[face] == HOLE))
        numbers.value = (
            f"holes in the face: <b>{share:.1%}</b>, face RMSE: <b>{face_rmse(degraded, ground_truth):.4f}</b>"
        )

    def back(_: Any) -> None:
        for name, slider in sliders.items():
            slider.value = getattr(start, name)
        helper.value, number.value = "keep", seed

    for widget in (*sliders.values(), helper, number):
        widget.observe(refresh, names="value")
    reset.on_click(back)
    refresh()
    controls = widgets.VBox([*sliders.values(), helper, number, reset, numbers], layout={"width": "420px"})
    panel = widgets.HBox([controls, picture])
    panel.settings = current
    return panel


_WIDE = {"description_width": "150px"}


def _slider(name: str, label: str, low: float, high: float, value: Any) -> ipywidgets.Widget:
    import ipywidgets as widgets

    options: dict[str, Any] = {"description": label, "style": _WIDE, "layout": {"width": "95%"}, "tooltip": name}
    if not isinstance(value, tuple):
        return widgets.FloatSlider(value=value, min=low, max=high, step=0.5, **options)
    kind = widgets.IntRangeSlider if all(isinstance(end, int) for end in value) else widgets.FloatRangeSlider
    return kind(value=value, min=type(value[0])(low), max=type(value[0])(high), **options)
