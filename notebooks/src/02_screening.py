# ---
# jupyter:
#   jupytext:
#     formats: notebooks///ipynb,notebooks/src///py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which photos make ground truth?
#
# *Part 1: Faces and degradation*
#
# **Goal.** Sort out of a large folder of photos those that would spoil the ground truth, as the paper did with a
# million of them, and find out how well that works.
#
# **You will learn** what can be wrong with photos from the web, how 3D faces are checked automatically, and why a
# filter is best measured on faults that were planted.
#
# **Comes out:** Table I of the paper for a set of our own, and what became of each kind of fault.
#
# *What is different here:* the paper screened MegaFace and could only count what it discarded; nobody knows what was
# wrong with those photos. Here the photos are rendered portraits, and their 3D faces are parametric ones, some of them
# deformed on purpose. So the right answer is known.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("02_screening", profile, seed, output)
work

# %% [markdown]
# ## A folder with faults in it
#
# Most photos are fine. Some are copies of others, byte by byte. Some are much larger than the rest. And for some the
# network that should make them 3D has failed, as it does with blurred faces, hands before the face, or no face at all.
# Their meshes are deformed in nine different ways, each mildly, clearly and strongly.

# %%
import shutil

import numpy as np
from tqdm.auto import tqdm

from facedepth_kit.faces.photos.planted import plant

