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
# # Your own recordings
#
# *Part 4: Cameras and attacks*
#
# **Goal.** Enhance a frame as a depth camera writes it: in millimetres, zero for a hole, a whole scene with a face
# somewhere in it.
#
# **You will learn** how a face region becomes the kit's depth image and goes back without changing anything else, and
# the one command that does it for your files.
#
# **Comes out:** a picture, a table of holes before and after, and one of every measure on your own recordings; beside
# them what two real sensors gave.
#
# *What is simulated:* the frame below is rendered by the kit. Your own recordings, if the data folder (FACEDEPTH_DATA)
# has any, come after it. Recordings of real people never enter the repository: only numbers are kept.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes
unit_mm = None  # of your own recordings: millimetres a step; None: what recording.json says, or 1
suffixes = ["_infrared.png", "_color.png"]  # aligned pictures beside them, in which to look for the face

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("16_your_recordings", profile, seed, output)
work

# %% [markdown]
# ## A frame from a simulated camera
#
# A face in front of a wall, at arm's length, seen by a small sensor. Then the defects of such sensors are added:
# noise, holes along outlines and elsewhere, whole millimetres, zero where nothing was measured.

# %%
import numpy as np

from facedepth_kit.faces.people.parametric import draw_face, face_mesh
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.zbuffer import render_depth_mm

rng = work.rng("frame")
camera = Camera(distance_mm=700.0, focal_px=520.0, centre_px=(150.0, 120.0), size_px=300)
clean_mm = render_depth_mm(face_mesh(draw_face(rng)), camera)
on_face = np.isfinite(clean_mm)
clean_mm[~on_face] = 1300.0

# %%
from facedepth_kit.depth import HOLE
from facedepth_kit.pairs.degradation import DegradationSettings, detect_outline
from facedepth_kit.pairs.degradation import outline_holes, punch_holes, random_holes

settings = DegradationSettings(
    outline_holes=(30, 40), outline_hole_px=(3, 14), random_holes=(25, 35), random_hole_px=(3, 18)
)
silhouette = np.where(on_face, np.uint16(1), HOLE)
triangles = np.concatenate(
    [outline_holes(detect_outline(silhouette), settings, rng), random_holes(settings, rng, camera.size_px)]
)
lost = punch_holes(np.zeros_like(silhouette), triangles) == HOLE
frame = np.where(lost, 0, clean_mm + rng.normal(0, 2.5, clean_mm.shape)).round().astype(np.uint16)
print(frame.dtype, frame.shape, f"from {frame[frame > 0].min()} to {frame.max()} mm, {np.mean(frame == 0):.1%} holes")

# %% [markdown]
# ## From the frame to the kit's depth image
#
# The face's box comes from a face detector, from you, or is the whole frame. `crop_face` cuts a square around it,
# takes the paper's span behind the nearest point of the face, and turns zero into the kit's hole.

# %%
from facedepth_kit.cameras.recorded.face_crop import crop_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame

rows, columns = np.nonzero(on_face)
box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
recorded = RecordedFrame("simulated", frame, unit_mm=1.0, simulated=True)
crop = crop_face(recorded, box)
print(f"box {box}: {crop.square.side:.0f} px of the frame, {crop.depth_range.span_mm:.0f} mm deep")

# %% [markdown]
# ## Enhance, and put it back
#
# Only the face may change. Unit, size and hole value of the frame stay. A learned enhancer's output is also corrected
# towards what the sensor measured: the smooth part of their difference is added back, so that a filled hole meets its
# surroundings without a step. Measured pixels are then held near what was measured.

# %%
from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.face_crop import restore_face
from facedepth_kit.enhancers.frames import recording_enhancer

name = next((name for name in ("DL-Kit-1", "DL-Delta-1") if name in enhancers.available()), "Telea+bilateral")
enhanced = recording_enhancer(name)(crop.depth)
restored = restore_face(recorded, enhanced, crop).depth
print(f"{name} changed {np.mean(restored != frame):.1%} of the frame")

# %%
from facedepth_kit.depth import DepthRange, from_millimetres


def picture(frame_mm):
    """A frame in millimetres (0 = hole) on the span of its face, as the kit's depth image."""
    millimetres = np.where(frame_mm == 0, np.nan, frame_mm.astype(np.float32))
    return from_millimetres(millimetres, DepthRange(crop.depth_range.near_mm, 250.0))


