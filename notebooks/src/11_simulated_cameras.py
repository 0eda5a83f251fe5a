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
# # Two simulated cameras
#
# *Part 4: Cameras and attacks*
#
# **Goal.** Understand what a depth camera measures, and what it gets wrong, by building two: a Kinect v1, with which
# KinectFaceDB was recorded, and a RealSense D435, the paper's own camera.
#
# **You will learn** how triangulation gives depth, why depth comes in steps, why there are shadows without a lamp, why
# glasses make holes, and which of these an enhancer can repair.
#
# **Comes out:** the errors of both cameras over the distance, the nine pictures that KinectFaceDB has of everybody,
# and the attacks of section IV-G.
#
# *What is simulated:* everything here. The people are drawn, and no camera has seen them. The next notebooks use such
# data sets wherever you have not brought the real ones, and say so. Noise and holes of both cameras were tuned until
# the first row of Table V came out near the published one ([12_roughness_and_holes](12_roughness_and_holes.ipynb)
# shows how near).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("11_simulated_cameras", profile, seed, output)
work

# %% [markdown]
# ## Two views and a difference
#
# Two cameras side by side see the same point at different places. The difference, the *disparity* $d$ in pixels, gives
# the depth: $z = f\,b/d$, with the focal length $f$ (px) and the *baseline* $b$ (mm) between the cameras. In the
# Kinect a projector takes the place of one camera: it projects a fixed pattern of dots, and the camera measures how
# far each dot is displaced. The D435 has two infrared cameras, and a projector that only adds texture.
#
# Here a person sits before each. The same head is rendered from both places.

# %%
from facedepth_kit.cameras.simulated.sensors import ActiveStereo, StructuredLight, find_features, look, read, vote
from facedepth_kit.cameras.simulated.stage import draw_person, photograph, seat, wall
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.shading import Light

cameras = {
    "Kinect v1": (StructuredLight(), Camera(800.0, 525.0, (128.0, 128.0), 256)),
    "D435": (ActiveStereo(), Camera(500.0, 920.0, (200.0, 200.0), 400)),
}
person = draw_person(work.seed, 1, spectacles_share=0.0)
scenes = {name: seat(person).with_parts(wall(1250.0, camera, (0.7, 0.7, 0.7))) for name, (_, camera) in cameras.items()}
sights = {name: look(scenes[name].parts, camera, sensor) for name, (sensor, camera) in cameras.items()}
cameras["Kinect v1"][0]

# %% [markdown]
# Not every pixel has something that can be recognised in the other view: a dot, a pore, a hair. Such *features* are
# few, and each is located with a small error. So all features in a window around a pixel vote, and the disparity that
# most of them agree on wins. It is rounded to a fraction of a pixel (the Kinect's chip: an eighth).

# %%
from facedepth_kit.plots.colours import error_picture, frame_picture, grey_picture
from facedepth_kit.plots.curves import depth_rows, error_against_distance
from facedepth_kit.plots.grids import picture_grid, squared, with_points

rng = work.rng("frames")
pictures = []
for name, (sensor, camera) in cameras.items():
    features = find_features(sights[name], sensor, rng)
    low, high = (sensor.focal_px * sensor.baseline_mm / (camera.distance_mm + mm) for mm in (150, -20))
    shown = [grey_picture(values, (low, high)) for values in (features, vote(features, sensor))]
    frame = read(sights[name], camera, sensor, rng)
    true = frame_picture(sights[name].depth_mm, camera.distance_mm - 15)
    measured = frame_picture(frame, camera.distance_mm - 15)
    squares = [squared(picture) for picture in (true, *shown)]
    pictures.append([photograph(scenes[name], camera, Light()), *squares, measured])

# %%
titles = ["colour camera", "true depth\n(infrared camera)", "features", "votes", "frame, aligned\nwith the colour"]
caption = (
    "From features to a frame, simulated. Grey: disparity, brighter is nearer; black: nothing found. Last: depth over "
    "25 cm, light is near, grey is a hole or farther away."
)
grid = picture_grid(pictures, [titles, [""] * 5], row_labels=list(cameras), size=1.9)
work.save_figure(grid, "simulated_sensors.png", caption)

# %% [markdown]
# **Predict.** A step of an eighth of a pixel is how many millimetres at 0.8 m for the Kinect? The next cell prints its
# focal length and baseline. And at twice the distance, how many times as much?

# %%
kinect = cameras["Kinect v1"][0]
print(f"f = {kinect.focal_px:.0f} px, b = {kinect.baseline_mm:.0f} mm")
my_step_mm = ...  # your answer, in millimetres

# %%
from facedepth_kit.pipeline.exercises import check

print(check(my_step_mm, kinect.step_mm(800.0), tolerance=0.05))

