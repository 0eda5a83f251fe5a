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
# # From seven frames to a surface
#
# *Part 6: Beyond the first paper*
#
# **Goal.** Turn a person by 90 degrees in front of the lower-quality camera, fuse seven of its depth frames into one
# surface, and measure how far that surface is from the true one: from raw depth and from better depth (section 7 and
# Figure 7 of Shabanov et al., the kit's second paper).
#
# **You will learn** what KinectFusion does with a frame (hold it against the model, then add it), why noise costs
# twice there (a rough surface, and a lost track), and how to tell the two costs apart.
#
# **Comes out:** Figures 6 and 7 of the second paper in its arrangement and tables of mean distances.
#
# *What is simulated:* the person, the room and both cameras. So the true surface is known, which the paper could not
# have: it shows Figure 7 without numbers, and gives distances to the better sensor's surface for people who move.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("24_reconstruction", profile, seed, output)
work

# %% [markdown]
# ## The turn
#
# The cameras stand still and the person is turned on a chair, from 45 degrees to the left to 45 degrees to the right.
# For what is measured that is the same as a camera that moves around the person, and nobody has to carry the rig.

# %%
from facedepth_kit.cameras.simulated.paired_recordings import PairSettings, simulate_pair
from facedepth_kit.evaluation.reconstruction import BETTER, CLEAN, RAW, distance_table, fuse_all, read_turn
from facedepth_kit.sequences.fusion import FusionSettings
from facedepth_kit.sequences.recordings import PairedRecording

settings = PairSettings(seconds=min(work.profile.pair_seconds, 4.0), lower_fps=7, higher_fps=14, chair_turn_deg=90)
modules = ["facedepth_kit.cameras.simulated.paired_recordings"]
folder = work.cache_folder("turn", f"{seed} {settings}", modules)
if not (folder / "truth" / "truth.json").is_file():
    simulate_pair(folder, seed=seed, number=1, settings=settings, overwrite=True, progress=True)
fusion = FusionSettings()
turn = read_turn(PairedRecording(folder), fusion)
print(len(turn.pair.lower), "frames, of which", turn.picked, "are fused")

# %%
import numpy as np

from facedepth_kit.plots.colours import frame_picture
from facedepth_kit.plots.grids import picture_grid

