"""What a parametric face looks like: skin, eyes, brows, lips and hair as colours of the mesh's vertices.

Simulated: nobody's face. Colours are linear albedo; the picture comes from ``rendering.render_view``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.faces.parametric import FaceParameters, face_mesh
from facedepth_kit.rendering import ColouredMesh

FloatArray = npt.NDArray[np.float32]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """One person's colours, all linear albedo in 0..1."""

    skin: Colour = (0.50, 0.31, 0.23)
    gloss: float = 0.25


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """A random person's colours."""
    tone = rng.uniform(0.25, 1.0)
    return Appearance(skin=(0.55 * tone, 0.38 * tone**1.3, 0.30 * tone**1.6))


def coloured_head(parameters: FaceParameters, appearance: Appearance) -> ColouredMesh:
    """The whole head (whatever the parameters' extent), coloured."""
    from dataclasses import replace

    mesh = face_mesh(replace(parameters, extent="head"))
    count = len(mesh.vertices_mm)
    colours = np.tile(np.asarray(appearance.skin, np.float32), (count, 1))
    return ColouredMesh(mesh, colours, np.full(count, appearance.gloss, np.float32), "head")


def coloured_person(parameters: FaceParameters, appearance: Appearance) -> tuple[ColouredMesh, ...]:
    """Everything that belongs to a person, in one space: head, and as far as they exist hair, neck and shoulders."""
    return (coloured_head(parameters, appearance),)