# %% [markdown]
# <details><summary>Solution</summary>
#
# A small change of $d$ changes $z = f\,b/d$ by $z^2/(f\,b)$ times as much; here the change of $d$ is an eighth.
# Doubling the distance gives four times the step. The same holds for noise, which is a fixed part of a pixel and so
# grows with the square of the distance, too.
# </details>

# %%
import numpy as np

from facedepth_kit.cameras.simulated.sensors import measure_depth

distances = [400.0, 500.0, 650.0, 800.0, 1000.0, 1300.0]
steps = {name: [sensor.step_mm(mm) for mm in distances] for name, (sensor, _) in cameras.items()}
spread = {name: [] for name in cameras}
for name, (sensor, camera) in cameras.items():
    for mm in distances:
        frame = measure_depth([wall(mm, camera, (0.7, 0.7, 0.7))], camera, sensor, rng)
        spread[name].append(float(np.std(frame[frame > 0])) if (frame > 0).any() else float("nan"))

# %%
table = [
    {"camera": name, "distance mm": mm, "step mm": steps[name][i], "spread mm": spread[name][i]}
    for name in cameras
    for i, mm in enumerate(distances)
]
caption = "Simulated cameras on a plain wall: one step of disparity, and the standard deviation of what they measured."
work.save_table("simulated_noise", table, caption, digits=2)

# %%
figure = error_against_distance(distances, steps, spread)
work.save_figure(figure, "simulated_noise.png", caption + " The Kinect reports nothing below 0.45 m.")

# %% [markdown]
# The Kinect's spread is smaller than its step, so the steps are what you see. The D435's is much larger than its own:
# its steps are fine, but few features vote in each window. Neighbouring windows share most of their features, so the
# D435's errors come as *blobs*, and smoothing over two or three pixels hardly helps against them.
#
# ## Close up
#
# One row across the face, as it is and as it was measured.

# %%
lines = {}
for name, (sensor, camera) in cameras.items():
    row = camera.shape[0] // 2 - round(8 * camera.focal_px / camera.distance_mm)
    truth = sights[name].depth_mm
    across = (np.arange(camera.shape[1]) + 0.5 - camera.centre_px[0]) * camera.distance_mm / camera.focal_px
    frame = read(sights[name], camera, sensor, rng)[row].astype(float)
    lines[name] = (across, np.where(frame > 0, frame - camera.distance_mm, np.nan))

# %%
from facedepth_kit.rendering.shading import render_view

name, (sensor, camera) = "Kinect v1", cameras["Kinect v1"]
bare = render_view(seat(person).parts, camera, Light(shadows=False)).depth_mm
row = camera.shape[0] // 2 - round(8 * camera.focal_px / camera.distance_mm)
across = lines[name][0]
near = {key: np.where(line < 130, line, np.nan) for key, (_, line) in lines.items()}
drawn = {
    "true": (across, bare[row] - camera.distance_mm),
    **{f"{key} at {cameras[key][1].distance_mm / 10:.0f} cm": (lines[key][0], near[key]) for key in lines},
}
work.show(depth_rows(drawn))

# %%
errors = []
for name, (sensor, camera) in cameras.items():
    truth = render_view(seat(person).parts, camera, Light(shadows=False)).depth_mm
    frame = read(sights[name], camera, sensor, rng).astype(float)
    error = np.where((frame > 0) & (frame < camera.distance_mm + 200), frame - truth, np.nan)
    errors.append(error_picture(error, 10.0))
    face = np.isfinite(error) & (truth < camera.distance_mm + 60)
    print(f"{name}: median of the error's magnitude on the face {np.median(np.abs(error[face])):.2f} mm")

# %%
caption = "What was measured, less what is there: blue too near, red too far, strongest from 1 cm on. Simulated."
names = [f"{name} at {camera.distance_mm / 10:.0f} cm" for name, (_, camera) in cameras.items()]
work.save_figure(picture_grid([errors], [names], size=3.4), "simulated_errors.png", caption)

# %% [markdown]
# Near edges the windows make what stands in front a few pixels larger or smaller. So outlines are ragged, with errors
# of centimetres. Of all errors of a camera this is the one that enhancers handle worst.
#
# ## A shadow without a lamp
#
# What one camera sees and the other does not has no disparity. To the left of everything that stands in front there is
# a band without depth. Its width is the difference of the disparities, $f\,b\,(1/z_1 - 1/z_2)$, less what the windows
# close of it. (The band on the right has another reason: what the colour camera sees there is hidden from the infrared
# one.)
#
# **Exercise.** Below, the Kinect's baseline is halved and doubled. What happens to the band beside the head, and what
# is the price of a narrow one?

# %%
from dataclasses import replace

