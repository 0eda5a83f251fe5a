"""The degradation panel: a slider for every setting of Figure 5, and what the settings do to a face and its repair."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import repository_root
from facedepth_kit.common.settings import load_yaml, save_yaml
from facedepth_kit.depth import HOLE, DepthImage, DepthRange
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.pairs.degradation import (
    DegradationSettings,
    HoleValues,
    add_noise,
    blur_depth,
    blurred_hole_values,
    detect_outline,
    outline_holes,
    punch_holes,
    random_holes,
    randomize_hole_values,
)
from facedepth_kit.pairs.store import SynthesisSettings
from facedepth_kit.panels import parts, pictures
from facedepth_kit.panels.faces import EXPRESSIONS, FaceChoice


@dataclass(frozen=True)
class Control:
    """A slider: the setting it moves, what it is called, its unit, its ends and its step."""

    setting: str
    label: str
    unit: str
    low: float
    high: float
    step: float = 1.0


@dataclass(frozen=True)
class Stage:
    """A stage of Figure 5 and its sliders."""

    title: str
    controls: tuple[Control, ...]


STAGES = (
    Stage(
        "1. Outline region holes",
        (
            Control("outline_holes", "holes", "count", 0, 200),
            Control("outline_hole_px", "size", "px", 1, 96, 0.5),
        ),
    ),
    Stage(
        "2. Random holes",
        (Control("random_holes", "holes", "count", 0, 250), Control("random_hole_px", "size", "px", 1, 96, 0.5)),
    ),
    Stage("3. Per-pixel depth noise", (Control("noise_mm", "up to", "mm", 0, 40, 0.5),)),
    Stage("4. Blur", (Control("blur_px", "window", "px", 1, 31),)),
    Stage(
        "5. Values in holes (training only)",
        (
            Control("background", "depth", "share", 0, 1, 0.05),
            Control("background_blur_px", "cloud blur", "px", 1, 61),
        ),
    ),
)
POSE = (("yaw_deg", "yaw (°)", 60), ("pitch_deg", "pitch (°)", 30), ("roll_deg", "roll (°)", 30))
HOLE_VALUES = (
    ("left as holes (every evaluation)", "keep"),
    ("random values", "random"),
    ("blurred background", "blurred"),
)
MANY = 250  # holes drawn at least, of which the first are used: the ends of the sliders
ERROR_CAPTION = (
    "Third row, the error at each pixel of the face: black is none, brightest from "
    f"{pictures.ERROR_LIMIT:.0%} of the depth range on."
)


class DegradationPanel(parts.Panel):
    """See :func:`degradation_panel`. Its widgets are attributes, so that code may move what a reader would.

    ``sliders`` by setting, ``face`` by field of :class:`FaceChoice`, ``seed``, ``hole_values``, ``enhancer``,
    ``face_only``, ``reset_all``, ``resets`` by stage; ``images`` by what they show, ``numbers``.
    """

    def __init__(
        self, settings: DegradationSettings, face: FaceChoice, seed: int, enhancer: str, presets: Path | None
    ) -> None:
        super().__init__()
        import ipywidgets as widgets

        self.start = settings
        self.presets = presets
        self._base = SynthesisSettings()
        self._rendered: tuple[FaceChoice, Any] | None = None
        self.sliders = {
            control.setting: _slider(control, getattr(settings, control.setting))
            for stage in STAGES
            for control in stage.controls
        }
        self.hole_values = widgets.Dropdown(
            options=HOLE_VALUES, value="keep", description="values", style=_STYLE, layout={"width": "98%"}
        )
        self.seed = widgets.BoundedIntText(
            value=seed, min=0, max=999_999, description="draw no.", style=_STYLE, layout={"width": "160px"}
        )
        self.enhancer = widgets.Dropdown(
            options=parts.able_enhancers(),
            value=enhancer,
            description="enhancer",
            style=_STYLE,
            layout={"width": "98%"},
        )
        self.face_only = widgets.Checkbox(
            value=True, description="show the face area only, as the paper does", indent=False, layout={"width": "98%"}
        )
        self.face = _face_pickers(face)
        self.images = {name: parts.picture() for name in ("ground truth", "degraded", "enhanced")}
        self.numbers = widgets.HTML(layout={"margin": "0"})
        self.drawn = {name: parts.note("", margin="7px 6px 0 0") for name in drawn_counts(settings, seed)}
        self.reset_all = parts.button("Reset all", "every setting back to its calibrated value")
        self.resets = {
            stage.title: parts.button("reset", f"back to the calibrated values: {stage.title}") for stage in STAGES
        }
        self._widgets_of_presets()
        self._observe()
        self.widget = self._laid_out()
        self._draw()

    # --- what the widgets say ---

    def settings(self) -> DegradationSettings:
        """The degradation as the sliders stand."""
        return DegradationSettings(**{name: slider.value for name, slider in self.sliders.items()})

    def choice(self) -> FaceChoice:
        """The face as the pickers stand."""
        return FaceChoice(**{name: picker.value for name, picker in self.face.items()})

    def synthesis(self) -> SynthesisSettings:
        """What a preset holds: the degradation as it stands, in the settings that ``facedepth synthesize`` reads."""
        chosen = self.hole_values.value
        kinds = self._base.hole_values if chosen in self._base.hole_values else (chosen,)
        return replace(self._base, degradation=self.settings(), hole_values=kinds)

    # --- presets ---

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the settings as YAML for ``facedepth synthesize --settings``; a file that is there is kept unless
        ``overwrite``. Raises :class:`KitError`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_yaml(self.synthesis(), path, overwrite=overwrite)
        self._list_presets()
        return path

    def load(self, path: str | Path) -> None:
        """Set the sliders to a preset. Raises :class:`KitError` for another file; then nothing moves."""
        found = load_yaml(SynthesisSettings, path)
        self._base = found
        values = [(self.sliders[name], getattr(found.degradation, name)) for name in self.sliders]
        self.set_all([*values, (self.hole_values, found.hole_values[0])])

    def _widgets_of_presets(self) -> None:
        import ipywidgets as widgets

        self.preset_name = widgets.Text(
            value="my_degradation", description="name", style=_STYLE, layout={"width": "98%"}
        )
        self.preset_replace = widgets.Checkbox(value=False, description="replace a file of that name", indent=False)
        self.preset_save = parts.button("Save")
        self.preset_file = widgets.Dropdown(options=[], description="file", style=_STYLE, layout={"width": "98%"})
        self.preset_load = parts.button("Load")
        self.preset_save.on_click(self._save_clicked)
        self.preset_load.on_click(self._load_clicked)
        self._list_presets()

    def _list_presets(self) -> None:
        found = sorted(self.presets.glob("*.yaml")) if self.presets is not None and self.presets.is_dir() else []
        self.preset_file.options = [(path.name, path) for path in found]

    def _save_clicked(self, _: Any) -> None:
        name = self.preset_name.value.strip().removesuffix(".yaml")
        try:
            if self.presets is None or not re.fullmatch(r"[\w][\w .-]*", name):
                raise KitError(f"preset: found the name {name!r}, expected letters, digits, blanks, . _ or -")
            path = self.save(self.presets / f"{name}.yaml", overwrite=self.preset_replace.value)
        except (KitError, OSError) as error:
            self.say(str(error), wrong=True)
            return
        self.preset_file.value = path
        self.say(f"saved {_short(path)}")

    def _load_clicked(self, _: Any) -> None:
        path = self.preset_file.value
        if path is None:
            self.say("no preset saved yet")
            return
        try:
            self.load(path)
        except KitError as error:
            self.say(str(error), wrong=True)
            return
        self.say(f"loaded {path.name}")

    # --- how it follows ---

    def _observe(self) -> None:
        pickers = (self.hole_values, self.seed, self.enhancer, self.face_only, *self.face.values())
        for widget in (*self.sliders.values(), *pickers):
            widget.observe(self.ask, names="value")
        self.enhancer.observe(lambda change: self.announce(change["new"]), names="value")
        self.reset_all.on_click(lambda _: self.reset())
        for stage in STAGES:
            self.resets[stage.title].on_click(lambda _, stage=stage: self.reset(stage))

    def reset(self, stage: Stage | None = None) -> None:
        """All sliders, or those of one stage, back to the values that the panel was opened with."""
        controls = [control for one in ([stage] if stage else STAGES) for control in one.controls]
        values = [(self.sliders[control.setting], getattr(self.start, control.setting)) for control in controls]
        if stage is None or stage is STAGES[-1]:
            values.append((self.hole_values, "keep"))
        self.say("")
        self.set_all(values)

    def refresh(self) -> None:
        """Degrade the face that is picked, enhance it, and show all of it."""

        choice, settings = self.choice(), self.settings()
        if self._rendered is None or self._rendered[0] != choice:
            self._rendered = (choice, choice.render())
            ground_truth, depth_range = self._rendered[1]
            self.images["ground truth"].value = pictures.views(ground_truth, depth_range)
        ground_truth, depth_range = self._rendered[1]
        face = ground_truth != HOLE

        with_holes, degraded = degraded_steadily(
            ground_truth, depth_range, settings, seed=self.seed.value, hole_values=self.hole_values.value
        )
        enhanced = enhancers.get(self.enhancer.value).enhance(degraded)
        shown = [np.where(face, image, HOLE) if self.face_only.value else image for image in (degraded, enhanced)]
        maps = [pictures.error_map(image, ground_truth) for image in (degraded, enhanced)]
        self.images["degraded"].value = pictures.views(shown[0], depth_range, maps[0])
        self.images["enhanced"].value = pictures.views(shown[1], depth_range, maps[1])
        for name, count in drawn_counts(settings, self.seed.value).items():
            self.drawn[name].value = f'<div style="{parts.QUIET}; white-space: nowrap">drawn: {count}</div>'
        self.numbers.value = parts.table(
            ["face", "holes", "RMSE"],
            [
                ["degraded", f"{np.mean(with_holes[face] == HOLE):.1%}", f"{face_rmse(degraded, ground_truth):.4f}"],
                ["enhanced", f"{np.mean(enhanced[face] == HOLE):.1%}", f"{face_rmse(enhanced, ground_truth):.4f}"],
            ],
        )

    # --- how it is laid out ---

    def _laid_out(self) -> Any:
        import ipywidgets as widgets

        start = "the calibrated value" if self.start == DegradationSettings() else "the value at the start"
        rows: list[Any] = []
        for stage in STAGES:
            counts = [self.drawn[control.setting] for control in stage.controls if control.setting in self.drawn]
            rows.append(widgets.HBox([parts.heading(stage.title), *counts, self.resets[stage.title]]))
            if stage is STAGES[-1]:
                rows.append(self.hole_values)
            rows += [_row(control, self.sliders[control.setting], self.start) for control in stage.controls]
        another = parts.button("another draw", "other holes and other noise of the same strength")
        another.on_click(lambda _: setattr(self.seed, "value", self.seed.value + 1))
        face = [
            widgets.HBox([self.face["identity"], self._another_face()]),
            *(self.face[name] for name in ("expression", "strength", *(name for name, _, _ in POSE))),
            parts.note("A number is a person: the same one with every expression and pose."),
        ]
        presets = [
            parts.heading("Save as it stands"),
            self.preset_name,
            self.preset_replace,
            self.preset_save,
            parts.heading("Load"),
            self.preset_file,
            self.preset_load,
            parts.note("A preset is a settings file for <code>facedepth synthesize --settings</code>."),
        ]
        tabs = [("Degradation", rows), ("Face", face)] + ([("Presets", presets)] if self.presets is not None else [])
        tab = widgets.Tab([widgets.VBox(content) for _, content in tabs], titles=[title for title, _ in tabs])
        foot = widgets.HBox([self.seed, another, self.reset_all], layout={"flex_flow": "row wrap"})
        controls = [tab, foot, self.enhancer, self.face_only, self.message]
        below = {"ground truth": [self.numbers]}
        columns = [
            parts.column(name.capitalize(), image, *below.get(name, ()), widest="min(224px, 24vh)")
            for name, image in self.images.items()
        ]
        note = parts.note(f"{ERROR_CAPTION} In brackets beside a slider: {start}.")
        return parts.side_by_side(controls, [widgets.HBox(columns), note], width_px=372)

    def _another_face(self) -> Any:
        another = parts.button("next person")
        another.on_click(lambda _: setattr(self.face["identity"], "value", self.face["identity"].value + 1))
        return another


def _short(path: Path) -> str:
    """A path as a reader in the repository would type it."""
    try:
        return path.resolve().relative_to(repository_root().resolve()).as_posix()
    except (ValueError, KitError):
        return str(path)


def degradation_panel(
    *,
    settings: DegradationSettings | None = None,
    face: FaceChoice | None = None,
    seed: int = 0,
    enhancer: str = parts.FIRST_SHOWN,
    presets: str | Path | None = None,
) -> DegradationPanel:
    """Sliders for every setting of the degradation, a face to try them on, an enhancer to repair it.

    Shows ground truth, degraded and enhanced image (colour and shaded relief), an error map, hole share and face RMSE;
    all follow every change. ``settings`` is where the sliders start and what the resets go back to (default: the
    calibrated values); ``presets`` a folder to save settings to and load them from. The panel's ``settings()`` and
    ``synthesis()`` give what the sliders say. Raises :class:`KitError` for an enhancer that cannot run here.
    """
    if enhancer not in parts.able_enhancers():
        raise KitError(f"enhancer: found {enhancer!r}, expected one of {', '.join(parts.able_enhancers())}")
    folder = Path(presets) if presets is not None else None
    return DegradationPanel(settings or DegradationSettings(), face or FaceChoice(), seed, enhancer, folder)


def drawn_counts(settings: DegradationSettings, seed: int) -> dict[str, int]:
    """How many holes of each kind, and how wide a blur, the draw ``seed`` takes from the settings' ranges."""

    def count(stage: int, ends: tuple[int, int]) -> int:
        return ends[0] + int(np.random.default_rng([seed, stage]).random() * (ends[1] - ends[0] + 1))

    stages = {"outline_holes": 0, "random_holes": 2, "blur_px": 5}
    return {name: count(stage, getattr(settings, name)) for name, stage in stages.items()}


