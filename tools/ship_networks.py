"""Put trained networks into the package: 8 bits a weight (the largest kernels 6), and what that costs, on the card.

``python tools/ship_networks.py FOLDER [NAME ...]`` takes what ``facedepth train --export FOLDER`` wrote. The cost is
the relative change of the face RMSE on pairs that no network was trained on; more than half a percent is refused. The
card's row of Table IV comes from ``facedepth evaluate PAIRS --cards``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import SHIPPED_WEIGHTS
from facedepth_kit.depth import from_unit, to_unit
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.networks.build import build_network
from facedepth_kit.networks.cards import ModelCard, check_weights, write_network
from facedepth_kit.networks.weights import load_weights
from facedepth_kit.pairs.store import PairStore, synthesize

PAIRS, SEED = 64, 99
MOST = 0.005


def ship(card_path: Path, store: PairStore) -> ModelCard:
    """Write one network into the package; returns its card. Raises :class:`KitError` where that costs too much."""
    card, weights = check_weights(card_path)
    model = build_network(card.size, head_channels=card.head_channels)
    load_weights(model, weights)
    card.refuse_seen([store.faces])
    truth, degraded = store.batch(range(PAIRS))

    def error() -> float:
        answer = model.predict(to_unit(degraded)[..., None], batch_size=16, verbose=0)
        return float(np.mean(face_rmse(from_unit(answer[..., 0]), truth)))

    before = error()
    with TemporaryDirectory() as folder:
        load_weights(model, write_network(model, card, folder, storage="int8").with_suffix(".safetensors"))
        cost = error() / before - 1
        if cost > MOST:
            raise KitError(f"{card.name}: found {cost:.2%} more face RMSE with 8 bits, expected {MOST:.1%} at most")
    measured = card.measured | {"storage_cost": round(cost, 5)}
    # What the second rounding of rounded weights gives is the same again.
    return ModelCard.read(
        write_network(model, replace(card, measured=measured), SHIPPED_WEIGHTS, storage="int8", overwrite=True)
    )


def main() -> int:
    """Ship the networks of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="default: all of them")
    arguments = parser.parse_args()
    names = arguments.names or sorted(card.stem for card in arguments.folder.glob("*.json"))
    with TemporaryDirectory() as folder:
        store = synthesize(Path(folder) / "pairs", PAIRS, seed=SEED, workers=1, progress=False)
        for name in names:
            card = ship(arguments.folder / f"{name}.json", store)
            size = (SHIPPED_WEIGHTS / f"{name}.safetensors").stat().st_size
            sys.stdout.write(f"{name}: {size / 1e6:.2f} MB, storage costs {card.measured['storage_cost']:+.3%}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
