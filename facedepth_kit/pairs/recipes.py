"""Recipes: how each network is trained, as YAML files (section IV-C), at any fraction of the paper's counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, load_yaml, settings_hash, to_dict
from facedepth_kit.depth import SIZE
from facedepth_kit.networks.build import build_network, side_step, sizes
from facedepth_kit.networks.cards import (
    RECIPES,
    Faces,
    ModelCard,
    check_name,
    check_weights,
    machine_name,
    network_files,
    write_network,
)
from facedepth_kit.networks.losses import TWO_CHANNELS
from facedepth_kit.networks.trainer import Progress, TrainingSettings, train
from facedepth_kit.networks.weights import Storage, load_weights
from facedepth_kit.pairs.store import PairStore, SynthesisSettings, synthesize
from facedepth_kit.pairs.training_batches import Stage, StoreBatches

if TYPE_CHECKING:
    import keras

PAPERS = ("DL-Delta-1", "DL-Delta-2", "DL-Delta-3", "DL-Delta-4", "DL-Alpha", "DL-Beta", "DL-Gamma")
NARROWED = 0.1  # new channels of a widened head start at this share of their random values


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, stage after stage; counts are the paper's, and scale by one fraction.

    ``size`` names the network (Table III, or ``DL-Small``), ``start_from`` the one whose weights it begins with.
    ``synthesis`` says how pairs are made; a stage's hole values replace its own. ``validity_threshold`` and
    ``fill_reach_px`` are the model card's. ``fraction`` is the share of the paper's counts that the stages hold
    (:meth:`at`).
    """

    name: str = "DL-Delta-1"
    size: str = "DL-Delta"
    start_from: str | None = None
    batch: int = 16
    stages: tuple[Stage, ...] = (Stage(),)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)
    validity_threshold: float = 0.5
    fill_reach_px: float = 0.0
    fraction: float = 1.0

    def __post_init__(self) -> None:
        check_name(self.name)
        check_name(self.start_from or self.name)
        if self.size not in sizes():
            raise KitError(f"size: found {self.size!r}, expected one of {', '.join(sizes())}")
        if not self.stages:
            raise KitError("stages: found none, expected one or more")
        for side in (side for stage in self.stages for side in stage.resolution_px):
            if side % (step := side_step(self.size)):
                raise KitError(f"resolution_px: found {side}, expected a multiple of {step} for {self.size}")
        check_bounds(self, batch=(1, 4096), validity_threshold=(0, 1), fill_reach_px=(0, SIZE), fraction=(0, 1))

    def at(self, fraction: float) -> Recipe:
        """The recipe with ``fraction`` of its ground truths, as many in each chunk; epochs stay."""
        if not 0 < fraction <= 1:
            raise KitError(f"fraction: found {fraction}, expected a number above 0, at most 1")
        stages = [
            replace(stage, ground_truths=max(round(stage.ground_truths * fraction / stage.chunks), 1) * stage.chunks)
            for stage in self.stages
        ]
        return replace(self, stages=tuple(stages), fraction=fraction)

    @property
    def head_channels(self) -> int:
        """Channels of the network's output: depth, and with some losses its validity."""
        return 2 if self.training.loss in TWO_CHANNELS else 1

    def build(self, side: int | None = None) -> keras.Model:
        """The untrained network, for images of any size or of one side."""
        return build_network(self.size, head_channels=self.head_channels, side=side)

    def in_few_steps(self) -> Recipe:
        """The recipe with one small step or three a stage, to see that it runs; such a network has learnt nothing."""
        side = max(SIZE // 2, side_step(self.size))
        stages = [
            replace(stage, ground_truths=self.batch, chunks=1, epochs=1, resolution_px=(side,)) for stage in self.stages
        ]
        return replace(self, stages=tuple(stages), fraction=self.batch / max(s.ground_truths for s in self.stages))

    def at_full_resolution(self) -> Recipe:
        """The recipe without the economy of smaller images."""
        return replace(self, stages=tuple(replace(stage, resolution_px=(SIZE,)) for stage in self.stages))


def recipe_names() -> list[str]:
    """The recipes of U-Nets that come with the kit."""
    return sorted(path.stem for path in RECIPES.glob("DL-*.yaml"))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by its name, or from a YAML file of your own. Raises :class:`KitError` naming the known ones."""
    if str(name) in recipe_names():
        return load_yaml(Recipe, RECIPES / f"{name}.yaml")
    if Path(name).suffix not in (".yaml", ".yml"):
        raise KitError(f"recipe: found {str(name)!r}, expected a YAML file or one of {', '.join(recipe_names())}")
    return load_yaml(Recipe, name)


def chosen_recipe(
    which: str | Path | None,
    stores: Sequence[PairStore] | None = None,
    *,
    fraction: float | None = None,
    full_resolution: bool = False,
    chunks: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> Recipe:
    """A recipe by name or file (default: one stage as DL-Delta-1's, at full resolution) with options that win over it.

    ``stores``: pairs that are there already, one store, instead of those that the recipe asks for. Raises
    :class:`KitError` where a recipe of several stages is to learn from one store.
    """
    recipe = Recipe() if which is None else load_recipe(which)
    if fraction is not None:
        recipe = recipe.at(fraction)
    if full_resolution:
        recipe = recipe.at_full_resolution()
    recipe = replace(recipe, **{name: value for name, value in options.items() if value is not None})
    stages = [replace(s, chunks=chunks or s.chunks, epochs=epochs or s.epochs) for s in recipe.stages]
    recipe = replace(recipe, stages=tuple(stages))
    if seed is not None:
        recipe = replace(recipe, training=replace(recipe.training, seed=seed))
    if stores is not None:
        if len(recipe.stages) != 1:
            found = f"found one pair store for {len(recipe.stages)} stages"
            raise KitError(f"{recipe.name}: {found}, expected none: they are synthesised")
        (store,) = stores
        stage = replace(
            recipe.stages[0],
            ground_truths=len(store),
            seed=store.seed,
            hole_values=store.settings.hole_values,
        )
        share = recipe.fraction if recipe.fraction < 1 else min(len(store) / recipe.stages[0].ground_truths, 1.0)
        recipe = replace(recipe, stages=(stage,), synthesis=store.settings, fraction=share)
    return recipe


def recipe_stores(
    recipe: Recipe, folder: str | Path, *, workers: int | None = None, progress: bool = True
) -> list[PairStore]:
    """The pair store of each stage, synthesised below ``folder`` or gone on with; recipes share what they both need."""
    stores = []
    for stage in recipe.stages:
        settings = replace(recipe.synthesis, hole_values=stage.hole_values)
        place = Path(folder) / f"{settings_hash(settings)}-{stage.seed}-{stage.ground_truths}"
        stores.append(
            synthesize(
                place, stage.ground_truths, seed=stage.seed, settings=settings, workers=workers, progress=progress
            )
        )
    return stores


@dataclass(frozen=True)
class Trained:
    """Where a run stands: its recipe and pairs, progress, the best weights so far, and the card it started from."""

    recipe: Recipe
    stores: Sequence[PairStore]
    progress: Progress
    epochs: int
    weights: list[npt.NDArray[Any]]
    started_from: ModelCard | None

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch == self.epochs

    def network(self) -> keras.Model:
        """The trained network."""
        model = self.recipe.build(SIZE)
        model.set_weights(self.weights)
        return model


def train_recipe(
    recipe: Recipe,
    stores: Sequence[PairStore],
    folder: str | Path,
    *,
    weights_dir: str | Path | None = None,
    progress_bar: bool = True,
    stop_after_s: float | None = None,
) -> Trained:
    """Train (or go on training) by a recipe in ``folder``, on a store for each of its stages.

    A recipe that starts from another network takes its weights from ``weights_dir`` (default: the weights folder).
    Raises :class:`KitError` as :func:`facedepth_kit.networks.trainer.train` does, and where those weights are missing.
    """
    batches = StoreBatches(stores, recipe.stages, recipe.training.loss, recipe.batch, recipe.training.seed)
    initial, card = (None, None) if recipe.start_from is None else _start(recipe, weights_dir)
    progress, weights = train(
        recipe.build,
        batches,
        folder,
        recipe.training,
        initial=initial,
        progress_bar=progress_bar,
        label=recipe.name,
        stop_after_s=stop_after_s,
    )
    return Trained(recipe, stores, progress, batches.epochs, weights, card)


def train_papers(
    folder: str | Path, weights_dir: str | Path, *, few_steps: bool = False, progress_bar: bool = True
) -> dict[str, Trained]:
    """Train the paper's seven networks by their recipes, one after another, and export each into ``weights_dir``.

    Runs and pairs lie in ``folder``; the same call goes on after a kill. ``few_steps`` cuts every recipe down to a
    handful. Raises :class:`KitError` as :func:`train_recipe` does.
    """
    found = {}
    for name in PAPERS:
        recipe = load_recipe(name)
        recipe = recipe.in_few_steps() if few_steps else recipe
        stores = recipe_stores(recipe, Path(folder) / "pairs", progress=progress_bar)
        found[name] = train_recipe(
            recipe, stores, Path(folder) / name, weights_dir=weights_dir, progress_bar=progress_bar
        )
        export_network(found[name], weights_dir, overwrite=True)
    return found


def _start(recipe: Recipe, weights_dir: str | Path | None) -> tuple[list[npt.NDArray[Any]], ModelCard]:
    """The weights that a recipe begins with; a one-channel head is widened."""
    card_path, _ = network_files(str(recipe.start_from), weights_dir)
    card, path = check_weights(card_path)
    if card.size != recipe.size or card.head_channels > recipe.head_channels:
        raise KitError(f"{card_path}: found weights of {card.size}, expected {recipe.size}'s to start {recipe.name}")
    source = build_network(card.size, head_channels=card.head_channels)
    load_weights(source, path)
    weights = source.get_weights()
    if card.head_channels < recipe.head_channels:
        import keras

        keras.utils.set_random_seed(recipe.training.seed)
        kernel, bias = recipe.build().get_weights()[-2:]
        given = card.head_channels
        weights[-2:] = [
            np.concatenate([weights[-2], kernel[..., given:] * np.float32(NARROWED)], axis=-1),
            np.concatenate([weights[-1], bias[given:]]),
        ]
    return weights, card


def export_network(
    trained: Trained,
    weights_dir: str | Path,
    *,
    storage: Storage = "float16",
    overwrite: bool = False,
    machine: str = "",
    measured: dict[str, Any] | None = None,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Write a run's best weights and model card into ``weights_dir``; returns the card's path."""
    recipe, before = trained.recipe, trained.started_from
    seen: list[Faces] = list(before.trained_on) if before else []
    seen += [faces for store in trained.stores if (faces := store.faces) not in seen]
    card = ModelCard(
        name=recipe.name,
        size=recipe.size,
        sha256="",
        head_channels=recipe.head_channels,
        validity_threshold=recipe.validity_threshold,
        fill_reach_px=recipe.fill_reach_px,
        pairs="; ".join(dict.fromkeys(_described(store) for store in trained.stores)),
        trained_on=tuple(seen),
        fraction=recipe.fraction,
        started_from=recipe.start_from,
        ground_truths=sum(len(store) for store in trained.stores),
        epochs_planned=trained.epochs,
        machine=machine or machine_name(),
        recipe=to_dict(recipe),
        measured=measured or {},
        notes=notes or {},
        **trained.progress.on_card(before=before.images_seen_in_all if before else 0),
    )
    return write_network(trained.network(), card, weights_dir, storage=storage, overwrite=overwrite)


def _described(store: PairStore) -> str:
    return "simulated pairs of the kit's parametric faces" if store.faces.source == "parametric" else "pairs of photos"
