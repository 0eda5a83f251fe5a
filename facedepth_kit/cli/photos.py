"""``facedepth screen``, ``facedepth mesh`` and photos as the source of ``facedepth synthesize``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from facedepth_kit.cli.options import COUNT, EXISTING_FOLDER, PATH, OneOf, gathered, refuse_existing
from facedepth_kit.cli.terminal import complain, say
from facedepth_kit.common.errors import KitError

SOMETHING_WRONG = 1
WhichFaces = Literal["largest", "all", "whole"]


@dataclass(frozen=True)
class PhotoSource:
    """What makes photos 3D, as the options say."""

    mesh_source: str
    prnet_root: Path | None
    prnet_checkpoint: Path | None
    face_mesh_model: Path | None
    photo_faces: WhichFaces

    def load(self) -> Any:
        """The mesh source (:class:`facedepth_kit.faces.photos.reconstruction.MeshSource`)."""
        if self.mesh_source == "mediapipe":
            from facedepth_kit.faces.photos.mediapipe_mesh import FaceMesh

            return FaceMesh(self.face_mesh_model)
        from facedepth_kit.faces.photos.prnet import PRNet

        return PRNet(self.prnet_root, checkpoint=self.prnet_checkpoint)


photo_source = gathered(
    PhotoSource,
    "source",
    click.option(
        "--mesh-source",
        type=OneOf("prnet", "mediapipe"),
        default="prnet",
        metavar="WHICH",
        help="What makes a photo 3D: prnet (default, as the paper) or mediapipe.",
    ),
    click.option("--prnet-root", type=PATH, metavar="DIR", help="Folder with PRNet's Data/net-data and uv-data."),
    click.option(
        "--prnet-checkpoint",
        type=PATH,
        metavar="PREFIX",
        help="A checkpoint of your own training in PRNet's naming, in place of the official one.",
    ),
    click.option(
        "--face-mesh-model", type=PATH, metavar="FILE", help="mediapipe's model: a 0.10.21 wheel or a .task file."
    ),
    click.option(
        "--photo-faces",
        type=OneOf("largest", "all", "whole"),
        default="largest",
        metavar="WHICH",
        help="Which faces of a photo: largest (default), all, or whole: it is itself the crop of one.",
    ),
)


def synthesize_from_photos(
    photos: Path,
    output: Path,
    settings: Any,
    source: PhotoSource,
    *,
    count: int | None,
    seed: int,
    ranges: Path | None,
    screened: Path | None,
    workers: int,
    executor: Any,
    overwrite: bool,
) -> int:
    """Write the pair store of a folder of photos."""
    from facedepth_kit.faces.photos.reconstruction import photo_files
    from facedepth_kit.faces.photos.screening import kept_photos, load_ranges
    from facedepth_kit.pairs.photo_pairs import synthesize_photos

    next(photo_files(photos), None)  # a folder that is none is said before the network is loaded
    wanted = kept_photos(screened) if screened else None
    meshes = source.load()
    store, counts = synthesize_photos(
        photos,
        output,
        meshes,
        seed=seed,
        settings=settings,
        which=source.photo_faces,
        ranges=load_ranges(ranges, meshes.triangles) if ranges else None,
        wanted=wanted,
        count=count,
        workers=workers,
        executor=executor,
        overwrite=overwrite,
        on_problem=complain,
    )
    without = {"no face": counts.no_face, "deformed": counts.deformed, "unreadable": counts.unreadable}
    listed = ", ".join(f"{number} {reason}" for reason, number in without.items() if number)
    say(f"{output}: {len(store)} pairs by {meshes.name}{f'; photos without: {listed}' if listed else ''}")
    return SOMETHING_WRONG if counts.unreadable else 0


@click.command()
@click.argument("folder", type=EXISTING_FOLDER)
@click.option("--output", type=PATH, required=True, metavar="CSV", help="A row for every photo; again to resume.")
@click.option("--ranges", type=PATH, metavar="NPZ", help="Side lengths of well-formed faces, for stage 3.")
@click.option("--well-formed", type=PATH, metavar="DIR", help="Learn the ranges from these photos, of many people.")
@click.option("--largest-px", type=COUNT, default=1024, metavar="N", help="Stage 2's limit (default: 1024).")
@click.option("--overwrite", is_flag=True, help="Replace the table and, with --well-formed, the ranges.")
@photo_source
def screen(
    folder: Path,
    output: Path,
    ranges: Path | None,
    well_formed: Path | None,
    largest_px: int,
    overwrite: bool,
    source: PhotoSource,
) -> int:
    """Screen a folder of photos, its subfolders too, as in Table I: copies, large photos, deformed faces."""
    from facedepth_kit.faces.photos.screening import screen as screen_folder
    from facedepth_kit.pairs.photo_pairs import photo_meshes

    refuse_existing(output, overwrite)
    if source.photo_faces == "all":
        raise KitError("--photo-faces: found all, expected largest or whole: Table I counts photos, not faces")
    options: dict[str, Any] = {}
    if ranges is not None:
        meshes, lengths = _side_ranges(ranges, well_formed, source, overwrite=overwrite)
        options = {
            "meshes": photo_meshes(meshes, source.photo_faces),
            "ranges": lengths,
            "triangles": meshes.triangles,
        }
    elif well_formed is not None:
        raise KitError("--well-formed: found no --ranges, expected a file to keep what is learnt")
    counts = screen_folder(folder, output, largest_px=largest_px, overwrite=overwrite, **options)
    _print_table_1(counts)
    return SOMETHING_WRONG if counts.unreadable else 0


def _side_ranges(path: Path, well_formed: Path | None, source: PhotoSource, *, overwrite: bool) -> tuple[Any, Any]:
    """The loaded mesh source and the ranges: read, or learnt and kept."""
    from facedepth_kit.faces.photos.reconstruction import photo_files
    from facedepth_kit.faces.photos.screening import learn_ranges, load_ranges, save_ranges
    from facedepth_kit.pairs.photo_pairs import usable_vertices

    if well_formed is None:
        if not path.is_file():
            raise KitError(f"{path}: found no such file, expected ranges, or --well-formed DIR to learn them from")
        meshes = source.load()
        return meshes, load_ranges(path, meshes.triangles)
    refuse_existing(path, overwrite)
    next(photo_files(well_formed), None)  # a folder that is none is said before the network is loaded
    meshes = source.load()
    vertices = usable_vertices(photo_files(well_formed), meshes, source.photo_faces, complain)
    ranges = learn_ranges(vertices, meshes.triangles, source=meshes.name)
    save_ranges(path, ranges, overwrite=overwrite)
    say(f"{path}: ranges of {len(ranges.low)} sides from {ranges.examples} well-formed faces")
    return meshes, ranges


def _print_table_1(counts: Any) -> None:
    from facedepth_kit.evaluation.published import rows
    from facedepth_kit.faces.photos.screening import as_table_1

    published = rows("I")
    say(f"{'photos':<26}{'here':>10}{'published':>12}")
    for name, entry in as_table_1(counts).items():
        left_out = name in ("deformed_output", "no_face") and not counts.stage_3
        here = "not run" if left_out else str(entry["count"])
        theirs = str(published[name]["count"]) if name in published else ""
        say(f"{name.replace('_', ' '):<26}{here:>10}{theirs:>12}")


@click.command()
@click.argument("photos", type=PATH, nargs=-1, required=True, metavar="PHOTO...")
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder for the meshes.")
@click.option(
    "--format",
    "suffix",
    type=OneOf("ply", "obj"),
    default="ply",
    metavar="WHICH",
    help="ply (binary, default) or obj (text).",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier meshes.")
@photo_source
def mesh(photos: tuple[Path, ...], output: Path, suffix: str, overwrite: bool, source: PhotoSource) -> int:
    """Write the 3D faces of photos, or of folders of them, as PLY or OBJ."""
    from facedepth_kit.faces.photos.reconstruction import photo_files, reconstruct
    from facedepth_kit.rendering.mesh import write_mesh

    given: list[tuple[Path, Path]] = []
    for photo in photos:
        if photo.is_dir():
            given += [(path, path.relative_to(photo)) for path in photo_files(photo)]
        else:
            given.append((photo, Path(photo.name)))
    meshes = source.load()
    failed = 0
    results = reconstruct((path for path, _ in given), meshes, which=source.photo_faces)
    for (path, name), result in zip(given, results, strict=True):
        if result.problem or not result.faces:
            complain(result.problem or f"{path}: found no face, expected one (--photo-faces whole takes all of it)")
            failed += 1
        for number, face in enumerate(result.faces, 1):
            stem = name.name if number == 1 else f"{name.name}_{number}"
            target = output / name.with_name(f"{stem}.{suffix}")
            try:
                made = meshes.mesh(face)
                write_mesh(target, made, overwrite=overwrite)
                say(f"{target}: {len(made.triangles)} triangles")
            except KitError as error:
                complain(str(error))
                failed += 1
    return 2 if failed else 0
