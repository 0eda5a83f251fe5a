"""The PAD panel: the 68 landmarks on the depth, which of them break which rule, and what a threshold makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, Picture
from facedepth_kit.evaluation.landmarks import Points
from facedepth_kit.evaluation.pad import LANDMARKS, PadResult, geometric_pad
from facedepth_kit.evaluation.relief import Relief, ReliefSettings, face_relief
from facedepth_kit.panels import parts, pictures
from facedepth_kit.panels.specimens import Specimen
from facedepth_kit.plots.colours import colourize, shaded_relief

SIDE_PX = 512
THRESHOLD = 0.1  # a start for the slider, no published value
# Told apart by the colour-blind; a landmark that breaks several rules shows the first of them in this order.
COLOURS = {
    "valid": (86, 180, 233),
    "jaw": (230, 159, 0),
    "before_nose": (213, 46, 34),
    "hole": (20, 20, 20),
}
RULES = {
    "hole": "has no depth (a hole)",
    "before_nose": "is nearer than the tip of the nose",
    "jaw": "jaw: nearer than the one before it, from the chin outwards",
}
VIEWS = (("colour", "colour"), ("shaded relief", "relief"), ("camera picture", "picture"))


class PadPanel(parts.Panel):
    """See :func:`pad_panel`. Its widgets are attributes: ``source``, ``enhancer``, ``threshold``, ``least_mm``,
    ``view``, ``numbered``; ``images`` by column ("input", "enhanced"), ``numbers``, ``verdicts``."""

    def __init__(self, specimens: Sequence[Specimen], enhancer: str, threshold: float) -> None:
        super().__init__()
        import ipywidgets as widgets

        self.specimens = list(specimens)
        self._outputs: dict[tuple[int, str], DepthImage] = {}
        wide = {"style": {"description_width": "124px"}, "layout": {"width": "98%"}}
        options = [(specimen.title, number) for number, specimen in enumerate(self.specimens)]
        self.source = widgets.Dropdown(options=options, value=0, description="image", **wide)
        self.enhancer = widgets.Dropdown(options=parts.able_enhancers(), value=enhancer, description="enhancer", **wide)
        self.threshold = widgets.FloatSlider(
            value=threshold,
            min=0,
            max=1,
            step=1 / LANDMARKS,
            description="PAD error from",
            readout_format=".3f",
            **wide,
        )
        self.least_mm = widgets.FloatSlider(
            value=ReliefSettings().least_mm,
            min=0,
            max=40,
            step=0.5,
            description="nose under (mm)",
            readout_format=".1f",
            **wide,
        )
        self.view = widgets.Dropdown(options=VIEWS, value="colour", description="shown", **wide)
        self.numbered = widgets.Checkbox(value=False, description="number the landmarks that fail", indent=False)
        self.images = {name: parts.picture() for name in ("input", "enhanced")}
        self.numbers, self.verdicts, self.about = widgets.HTML(), widgets.HTML(), widgets.HTML()
        for widget in (self.source, self.enhancer, self.threshold, self.least_mm, self.view, self.numbered):
            widget.observe(self.ask, names="value")
        self.enhancer.observe(lambda change: self.announce(change["new"]), names="value")
        self.widget = self._laid_out()
        self._draw()

    @property
    def specimen(self) -> Specimen:
        """The image that is shown."""
        return self.specimens[self.source.value]

    def refresh(self) -> None:
        """Hold the landmarks of input and enhanced image against the rules, and show what comes out."""
        specimen = self.specimen
        points = _points(specimen)
        depths = {"input": specimen.crop.depth, "enhanced": self._enhanced()}
        results = {name: geometric_pad(depth, points) for name, depth in depths.items()}
        reliefs = {name: face_relief(depth, points, specimen.crop.depth_range) for name, depth in depths.items()}
        for name, depth in depths.items():
            self.images[name].value = pictures.png(self._picture(depth, results[name]))
        self.numbers.value = _table_of_rules(results)
        self.verdicts.value = self._table_of_verdicts(results, reliefs)
        self.about.value = f'<div style="{parts.QUIET}">{specimen.note}</div>'

    def _enhanced(self) -> DepthImage:
        key = (self.source.value, self.enhancer.value)
        if key not in self._outputs:
            self._outputs[key] = self.specimen.enhanced(self.enhancer.value)
        return self._outputs[key]

    def _picture(self, depth: DepthImage, result: PadResult) -> Picture:
        specimen = self.specimen
        shown = np.where(specimen.area, depth, HOLE)
        if self.view.value == "picture" and specimen.crop.picture is not None:
            picture = specimen.crop.picture
        elif self.view.value == "relief":
            picture = shaded_relief(shown, specimen.crop.depth_range, pixel_mm=specimen.pixel_mm)
        else:
            picture = colourize(shown, specimen.crop.depth_range)
        return landmark_picture(picture, result, _points(specimen), numbered=self.numbered.value)

    def _table_of_verdicts(self, results: dict[str, PadResult], reliefs: dict[str, Relief]) -> str:
        plausible = replace(ReliefSettings(), least_mm=self.least_mm.value)
        rows = []
        for name, result in results.items():
            relief = reliefs[name]
            attack = result.error >= self.threshold.value
            nose = "not measurable" if np.isnan(relief.nose_mm) else f"{relief.nose_mm:.1f} mm"
            rows.append(
                [
                    name,
                    f"{int(result.invalid.sum())} of {LANDMARKS} = {result.error:.3f}",
                    "attack" if attack else "face",
                    nose,
                    "face" if relief.plausible(plausible) else "attack",
                ]
            )
        head = ["", "geometric PAD error", "verdict", "nose out of the sheet", "verdict"]
        return parts.table(head, rows)

    def _laid_out(self) -> Any:
        import ipywidgets as widgets

        legend = " ".join(
            f'<span style="white-space: nowrap"><svg width="14" height="12"><circle cx="6" cy="6" r="5" stroke="#888" '
            f'fill="rgb{COLOURS[name]}"/></svg>{RULES.get(name, "breaks no rule")}</span><br>'
            for name in reversed(COLOURS)
        )
        controls = [
            self.source,
            self.enhancer,
            self.view,
            self.numbered,
            parts.heading("Taken for an attack"),
            self.threshold,
            self.least_mm,
            parts.heading("Landmarks"),
            parts.note(legend),
            self.about,
            self.message,
        ]
        columns = [
            parts.column(name.capitalize(), image, widest=f"min({SIDE_PX}px, 45vh)")
            for name, image in self.images.items()
        ]
        return parts.side_by_side(controls, [widgets.HBox(columns), self.verdicts, self.numbers], width_px=380)


def pad_panel(
    specimens: Sequence[Specimen], *, enhancer: str = parts.FIRST_SHOWN, threshold: float = THRESHOLD
) -> PadPanel:
    """Landmarks on depth images before and after an enhancer, coloured by the rule of section IV-G that they break.

    Sliders move the threshold of the geometric PAD error and that of the kit's relief check. Raises :class:`KitError`
    without a specimen that has landmarks, or for an enhancer that cannot run here.
    """
    usable = [specimen for specimen in specimens if specimen.crop.landmarks is not None]
    if not usable:
        raise KitError("PAD panel: found no image with landmarks, expected one or more")
    if enhancer not in parts.able_enhancers():
        raise KitError(f"enhancer: found {enhancer!r}, expected one of {', '.join(parts.able_enhancers())}")
    return PadPanel(usable, enhancer, threshold)


def landmark_picture(picture: Picture, result: PadResult, landmarks: Points, *, numbered: bool = False) -> Picture:
    """A picture (height, width, 3), twice as large, with the 68 landmarks (68, 2) in the colour of the rule they break.

    ``numbered`` writes the number, from 1, beside each landmark that breaks one.
    """
    invalid = [(mask, COLOURS[rule]) for rule, mask in _by_first_rule(result).items()]
    large = pictures.with_landmarks(picture, landmarks, [(~result.invalid, COLOURS["valid"])], scale=2)
    return pictures.with_landmarks(large, landmarks, invalid, scale=2, enlarge=False, numbers=numbered)


def _points(specimen: Specimen) -> Any:
    assert specimen.crop.landmarks is not None
    return specimen.crop.landmarks


def _by_first_rule(result: PadResult) -> dict[str, Any]:
    """Each landmark that breaks a rule once, under the rule that its colour names."""
    masks = {"hole": result.hole}
    masks["before_nose"] = result.before_nose & ~result.hole
    masks["jaw"] = result.jaw & ~result.hole & ~result.before_nose
    return masks


def _table_of_rules(results: dict[str, PadResult]) -> str:
    """Which landmarks break which rule, by Dlib's numbers (from 1, as in Figure 12)."""
    rows = [
        [RULES[rule], *(_numbers(np.flatnonzero(getattr(result, rule)) + 1) for result in results.values())]
        for rule in RULES
    ]
    return parts.table(["landmark (from 1)", *results], rows, prose=True)


def _numbers(values: Any) -> str:
    """1, 2, 3, 7 as "1-3, 7"; a dash for none."""
    if not len(values):
        return "–"
    pieces = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ", ".join(f"{piece[0]}" if len(piece) == 1 else f"{piece[0]}-{piece[-1]}" for piece in pieces)
