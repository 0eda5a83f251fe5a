"""The alignment panel: one camera's picture laid over the other's, with sliders for the clocks and the mounting."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from facedepth_kit.panels import parts, pictures
from facedepth_kit.plots.alignment import chequered
from facedepth_kit.sequences.alignment import Alignment
from facedepth_kit.sequences.clocks import nearest_frames
from facedepth_kit.sequences.recordings import ColourDepth, PairedRecording
from facedepth_kit.sequences.reprojection import Matrix, reproject

TURNS, SHIFTS = ("yaw", "pitch", "roll"), ("right", "down", "forward")


class AlignmentPanel(parts.Panel):
    """See :func:`alignment_panel`. Widgets: ``frame``, ``shift_ms``, ``turns`` and ``offsets`` by name."""

    def __init__(self, pair: PairedRecording, alignment: Alignment) -> None:
        super().__init__()
        import ipywidgets as widgets

        self.pair, self.alignment = pair, alignment
        self._read: dict[tuple[str, int], ColourDepth] = {}
        wide = {"style": {"description_width": "96px"}, "layout": {"width": "98%"}}
        last = len(pair.lower) - 1
        self.frame = widgets.IntSlider(value=last // 2, min=0, max=last, description="frame", **wide)
        self.shift_ms = widgets.FloatSlider(
            value=0, min=-150, max=150, step=1, description="shift (ms)", readout_format=".0f", **wide
        )
        self.turns = {
            name: widgets.FloatSlider(value=0, min=-8, max=8, step=0.05, description=f"{name} (°)", **wide)
            for name in TURNS
        }
        self.offsets = {
            name: widgets.FloatSlider(
                value=0, min=-250, max=250, step=1, description=f"{name} (mm)", readout_format=".0f", **wide
            )
            for name in SHIFTS
        }
        self.found = parts.button("what the alignment found")
        self.reset = parts.button("start: identity")
        self.image, self.about = parts.picture(), widgets.HTML()
        for slider in (self.frame, self.shift_ms, *self.turns.values(), *self.offsets.values()):
            slider.observe(self.ask, names="value")
        self.found.on_click(lambda _: self.show(self.alignment.shift_ms, self.alignment.extrinsic))
        self.reset.on_click(lambda _: self.show(round(self._equal_starts_ms), np.eye(4)))
        controls = [self.frame, self.shift_ms, *self.turns.values(), *self.offsets.values()]
        controls += [widgets.HBox([self.found, self.reset]), self.about, self.message]
        self.widget = parts.side_by_side(controls, [parts.column("", self.image, widest="480px")], width_px=380)
        self.show(round(self._equal_starts_ms), np.eye(4))

    @property
    def _equal_starts_ms(self) -> float:
        return float(self.pair.lower.times_ms[0] - self.pair.higher.times_ms[0])

    @property
    def extrinsic(self) -> Matrix:
        """The transform (4, 4) that the sliders say."""
        matrix = np.eye(4)
        angles = [self.turns[name].value for name in TURNS]
        matrix[:3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
        matrix[:3, 3] = [self.offsets[name].value for name in SHIFTS]
        return matrix

    def show(self, shift_ms: float, extrinsic: Matrix) -> None:
        """Put the sliders where a shift and a transform (4, 4) say."""
        angles = Rotation.from_matrix(extrinsic[:3, :3]).as_euler("YXZ", degrees=True)
        values = [(self.shift_ms, shift_ms)]
        values += [(self.turns[name], float(angle)) for name, angle in zip(TURNS, angles, strict=True)]
        values += [(self.offsets[name], float(mm)) for name, mm in zip(SHIFTS, extrinsic[:3, 3], strict=True)]
        self.set_all(values)

    def refresh(self) -> None:
        """Reproject the partner of the frame with what the sliders say, and lay it over."""
        lower, higher = self.pair.lower, self.pair.higher
        i = self.frame.value
        j = int(nearest_frames(lower.times_ms[[i]], higher.times_ms, self.shift_ms.value)[0])
        here, there = self._frame("lower", i), self._frame("higher", j)
        arrived = reproject(there.depth_mm, higher.intrinsics, self.extrinsic, lower.intrinsics)
        self.image.value = pictures.png(chequered(here.picture, arrived.picture(there.picture)))
        both = np.isfinite(arrived.depth_mm) & np.isfinite(here.depth_mm)
        apart = float(np.median(np.abs(arrived.depth_mm - here.depth_mm)[both])) if both.any() else float("nan")
        late = float(lower.times_ms[i] - higher.times_ms[j] - self.shift_ms.value)
        self.about.value = parts.table(
            ["", ""],
            [
                ["its partner", higher.names[j]],
                ["taken", f"{-late:+.0f} ms later"],
                ["depths differ by", f"{apart:.0f} mm"],
            ],
        )

    def _frame(self, stream: str, index: int) -> ColourDepth:
        if (stream, index) not in self._read:
            self._read[stream, index] = getattr(self.pair, stream).read(index)
        return self._read[stream, index]


def alignment_panel(pair: PairedRecording, alignment: Alignment) -> Any:
    """A panel that lays the better camera's picture over the other one's, in squares (section 4).

    Sliders for the shift between the clocks (ms) and the six numbers of the transform between the cameras (degrees and
    millimetres); a button puts them where ``alignment`` says.
    """
    return AlignmentPanel(pair, alignment)
