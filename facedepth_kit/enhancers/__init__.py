"""The enhancers by name: depth image in, depth image out (section IV-C, Tables II to IV; the last rows are ours).

Nothing heavy is loaded before an enhancer is called: neither the RealSense SDK nor Keras.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import SIZE, DepthImage, check_depth
from facedepth_kit.networks.cards import Faces, ModelCard, network_files, network_present, own_networks

Kind = Literal["none", "hand-crafted", "classical", "learned"]


@dataclass(frozen=True)
class Enhancer:
    """One row of the comparison.

    ``enhance`` takes (256, 256) or (n, 256, 256) uint16 (hole 65535), leaves it as it is and returns a new array of
    the same shape and dtype. It may be called from several threads. It raises :class:`KitError` for another shape or
    dtype, for missing or damaged weights, or where the RealSense SDK does not load. ``ours`` marks rows that the paper
    does not have. ``note`` is :func:`stand_in`'s.
    """

    name: str
    kind: Kind
    ours: bool
    description: str
    enhance: Callable[[DepthImage], DepthImage]
    note: str = ""


_DESCRIPTIONS: dict[str, tuple[Kind, str]] = {
    "None": ("none", "the degraded image as it is"),
    "De-M2": ("hand-crafted", "RealSense decimation, magnitude 2, scaled back bilinearly"),
    "De-M8": ("hand-crafted", "RealSense decimation, magnitude 8, scaled back bilinearly"),
    "Hf-FFA": ("hand-crafted", "RealSense hole filling, farthest from around"),
    "Hf-NFA": ("hand-crafted", "RealSense hole filling, nearest from around"),
    "Hf-L": ("hand-crafted", "RealSense hole filling, from the left"),
    "Sp-Hf16": ("hand-crafted", "RealSense spatial filter, hole filling up to 16 pixels"),
    "Sp-HfU": ("hand-crafted", "RealSense spatial filter, unlimited hole filling"),
    "DL-Alpha": ("learned", "U-Net of 6,731,041 parameters"),
    "DL-Beta": ("learned", "U-Net of 13,746,881 parameters"),
    "DL-Gamma": ("learned", "U-Net of 11,593,825 parameters"),
    "DL-Delta-1": ("learned", "U-Net of 4,175,713 parameters"),
    "DL-Delta-2": ("learned", "DL-Delta-1 trained once more"),
    "DL-Delta-3": ("learned", "DL-Delta-2 trained once more"),
    "DL-Delta-4": ("learned", "DL-Delta-3 trained once more"),
    "DDRNet-dn": ("learned", "denoising network of Yan et al. for whole bodies, 868,001 parameters"),
    "Telea": ("classical", "OpenCV inpainting by Telea's method (ours)"),
    "Navier-Stokes": ("classical", "OpenCV inpainting by the Navier-Stokes method (ours)"),
    "Telea+bilateral": ("classical", "Telea's inpainting, then a bilateral filter (ours)"),
    "Navier-Stokes+bilateral": ("classical", "Navier-Stokes inpainting, then a bilateral filter (ours)"),
    "DL-Kit-0": ("learned", "DL-Delta's U-Net, trained by a schedule of the kit's own (ours)"),
    "DL-Kit-1": ("learned", "DL-Delta's U-Net with an objective of the kit's own (ours): depth and validity apart"),
    "DL-Kit-2": ("learned", "the kit's small network, a seventh of DL-Delta's operations (ours)"),
}
# Filters that section IV speaks of without giving them a row: they run by name and are not in names().
_REMARKED = {
    "Sp": "RealSense spatial filter without hole filling",
    **{f"De-M{magnitude}": f"RealSense decimation, magnitude {magnitude}" for magnitude in range(3, 8)},
}
_OURS = ("Telea", "Navier-Stokes", "Telea+bilateral", "Navier-Stokes+bilateral", "DL-Kit-0", "DL-Kit-1", "DL-Kit-2")


# Enhancers of a user's own code, in this process.
_registered: dict[str, Enhancer] = {}


def register(
    name: str, enhance: Callable[[DepthImage], DepthImage], description: str = "an enhancer of your own"
) -> None:
    """Add an enhancer of one's own: from now on it stands in :func:`names`, runs by name and is offered by panels.

    ``enhance`` takes one depth image, (256, 256) uint16 with hole 65535, and returns another; stacks are taken apart
    here. Registering a name again replaces it. It holds for this process only. Raises :class:`KitError` for a name of
    the kit; the enhancer raises it for a result of another shape or dtype.
    """
    if name in _DESCRIPTIONS or name in _REMARKED or not name.strip():
        raise KitError(f"enhancer: found the name {name!r}, expected one that the kit does not have")

    def checked(depth: DepthImage) -> DepthImage:
        check_depth(depth)
        result = np.empty(depth.shape, np.uint16)
        for image, out in zip(depth.reshape(-1, SIZE, SIZE), result.reshape(-1, SIZE, SIZE), strict=True):
            made = check_depth(np.asarray(enhance(image.copy())), f"what {name} returned")
            if made.shape != image.shape:
                raise KitError(f"what {name} returned: found shape {made.shape}, expected {image.shape}")
            out[...] = made
        return result

    _registered[name] = Enhancer(name, "classical", True, description, checked)


def names() -> list[str]:
    """All enhancers, with or without weights: the paper's in its order, then ours, then those that were registered."""
    return [*_DESCRIPTIONS, *_registered]