count = work.profile.calibration_pairs
folder = work.cache_folder("planted photos", f"{count} {work.seed}", ["facedepth_kit.faces.photos.planted"])
shutil.rmtree(folder, ignore_errors=True)
planted = plant(folder, count, work.rng("photos"), people=max(count // 20, 3), progress=work.by_hand)
print(f"{len(planted)} photos in {len(list(folder.iterdir()))} folders")

# %%
from facedepth_kit.depth import from_millimetres, own_range
from facedepth_kit.plots.colours import shaded_relief
from facedepth_kit.faces.photos.planted import mesh_triangles
from facedepth_kit.faces.photos.reconstruction import read_photo
from facedepth_kit.plots.curves import screening_curve
from facedepth_kit.plots.grids import picture_grid, squared, strip
from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import render_depth_mm

work.show(strip({one.name: squared(read_photo(folder / one.name)) for one in planted[:6]}))

# %% [markdown]
# ## What a deformed mesh looks like
#
# One face, and the nine kinds of failure, each planted strongly. One of them moves a single vertex. Can you find it?

# %%
from dataclasses import replace

from facedepth_kit.faces.photos.planted import DISTORTIONS, GOOD, Planted

model_face = next(one for one in planted if one.fault == GOOD)


def relief(one: Planted) -> np.ndarray:
    """The mesh of a planted photo, shaded."""
    mesh = Mesh(one.vertices().astype(np.float32), mesh_triangles())
    mesh = replace(mesh, vertices_mm=mesh.vertices_mm - mesh.vertices_mm[mesh.triangles].mean(axis=(0, 1)))
    depth_mm = render_depth_mm(mesh, fit_camera(mesh, fill=0.9))
    return shaded_relief(from_millimetres(depth_mm, own_range(depth_mm)), own_range(depth_mm))


# %%
shown = {kind: replace(model_face, fault=kind, strength="strong") for kind in (GOOD, *DISTORTIONS)}
names = list(shown)
grid = [[relief(shown[name]) for name in row] for row in (names[:5], names[5:])]
caption = "One parametric face and the planted deformations of it (simulated), the strongest of three strengths."
work.save_figure(picture_grid(grid, [names[:5], names[5:]], size=1.7), "screening_faces.png", caption)

# %% [markdown]
# ## How to check a mesh without looking at it
#
# All meshes of one source have the same triangles in the same order. So the side of a triangle on the nose is the same
# side for everybody, and among well-formed faces its length stays within a range. The paper learnt these ranges from
# examples that somebody had looked at. It does not say how far outside is too far, so this kit learns that, too: some
# examples are held out in turn, and the limits are set so that one in a hundred of them would be lost.
#
# Lengths are measured in mean side lengths of the mesh, because a photo does not say how large a face is, and the mesh
# of a small photo must not count as deformed for that. Two limits are needed: how many sides may lie outside, for
# faces that are wrong all over, and how far outside the worst one may lie, for a single spike.

# %%
from facedepth_kit.evaluation.published import rows
from facedepth_kit.faces.people.parametric import draw_face
from facedepth_kit.faces.photos.planted import mesh_vertices
from facedepth_kit.faces.photos.screening import learn_ranges, load_ranges, save_ranges

published = {name: int(entry["count"]) for name, entry in rows("I").items()}
examples = min(published["well_formed_exemplars"], 3 * count)
rng = work.rng("examples")
bar = tqdm(range(examples), desc="examples", unit="face", disable=not work.by_hand, leave=False)
well_formed = (mesh_vertices(draw_face(rng)) for _ in bar)
ranges = learn_ranges(well_formed, mesh_triangles(), source="parametric faces")
print(f"{len(ranges.low):,} sides; at most {ranges.outside_limit:.1%} of them may lie outside")
print(f"and none by more than {ranges.excess_limit:.0%} of its usual length")

# %% [markdown]
# The ranges are saved to a file and can be used again, for any number of photos.

# %%
save_ranges(folder.with_suffix(".npz"), ranges, overwrite=True)
ranges = load_ranges(folder.with_suffix(".npz"), mesh_triangles())

# %% [markdown]
# ## Three stages
#
# First equal SHA3-512 digests, then size, then shape. Only what passes one stage comes to the next. Digests and
# verdicts are written to a journal as they come, so a million photos need not fit into memory, and a run that was
# killed goes on where it was.
#
# **Predict** before you run it: which of the nine kinds will pass unnoticed even when planted strongly?

# %%
from facedepth_kit.faces.photos.planted import planted_meshes
from facedepth_kit.faces.photos.screening import screen

table = folder.with_suffix(".csv")
meshes = planted_meshes(folder, planted)
counts = screen(
    folder, table, meshes=meshes, ranges=ranges, triangles=mesh_triangles(), overwrite=True, progress=work.by_hand
)
counts

# %% [markdown]
# ## Table I

# %%
from facedepth_kit.faces.photos.screening import as_table_1

ours = {name: entry["count"] for name, entry in as_table_1(counts).items()}
both = [
    {
        "stage": name.replace("_", " "),
        "here": ours[name],
        "here_share": ours[name] / ours["total"],
        "published": published.get(name),
        "published_share": published[name] / published["total"] if name in published else None,
    }
    for name in ours
]

# %%
caption = (
    f"Table I for {ours['total']} simulated photos with planted faults, beside the paper's MegaFace photos. The shares "
    "do not compare: here we chose how much to plant."
)
work.save_table("table_1", both, caption)

# %% [markdown]
# ## What was caught, and what was lost
#
# The counts alone would look fine whatever the filter did. Because the faults were planted, we can say more.

# %%
from facedepth_kit.common.tables import read_table

verdicts = read_table(table).set_index("file")
stages = {"copy of another file": "duplicate", "too large": "oversized"}
strengths = ["", "mild", "medium", "strong"]
kinds = sorted(
    {(one.fault, one.strength) for one in planted},
    key=lambda kind: (kind[0] != GOOD, kind[0], strengths.index(kind[1])),
)

# %%
found = []
for fault, strength in kinds:
    status = [verdicts.status[one.name] for one in planted if (one.fault, one.strength) == (fault, strength)]
    row = {"what": fault, "strength": strength, "photos": len(status)}
    wanted = stages.get(fault, "deformed")
    discarded = sum(one != "kept" for one in status)
    found.append(row | {"discarded": discarded, "by the stage meant": 0 if fault == GOOD else status.count(wanted)})

# %%
lost = next(row for row in found if row["what"] == GOOD)
caption = (
    f"What became of {len(planted)} simulated photos. Of {lost['photos']} well-formed ones {lost['discarded']} were "
    f"lost. Ranges from {examples} well-formed faces."
)
work.save_table("screening", found, caption)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The hollow faces: a face whose depth is turned inside out has the very same side lengths. Lengths say nothing about
# which way a surface is bent. The other kinds are caught more often the stronger the fault; a spike or a trembling mesh
# is caught even when it is mild. Most other mild faults stay within the range by which people's faces differ anyway.
# </details>
#
# ## Where to draw the line
#
# Narrower limits catch more faults and lose more good photos. The table written above holds how far outside each mesh
# was, so the limits can be moved afterwards without looking at a single photo again.

# %%
fault_of = {one.name: one for one in planted}
limits = {"sides_outside": ranges.outside_limit, "worst_excess": ranges.excess_limit}
reach = (verdicts[[*limits]] / limits).max(axis=1).dropna()


def beyond(names: list[str], scale: float) -> float:
    """Share of photos whose mesh goes beyond the limits times ``scale``."""
    return sum(reach[name] > scale for name in names) / max(len(names), 1)


# %%
groups = {"well-formed": [name for name in reach.index if fault_of[name].fault == GOOD]}
for strength in strengths[1:]:
    groups[strength] = [name for name in reach.index if fault_of[name].strength == strength]
scales = np.geomspace(0.05, 20, 80)
curves, chosen = {}, {}
for strength in strengths[1:]:
    curves[strength] = [(beyond(groups["well-formed"], k), beyond(groups[strength], k)) for k in scales]
    chosen[strength] = (beyond(groups["well-formed"], 1), beyond(groups[strength], 1))
caption = "Simulated faults, all kinds together, hollow faces included; dots: the limits as learnt."
work.save_figure(screening_curve(curves, chosen), "screening.png", caption, width=640)

# %% [markdown]
# **Exercise.** The paper discarded about one photo in eight as deformed. Suppose you have a million photos. A deformed
# face teaches a network nonsense, and a lost photo costs nothing. Read off the curve where you would set the limits.
#
# <details><summary>Solution</summary>
#
# Narrower (`learn_ranges(..., losses=0.1)`): losing one good photo in ten is a small price when there are plenty. With
# a few hundred photos of your own subjects you would keep wider limits. The right limit depends on what each kind of
# error costs you.
# </details>
#
# ## Your own photos
#
# On any folder of yours `facedepth screen` prints Table I beside the paper's. Without more it finds copies and
# oversized photos; for the third stage it needs PRNet's files or MediaPipe's face mesh (`facedepth doctor` says how to
# get them):
#
# ```
# facedepth screen photos/ --output screened.csv --ranges ranges.npz --well-formed photos_i_looked_at/
# facedepth synthesize --faces photos photos/ --screened screened.csv --output pairs/
# ```
#
# ## What you have seen
#
# Three cheap questions sort a folder: seen before, too large, deformed? The third is answered from examples, and has a
# blind spot that only planted faults show. **Next:** [03_degradation](03_degradation.ipynb) damages what is left, as a
# depth camera would.