def degraded_steadily(
    ground_truth: DepthImage,
    depth_range: DepthRange,
    settings: DegradationSettings,
    *,
    seed: int,
    hole_values: HoleValues = "keep",
) -> tuple[DepthImage, DepthImage]:
    """Degrade as :func:`degrade` does, so that a small change of a setting changes little.

    There, every stage draws from one stream, and one hole more changes all draws after it, the blur included. Here each
    draw has its own stream: with more holes, the earlier ones stay. Any one image is as likely as there.
    Returns the image with holes left as holes and, uint16 like ``ground_truth``, as ``hole_values`` says.
    """

    def stream(stage: int) -> np.random.Generator:
        return np.random.default_rng([seed, stage])

    counts = drawn_counts(settings, seed)
    at_outline, anywhere = counts["outline_holes"], counts["random_holes"]
    many = replace(
        settings,
        outline_holes=(max(at_outline, MANY),) * 2,
        random_holes=(max(anywhere, MANY),) * 2,
    )
    outline = detect_outline(ground_truth)
    triangles = [
        outline_holes(outline, many, stream(1))[:at_outline],
        random_holes(many, stream(3), ground_truth.shape[-1])[:anywhere],
    ]
    degraded = punch_holes(ground_truth, np.concatenate(triangles))
    degraded = add_noise(degraded, depth_range, settings.noise_mm, stream(4))
    degraded = blur_depth(degraded, counts["blur_px"])
    if hole_values == "random":
        return degraded, randomize_hole_values(degraded, stream(6))
    if hole_values == "blurred":
        return degraded, blurred_hole_values(degraded, settings, stream(6))
    return degraded, degraded


