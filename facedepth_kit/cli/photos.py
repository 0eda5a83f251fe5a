"""``facedepth screen``, ``facedepth mesh`` and the photo options of ``facedepth synthesize``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedepth_kit.common.errors import KitError

if TYPE_CHECKING:
    from facedepth_kit.faces.photos.reconstruction import MeshSource
    from facedepth_kit.faces.photos.screening import Counts, SideRanges
    from facedepth_kit.pairs.store import SynthesisSettings

SOMETHING_WRONG = 1


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Where 3D faces come from: for every command that reads photos."""
    parser.add_argument(
        "--mesh-source",
        choices=["prnet", "mediapipe"],
        default="prnet",
        help="what makes a photo 3D (default: prnet, as the paper)",
    )
    parser.add_argument("--prnet-root", type=Path, metavar="DIR", help="folder with PRNet's Data/net-data and uv-data")
    parser.add_argument(
        "--prnet-checkpoint",
        type=Path,
        metavar="PREFIX",
        help="a checkpoint of your own training in PRNet's naming, in place of the official one",
    )
    parser.add_argument(
        "--face-mesh-model", type=Path, metavar="FILE", help="mediapipe's model: a 0.10.21 wheel or a .task file"
    )
    parser.add_argument(
        "--photo-faces",
        choices=["largest", "all", "whole"],
        default="largest",
        help="which faces of a photo; whole: it is itself the crop of one (default: largest)",
    )


def open_source(arguments: argparse.Namespace) -> MeshSource:
    """The mesh source that the arguments ask for, loaded."""
    if arguments.mesh_source == "mediapipe":
        from facedepth_kit.faces.photos.mediapipe_mesh import FaceMesh

        return FaceMesh(arguments.face_mesh_model)
    from facedepth_kit.faces.photos.prnet import PRNet

    return PRNet(arguments.prnet_root, checkpoint=arguments.prnet_checkpoint)


def _complain(line: str) -> None:
    from tqdm.auto import tqdm

    tqdm.write(f"facedepth: error: {' '.join(line.split())}", file=sys.stderr)  # above a progress bar, not into it


# --- synthesize -----------------------------------------------------------------------------------------------------


def add_synthesize_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``facedepth synthesize --faces photos DIR``."""
    group: Any = parser.add_argument_group("photos")
    add_source_arguments(group)
    group.add_argument(
        "--ranges", type=Path, metavar="NPZ", help="leave out deformed faces (facedepth screen learns it)"
    )
    group.add_argument("--screened", type=Path, metavar="CSV", help="only photos that this table of screen keeps")


def photo_folder(faces: list[str]) -> Path | None:
    """The folder of ``--faces photos DIR``; None for parametric faces. Raises :class:`KitError` for anything else."""
    if faces == ["parametric"]:
        return None
    if len(faces) == 2 and faces[0] == "photos":
        return Path(faces[1])
    raise KitError(f"--faces: found {' '.join(faces)!r}, expected parametric, or photos and their folder")


def synthesize(arguments: argparse.Namespace, photos: Path, settings: SynthesisSettings) -> int:
    """Write the pair store of a folder of photos."""
    from facedepth_kit.faces.photos.reconstruction import photo_files
    from facedepth_kit.faces.photos.screening import kept_photos, load_ranges
    from facedepth_kit.pairs.photo_pairs import synthesize_photos

    next(photo_files(photos), None)  # a folder that is none is said before the network is loaded
    wanted = kept_photos(arguments.screened) if arguments.screened else None
    source = open_source(arguments)
    ranges = load_ranges(arguments.ranges, source.triangles) if arguments.ranges else None
    store, counts = synthesize_photos(
        photos,
        arguments.output,
        source,
        seed=arguments.seed,
        settings=settings,
        which=arguments.photo_faces,
        ranges=ranges,
        wanted=wanted,
        count=arguments.count,
        overwrite=arguments.overwrite,
        on_problem=_complain,
    )
    without = {"no face": counts.no_face, "deformed": counts.deformed, "unreadable": counts.unreadable}
    listed = ", ".join(f"{number} {reason}" for reason, number in without.items() if number)
    print(f"{arguments.output}: {len(store)} pairs by {source.name}{f'; photos without: {listed}' if listed else ''}")
    return SOMETHING_WRONG if counts.unreadable else 0


# --- screen ---------------------------------------------------------------------------------------------------------


def add_screen_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``facedepth screen``."""
    parser.add_argument("folder", type=Path, help="photos, in subfolders, too")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="CSV", help="a row for every photo; again to resume"
    )
    parser.add_argument("--ranges", type=Path, metavar="NPZ", help="side lengths of well-formed faces, for stage 3")
    parser.add_argument(
        "--well-formed", type=Path, metavar="DIR", help="learn the ranges from these photos, of many people"
    )
    parser.add_argument("--largest-px", type=int, default=1024, metavar="N", help="stage 2's limit (default: 1024)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the table and, with --well-formed, the ranges"
    )
    add_source_arguments(parser)


