"""Trained networks in a folder: ``NAME.safetensors`` beside ``NAME.json``, its model card."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import own_networks_dir, weights_dirs, write_atomically
from facedepth_kit.networks.weights import Storage, load_weights, save_weights, sha256_of

if TYPE_CHECKING:
    import keras

RECIPES = Path(__file__).parent / "recipes"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Faces:
    """Faces ``first`` to ``first + count`` of a source: "parametric" with its seed, or the digest of photos."""

    source: str
    seed: int
    count: int
    first: int = 0

    def meets(self, other: Faces) -> bool:
        """Whether both hold the same faces, if only some."""
        if (self.source, self.seed) != (other.source, other.seed):
            return False
        return self.first < other.first + other.count and other.first < self.first + self.count


@dataclass(frozen=True)
class ModelCard:
    """What a network is, what it has seen, and how good it was found.

    A network with two channels calls a pixel a hole where its validity lies below ``validity_threshold``, but never
    within ``fill_reach_px`` of a measured pixel: there a hole left open costs more than one filled in vain.
    ``trained_on`` are the faces it has seen, itself or in what it was started from. ``fraction`` is the share of the
    paper's counts. ``recipe`` holds the settings of its training, ``measured`` results with their conditions.
    """

    name: str
    size: str
    sha256: str
    head_channels: int = 1
    validity_threshold: float = 0.5
    fill_reach_px: float = 0.0
    parameters: int = 0
    pairs: str = ""
    trained_on: tuple[Faces, ...] = ()
    fraction: float | None = None
    started_from: str | None = None
    ground_truths: int = 0
    images_seen: int = 0
    images_seen_in_all: int = 0
    steps: int = 0
    epochs_finished: int = 0
    epochs_planned: int = 0
    training_seconds: float = 0.0
    machine: str = ""
    keras: str = ""
    backend: str = ""
    storage: Storage = "float32"
    loss_by_epoch: tuple[float, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: str | Path) -> ModelCard:
        """Read and check a model card. Raises :class:`KitError` if the file is missing, no JSON, or lacks a field."""
        path = Path(path)
        if not path.exists():
            raise KitError(f"{path}: no such file, expected a model card ({retrain_command(path.stem)})")
        try:
            card = read_json(path, ModelCard)
        except KitError as error:
            raise KitError(f"{error} (a model card, which {retrain_command(path.stem)} writes)") from None
        if card.head_channels not in (1, 2) or not 0 < card.validity_threshold < 1:
            found = f"{card.head_channels} channels, threshold {card.validity_threshold}"
            raise KitError(f"{path}: found {found}, expected 1 or 2, and a threshold within 0..1")
        return card

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the card as JSON, whole or not at all."""
        text = json.dumps(asdict(self), indent=1)
        with write_atomically(path, overwrite=overwrite) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def refuse_seen(self, faces: Iterable[Faces]) -> None:
        """Raise :class:`KitError` if the network was trained on some of these faces."""
        for tried in faces:
            for seen in self.trained_on:
                if seen.meets(tried):
                    raise KitError(
                        f"{self.name}: found test faces that it was trained on ({seen.source}, seed {seen.seed}, "
                        f"{seen.count} from {seen.first} on), expected others: choose another seed or other photos"
                    )


def retrain_command(name: str) -> str:
    """The command that makes the weights of that name."""
    if name == "DDRNet-dn":
        return "facedepth train-ddrnet --output run --export facedepth_kit/weights"
    recipe = f"--recipe {name}" if (RECIPES / f"{name}.yaml").is_file() else f"--recipe RECIPE --name {name}"
    return f"facedepth train {recipe} --output run --export facedepth_kit/weights"


def network_files(name: str, folder: str | Path | None = None) -> tuple[Path, Path]:
    """Model card and weights of that name; they need not exist.

    They lie in ``folder``; without one among those that the run has trained, the shipped ones, or else the user's own.
    """
    places = weights_dirs() if folder is None else (Path(folder),)
    place = next((one for one in places if (one / f"{name}.json").is_file()), places[0])
    return place / f"{name}.json", place / f"{name}{SUFFIX}"


def network_present(name: str) -> bool:
    """Whether there are a model card and weights of that name; neither is opened."""
    card, weights = network_files(name)
    return card.name == f"{name}.json" and card.is_file() and weights.is_file()


def model_cards() -> list[Path]:
    """The model cards of all networks, shipped and the user's own; a shipped network keeps its name."""
    found = {card.name: card for folder in reversed(weights_dirs()) for card in folder.glob("*.json")}
    return [found[name] for name in sorted(found)]


def own_networks() -> list[str]:
    """Names of the networks that the user has trained, but for those that a shipped one bears."""
    own = own_networks_dir()
    return [card.stem for card in model_cards() if card.parent == own and network_present(card.stem)]


def check_name(name: str) -> None:
    """Raise :class:`KitError` for a name that a network's files cannot have."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,99}", name):
        raise KitError(f"name: found {name[:60]!r}, expected letters, digits, points and hyphens, as in DL-Delta-1")


def refuse_existing_network(name: str, folder: str | Path, *, overwrite: bool) -> None:
    """Raise :class:`KitError` for a name that is none or taken, before long work begins."""
    check_name(name)
    if Path(folder).exists() and not Path(folder).is_dir():
        raise KitError(f"{folder}: found a file, expected a folder for the weights")
    for path in network_files(name, folder):
        if path.exists() and not overwrite:
            raise KitError(f"{path}: exists, expected a new name or --overwrite")


def check_weights(card_path: str | Path) -> tuple[ModelCard, Path]:
    """The card and its weights file, whose SHA-256 must be the card's. Raises :class:`KitError` if not."""
    card_path = Path(card_path)
    card = ModelCard.read(card_path)
    weights = card_path.with_suffix(SUFFIX) if card_path.suffix == ".json" else card_path
    again = retrain_command(card_path.stem)
    if not weights.is_file():
        raise KitError(f"{weights}: no such file, expected the weights of {card_path.stem}; {again} makes them anew")
    found = sha256_of(weights)
    if found != card.sha256:
        raise KitError(
            f"{weights}: found SHA-256 {found[:12]}..., expected {card.sha256[:12]}... as in {card_path.name}; "
            f"{again} makes it anew"
        )
    return card, weights


def load_checked(model: keras.Model, card_path: str | Path) -> ModelCard:
    """Read a card's weights into its network, after a look at their checksum."""
    card, weights = check_weights(card_path)
    load_weights(model, weights)
    return card


def write_network(
    model: keras.Model, card: ModelCard, folder: str | Path, *, storage: Storage = "float32", overwrite: bool = False
) -> Path:
    """Write a network's weights and its card, with the weights' checksum, into ``folder``; returns the card's path."""
    from dataclasses import replace

    import keras

    refuse_existing_network(card.name, folder, overwrite=overwrite)
    card_path, weights = network_files(card.name, folder)
    save_weights(model, weights, storage=storage, overwrite=overwrite)
    replace(
        card,
        sha256=sha256_of(weights),
        parameters=int(model.count_params()),
        storage=storage,
        keras=keras.__version__,
        backend=keras.backend.backend(),
    ).write(card_path, overwrite=overwrite)
    return card_path


def machine_name() -> str:
    """What a network was trained on, as its card says it."""
    import os
    import platform

    return f"{platform.machine()}, {os.cpu_count()} CPU cores"
