"""The enhancer panel: one depth image, what several enhancers make of it, and what they changed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, to_millimetres
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.panels import parts, pictures
from facedepth_kit.panels.specimens import Specimen, from_file, from_recordings
from facedepth_kit.plots.colours import colourize

TRUTH, GIVEN = "ground truth", "input"
MOST = 5  # enhancers side by side
NUMBERS = "font-size: 12px; line-height: 1.3; text-align: center; margin-top: 2px"
FROM_FOLDER = 24  # recordings of a folder that are offered
LEGEND = (
    "Second row, the difference to the input: <b style='color: #b2182b'>nearer</b>, "
    "<b style='color: #2166ac'>farther</b> (full colour from "
    f"{pictures.CHANGE_LIMIT_MM:g} mm on), <b style='color: rgb{pictures.FILLED}'>hole filled</b>, "
    "<b style='color: #888'>still a hole</b>. Third row: the relief, turned. Below: the share of the face that is "
    "holes, the mean change where the input has depth, and the face RMSE where the truth is known."
)


class EnhancerPanel(parts.Panel):
    """See :func:`enhancer_panel`. Its widgets are attributes: ``source``, ``enhancers``, ``place``, ``direction``,
    ``yaw``, ``pitch``, ``area_only``, ``path``, ``unit_mm``, ``open``, ``upload``; ``images`` by column and row."""

    def __init__(self, specimens: Sequence[Specimen], enhancers: Sequence[str]) -> None:
        super().__init__()
        import ipywidgets as widgets

        self.specimens = list(specimens)
        self._outputs: dict[tuple[int, str], DepthImage] = {}
        self._drawn: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.images: dict[tuple[str, str], Any] = {}
        wide = {"style": {"description_width": "84px"}, "layout": {"width": "98%"}}
        self.source = widgets.Dropdown(options=self._names(), value=0, description="image", **wide)
        self.enhancers = widgets.SelectMultiple(
            options=parts.able_enhancers(), value=tuple(enhancers), rows=7, description="enhancers", **wide
        )
        self.place = widgets.IntSlider(value=128, min=0, max=255, description="at pixel", **wide)
        self.direction = widgets.ToggleButtons(
            options=[("across", "row"), ("down", "column")],
            value="row",
            style={"button_width": "70px"},
        )
        self.yaw = widgets.FloatSlider(
            value=30, min=-80, max=80, step=1, description="turn (°)", readout_format=".0f", **wide
        )
        self.pitch = widgets.FloatSlider(
            value=0, min=-60, max=60, step=1, description="tip (°)", readout_format=".0f", **wide
        )
        self.front = parts.button("from the front")
        self.area_only = widgets.Checkbox(value=True, description="show the face area only", indent=False)
        self.path = widgets.Text(placeholder="path to a file, folder or .bag", description="path", **wide)
        self.unit_mm = widgets.BoundedFloatText(
            value=1.0, min=1e-6, max=1000, description="mm a step", style=wide["style"], layout={"width": "190px"}
        )
        self.open = parts.button("Open")
        self.upload = widgets.FileUpload(
            accept=".png,.tif,.tiff,.npy", multiple=False, description="Upload a depth file"
        )
        self.numbers: dict[str, Any] = {}
        self.profile, self.about = widgets.HTML(), widgets.HTML()
        self.gallery = widgets.HBox(layout={"width": "100%"})
        self._observe()
        self.widget = self._laid_out()
        self._draw()

    @property
    def specimen(self) -> Specimen:
        """The image that is shown."""
        return self.specimens[self.source.value]

    def add(self, specimens: Sequence[Specimen]) -> None:
        """Offer further images and show the first of them."""
        first = len(self.specimens)
        self.specimens += specimens
        self._held = True
        try:
            value = self.source.value
            self.source.options = self._names()
            self.source.value = value
        finally:
            self._held = False
        self.source.value = first

    def add_path(self, path: str | Path, *, unit_mm: float = 1.0) -> None:
        """Offer a depth file, or the first recordings of a folder or ``.bag``. Raises :class:`KitError`."""
        path = Path(path).expanduser()
        if path.is_dir() or path.suffix.lower() == ".bag":
            found = list(from_recordings(open_recordings(path), FROM_FOLDER))
            if not found:
                raise KitError(f"{path}: found no recording with a face that Dlib sees, expected one")
            self.add(found)
        else:
            self.add([from_file(path, unit_mm=unit_mm)])

    def _names(self) -> list[tuple[str, int]]:
        return [(specimen.title, number) for number, specimen in enumerate(self.specimens)]

    def _observe(self) -> None:
        for widget in (self.source, self.place, self.direction, self.yaw, self.pitch, self.area_only):
            widget.observe(self.ask, names="value")
        self.enhancers.observe(self._announce, names="value")
        self.enhancers.observe(self.ask, names="value")
        self.front.on_click(lambda _: self.set_all([(self.yaw, 0.0), (self.pitch, 0.0)]))
        self.open.on_click(lambda _: self._try(lambda: self.add_path(self.path.value, unit_mm=self.unit_mm.value)))
        self.upload.observe(self._uploaded, names="value")

    def _announce(self, change: Any) -> None:
        for name in change["new"][:MOST]:
            self.announce(name)

    def _try(self, work: Any) -> None:
        try:
            work()
        except (KitError, OSError) as error:
            self.say(str(error), wrong=True)
        else:
            self.say("")

    def _uploaded(self, change: Any) -> None:
        if not change["new"]:
            return
        file = change["new"][0]

        def read() -> None:
            # The readers take files; the name matters to them and to the reader.
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / Path(file["name"]).name
                path.write_bytes(bytes(file["content"]))
                try:
                    self.add_path(path, unit_mm=self.unit_mm.value)
                except KitError as error:
                    raise KitError(str(error).replace(str(path), path.name)) from None

        self._try(read)

    # --- how it follows ---

    def refresh(self) -> None:
        """Show the image and what the chosen enhancers make of it; only what has changed is drawn."""
        chosen = self.enhancers.value[:MOST]
        specimen = self.specimen
        columns = {GIVEN: specimen.crop.depth, **{name: self._enhanced(name) for name in chosen}}
        if specimen.ground_truth is not None:
            columns[TRUTH] = specimen.ground_truth
        self._columns(list(columns))
        place, direction = self.place.value, self.direction.value
        turn = (self.yaw.value, self.pitch.value)
        for name, depth in columns.items():
            shown = np.where(specimen.area, depth, HOLE) if self.area_only.value else depth
            same = (self.source.value, self.area_only.value)
            if self._changed(name, "colour", (*same, place, direction)):
                picture = pictures.with_line(colourize(shown, specimen.crop.depth_range), place, direction)
                self.images[name, "colour"].value = pictures.png(picture)
            if self._changed(name, "difference", same):
                picture = pictures.difference(shown, specimen.crop.depth, specimen.crop.depth_range)
                self.images[name, "difference"].value = pictures.png(picture)
            if self._changed(name, "relief", (*same, *turn)):
                picture = pictures.turned(
                    shown, specimen.crop.depth_range, pixel_mm=specimen.pixel_mm, yaw_deg=turn[0], pitch_deg=turn[1]
                )
                self.images[name, "relief"].value = pictures.png(picture)
        self._show_profile(columns, place, direction)
        self._show_numbers(columns)
        more = len(self.enhancers.value) - MOST
        about = f"{specimen.note}{f' The first {MOST} of the chosen enhancers are shown.' if more > 0 else ''}"
        self.about.value = f'<div style="{parts.QUIET}">{about}</div>'

    def _enhanced(self, name: str) -> DepthImage:
        key = (self.source.value, name)
        if key not in self._outputs:
            self._outputs[key] = self.specimen.enhanced(name)
        return self._outputs[key]

    def _changed(self, column: str, row: str, state: tuple[Any, ...]) -> bool:
        before = self._drawn.get((column, row))
        self._drawn[column, row] = state
        return before != state

    def _columns(self, names: list[str]) -> None:
        if names == list(dict.fromkeys(column for column, _ in self.images)):
            return
        self.images = {(name, row): parts.picture() for name in names for row in ("colour", "difference", "relief")}
        self.numbers = {name: parts.note("") for name in names}
        self._drawn = {}
        self.gallery.children = [
            parts.column(
                name,
                *(image for (column, _), image in self.images.items() if column == name),
                self.numbers[name],
                widest="min(224px, 21vh)",
                colour=colour,
                lines=3,
            )
            for name, colour in zip(names, pictures.LINES, strict=False)
        ]

    def _show_profile(self, columns: dict[str, DepthImage], place: int, direction: str) -> None:
        specimen = self.specimen
        along = (place, slice(None)) if direction == "row" else (slice(None), place)
        lines = []
        for depth in columns.values():
            depth_mm = to_millimetres(depth[along], specimen.crop.depth_range) - specimen.crop.depth_range.near_mm
            depth_mm[~specimen.area[along]] = np.nan
            lines.append(depth_mm)
        across = f"pixels along {direction} {place}"
        self.profile.value = pictures.profile_svg(lines, across=across)

    def _show_numbers(self, columns: dict[str, DepthImage]) -> None:
        specimen = self.specimen
        area, given = specimen.area, specimen.crop.depth
        measured = area & (given != HOLE)
        scale = specimen.crop.depth_range.span_mm / FARTHEST
        for name, depth in columns.items():
            both = measured & (depth != HOLE)
            change = np.abs(depth[both].astype(np.float64) - given[both]) * scale
            lines = [f"holes {np.mean(depth[area] == HOLE):.1%}"] if area.any() else []
            lines += [f"change {change.mean():.2f} mm"] if change.size else []
            if specimen.ground_truth is not None:
                lines.append(f"RMSE {face_rmse(depth, specimen.ground_truth):.4f}")
            self.numbers[name].value = f'<div style="{NUMBERS}">{"<br>".join(lines)}</div>'

    def _laid_out(self) -> Any:
        import ipywidgets as widgets

        see = [
            self.source,
            self.enhancers,
            parts.note("Ctrl or Shift with a click chooses several."),
            widgets.HBox([parts.heading("Depth along a line"), self.direction]),
            self.place,
            self.profile,
            parts.heading("Relief"),
            self.yaw,
            self.pitch,
            widgets.HBox([self.front, self.area_only]),
        ]
        own = [
            parts.note(
                "A depth file of 16 bits (PNG, TIFF, NPY), a folder of recordings or a RealSense .bag. An aligned "
                "picture beside <code>x_depth.png</code> (<code>x_color.png</code>, <code>x_infrared.png</code>) tells "
                "where the face is."
            ),
            self.path,
            widgets.HBox([self.unit_mm, self.open]),
            self.upload,
        ]
        tab = widgets.Tab([widgets.VBox(see), widgets.VBox(own)], titles=["Look", "Your own file"])
        return parts.side_by_side([tab, self.about, self.message], [self.gallery, parts.note(LEGEND)], width_px=380)


def enhancer_panel(
    specimens: Sequence[Specimen], *, enhancers: Sequence[str] = ("Hf-L", "Telea+bilateral")
) -> EnhancerPanel:
    """Depth images to choose from, and up to five enhancers side by side on the chosen one.

    Shows colour, the difference to the input, a relief that sliders turn, the depth along a line that a slider moves,
    and numbers. Readers may add files of their own. Raises :class:`KitError` without a specimen or for an enhancer
    that cannot run here.
    """
    if not specimens:
        raise KitError("enhancer panel: found no image, expected one or more")
    for name in enhancers:
        if name not in parts.able_enhancers():
            raise KitError(f"enhancer: found {name!r}, expected one of {', '.join(parts.able_enhancers())}")
    return EnhancerPanel(specimens, enhancers)