# %%
from facedepth_kit.plots.colours import colourize, shaded_relief
from facedepth_kit.plots.grids import picture_grid

frames = {"frame": picture(frame), f"after {name}": picture(restored), "clean": picture(np.where(on_face, clean_mm, 0))}
left, up, right, down = crop.square.box
top = [colourize(depth)[up:down, left:right] for depth in frames.values()]
bottom = [shaded_relief(depth, crop.depth_range)[up:down, left:right] for depth in frames.values()]
figure = picture_grid([top, bottom], [list(frames), [""] * 3], size=2.3, title_size=9)
caption = f"Face region of a simulated camera frame (parametric face) before and after {name}, and as it truly is."
work.save_figure(figure, "recordings.png", caption, width=760)

# %% [markdown]
# ## Predict: did it help?
#
# Here the truth is known. Is the face nearer to it afterwards, at the pixels that were measured as well as at the
# holes?


# %%
def off_mm(image, mask):
    """Root mean squared error in millimetres over the pixels of a mask that have a value."""
    measured = mask & (image > 0)
    return float(np.sqrt(np.mean((image[measured] - clean_mm[measured]) ** 2))) if measured.any() else np.nan


for what, mask in (("measured pixels", on_face & (frame > 0)), ("holes of the frame", on_face & (frame == 0))):
    print(f"{what:<18}: {off_mm(frame, mask):.2f} mm before, {off_mm(restored, mask):.2f} mm after")

# %% [markdown]
# <details><summary>Solution</summary>
#
# A hole has no error before, because it has no value (*nan*); afterwards it has one, and that should be a few
# millimetres. At measured pixels smoothing removes noise and also takes real detail away: the numbers say which of the
# two was larger.
# </details>
#
# ## The table, and your own frames
#
# One line for each frame. If there are recordings in the data folder (FACEDEPTH_DATA: 16-bit depth images named
# `*_depth.png`), the first of them are enhanced as well. Dlib finds the face in the aligned picture beside each;
# without one the whole frame counts. The enhanced images go to a temporary folder; only counts are kept.

# %%
table = [
    {
        "frame": "simulated",
        "enhancer": name,
        "face_pixels": int(on_face.sum()),
        "holes_before": float(np.mean(frame[on_face] == 0)),
        "holes_after": float(np.mean(restored[on_face] == 0)),
        "note": "simulated camera, parametric face",
    }
]

# %%
from facedepth_kit.cameras.recorded.depth_files import depth_files
from facedepth_kit.common.paths import data_dir

found = depth_files(data_dir()) if any(data_dir().rglob("*_depth.*")) else []
own = [path for path in found if path.stem.endswith("_depth")][:20]
beside = {suffix: [path.with_name(path.stem.removesuffix("_depth") + suffix) for path in own] for suffix in suffixes}
suffix = next((suffix for suffix, pictures in beside.items() if own and pictures[0].is_file()), None)
print(f"{len(own)} recordings of your own, aligned pictures: {suffix or 'none'}")

# %%
import tempfile
from pathlib import Path

from facedepth_kit.enhancers.files import EnhanceSettings, enhance_files

reports = []
with tempfile.TemporaryDirectory() as folder:
    for number, path in enumerate(own):  # a folder each: recordings of two people may bear one name
        run = EnhanceSettings(Path(folder) / str(number), enhancer=name, unit_mm=unit_mm, image_suffix=suffix)
        reports += enhance_files([path], run, enhance=recording_enhancer(name))

# %%
for number, report in enumerate(reports, start=1):
    pixels = report.face_pixels or 0
    table.append(
        {
            "frame": f"own recording {number}",
            "enhancer": name,
            "face_pixels": pixels,
            "holes_before": report.holes_before / pixels if pixels else None,
            "holes_after": report.holes_after / pixels if pixels else None,
            "note": "not enhanced" if report.error else f"face found in {suffix}" if suffix else "whole frame",
        }
    )

# %%
caption = "Share of hole pixels in the face before and after."
work.save_table("recordings", table, caption)

# %% [markdown]
# ## Every measure on your frames
#
# Holes are one number. Roughness, holes at landmarks, the check against printed faces and the error at punched holes
# are others; notebooks 12 to 14 explain them. Here they are for the first of your own recordings.

# %%
from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.evaluation.recordings import evaluate_recordings, summary_rows

