"""What each ingredient of DL-Kit-2 brings: short trainings that leave one out, all alike otherwise.

    python tools/ablate.py --variants whole no-guess no-camera-pairs no-validity

trains every variant from the same seed for the same steps on the same faces and writes ``figures/recordings/
ablation.csv``: the face RMSE on calibrated pairs of faces of their own seed, and the error at holes punched into frames
of the simulated cameras, neither of which is a test set. These runs are short (``images_seen``): they say what helps
early. Without ``--variants`` all are trained. Resumable: runs stay in ``build/ablation``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated.data_sets import (
    KinectSettings,
    RealSenseSettings,
    kinect_recording,
    realsense_recording,
)
from facedepth_kit.common.paths import repository_root
from facedepth_kit.common.tables import write_table
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.evaluation.error import evaluate
from facedepth_kit.evaluation.punched import evaluate_punched
from facedepth_kit.evaluation.recordings import faces_in
from facedepth_kit.networks.cards import network_present
from facedepth_kit.networks.small import SMALL_SIZES, SmallSize
from facedepth_kit.pairs.recipes import Recipe, chosen_recipe, export_network, recipe_stores, train_recipe
from facedepth_kit.pairs.store import PairStore, synthesize

SEED = 5  # of the faces and cameras that the variants are compared on
SENSORS = ("Kinect v1", "D435")
BESIDE = ("Telea+bilateral", "DL-Kit-2")  # with what the shipped network, trained for longer, and OpenCV reach
SIZES = {"DL-Small-direct": SmallSize(guess=False), "DL-Small-half": SmallSize((16, 28, 48, 64, 64))}


@dataclass(frozen=True)
class Variant:
    """DL-Kit-2's recipe with some settings replaced: its network's size, its training's, its scenes'."""

    left_out: str
    size: str = "DL-Small"
    training: dict[str, Any] = field(default_factory=dict)
    scenes: dict[str, Any] = field(default_factory=dict)

    def of(self, recipe: Recipe, name: str) -> Recipe:
        """The variant of a recipe."""
        return replace(
            recipe,
            name=name,
            size=self.size,
            training=replace(recipe.training, **self.training),
            stages=tuple(replace(stage, scenes=replace(stage.scenes, **self.scenes)) for stage in recipe.stages),
        )


VARIANTS = {
    "whole": Variant("nothing"),
    "no-guess": Variant("the pyramid's guess: depth is told directly", size="DL-Small-direct"),
    "no-slope": Variant("the loss of slopes", training={"loss": "surface"}),
    "no-validity": Variant("the loss of slopes and validity as a channel of its own", training={"loss": "face"}),
    "no-camera-pairs": Variant("pairs as depth cameras show faces", scenes={"camera_share": 0.0}),
    "no-resampling": Variant("sensors of few pixels", scenes={"small_share": 0.0}),
    "half-as-wide": Variant("half of the channels", size="DL-Small-half"),
}


def simulated_frames(sensor: str, count: int) -> Iterator[RecordedFrame]:
    """A frame of each of ``count`` people, by a simulated camera."""
    for number in range(count):
        if sensor == "D435":
            yield from realsense_recording(SEED, number, "bona_fide", 1, RealSenseSettings())
        else:
            yield kinect_recording(SEED, number, "s1", "Neutral", KinectSettings())


def compare(names: list[str], pairs: PairStore, people: int) -> dict[str, dict[str, float]]:
    """Errors of enhancers on the validation pairs and at the holes punched into simulated frames."""
    found = evaluate(pairs, {name: enhancers.get(name).enhance for name in names})
    rows = {name: {"pairs": float(len(pairs)), "face_rmse": float(found.face[name].mean())} for name in names}
    for sensor in SENSORS:
        faces = [(frame, face) for frame, face, _ in faces_in(simulated_frames(sensor, people), [])]
        functions = {name: recording_enhancer(name) for name in names}
        for row in evaluate_punched(faces, functions, np.random.default_rng(SEED)):
            column = f"punched_{sensor.replace(' ', '_')}"
            rows[row.enhancer] |= {f"{column}_frames": row.frames, f"{column}_rmse_mm": row.common_rmse_mm}
    return rows


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="DL-Kit-2")
    parser.add_argument("--fraction", type=float, default=0.25, help="of the recipe's ground truths")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=200, help="validation pairs")
    parser.add_argument("--people", type=int, default=8, help="before each simulated camera")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--work", type=Path, default=repository_root() / "build" / "ablation")
    parser.add_argument("--output", type=Path, default=repository_root() / "figures" / "recordings" / "ablation.csv")
    given = parser.parse_args()
    SMALL_SIZES.update(SIZES)
    networks = given.work / "networks"
    os.environ["FACEDEPTH_WEIGHTS"] = str(networks)
    recipe = chosen_recipe(given.recipe, fraction=given.fraction, epochs=given.epochs)
    stores = recipe_stores(recipe, given.work / "pairs")
    for name in given.variants:
        if not network_present(name):
            trained = train_recipe(VARIANTS[name].of(recipe, name), stores, given.work / name)
            export_network(trained, networks, overwrite=True)
    validation = synthesize(given.work / "validation", given.pairs, seed=SEED)
    rows = compare([*given.variants, *BESIDE], validation, given.people)
    seen = sum(stage.ground_truths * stage.epochs for stage in recipe.stages)
    table = [
        {"network": name, "left_out": VARIANTS[name].left_out if name in VARIANTS else "", "images_seen": seen}
        | rows[name]
        for name in rows
    ]
    for line in table:
        if line["network"] not in VARIANTS:
            card = enhancers.get(str(line["network"]))
            line["images_seen"] = "" if card.kind != "learned" else "shipped"
    write_table(given.output, table, significant=4, overwrite=True)
    for line in table:
        print(*line.values(), sep="\t")


if __name__ == "__main__":
    main()