def screen(arguments: argparse.Namespace) -> int:
    """Screen a folder of photos as in Table I."""
    from facedepth_kit.faces.photos.screening import screen as screen_folder
    from facedepth_kit.pairs.photo_pairs import photo_meshes

    output: Path = arguments.output
    if output.exists() and not arguments.overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")
    if not arguments.folder.is_dir():
        raise KitError(f"{arguments.folder}: found no such folder, expected one with photos")
    if arguments.largest_px < 1:
        raise KitError(f"--largest-px: found {arguments.largest_px}, expected a number above 0")
    if arguments.photo_faces == "all":
        raise KitError("--photo-faces: found all, expected largest or whole: Table I counts photos, not faces")
    options: dict[str, Any] = {}
    if arguments.ranges is not None:
        source, ranges = _ranges(arguments)
        meshes = photo_meshes(source, arguments.photo_faces)
        options = {"meshes": meshes, "ranges": ranges, "triangles": source.triangles}
    elif arguments.well_formed is not None:
        raise KitError("--well-formed: found no --ranges, expected a file to keep what is learnt")
    counts = screen_folder(
        arguments.folder, output, largest_px=arguments.largest_px, overwrite=arguments.overwrite, **options
    )
    _print_table_1(counts)
    return SOMETHING_WRONG if counts.unreadable else 0


def _ranges(arguments: argparse.Namespace) -> tuple[MeshSource, SideRanges]:
    """The mesh source and the ranges: read, or learnt and kept."""
    from facedepth_kit.faces.photos.reconstruction import photo_files
    from facedepth_kit.faces.photos.screening import learn_ranges, load_ranges, save_ranges
    from facedepth_kit.pairs.photo_pairs import usable_vertices

    path: Path = arguments.ranges
    learn = arguments.well_formed is not None
    if learn and path.exists() and not arguments.overwrite:
        raise KitError(f"{path}: found a file that is already there, expected a new one (--overwrite replaces it)")
    if learn:
        next(photo_files(arguments.well_formed), None)
    elif not path.is_file():
        raise KitError(f"{path}: found no such file, expected ranges, or --well-formed DIR to learn them from")
    source = open_source(arguments)
    if not learn:
        return source, load_ranges(path, source.triangles)
    vertices = usable_vertices(photo_files(arguments.well_formed), source, arguments.photo_faces, _complain)
    ranges = learn_ranges(vertices, source.triangles, source=source.name)
    save_ranges(path, ranges, overwrite=arguments.overwrite)
    print(f"{path}: ranges of {len(ranges.low)} sides from {ranges.examples} well-formed faces")
    return source, ranges


def _print_table_1(counts: Counts) -> None:
    from facedepth_kit.evaluation.published import rows
    from facedepth_kit.faces.photos.screening import as_table_1

    published = rows("I")
    print(f"{'photos':<26}{'here':>10}{'published':>12}")
    for name, entry in as_table_1(counts).items():
        left_out = name in ("deformed_output", "no_face") and not counts.stage_3
        here = "not run" if left_out else str(entry["count"])
        theirs = str(published[name]["count"]) if name in published else ""
        print(f"{name.replace('_', ' '):<26}{here:>10}{theirs:>12}")


# --- mesh -----------------------------------------------------------------------------------------------------------


def add_mesh_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``facedepth mesh``."""
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="photos, or folders of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the meshes")
    parser.add_argument("--format", choices=["ply", "obj"], default="ply", help="binary PLY (default) or OBJ text")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier meshes")
    add_source_arguments(parser)


def mesh(arguments: argparse.Namespace) -> int:
    """Write the 3D faces of photos."""
    from facedepth_kit.faces.photos.reconstruction import photo_files, reconstruct
    from facedepth_kit.rendering.mesh_files import write_mesh

    given: list[tuple[Path, Path]] = []
    for photo in arguments.photos:
        if photo.is_dir():
            given += [(path, path.relative_to(photo)) for path in photo_files(photo)]
        else:
            given.append((photo, Path(photo.name)))
    source = open_source(arguments)
    failed = 0
    results = reconstruct((path for path, _ in given), source, which=arguments.photo_faces)
    for (path, name), result in zip(given, results, strict=True):
        if result.problem or not result.faces:
            _complain(result.problem or f"{path}: found no face, expected one (--photo-faces whole takes all of it)")
            failed += 1
        for number, face in enumerate(result.faces, 1):
            stem = name.name if number == 1 else f"{name.name}_{number}"
            target = arguments.output / name.with_name(f"{stem}.{arguments.format}")
            try:
                made = source.mesh(face)
                write_mesh(target, made, overwrite=arguments.overwrite)
                print(f"{target}: {len(made.triangles)} triangles", flush=True)
            except KitError as error:
                _complain(str(error))
                failed += 1
    return 2 if failed else 0
