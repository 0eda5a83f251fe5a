"""Try the alignment on simulated pairs: how far off are shift, rotation and translation, and where does it fail?

    python tools/try_alignment.py --seed 9001 --pairs 20

writes ``figures/recordings/alignment_trial.csv``, a row a pair. Resumable: pairs stay in ``build/alignment_trial``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.cameras.simulated.paired_recordings import PairSettings, read_truth, simulate_pair
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import repository_root
from facedepth_kit.common.tables import read_table, records, write_table
from facedepth_kit.sequences.alignment import align
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.reprojection import rotation_between_deg

SHIFT_MS, ROTATION_DEG, TRANSLATION_MM = 5.0, 0.5, 5.0


def tried(folder: Path, seed: int, number: int, settings: PairSettings) -> dict[str, Any]:
    """One pair, simulated unless it is there, and aligned: what was found beside the truth."""
    if not (folder / "truth" / "truth.json").is_file():
        simulate_pair(folder, seed=seed, number=number, settings=settings, overwrite=True)
    truth = read_truth(folder)
    row: dict[str, Any] = {"seed": seed, "person": number, "room": truth.room, "true_shift_ms": truth.shift_ms}
    try:
        found = align(PairedRecording(folder))
    except KitError as error:
        return row | {"failed": str(error).removeprefix(f"{folder}: ")}
    return row | {
        "shift_off_ms": found.shift_ms - truth.shift_ms,
        "nearest_frame_shift_off_ms": found.nearest_shift_ms - truth.shift_ms,
        "rotation_off_deg": rotation_between_deg(found.extrinsic, truth.extrinsic),
        "translation_off_mm": float(np.linalg.norm(found.extrinsic[:3, 3] - truth.extrinsic[:3, 3])),
        "key_points": found.matches,
        "moving": found.moving,
        "failed": "",
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first pair")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--lower-fps", type=float, default=12.0)
    parser.add_argument("--higher-fps", type=float, default=14.0)
    parser.add_argument("--work", type=Path, default=repository_root() / "build" / "alignment_trial")
    parser.add_argument(
        "--output", type=Path, default=repository_root() / "figures" / "recordings" / "alignment_trial.csv"
    )
    given = parser.parse_args()
    settings = PairSettings(seconds=given.seconds, lower_fps=given.lower_fps, higher_fps=given.higher_fps)
    rows = records(read_table(given.output, texts=("failed",))) if given.output.is_file() else []
    done = {(int(row["seed"]), int(row["person"])) for row in rows}
    for number in range(given.first, given.first + given.pairs):
        if (given.seed, number) in done:
            continue
        rows.append(tried(given.work / f"{given.seed}_{number:02d}", given.seed, number, settings))
        write_table(given.output, rows)
        print(rows[-1], flush=True)
    fine = [row for row in rows if not row["failed"]]
    near = sum(abs(float(row["shift_off_ms"])) <= SHIFT_MS for row in fine)
    rotation, translation = (
        float(np.median([float(row[name]) for row in fine])) for name in ("rotation_off_deg", "translation_off_mm")
    )
    print(f"shift within {SHIFT_MS:g} ms: {near} of {len(rows)}; ended in one line: {len(rows) - len(fine)}")
    print(f"median rotation off {rotation:.3f} degrees (wanted: {ROTATION_DEG:g} at most)")
    print(f"median translation off {translation:.2f} mm (wanted: {TRANSLATION_MM:g} at most)")


if __name__ == "__main__":
    main()
