"""The parametric face's own landmarks: Dlib's 68 points (iBUG's order) and KinectFaceDB's six marks, in 3D.

Points 17 to 67 are vertices of the model, chosen on the neutral face, so they follow identity, expression and pose.
The jaw (0 to 16) is no set of vertices: detectors trained on pictures put it where the face's outline is seen. So each
of its points has candidates from the front of the cheek to before the ear (or from the chin's front to the throat), and
the one that lies outermost in the image counts: the cheek's edge on the side that is turned away.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from facedepth_kit.faces.people.parametric import FaceParameters, Placement, face_placement, load_model, read_asset

FloatArray = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

JAW = slice(0, 17)
MARK_NAMES = ("left eye", "right eye", "nose tip", "mouth left", "mouth right", "chin")


@lru_cache(maxsize=1)
def _rows() -> tuple[sp.csr_matrix, tuple[int, ...]]:
    """Rows of the head's refinement for all candidates, one group a landmark, and the groups' sizes."""
    asset = read_asset("landmarks", "contours")
    groups = [*asset["contours"], *asset["landmarks"][17:, None]]
    vertices = np.concatenate(groups).astype(np.int64)
    return load_model(extent="head").refine[vertices], tuple(len(group) for group in groups)


def _outward(turn: FloatArray) -> Points:
    """The directions (17, 2) away from the face on the frontal rays of the jaw's points, turned with the head."""
    neutral = _rows()[0] @ load_model(extent="head").base
    sizes = _rows()[1]
    rays = np.stack([group.mean(axis=0)[:2] for group in np.split(neutral, np.cumsum(sizes)[:-1])[JAW]])
    rays = rays.astype(np.float64) - (0.0, 700.0)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    upright = np.linalg.svd(turn[:2, :2].astype(np.float64))
    in_image = upright.U @ upright.Vh  # the part of the pose that turns the image: roll
    return rays @ in_image.T


def _select(candidates: FloatArray, turn: FloatArray) -> Points:
    groups = np.split(candidates, np.cumsum(_rows()[1])[:-1])
    chosen = [group[0] for group in groups]
    for number, direction in enumerate(_outward(turn)):
        chosen[number] = groups[number][np.argmax(groups[number][:, :2] @ direction)]
    return np.asarray(chosen, np.float64)


def placed_landmarks_mm(placement: Placement) -> Points:
    """Like :func:`landmarks_68_mm`, for a face that has been placed already."""
    return _select(placement.place(_rows()[0] @ placement.coarse_mm), placement.turn)


def landmarks_68_mm(parameters: FaceParameters) -> Points:
    """Dlib's 68 points, float64 (68, 3) in millimetres, in the space of ``face_mesh(parameters)``.

    In iBUG's order as seen in the image: jaw 0-16 from the image's left, brows 17-26, nose 27-35, eyes 36-47, mouth
    48-67.
    """
    return placed_landmarks_mm(face_placement(parameters))


def marks_from_landmarks(landmarks: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """KinectFaceDB's six marks (6, n) from Dlib's 68 points (68, n): see ``MARK_NAMES``.

    Left and right as in the image; an eye is the middle of its corners and lids, the chin the lowest point of the jaw.
    """
    return np.stack(
        [
            landmarks[36:42].mean(axis=0),
            landmarks[42:48].mean(axis=0),
            landmarks[30],
            landmarks[48],
            landmarks[54],
            landmarks[8],
        ]
    )


def marks_mm(parameters: FaceParameters) -> Points:
    """KinectFaceDB's six marks, float64 (6, 3) in millimetres, in the space of ``face_mesh(parameters)``."""
    return np.asarray(marks_from_landmarks(landmarks_68_mm(parameters)), np.float64)