def available() -> list[str]:
    """Those of :func:`names` that can run here: weights are present, and so is the RealSense SDK's package."""
    from facedepth_kit.enhancers import ddrnet
    from facedepth_kit.networks.ddrnet import NAME as DDRNET

    sdk = importlib.util.find_spec("pyrealsense2") is not None
    able = {"none": True, "classical": True, "hand-crafted": sdk}
    kinds = {name: kind for name, (kind, _) in _DESCRIPTIONS.items()}
    return [
        name
        for name in names()
        if name not in kinds
        or (network_present(name) if kinds[name] == "learned" else able[kinds[name]])
        or (name == DDRNET and ddrnet.find_checkpoint() is not None)
    ]


def offered() -> list[str]:
    """What commands and panels offer: :func:`available`, then the networks that the user has trained.

    The papers' tables take :func:`available`, so that they stay the same when somebody trains a network.
    """
    able = available()
    return [*able, *(name for name in own_networks() if name not in able)]


def stand_in(name: str) -> str:
    """What runs under a name of the paper in place of the paper's own weights; empty where nothing does.

    Tables and pictures say it beside the row: such numbers are not comparable with the published ones. It answers from
    which files are there, without opening them.
    """
    from facedepth_kit.enhancers import ddrnet
    from facedepth_kit.networks.ddrnet import NAME as DDRNET

    if name != DDRNET or ddrnet.find_checkpoint() is not None:
        return ""
    return "stand-in: trained by the kit on simulated people, not comparable"


def training_remark(chosen: Iterable[str] | None = None) -> str:
    """On how much of the paper's images its networks (among ``chosen``) were trained, as a sentence; empty for none."""
    papers = [name for name, (kind, _) in _DESCRIPTIONS.items() if kind == "learned" and name not in _OURS]
    shares: dict[float, list[str]] = {}
    for name in papers if chosen is None else [name for name in chosen if name in papers]:
        share = ModelCard.read(network_files(name)[0]).fraction if network_present(name) else None
        if share is not None:
            shares.setdefault(share, []).append(name)
    found = [f"{', '.join(names)} with {100 * share:.3g} %" for share, names in shares.items() if share < 1]
    return f"Trained with a part of the paper's images only: {'; '.join(found)}." if found else ""


def refuse_trained_on(names: Iterable[str], faces: Faces) -> None:
    """Raise :class:`KitError` if one of these enhancers was trained on some of the faces that it is to be tried on.

    Networks without weights or card are passed over; so is DDRNet-dn, which learns from whole bodies.
    """
    for name in names:
        if name and network_present(name):
            ModelCard.read(network_files(name)[0]).refuse_seen([faces])


def get(name: str) -> Enhancer:
    """The enhancer of that name; any other name works, too, if a model card in a weights folder bears it.

    Raises :class:`KitError`, naming the known ones, if there is none. A learned enhancer's weights are read and
    checked when it is first called.
    """
    if name in _registered:
        return _registered[name]
    if name in _REMARKED:
        return Enhancer(name, "hand-crafted", False, _REMARKED[name], _function(name, "hand-crafted"))
    if name not in _DESCRIPTIONS:
        from facedepth_kit.enhancers.learned import learned_enhancer

        # Networks that the user trained under a name of their own.
        if name and network_present(name):
            return Enhancer(name, "learned", True, "a network of your own", learned_enhancer(name))
        raise KitError(f"enhancer: found {name!r}, expected one of {', '.join(names())}")
    kind, description = _DESCRIPTIONS[name]
    note = stand_in(name)
    described = f"{description} ({note})" if note else description
    return Enhancer(name, kind, name in _OURS, described, _function(name, kind), note)


def _function(name: str, kind: Kind) -> Callable[[DepthImage], DepthImage]:
    if kind == "hand-crafted":

        def enhance(depth: DepthImage) -> DepthImage:
            from facedepth_kit.enhancers.filters import REMARKED, TABLE_II, filtered

            return filtered(depth, (TABLE_II | REMARKED)[name])

    elif kind == "classical":

        def enhance(depth: DepthImage) -> DepthImage:
            from facedepth_kit.enhancers.inpainting import ROWS, inpainted

            return inpainted(depth, ROWS[name])

    elif name == "DDRNet-dn":
        from facedepth_kit.enhancers.ddrnet import ddrnet_enhancer

        return ddrnet_enhancer()

    elif kind == "learned":
        from facedepth_kit.enhancers.learned import learned_enhancer

        return learned_enhancer(name)

    else:

        def enhance(depth: DepthImage) -> DepthImage:
            return check_depth(depth).copy()

    return enhance
