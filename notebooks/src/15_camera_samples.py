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
# # Faces as cameras see them
#
# *Part 4: Cameras and attacks*
#
# **Goal.** Look at recorded faces and at what every enhancer makes of them, in the paper's arrangement.
#
# **You will learn** to see in one picture what the tables said in numbers, and what distance does to depth.
#
# **Comes out:** Figures 1 and 2, and Figures 15 to 18 (sections IV-I and IV-J).
#
# *What is simulated:* both cameras, unless your own recordings lie in the data folder (FACEDEPTH_DATA); the captions
# say which.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("15_camera_samples", profile, seed, output)
work

# %% [markdown]
# ## In one picture
#
# This is what the kit is about. The colour picture is for us only: an enhancer never sees it, so a printed face in it
# cannot mislead the enhancer.

# %%
from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.evaluation import camera_study
from facedepth_kit.evaluation.published import KINECTFACEDB, REALSENSE
from facedepth_kit.plots import samples

data = work.camera_data
stores = {camera: camera_study.camera_faces(data, camera) for camera in camera_study.CAMERAS}
where = {camera: camera_study.origin(store, camera) for camera, store in stores.items()}

# %%
name = "DL-Delta-1" if "DL-Delta-1" in enhancers.available() else "Telea+bilateral"
image = camera_study.sample(stores[KINECTFACEDB], "0011", "LightOn")
caption = f"After Figure 1: {image.name}, {where[KINECTFACEDB]}. {enhancers.training_remark([name])}"
figure = samples.enhancement_concept(
    image.picture, image.depth, enhancers.get(name).enhance(image.depth), image.shown, name
)
work.save_figure(figure, "figure_01.png", caption)

# %% [markdown]
# ## Near and far
#
# The error of a stereo camera grows with the square of the distance, and the face gets smaller. Figure 2 shows both.
#
# **Predict.** At twice the distance, how many times coarser are the steps in depth?

# %%
my_factor = ...  # your answer: a number

# %%
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
from facedepth_kit.pipeline.exercises import check

print(check(my_factor, ActiveStereo().step_mm(1000.0) / ActiveStereo().step_mm(500.0), tolerance=0.01))

# %%
near, far = camera_study.near_and_far(data, stores[REALSENSE])
titles = [f"{image.depth_range.near_mm / 1000:.2f} m, {256 * image.square.step:.0f} px" for image in (near, far)]
colour = [samples.cut_to_face(image.picture, image.shown) for image in (near, far)]
depth = [
    samples.masked_face(image.depth, image.shown, samples.face_limits(image.depth, image.shown))
    for image in (near, far)
]

# %%
frame_sizes = sorted({f"{image.frame_size[0]}x{image.frame_size[1]}" for image in (near, far)})
caption = (
    f"After Figure 2: {where[REALSENSE]}, {' and '.join(frame_sizes)}, at two distances (nearest point of the face)"
    f"{', one person' if stores[REALSENSE].simulated else ''}; "
    "px: side of the square cut out, here scaled to 256. Depth is masked by the face."
)
work.save_figure(samples.distance_rows(colour, depth, titles), "figure_02.png", caption, width=520)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Four times. Depth is focal length times baseline, divided by disparity. So one step of disparity changes depth by the
# square of the depth divided by focal length times baseline.
# </details>
#
# ## The paper's arrangement
#
# Top row: colour, depth, hand-crafted filters. Then the learned enhancers of the paper; the last row is the kit's own
# addition. Everything outside the face is masked. The paper used PRNet for that; the kit does so where
# PRNet's files are here, and else takes Dlib's landmarks and the forehead above them.

# %%
from matplotlib.figure import Figure

hand_crafted = [name for name in enhancers.names() if enhancers.get(name).kind == "hand-crafted"]
ours = [name for name in enhancers.names() if enhancers.get(name).ours]
learned = ["DDRNet-dn", "DL-Delta-1", "DL-Delta-2", "DL-Delta-3", "DL-Delta-4", "DL-Alpha", "DL-Beta", "DL-Gamma"]
arrangement = [["Color", "Depth", *hand_crafted], learned, ours]


def sample_figure(image: FaceCrop) -> Figure:
    shown = camera_study.outputs(image.depth, [*hand_crafted, *learned, *ours])
    return samples.camera_sample(image.picture, image.depth, shown, camera_study.shown_area(image), arrangement)


# %%
image = camera_study.sample(stores[KINECTFACEDB], "0025", "OpenMouth", holes=True)
caption = f"After Figure 15: {image.name}, {where[KINECTFACEDB]}.{camera_study.row_remarks()}"
work.save_figure(sample_figure(image), "figure_15.png", caption, width=1100)

# %%
image = camera_study.sample(stores[KINECTFACEDB], "0013", "Smile")
caption = f"After Figure 16: {image.name}, {where[KINECTFACEDB]}.{camera_study.row_remarks()}"
work.save_figure(sample_figure(image), "figure_16.png", caption, width=1100)

# %% [markdown]
# ## One large hole, many small ones
#
# The paper's two RealSense samples differ in their holes: one large one on a pair of glasses, and many all over. The
# kit picks the frame with the largest hole, and the one with the most holes.

# %%
from facedepth_kit.evaluation.prepared_faces import hole_sizes

bona_fide = [entry for entry in stores[REALSENSE].entries if entry["variant"] in ("bona_fide", "")]
faces = [camera_study.named(stores[REALSENSE], entry["name"]) for entry in bona_fide]
sizes = [hole_sizes(image.depth, image.mask) for image in faces]
largest = max(range(len(faces)), key=lambda i: max(sizes[i], default=0))
others = [i for i in range(len(faces)) if i != largest] or [largest]
most = max(others, key=lambda i: len(sizes[i]))


def about(image: FaceCrop) -> str:
    size, cut = "x".join(map(str, image.frame_size)), f"{256 * image.square.step:.0f} px scaled to 256"
    return f"{where[REALSENSE]}. Depth {size}, face region {cut}, nearest {image.depth_range.near_mm:.0f} mm"


# %%
caption = f"After Figure 17: {about(faces[largest])}; the frame with the largest hole.{camera_study.row_remarks()}"
work.save_figure(sample_figure(faces[largest]), "figure_17.png", caption, width=1100)

# %%
caption = f"After Figure 18: {about(faces[most])}; the frame with the most holes.{camera_study.row_remarks()}"
work.save_figure(sample_figure(faces[most]), "figure_18.png", caption, width=1100)

# %% [markdown]
# **Exercise.** Find in Figures 15 to 18 a picture where a simple filter does as well as a network, and one where it
# does not. What is different about the holes?
#
# <details><summary>Solution</summary>
#
# Where holes are many and small, any neighbour is a good guess, and most filters do well. Where a large hole covers an
# eye, a neighbour smears the brow or the nose over it. Only an enhancer that has learnt faces, or one that continues
# the surface from all sides, gives a plausible result. Plausible is not true, though: notebook 13 can only test pixels
# that were measured, and no table here knows what is under the glasses.
# </details>
#
# ## What you have seen
#
# The same enhancers on camera frames, simulated or your own. **Next:** [16_your_recordings](16_your_recordings.ipynb)
# takes any folder, and shows what two real sensors gave.
