"""Networks of others in the second paper's Table 1 that run on their authors' weights, where the user has put them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir
from facedepth_kit.networks import ddd, drr
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.torch_files import load_torch_checkpoint, torch_names

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PublishedNetwork:
    """A network and its authors' file: where it lies in the data folder, its entry with the weights, its source.

    ``denoise`` takes the network's forward pass and millimetres (rows, columns), NaN = hole.
    """

    name: str
    file: Path
    entry: str
    source: str
    build: Callable[[], keras.Model]
    denoise: Callable[[Callable[[FloatArray], FloatArray], FloatArray], FloatArray]

    @property
    def path(self) -> Path:
        """Where its weights belong."""
        return data_dir() / self.file

    @property
    def fetch(self) -> str:
        """What a user has to do to have them."""
        return f"fetch {self.file.name} from {self.source} into the data folder as {self.file.as_posix()}"

    @property
    def present(self) -> bool:
        """Whether its file is there."""
        return self.path.is_file()

    def load(self) -> Callable[[FloatArray], FloatArray]:
        """The network with its weights: millimetres, NaN = hole, to denoised ones of the same shape.

        Raises :class:`KitError` for missing, damaged or foreign weights.
        """
        if not self.present:
            raise KitError(f"{self.path}: found no such file, expected {self.name}'s weights: {self.fetch}")
        model = self.build()
        load_torch_checkpoint(self.path, self.entry, torch_names(model), self.name)
        forward = compiled_forward(model)
        return lambda depth_mm: self.denoise(forward, depth_mm)


PUBLISHED_NETWORKS = (
    PublishedNetwork(
        ddd.NAME,
        Path("DDD", "ddd"),
        "model_state_dict",
        "the releases of github.com/VCL3D/DeepDepthDenoising",
        ddd.build_ddd,
        ddd.denoise,
    ),
    PublishedNetwork(
        drr.NAME,
        Path("DRR", "model_epoch_99.pth"),
        "model",
        "the authors of github.com/JunhoJeon/depth_refine_reconstruct",
        drr.build_drr,
        drr.denoise,
    ),
)