_STYLE = {"description_width": "84px"}


def _slider(control: Control, value: Any) -> Any:
    """The slider of a setting; pairs are a range. A start beyond the ends widens them."""
    import ipywidgets as widgets

    options: dict[str, Any] = {
        "description": f"{control.label} ({control.unit})",
        "style": {"description_width": "104px"},
        "layout": {"width": "288px"},
        "tooltip": control.setting,
    }
    low, high = value if isinstance(value, tuple) else (value, value)
    kind = next(field.type for field in fields(DegradationSettings) if field.name == control.setting)
    ends: dict[str, Any] = {"min": min(control.low, low), "max": max(control.high, high)}
    if kind == "tuple[int, int]":
        ends = {name: int(end) for name, end in ends.items()}
        return widgets.IntRangeSlider(value=value, step=int(control.step), **ends, **options)
    if kind == "tuple[float, float]":
        digits = ".2f" if control.step < 0.1 else ".1f"
        return widgets.FloatRangeSlider(value=value, step=control.step, readout_format=digits, **ends, **options)
    return widgets.FloatSlider(value=value, step=control.step, readout_format=".1f", **ends, **options)


def _row(control: Control, slider: Any, start: DegradationSettings) -> Any:
    """A slider and, beside it, the value that it started with."""
    import ipywidgets as widgets

    value = getattr(start, control.setting)
    text = "–".join(f"{end:g}" for end in value) if isinstance(value, tuple) else f"{value:g}"
    source = parts.note(f'<span style="white-space: nowrap">({text})</span>', margin="6px 0 0 2px")
    return widgets.HBox([slider, source])


def _face_pickers(face: FaceChoice) -> dict[str, Any]:
    import ipywidgets as widgets

    wide = {"style": _STYLE, "layout": {"width": "98%"}}
    narrow = {"style": _STYLE, "layout": {"width": "190px"}}
    pickers: dict[str, Any] = {
        "identity": widgets.BoundedIntText(value=face.identity, min=0, max=999_999, description="person no.", **narrow),
        "expression": widgets.Dropdown(
            options=list(EXPRESSIONS), value=face.expression, description="expression", **wide
        ),
        "strength": widgets.FloatSlider(
            value=face.strength, min=0, max=1, step=0.05, description="strength", readout_format=".0%", **wide
        ),
    }
    for name, label, limit in POSE:
        pickers[name] = widgets.FloatSlider(
            value=getattr(face, name), min=-limit, max=limit, step=1, description=label, readout_format=".0f", **wide
        )
    return pickers
