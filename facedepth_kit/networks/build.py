"""The enhancers' networks by the name of their size: the U-Nets of Table III and the small one of the kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import SIZE
from facedepth_kit.networks.small import SMALL_SIZES, build_small
from facedepth_kit.networks.unet import SIZES, build_unet

if TYPE_CHECKING:
    import keras


def sizes() -> list[str]:
    """The names of all sizes that can be built and trained."""
    return [*SIZES, *SMALL_SIZES]


def side_step(size: str) -> int:
    """What the side of a network's images must be a multiple of, in pixels."""
    return SIZE if size in SMALL_SIZES else 2 ** len(SIZES[size].filters)


def build_network(size: str, *, head_channels: int = 1, side: int | None = SIZE) -> keras.Model:
    """Build an untrained network of a named size, as :func:`facedepth_kit.networks.unet.build_unet` does.

    Raises :class:`KitError` for an unknown name.
    """
    if size not in sizes():
        raise KitError(f"network: found size {size!r}, expected one of {', '.join(sizes())}")
    build = build_small if size in SMALL_SIZES else build_unet
    return build(size, head_channels=head_channels, side=side)
