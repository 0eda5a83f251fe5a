"""The doors: every way in which files and options of others come into the kit, each with whole files to be damaged."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import tifffile
import yaml
from PIL import Image

from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import write_variant
from facedepth_kit.cameras.recorded.pad_data_sets import PadDataSet
from facedepth_kit.cli.main import COMMANDS
from facedepth_kit.cli.main import main as facedepth
from facedepth_kit.common.settings import load_yaml, to_dict
from facedepth_kit.common.tables import read_table
from facedepth_kit.evaluation.camera_measures import read_measures
from facedepth_kit.faces.photos import screening
from facedepth_kit.faces.photos.mediapipe_mesh import WHEEL_MODEL, WHEEL_TOPOLOGY
from facedepth_kit.networks.cards import ModelCard
from facedepth_kit.networks.trainer import TrainingSettings, train
from facedepth_kit.networks.weights import load_weights, save_weights
from facedepth_kit.pairs import photo_pairs
from facedepth_kit.pairs.body_batches import BodyRecipe
from facedepth_kit.pairs.recipes import Recipe
from facedepth_kit.pairs.store import SynthesisSettings, synthesize
from facedepth_kit.rendering.mesh import Mesh, read_mesh, write_mesh
from tests.faces.sources import Bowls

BAG = Path(__file__).parents[1] / "cameras" / "recorded" / "sdk_2_56.bag"
VALUES = ("-1", "0", "1", "x", "", "4294967296", "1e9", "nan", "inf", "-inf", "9" * 400, "../../x", "\x1b[2J", "None",
          "1x1", "--output", "\udcff", "a" * 300, "0.5")  # fmt: skip


@dataclass(frozen=True)
class Door:
    """A folder of whole files to damage, and what is run on the damaged copy, which lies beside an empty ``out``.

    ``share``: how many of 1,000 cases; ``files``: which files may be damaged; ``goes_on``: what is damaged is work that
    a run goes on with, so it may change where that succeeds.
    """

    name: str
    share: int
    make: Callable[[Path], None]
    run: Callable[[Path, random.Random], int]
    files: str = "*"
    goes_on: bool = False


def _command(*arguments: object) -> int:
    return facedepth([str(argument) for argument in arguments])


def _depth(height: int = 48, width: int = 64) -> np.ndarray[Any, np.dtype[np.uint16]]:
    y, x = np.mgrid[0:height, 0:width]
    depth = (700 + 3 * np.hypot(y - height / 2, x - width / 2)).astype(np.uint16)
    depth[10:14, 20:24] = 0
    return depth


# --- depth recordings -----------------------------------------------------------------------------------------------


def _depth_files(folder: Path) -> None:
    cv2.imwrite(str(folder / "a_depth.png"), _depth())
    np.save(folder / "b_depth.npy", _depth())
    tifffile.imwrite(folder / "c_depth.tif", _depth(), photometric="minisblack")
    tifffile.imwrite(folder / "d_depth.tif", _depth(), photometric="minisblack", ome=True)


def _enhance(place: Path, rng: random.Random) -> int:
    return _command("enhance", place / "in", "--output", place / "out", "--enhancer", "None")


def _enhance_with_box(place: Path, rng: random.Random) -> int:
    edges = [rng.choice((-100_000, -10_000, -5, 0, 10, 20, 40, 48, 64, 10_000, 100_000, 100_001)) for _ in range(4)]
    size = rng.choice((48, 100, 400))
    (place / "in").mkdir(exist_ok=True)
    np.save(place / "in" / "x_depth.npy", _depth(size, size))
    options = ("--unit-mm", rng.choice((*VALUES, "0.1", "10"))) if rng.random() < 0.3 else ()
    return _command("enhance", place / "in", "--output", place / "out", "--enhancer", "None", "--box", *edges, *options)


def _enhance_recordings(place: Path, rng: random.Random) -> int:
    # Without a box the face is looked for in the picture, which takes long.
    box = ("--box", 10, 5, 55, 45) if rng.random() < 0.9 else ()
    return _command("enhance", place / "in", "--output", place / "out", "--enhancer", "None", *box)


def _recording(folder: Path) -> None:
    with FolderWriter(folder, unit_mm=0.5, intrinsics=Intrinsics(64, 48, 60, 60, 32, 24)) as writer:
        for number in range(3):
            marks = np.array([[20.0, 20.0], [np.nan, np.nan]])
            picture = np.full((48, 64, 3) if number else (48, 64), 90, np.uint8)
            writer.write(
                RecordedFrame("", _depth(), 0.5, picture=picture, person="01", marks=marks, mark_names=("nose", "chin"))
            )
    (folder / "landmarks.json").write_text(json.dumps({"000000": {"points_xy": [[1, 2], [3, None]]}}))
    (folder / "frames.jsonl").write_text('{"name": "000001", "person": "02"}\n')


def _evaluate_recordings(place: Path, rng: random.Random) -> int:
    options = ("--no-punch",)
    return _command(
        "evaluate-recordings", place / "in", "--enhancer", "None", "--output", place / "out" / "t.csv", *options
    )


def _kinectfacedb(folder: Path) -> None:
    for variant in ("Neutral", "Smile"):
        picture = np.full((256, 256, 3), 120, np.uint8)
        marks = np.full((6, 2), 128.0)
        frame = RecordedFrame(
            variant, _depth(256, 256), picture=picture, person="0001", session="s1", variant=variant, marks=marks
        )
        write_variant(folder, frame)


def _enhance_kinectfacedb(place: Path, rng: random.Random) -> int:
    box = ("--box", 60, 60, 200, 200)
    return _command("enhance", place / "in", "--output", place / "out", "--enhancer", "None", *box)


def _bag(folder: Path) -> None:
    shutil.copy(BAG, folder / "a.bag")


def _3dmad(folder: Path) -> None:
    with h5py.File(folder / "01_01_01.hdf5", "w") as file:
        file["Depth_Data"] = np.stack([_depth()[None]] * 2)
        file["Color_Data"] = np.zeros((2, 3, 48, 64), np.uint8)
        file["Eye_Pos"] = np.array([[4.0, 90.0, 5.0, 20.0]] * 2)


def _read_3dmad(place: Path, rng: random.Random) -> int:
    found = PadDataSet(place / "in")
    return int(not list(found) or bool(found.damaged))


def _meshes(folder: Path) -> None:
    points = np.random.default_rng(1).random((50, 3)).astype(np.float32)
    for suffix in (".ply", ".obj"):
        write_mesh(folder / f"x{suffix}", Mesh(points, np.array([[0, 1, 2], [3, 4, 5]] * 9, np.int32)))


def _read_meshes(place: Path, rng: random.Random) -> int:
    for suffix in (".ply", ".obj"):
        read_mesh(place / "in" / f"x{suffix}")
    return 0


# --- photos ---------------------------------------------------------------------------------------------------------


def _photos(folder: Path) -> None:
    for number, suffix in enumerate(
        ("png", "jpg", "bmp", "tif", "webp", "gif", "ppm", "jp2", "png", "jpg", "png", "jpg")
    ):
        Image.new("RGB", (40 + number, 40), (20 * number, 90, 60)).save(folder / f"{number:02d}.{suffix}")


def _few_photos(folder: Path) -> None:
    for number, suffix in enumerate(("png", "jpg", "png")):
        Image.new("RGB", (40 + number, 40), (20 * number, 90, 60)).save(folder / f"{number:02d}.{suffix}")


def _strange_names(place: Path, rng: random.Random) -> None:
    """Names that are no text, or hold commands for a terminal."""
    names = (b"\xff\xfe.jpg", b"\x1b[2J\x1b[31m.jpg", b"a\nb.png", "é\u202e.jpg".encode(), b" .png", b"-x.jpg")
    for name in rng.sample(names, 2):
        target = place / "in" / os.fsdecode(name)
        shutil.copy(place / "in" / "00.png" if (place / "in" / "00.png").is_file() else BAG, target)


def _screen(place: Path, rng: random.Random) -> int:
    if rng.random() < 0.3:
        _strange_names(place, rng)
    return _command("screen", place / "in", "--output", place / "out" / "table.csv")


def _photo_pairs(place: Path, rng: random.Random) -> int:
    if rng.random() < 0.3:
        _strange_names(place, rng)
    which: Any = "whole" if rng.random() < 0.9 else "largest"
    _, counts = photo_pairs.synthesize_photos(
        place / "in", place / "out" / "store", Bowls(), seed=1, which=which, progress=False
    )
    return int(counts.unreadable > 0)


def _wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / "mediapipe-0.10.21.whl", "w") as wheel:
        wheel.writestr(WHEEL_MODEL, bytes(1000))
        wheel.writestr(WHEEL_TOPOLOGY, "FACEMESH_TESSELATION = frozenset([(1, 2), (2, 3), (3, 4)])")


def _mesh(place: Path, rng: random.Random) -> int:
    model = place / "in" / "mediapipe-0.10.21.whl"
    source = ("--mesh-source", "mediapipe", "--face-mesh-model", model)
    return _command("mesh", place / "x.jpg", "--output", place / "out", *source)


def _ranges(folder: Path) -> None:
    triangles = np.array([[0, 1, 2], [1, 2, 3]], np.int32)
    examples = np.random.default_rng(1).random((9, 4, 3))
    screening.save_ranges(folder / "ranges.npz", screening.learn_ranges(examples, triangles, source="squares"))


def _read_ranges(place: Path, rng: random.Random) -> int:
    screening.load_ranges(place / "in" / "ranges.npz", np.array([[0, 1, 2], [1, 2, 3]], np.int32))
    return 0


# --- pairs, settings, tables ----------------------------------------------------------------------------------------


def _store(folder: Path) -> None:
    synthesize(folder, 2, seed=1, workers=1, progress=False)


def _evaluate(place: Path, rng: random.Random) -> int:
    parts = ("--parts", place / "out" / "parts") if rng.random() < 0.3 else ()
    code = _command("evaluate", "--pairs", place / "in", "--enhancer", "None", *parts)
    if parts and code == 0:  # once more, on damaged parts
        from tests.damage.damages import damage

        damage(rng.choice([path for path in (place / "out" / "parts").iterdir() if path.is_file()]), rng)
        code = _command("evaluate", "--pairs", place / "in", "--enhancer", "None", *parts)
    return code


def _extend(place: Path, rng: random.Random) -> int:
    return _command("synthesize", "--count", rng.choice((2, 1)), "--seed", 1, "--workers", 1, "--output", place / "in")


KINDS = (SynthesisSettings, Recipe, BodyRecipe)


def _settings(folder: Path) -> None:
    for kind in KINDS:
        values = to_dict(kind())
        (folder / f"{kind.__name__}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        (folder / f"{kind.__name__}.json").write_text(json.dumps(values))  # YAML, too


def _load_settings(place: Path, rng: random.Random) -> int:
    for path in sorted((place / "in").iterdir()):
        load_yaml({kind.__name__: kind for kind in KINDS}[path.stem], path)
    return 0


def _synthesize_by_settings(place: Path, rng: random.Random) -> int:
    settings = place / "in" / rng.choice(("SynthesisSettings.yaml", "SynthesisSettings.json"))
    return _command("synthesize", "--count", 1, "--workers", 1, "--settings", settings, "--output", place / "out" / "s")


def _tables(folder: Path) -> None:
    (folder / "screened.csv").write_text(",".join(screening.COLUMNS) + "\na.jpg,kept,40,40,00,,,,\n")
    (folder / "errors.csv").write_text("pair,None\n0,0.5\n1,0.25\n")


def _read_tables(place: Path, rng: random.Random) -> int:
    screening.kept_photos(place / "in" / "screened.csv")("a.jpg")
    read_table(place / "in" / "errors.csv")
    if rng.random() < 0.2:
        read_measures(place / "in" / "errors.csv")
    return 0


# --- networks -------------------------------------------------------------------------------------------------------


def _card(folder: Path) -> None:
    ModelCard("x", "DL-Delta", "0" * 64, loss_by_epoch=(0.1, 0.2), recipe={"a": [1]}).write(folder / "x.json")


def _read_card(place: Path, rng: random.Random) -> int:
    ModelCard.read(place / "in" / "x.json")
    return 0


@cache
def _network() -> Any:
    import keras

    keras.config.disable_traceback_filtering()
    return keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(1, 3, padding="same")], name="tiny")


class _Batches:
    fingerprint, epochs, batch_size = "none", 1, 2

    def steps(self, epoch: int) -> int:
        return 1

    def new_data(self, epoch: int) -> bool:
        return False

    def batch(self, epoch: int, index: int) -> Any:
        return np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 4, 4, 1), np.float32)


def _weights(folder: Path) -> None:
    save_weights(_network(), folder / "x.safetensors", storage="float16")


def _read_weights(place: Path, rng: random.Random) -> int:
    load_weights(_network(), place / "in" / "x.safetensors")
    return 0


def _checkpoint(folder: Path) -> None:
    train(_network, _Batches(), folder, TrainingSettings(loss="image"), progress_bar=False)


def _resume(place: Path, rng: random.Random) -> int:
    if not os.path.lexists(place / "in" / "checkpoint.safetensors"):
        return 0
    train(_network, _Batches(), place / "in", TrainingSettings(loss="image"), progress_bar=False)
    return 0


# --- options --------------------------------------------------------------------------------------------------------


def _options(place: Path, rng: random.Random) -> int:
    """Any command with options that are out of their bounds, or of another."""
    name = rng.choice([command for command in COMMANDS if command not in ("figures", "notebooks", "doctor", "live")])
    import click

    from facedepth_kit.cli.main import facedepth as group

    command = group.get_command(click.Context(group), name)
    assert command is not None
    arguments: list[str] = [name]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments += [rng.choice((str(place / "nothing"), *VALUES))]
        elif isinstance(parameter, click.Option) and (parameter.required or rng.random() < 0.3):
            arguments += [parameter.opts[0]]
            arguments += [] if parameter.is_flag else [rng.choice(VALUES) for _ in range(parameter.nargs)]
    # What would begin long work has one option more that is refused.
    return facedepth(
        [*arguments, *rng.choice((("--seed", "-1"), ("--overwrite", "x", "y"), ("--no-such",), ("--count",)))]
    )


def _nothing(folder: Path) -> None:
    (folder / "x").touch()


DOORS: Sequence[Door] = (
    Door("depth images: enhance", 170, _depth_files, _enhance),
    Door("boxes and units: enhance", 30, _nothing, _enhance_with_box),
    Door("a folder of recordings: enhance", 130, _recording, _enhance_recordings),
    Door("a folder of recordings: evaluate-recordings", 20, _recording, _evaluate_recordings),
    Door("KinectFaceDB: enhance", 30, _kinectfacedb, _enhance_kinectfacedb),
    Door("a .bag: enhance", 1, _bag, _enhance),
    Door("3DMAD (HDF5)", 20, _3dmad, _read_3dmad),
    Door("meshes", 10, _meshes, _read_meshes),
    Door("photos: screen", 110, _photos, _screen),
    Door("photos: synthesize", 20, _few_photos, _photo_pairs),
    Door("a wheel: mesh", 40, _wheel, _mesh),
    Door("side length ranges", 40, _ranges, _read_ranges),
    Door("a pair store: evaluate", 110, _store, _evaluate),
    Door("a pair store: synthesize", 30, _store, _extend, goes_on=True),
    Door("settings and recipes", 100, _settings, _load_settings),
    Door("settings: synthesize", 19, _settings, _synthesize_by_settings, "SynthesisSettings.*"),
    Door("tables", 20, _tables, _read_tables),
    Door("model cards", 30, _card, _read_card),
    Door("weights", 20, _weights, _read_weights),
    Door("training checkpoints", 20, _checkpoint, _resume, goes_on=True),
    Door("options", 30, _nothing, _options),
)


def sequence() -> Iterator[Door]:
    """The doors of 1,000 cases, well mixed: the same for every run."""
    doors = [door for door in DOORS for _ in range(door.share)]
    random.Random(0).shuffle(doors)
    return iter(doors)
