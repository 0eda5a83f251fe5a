"""Speed of the enhancers, side by side in one run: milliseconds per image, one by one and in batches of 16.

`make bench` prints the tables. The goal on two cores: DL-Delta in 25 ms or less at the median, batches of 16 no slower.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from facedepth_kit.depth import DepthImage, from_unit, to_unit
from facedepth_kit.enhancers import available, get
from facedepth_kit.pairs.store import SynthesisSettings, make_pair

BATCH = 16


@pytest.fixture(scope="module")
def images() -> DepthImage:
    """Degraded faces, uint16 (16, 256, 256)."""
    return np.stack([make_pair(0, index, SynthesisSettings()).degraded[0] for index in range(BATCH)])


def milliseconds(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median and minimum of each work's time, in turns, so that a busy moment of the machine hits all alike."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - began) * 1e3)
    return {name: (float(np.median(values)), min(values)) for name, values in times.items()}


def test_every_enhancer(images: DepthImage) -> None:
    functions = {name: get(name).enhance for name in available()}
    single = milliseconds({name: partial(f, images[0]) for name, f in functions.items()}, 15)
    stacks = milliseconds({name: partial(f, images) for name, f in functions.items()}, 3)
    # DDRNet-dn has a fifth of DL-Delta's parameters, but works at full, half and quarter resolution only.
    reference = single["DL-Delta-1"][0] if "DL-Delta-1" in single else float("nan")
    print(f"\n{'ms per image':<26}{'one':>8}{'of 16':>8}{'fastest':>9}{'x DL-Delta':>12}")
    for name, (median, fastest) in single.items():
        print(f"{name:<26}{median:>8.2f}{stacks[name][0] / BATCH:>8.2f}{fastest:>9.2f}{median / reference:>12.2f}")


def test_ways_to_run_dl_delta(images: DepthImage) -> None:
    from facedepth_kit.networks.forward import compiled_forward
    from facedepth_kit.networks.unet import build_unet

    model = build_unet("DL-Delta")
    forward = compiled_forward(model)
    one, sixteen = to_unit(images[:1])[..., None], to_unit(images)[..., None]
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "the kit's way: compiled, one by one": (1, lambda: forward(one)),
        "with uint16 in and out": (1, lambda: from_unit(forward(to_unit(images[:1])[..., None]))),
        "16 images, one by one": (BATCH, lambda: [forward(sixteen[i : i + 1]) for i in range(BATCH)]),
        "16 images in fours": (BATCH, lambda: [forward(sixteen[i : i + 4]) for i in range(0, BATCH, 4)]),
        "16 images at once": (BATCH, lambda: forward(sixteen)),
        "predict_on_batch, one": (1, lambda: model.predict_on_batch(one)),
        "Model.predict, one": (1, lambda: model.predict(one, verbose=0)),
        "Model.predict, 16": (BATCH, lambda: model.predict(sixteen, batch_size=BATCH, verbose=0)),
        "the model called eagerly": (1, lambda: np.asarray(model(one, training=False))),
    }
    times = milliseconds({name: work for name, (_, work) in ways.items()}, 7)
    reference = times["the kit's way: compiled, one by one"][0]
    print(f"\n{'DL-Delta, ms per image':<38}{'median':>8}{'fastest':>9}{'ratio':>8}")
    for name, (count, _) in ways.items():
        median, fastest = (value / count for value in times[name])
        print(f"{name:<38}{median:>8.2f}{fastest:>9.2f}{median / reference:>8.2f}")