camera, scene = cameras["Kinect v1"][1], scenes["Kinect v1"]
frames = {}
for baseline_mm in (37.5, 75.0, 150.0):
    changed = replace(StructuredLight(), baseline_mm=baseline_mm)
    width = changed.focal_px * baseline_mm * (1 / 800 - 1 / 1250)
    frame = measure_depth(scene.parts, camera, changed, rng)
    label = f"baseline {baseline_mm:g} mm\nband {width:.0f} px, step {changed.step_mm(800):.1f} mm"
    frames[label] = frame_picture(frame, 785.0, span_mm=600.0)
work.show(picture_grid([list(frames.values())], [list(frames)], size=2.6))

# %% [markdown]
# <details><summary>Solution</summary>
#
# The band's width is proportional to the baseline. So is the disparity, and where that is small each step is larger: a
# camera with a short baseline has few holes and coarse depth. The D435 (50 mm) and the Kinect (75 mm) are compromises.
# </details>

# %% [markdown]
# ## Nine pictures of everybody
#
# KinectFaceDB has nine pictures of each of 52 people, twice. The simulated one has the same, in the same files. Smile
# and open mouth are expressions, profiles are poses. Sunglasses, a hand and a sheet of paper are objects before the
# face, which hide it and cast shadows. *LightOn* changes the colour picture only.
#
# **Predict.** Which variants will have the most holes inside the face? Will it be the profiles?

# %%
from facedepth_kit.cameras.recorded.kinectfacedb import VARIANTS
from facedepth_kit.cameras.simulated.data_sets import KinectSettings, kinect_recording

number = 2
recordings = [kinect_recording(work.seed, number, "s1", variant, KinectSettings()) for variant in VARIANTS]
near = [recording.depth[recording.depth > 0].min() for recording in recordings]
colour = [with_points(recording.picture, recording.marks) for recording in recordings]
depth = [frame_picture(r.depth, mm) for r, mm in zip(recordings, near, strict=True)]

# %%
rows = [colour[:5], depth[:5], [*colour[5:], None], [*depth[5:], None]]
names = [[*VARIANTS[:5]], [""] * 5, [*VARIANTS[5:], ""], [""] * 5]
caption = (
    "The nine variants of one simulated person, with the six marks; depth over 25 cm from the nearest point, grey is "
    "a hole or farther away."
)
work.save_figure(picture_grid(rows, names, size=1.75), "simulated_variants.png", caption)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The sunglasses: dark and shiny, they return little of the pattern. A profile is as bright as any other surface, and
# has holes along its outline only. The edge of the paper and the fingers cast narrow shadows.
# </details>
#
# ## Attacks
#
# A printed portrait, flat or bent, is a face for the colour camera. For the depth camera it is a sheet of paper.

# %%
from facedepth_kit.cameras.simulated.data_sets import ATTACKS, RealSenseSettings, realsense_recording

settings = RealSenseSettings(distance_mm=(450.0, 450.0))
taken = {kind: next(realsense_recording(work.seed, 3, kind, 1, settings)) for kind in ATTACKS}
pictures, titles = [[], []], [[], [""] * len(taken)]
for kind, recording in taken.items():
    left = np.clip(int(recording.marks[2, 0]) - 360, 0, recording.depth.shape[1] - 720)
    part = np.s_[:, left : left + 720]
    nearest = recording.depth[recording.depth > 0].min() * recording.unit_mm
    pictures[0].append(recording.picture[part])
    pictures[1].append(frame_picture(recording.depth[part], nearest, unit_mm=recording.unit_mm))
    titles[0].append(kind.replace("_", " "))

# %%
caption = "A person and two prints before the simulated D435: colour, and depth over 25 cm."
work.save_figure(picture_grid(pictures, titles, size=2.6, title_size=9), "simulated_attacks.png", caption)

# %%
lines = {}
for kind, recording in taken.items():
    nose = np.rint(recording.marks[2]).astype(int)
    mm_per_px = 450.0 / settings.focal_px
    part = slice(nose[0] - 170, nose[0] + 171)
    depth = recording.depth[nose[1], part].astype(float) * recording.unit_mm
    depth[(depth == 0) | (depth > 560)] = np.nan
    lines[kind.replace("_", " ")] = ((np.arange(341) - 170) * mm_per_px, depth)
work.show(depth_rows(lines))

# %% [markdown]
# The row through the nose tells them apart: the flat print is a line, the bent one an arc, and only the person has a
# nose. [14_landmarks_and_pad](14_landmarks_and_pad.ipynb) makes a decision of it.
#
# ## What you have learnt
#
# - Depth is inversely proportional to disparity, so its steps and its noise grow with the square of the distance.
# - Cameras measure windows, not pixels: errors are blobs, outlines are ragged, and small things vanish.
# - Holes have causes: the shadow of the second view, dark or shiny surfaces, glass. They lie where these are, not at
#   random as in [03_degradation](03_degradation.ipynb).
#
# **Next:** [12_roughness_and_holes](12_roughness_and_holes.ipynb) measures what the enhancers make of such frames.
