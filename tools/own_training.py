"""What a student's own training of the small network reaches: figures/recordings/own_training.csv (numbers only).

    time facedepth train --recipe DL-Kit-2 --fraction 0.25 --epochs 12 --stop-after-minutes 20 --name mine \
        --output run --export my_networks
    facedepth synthesize --count 300 --seed 1 --output fresh
    python tools/own_training.py mine fresh REAL_DEPTH --cpu-minutes MINUTES

compares it with OpenCV's best rows and the shipped DL-Kit-2 on fresh pairs and at holes punched into the recordings of
REAL_DEPTH. MINUTES are those of CPU time that the first command took.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.common.paths import figures_dir
from facedepth_kit.common.tables import write_table
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.evaluation.error import evaluate
from facedepth_kit.evaluation.punched import evaluate_punched
from facedepth_kit.evaluation.recordings import faces_in
from facedepth_kit.networks.cards import ModelCard, network_files
from facedepth_kit.pairs.store import PairStore

BESIDE = ("Telea+bilateral", "Navier-Stokes+bilateral", "DL-Kit-2")
RECORDINGS = ("kinect_v2_faces", "truedepth_mannequin")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("real", type=Path)
    parser.add_argument("--cpu-minutes", type=float, required=True)
    parser.add_argument("--output", type=Path, default=figures_dir("recordings") / "own_training.csv")
    given = parser.parse_args()
    names = (given.name, *BESIDE)
    pairs = PairStore(given.pairs)
    errors = evaluate(pairs, {name: enhancers.get(name).enhance for name in names}).face
    rows: dict[str, dict[str, Any]] = {
        name: {"enhancer": name, "pairs": len(pairs), "face_rmse": errors[name].mean()} for name in names
    }
    for folder in RECORDINGS:
        faces = ((frame, face) for frame, face, _ in faces_in(open_recordings(given.real / folder), []))
        functions = {name: recording_enhancer(name) for name in names}
        for row in evaluate_punched(faces, functions, np.random.default_rng(0)):
            rows[row.enhancer] |= {
                f"{folder}_frames": row.frames,
                f"{folder}_rmse_mm": row.common_rmse_mm,
                f"{folder}_median_frame_mm": row.median_frame_rmse_mm,
            }
    card = ModelCard.read(network_files(given.name)[0])
    rows[given.name] |= {"images_seen": card.images_seen, "cpu_minutes": given.cpu_minutes}
    write_table(given.output, list(rows.values()), significant=5, overwrite=True)


if __name__ == "__main__":
    main()