depths = turn.depths_mm
near_mm = float(np.nanpercentile(depths[CLEAN][0], 1)) - 100
shown = [0, len(turn.picked) // 2, len(turn.picked) - 1]
rows = [[turn.pair.lower.read(turn.picked[i]).picture for i in shown]]
rows += [[frame_picture(depths[method][i], near_mm, span_mm=900.0) for i in shown] for method in (RAW, BETTER)]
titles = [[f"frame {turn.picked[i]}" for i in shown], [""] * 3, [""] * 3]
work.show(picture_grid(rows, titles, row_labels=["colour", RAW, BETTER], size=2.2), width=760)

# %% [markdown]
# ## Denoised recordings
#
# M1 and M2 of [22_single_frames](22_single_frames.ipynb) and [23_memory](23_memory.ipynb) denoise the whole turn, in
# the order of time, since M2 remembers; then the same frames are picked. On a recording of your own,
# `facedepth denoise PAIR/lower OUTPUT --denoiser M2` does the same, file for file.

# %%
from facedepth_kit.evaluation.denoising import refuse_seen
from facedepth_kit.evaluation.reconstruction import MEMORY, SINGLE, denoised_frames
from facedepth_kit.sequences.denoisers import load_denoiser

refuse_seen([turn])
ours = {method: denoised_frames(turn, load_denoiser(name)) for method, name in ((SINGLE, "M1"), (MEMORY, "M2"))}
depths = {RAW: depths[RAW], **ours, BETTER: depths[BETTER], CLEAN: depths[CLEAN]}
for method, frames in depths.items():
    off = [np.nanmean(np.abs(one - clean)) for one, clean in zip(frames, depths[CLEAN], strict=True)]
    print(f"{method}: {np.mean(off):.1f} mm from the true depth on average")

# %% [markdown]
# ## Fusing
#
# KinectFusion keeps a *truncated signed distance volume*: boxes of 8 mm, each of which knows how far the nearest
# surface is, and on which side. For every frame,
#
# 1. the model is looked at from where the camera was last (raycasting);
# 2. the new frame is laid onto that view: the rotation and translation that make both surfaces fit (odometry);
# 3. the frame is averaged into the volume from there.
#
# The background has to go first: it does not turn with the person. Here the true mask cuts the person out; the paper
# takes a segmentation network's and a threshold of depth.
#
# ## Predict
#
# How far raw depth is off is printed above. Seven frames are averaged. Do you expect the surface to be off by that
# divided by `sqrt(7)`? What else could happen in step 2?

# %%
tracked, known = fuse_all(turn, depths, fusion)
for method, fused in tracked.items():
    print(f"{method}: {fused.tracked} frames tracked, {fused.turned_deg:.1f} degrees found")

# %% [markdown]
# The true turn between the first and the last frame is a little below 90 degrees. Where the tracking finds less,
# frames were laid on the wrong place of the model, and the surface is a pile of several. To see what the noise alone
# does, every method is fused a second time with the *poses* of the true depth.

# %%
rows = distance_table(turn, tracked, known)
caption = (
    "Mean distance (mm) of surfaces fused from seven frames of a simulated 90 degree turn: to the true surface and to "
    "the better sensor's, tracked by each method's own depth and with known poses. The published ones are of another "
    "fusion (DoubleFusion, people who move) and to the better sensor's surface: not to be compared directly."
)
work.save_table("shabanov/reconstruction", rows, caption, digits=3)

# %% [markdown]
# ## Figure 7

# %%
from facedepth_kit.plots.reconstruction import cropped, reconstructions, surface_picture
from facedepth_kit.sequences.fusion import distances_mm

middle = len(turn.picked) // 2
front = tracked[CLEAN].poses[middle]
pictures = {}
for method in depths:
    surface = known[method].surface
    away = distances_mm(surface.vertices_mm, turn.surface)
    pictures[method] = surface_picture(surface, turn.camera, front)
    pictures[f"{method} distances"] = surface_picture(surface, turn.camera, front, away)
scene = turn.pair.lower.read(turn.picked[middle]).picture
pictures = cropped(pictures | {"scene": np.where(turn.people[middle][..., None], scene, np.uint8(255))})

# %%
figure = reconstructions(
    pictures["scene"],
    {method: pictures[method] for method in depths},
    {method: pictures[f"{method} distances"] for method in depths},
)
caption = (
    "Figure 7 of the second paper: surfaces fused by KinectFusion from seven frames, poses known, and their distance "
    "to the true surface. Simulated person, room and cameras."
)
work.save_figure(figure, "shabanov/figure_7.png", caption, width=1000)

# %% [markdown]
# ## People who move: Figure 6
#
# The paper fuses people who move with DoubleFusion, which no library that can be had does. The kit gives the hardest
# part away and keeps the rest: the *motion* is the simulator's own, so no tracking can fail, and each frame's error is
# carried along the body to one posture, where the median is taken. That is a stand-in. It shows what noise leaves of a
# canonical model, and not what tracking adds.

# %%
from facedepth_kit.evaluation.denoising import excerpt, simulated_tests
from facedepth_kit.evaluation.reconstruction import canonical_models, canonical_table

count, seconds = work.profile.denoising_recordings, work.profile.denoising_seconds
place = work.cache_folder("denoising_tests", f"{seed} {count} {excerpt(seconds)}", modules)
tests = simulated_tests(place, seed=seed, count=count, seconds=seconds)
refuse_seen(tests)
denoisers = {SINGLE: load_denoiser("M1"), MEMORY: load_denoiser("M2")}
models = canonical_models(tests[-1], excerpt(seconds), denoisers)

# %%
caption = (
    f"Mean distance (mm) of canonical models from {len(tests[-1].frames)} frames of a simulated person who moves "
    "(those with a better one within 15 ms), the motion known: along the normals to the better sensor's surface and to "
    "the true one. Published: DoubleFusion's."
)
work.save_table("shabanov/moving", canonical_table(models), caption, digits=2)

# %%
from facedepth_kit.plots.denoising import lettered_columns

camera, still = tests[-1].pair.lower.intrinsics, np.eye(4)
away = {method: np.abs(model.off_mm - models[BETTER].off_mm)[model.used] for method, model in models.items()}
sculptures = {method: surface_picture(model.surface, camera, still) for method, model in models.items()}
maps = {method: surface_picture(model.surface, camera, still, away[method]) for method, model in models.items()}
letters = dict(zip(models, ("(a) Raw", "(b) Ours (basic)", "(c) Ours (full)", "(e) Better sensor"), strict=True))
shown = cropped({f"{number} {name}": one[name] for number, one in enumerate((sculptures, maps)) for name in models})
rows = [{title: shown[f"{number} {name}"] for name, title in letters.items()} for number in (0, 1)]

# %%
caption = (
    "Figure 6 of the second paper, a stand-in for DoubleFusion: canonical models with the motion known, and their "
    "distance to the better sensor's, from blue (zero) to red (44 mm). Simulated."
)
work.save_figure(lettered_columns(rows), "shabanov/figure_6.png", caption, width=760)

# %% [markdown]
# **Exercise.** How much of the raw surface's distance comes from the lost track, and how much from the noise itself?
# Which of the two would a better fusion mend, and which only better depth?
#
# <details><summary>Solution</summary>
#
# `true_mm_known_poses` is what the noise costs when every frame lies where it belongs; `true_mm` less that is the cost
# of the tracking. A fusion that tracks better (by colour, or more frames with smaller steps) could save the second part
# at most. The first part is the camera's: seven frames are too few to average it away, since half of the error is the
# same from frame to frame.
# </details>
#
# **Open task** (no solution given). Fuse more frames of the raw recording, up to all of them. The paper says that
# with a high frame rate even noisy depth gives a good surface. From how many frames on does the tracking hold here,
# and is it the number of frames or the smaller angle between them that helps?
#
# ## What you have seen
#
# Seven frames are enough for a surface where depth is good. Where it is not, averaging helps less than hoped, because
# the frames have to find their place first. This is what denoising before fusion is for. How far it carries, and that
# M2 is not always ahead of M1, stands in the tables. The map of all notebooks is in
# [00_start_here](00_start_here.ipynb).
