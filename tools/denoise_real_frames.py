"""What the shipped M1 does to real frames (numbers only): figures/recordings/m1_bodies.csv and m1_mannequin.csv.

    python tools/denoise_real_frames.py REAL_DEPTH

REAL_DEPTH holds ``kinect_v2_bodies/group1`` (DDRNet's layout, with ``color_map``) and ``truedepth_mannequin``. Bodies
come with a mask; the mannequin is found by depth thresholding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from facedepth_kit.cameras.recorded.depth_files import read_picture
from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.common.paths import figures_dir
from facedepth_kit.common.tables import write_table
from facedepth_kit.evaluation.bodies import read_body_pairs
from facedepth_kit.evaluation.denoising import real_frame_row
from facedepth_kit.sequences.denoisers import load_denoiser
from facedepth_kit.sequences.network_frames import person_by_depth


def main(root: Path) -> None:
    """Run and write both tables."""
    m1 = load_denoiser("M1")
    group = root / "kinect_v2_bodies" / "group1"
    bodies = []
    for pair in read_body_pairs(group):
        picture = np.asarray(read_picture(group / "color_map" / f"{pair.name}.png"), np.uint8)[..., :3]
        bodies.append(real_frame_row(pair.name, pair.noisy_mm, picture, pair.mask, m1, pair.fused_mm))
    mannequin = []
    for frame in RecordingFolder(root / "truedepth_mannequin"):
        if frame.picture is not None and frame.picture.ndim == 3:
            depth_mm, picture = frame.millimetres(), np.asarray(frame.picture, np.uint8)
            mannequin.append(real_frame_row(frame.name, depth_mm, picture, person_by_depth(depth_mm), m1))
    for name, rows in (("m1_bodies", bodies), ("m1_mannequin", mannequin)):
        write_table(figures_dir("recordings") / f"{name}.csv", rows, significant=4, overwrite=True)
        for key in rows[0]:
            if key != "frame":
                print(f"{name:<14}{key:<22}{np.mean([float(row[key]) for row in rows]):10.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