names = [name for name in ("None", "Sp-HfU", "Telea+bilateral", "DL-Kit-0", name) if name in enhancers.available()]
rows = [{"enhancer": name, "frames": 0} for name in names]
if own and suffix:
    from itertools import islice

    frames = islice(open_recordings(data_dir(), unit_mm=unit_mm), len(own))
    report = evaluate_recordings(frames, names, rng=work.rng("punched holes"))
    rows = summary_rows(report.measures, report.punched, report.moved)

# %%
caption = (
    "Means over the frames of your own in which Dlib finds a face (0 frames: none in the data folder). measured_bias: "
    "the output is joined to what was measured (ours)."
)
compact = ["enhancer", "frames", "noise_mm", "changed", "nose_mm", "punched_filled", "punched_rmse_mm"]
short = [{name: row[name] for name in compact if name in row} for row in rows]
work.save_table("recordings_measures", rows, caption, digits=3, shown=short)

# %% [markdown]
# ## What real sensors gave
#
# These numbers were measured with `facedepth evaluate-recordings` on frames that are not shipped: head crops of eleven
# people by a Kinect v2, which measures the time of flight of light, and a mannequin by an iPhone's TrueDepth camera.
#
# **Predict.** These sensors leave few holes in a face. What can an enhancer still improve, and what can it only
# damage?
#
# *noise_mm* is the roughness of measured pixels, *changed* how much of what was measured was changed (in percent),
# *nose_mm* how far the nose stands out, *filled* the share of punched pixels that were filled, and *rmse_mm* the error
# there.

# %%
from IPython.display import display

from facedepth_kit.common.tables import shown_table
from facedepth_kit.enhancers.frames import carries_measured_bias
from facedepth_kit.evaluation.recordings import kept_tables
from facedepth_kit.pipeline.workspace import ShownTable

short = {"punched_filled": "filled", "punched_rmse_mm": "rmse_mm"}
for title, table in kept_tables().items():
    joined = table["enhancer"].map(carries_measured_bias)  # outputs joined to what was measured, as in enhance
    table["enhancer"] += joined.map({True: " + measured bias", False: ""})
    table = table.rename(columns=short)[["enhancer", "noise_mm", "changed", "nose_mm", *short.values()]]
    caption = f"{title.replace('_', ' ')}. All columns: `figures/recordings/{title}.csv`."
    display(ShownTable(shown_table(table, digits=2), caption))


# %%
def ahead(column):
    """Whose error at punched holes is below all of OpenCV's, with every sensor."""
    found = [table.set_index("enhancer")[column].dropna() for table in kept_tables().values()]
    best = [errors[errors.index.str.contains("Telea|Navier")].min() for errors in found]
    names = [name for name in found[0].index if all(name in errors for errors in found)]
    return [name for name in names if all(errors[name] < least for errors, least in zip(found, best, strict=True))]


print("ahead of OpenCV with both sensors, by the root mean square:", ahead("punched_rmse_mm"))
print("in the median frame:", ahead("punched_median_frame_mm"))

# %% [markdown]
# <details><summary>Solution</summary>
#
# It can remove noise (*noise_mm*) and close the few holes at landmarks. It does damage where *changed* is large and
# the nose gets shorter (*nose_mm*): decimation by eight (De-M8) does both. At punched holes, where the sensor's value
# is known, filters that copy a neighbour are off by one or two centimetres. OpenCV's inpainting is hard to beat: the
# cell above names the few that do so with both sensors. Compare *filled*, too: an enhancer that fills hardly any of
# the holes is measured at hardly any pixel.
# </details>
#
# ## On your files, without a notebook
#
# `facedepth enhance INPUT... --output DIR` takes files and folders in camera units, finds the face, and writes frames
# of the same size, unit and hole value; `facedepth evaluate-recordings DIR` gives the table of measures. `--help`
# tells the rest.
#
# **Exercise.** What would happen to the wall if the whole frame were given as the face region?
#
# <details><summary>Solution</summary>
#
# Try it: `crop_face(frame)` without a box. The span then starts at the nearest thing in the frame and ends before the
# wall, so the wall becomes a hole and comes back unchanged. But the face gets fewer pixels of the network's input, and
# detail is lost.
# </details>
#
# **Open task** (no solution given). Take ten frames with a depth camera of your own, or of a public data set. Which
# enhancer would you use for them? Say what you measured, on how many frames, and what would change your mind.
#
# ## What you have seen
#
# From a camera's frame to an enhanced one and back. **Next:** [17_compare_enhancers](17_compare_enhancers.ipynb) puts
# enhancers side by side, on your frames too.
