"""The face that a panel shows: an identity by number, an expression by name, a pose by angles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import DepthImage, DepthRange
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, face_mesh, load_model
from facedepth_kit.pairs.store import SynthesisSettings, render_ground_truth
from facedepth_kit.rendering.camera import fit_camera, project_points

DRAWN = "random"
UNITS = "faceunits/"
FILL = 0.9  # share of the image that the face takes
# Action units of the face model at full strength; both sides move alike.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 1.0, "cheekSquint": 0.6, "mouthDimple": 0.4},
    "open mouth": {"jawOpen": 0.9, "mouthLowerDown": 0.3},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.8, "eyeWide": 0.8, "jawOpen": 0.6},
    "anger": {"browDown": 1.0, "noseSneer": 0.7, "mouthPress": 0.6},
    "sadness": {"browInnerUp": 0.8, "mouthFrown": 1.0, "mouthShrugLower": 0.5},
    "pursed lips": {"mouthPucker": 1.0},
    "puffed cheeks": {"cheekPuff": 1.0},
    "closed eyes": {"eyeBlink": 0.6},
    DRAWN: {},
}


@dataclass(frozen=True)
class FaceChoice:
    """What the pickers say: ``identity`` is a number to draw from, ``expression`` a name of ``EXPRESSIONS``,
    ``strength`` 0..1, the pose in degrees as of :class:`FaceParameters`."""

    identity: int = 1
    expression: str = "neutral"
    strength: float = 1.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    def parameters(self) -> FaceParameters:
        """The face model's parameters. Raises :class:`KitError` for an unknown expression."""
        if self.expression not in EXPRESSIONS:
            raise KitError(f"expression: found {self.expression!r}, expected one of {', '.join(EXPRESSIONS)}")
        # Both draws begin in the same way, so that a number is the same person with every expression.
        share = 1.0 if self.expression == DRAWN else 0.0
        drawn = draw_face(np.random.default_rng(self.identity), FaceSettings(expressive_share=share))
        targets = {
            name: weight * (self.strength if name.startswith(UNITS) else 1.0) for name, weight in drawn.targets.items()
        }
        known = load_model().rows
        for unit, weight in EXPRESSIONS[self.expression].items():
            for side in ("", "Left", "Right"):
                if f"{UNITS}{unit}{side}" in known:
                    targets[f"{UNITS}{unit}{side}"] = weight * self.strength
        return replace(
            drawn, targets=targets, yaw_deg=self.yaw_deg, pitch_deg=self.pitch_deg, roll_deg=self.roll_deg,
            azimuth_deg=64.0, top_mm=770.0, jaw_slope=0.5,
        )  # fmt: skip

    def render(self) -> tuple[DepthImage, DepthRange]:
        """The ground truth image of the face, in the middle of the image, and its depth range."""
        settings = SynthesisSettings(offset=0.0, fill=(FILL, FILL))
        return render_ground_truth(self.parameters(), settings, np.random.default_rng(self.identity))

    def landmarks(self) -> npt.NDArray[np.float64]:
        """The face model's own 68 landmarks in the image of :meth:`render`, float64 (68, 2) pixels."""

        parameters = self.parameters()
        camera = fit_camera(face_mesh(parameters), fill=FILL)
        return project_points(landmarks_68_mm(parameters), camera)
