"""The small network in OpenVINO (the extra ``fast``): exported once by a command, then run without TensorFlow.

Its convolutions run in bfloat16 where the processor has it. What lies before and after them stays float32: depth itself
in bfloat16 would be off by a millimetre. ``export.json`` holds what that costs and brings.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import own_networks_dir, write_folder_atomically
from facedepth_kit.networks.cards import ModelCard, load_checked, network_files
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.small import SMALL_SIZES, build_small, parts

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
Forward = Callable[[FloatArray], FloatArray]
ABOUT = "export.json"
STREAMS = 2
PRECISION = {"before": "f32", "core": "bf16", "after": "f32"}


def installed() -> bool:
    """Whether OpenVINO is there."""
    return importlib.util.find_spec("openvino") is not None


def _openvino() -> Any:
    """OpenVINO without its telemetry, which would report every export and forks a process whose threads hold locks."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: an import finds nothing
    return importlib.import_module("openvino")


def export_folder(name: str) -> Path:
    """Where ``facedepth export`` puts a network, and where it is looked for: beside the user's own networks."""
    return own_networks_dir() / f"{name}.openvino"


def exported(name: str) -> bool:
    """Whether OpenVINO can run that network here: installed, and exported from the very weights that are there now."""
    about, (card, _) = export_folder(name) / ABOUT, network_files(name)
    if not (installed() and about.is_file() and card.is_file()):
        return False
    return read_json(about, dict[str, Any]).get("sha256") == ModelCard.read(card).sha256


def export(name: str, images: FloatArray, *, overwrite: bool = False) -> dict[str, Any]:
    """Export the weights of that name into :func:`export_folder`, and compare them with float32 on ``images``.

    ``images`` are (n, 256, 256, 1) in 0..1, hole 1. Returns what ``export.json`` says: the depth's error as shares of
    the span, the validity's as a logit, and the CPU time of an image in both. Raises :class:`KitError` for a network
    of another kind, without OpenVINO, and where an export exists.
    """
    if not installed():
        raise KitError('openvino: not installed, expected the extra "fast" (pip install "facedepth-kit[fast]")')
    card_path, _ = network_files(name)
    card = ModelCard.read(card_path)
    if card.size not in SMALL_SIZES:
        raise KitError(f"{name}: found a network of size {card.size}, expected one of {', '.join(SMALL_SIZES)}")
    folder = export_folder(name)
    if folder.exists() and not overwrite:
        raise KitError(f"{folder}: exists, expected a new name or --overwrite")
    model = build_small(card.size, head_channels=card.head_channels)
    load_checked(model, card_path)
    with write_folder_atomically(folder, overwrite=overwrite) as temporary:
        _convert(model, temporary)
        about = {"name": name, "sha256": card.sha256} | compare(compiled_forward(model), forward(temporary), images)
        (temporary / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about


def _convert(model: keras.Model, folder: Path) -> None:
    openvino = _openvino()
    import tensorflow as tf

    for part, network in parts(model).items():
        signature = [tf.TensorSpec((1, *given.shape[1:]), tf.float32) for given in network.inputs]
        graph = tf.function(partial(_run, network), input_signature=signature)
        openvino.save_model(openvino.convert_model(graph.get_concrete_function()), folder / f"{part}.xml", False)


def _run(network: keras.Model, *given: Any) -> Any:
    return network(given[0] if len(given) == 1 else list(given), training=False)


def forward(folder: Path) -> Forward:
    """An exported network's forward pass, (n, 256, 256, 1) to (n, 256, 256, channels) float32, image by image.

    It may be called from several threads; up to two run side by side, each on a core of its own: less work than two
    cores on one image, which wait for each other. Raises :class:`KitError` where the export is damaged.
    """
    openvino = _openvino()

    core = openvino.Core()
    try:
        compiled = {
            part: core.compile_model(
                folder / f"{part}.xml",
                "CPU",
                {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": STREAMS, "INFERENCE_NUM_THREADS": STREAMS},
            )
            for part, precision in PRECISION.items()
        }
    except RuntimeError as error:
        raise KitError(f"{folder}: found no readable export; facedepth export --overwrite makes it anew") from error
    own = threading.local()

    def run(images: FloatArray) -> FloatArray:
        if not hasattr(own, "requests"):
            own.requests = {part: network.create_infer_request() for part, network in compiled.items()}
        before, middle, after = (own.requests[part] for part in PRECISION)
        results = []
        for image in images:
            seen = before.infer([image[None]])
            said = middle.infer([seen[0]])
            results.append(np.array(after.infer([said[0], seen[1]])[0]))
        return np.concatenate(results)

    return run


def compare(exact: Forward, fast: Forward, images: FloatArray) -> dict[str, Any]:
    """The error of a fast forward pass against an exact one on images (n, 256, 256, 1), and the CPU time of both.

    CPU times are each the shortest of all images, in turns, after one that does not count.
    """
    for run in (exact, fast):
        run(images[:1])
    times: dict[str, list[float]] = {"exact": [], "fast": []}
    errors = []
    for image in images:
        made = {}
        for name, run in (("exact", exact), ("fast", fast)):
            began = time.process_time()
            made[name] = run(image[None])
            times[name].append(1000 * (time.process_time() - began))
        errors.append(np.abs(made["fast"] - made["exact"])[0])
    error = np.stack(errors)
    return {
        "images": len(images),
        "depth_error_mean": float(error[..., 0].mean()),
        "depth_error_999": float(np.quantile(error[..., 0], 0.999)),
        "depth_error_max": float(error[..., 0].max()),
        "logit_error_max": float(error[..., 1:].max(initial=0.0)),
        "exact_cpu_ms": min(times["exact"]),
        "fast_cpu_ms": min(times["fast"]),
        "ratio": min(times["fast"]) / min(times["exact"]),
    }
