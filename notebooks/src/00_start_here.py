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
# # Start here
#
# *Part 0: Start*
#
# A depth camera writes down, for every pixel, how far away the world is. Of a face it makes a relief with holes and
# noise. This kit rebuilds a study of what can be done about that: *Deep learning face depth enhancement* by Schlett
# and others.
#
# **Goal.** See the whole story at a glance, and check that this machine is ready for it.
#
# **You will learn** what the notebooks are about, in which order, the few words that they take for granted, and how to
# run them all with one command.
#
# **Comes out:** the map, with what each notebook makes and how long it took; and what this machine has.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("00_start_here", profile, seed, output)
work

# %% [markdown]
# ## The story in one picture
#
# A face is drawn (**ground truth**), spoiled as a camera would (**degraded**), and repaired (**enhanced**). Because
# the truth is known, the repair can be marked like an exam.

# %%
from facedepth_kit import enhancers
from facedepth_kit.pairs.store import SynthesisSettings, make_pair

pair = make_pair(work.seed, 0, SynthesisSettings())
degraded = pair.degraded[0]
name = next((name for name in ("DL-Kit-1", "DL-Delta-1") if name in enhancers.available()), "Telea")
enhanced = enhancers.get(name).enhance(degraded)

# %%
from facedepth_kit.plots.grids import strip

pictures = {"ground truth": pair.ground_truth, "degraded": degraded, f"enhanced by {name}": enhanced}
work.show(strip(pictures, size=2.4))

# %%
from facedepth_kit.plots.colours import shaded_relief

reliefs = {title: shaded_relief(depth, pair.depth_range) for title, depth in pictures.items()}
work.show(strip(reliefs, size=2.4))

# %% [markdown]
# ## Words
#
# Nothing is presumed but some Python. These words come back everywhere:
#
# <details><summary>A dozen words about depth, error and attacks</summary>
#
# | word | meaning |
# | --- | --- |
# | depth image | a picture whose pixels are distances from the camera, not colours |
# | hole | a pixel for which the camera could not tell the distance |
# | ground truth | what the camera should have seen; known here because the faces are drawn |
# | degraded | ground truth with holes, noise and blur put in on purpose |
# | enhancer | anything that takes a depth image and gives a better one back: a filter, a network |
# | mask | which pixels count, usually those of the face |
# | RMSE | root of the mean squared error: one number for "how far off", large errors weigh most |
# | network, weights | a function with millions of adjustable numbers, and those numbers once adjusted |
# | landmarks | named points of a face: corners of the eyes, tip of the nose, the jaw |
# | presentation attack | something held up before a camera to pass for a face: a print, a screen, a mask |
# | bona fide | the opposite: a real person |
# | APCER, BPCER | shares of attacks that pass for people, and of people who are taken for attacks |
# </details>
#
# ## The map
#
# The notebooks tell one story, in this order. Each opens with its goal and closes with where to go next. The seconds
# are those of the last run of each profile on the machine that made the figures. Those with *sliders* invite you to
# play.

# %%
from facedepth_kit.pipeline.manifest import durations
from facedepth_kit.pipeline.notebooks import NOTEBOOKS


def row(notebook):
    """A row of the map: from the notebook's own header, and from what the pipeline knows of it."""
    sliders = " *(sliders)*" if "_panel(" in notebook.source.read_text(encoding="utf-8") else ""
    return {
        "part": notebook.part,
        "notebook": f"[{notebook.name}]({notebook.name}.ipynb)",
        "about": notebook.title + sliders,
        "makes": ", ".join(name for name in notebook.outputs if not name.endswith(".md")),
        "first run": durations(notebook.name),
    }


# %%
from IPython.display import Markdown

from facedepth_kit.common.tables import markdown_table

Markdown(markdown_table([row(notebook) for notebook in NOTEBOOKS]))

# %% [markdown]
# ## Is this machine ready?
#
# The same findings as `facedepth doctor` prints. *absent* is optional; *broken* must be mended, and says how.

# %%
from facedepth_kit.cli import doctor

findings = list(doctor.examine())
Markdown(
    markdown_table(
        [{"topic": one.topic, "state": one.state, "found": one.text, "how to mend": one.fix} for one in findings]
    )
)

# %%
for line in doctor.advice(findings):
    print(line)

# %%
keras = next((one.text for one in findings if one.topic == "Keras" and one.state == "ok"), "unknown")
work.save_result("machine.json", {"device": keras, "machine": [one.text for one in findings if one.topic == "machine"]})

# %% [markdown]
# ## How to use the kit
#
# * **Step through** a notebook: run its cells one by one. What they write goes to a folder of your own,
#   `build/<profile>/output`; the figures in the repository stay as they are.
# * **Run everything** without a screen: `make figures`. A second run does only what is new. `PROFILE=smoke` is quick,
#   `PROFILE=paper` takes the paper's counts and wants a GPU.
# * **Use it** on depth recordings of your own: `facedepth enhance`, as `16_your_recordings` shows.
#
# **Predict.** Which of the two pictures above gives the degraded face away at once, the colours or the relief? Why?
#
# <details><summary>Solution</summary>
#
# The relief. Shading follows the *slope*, and noise changes slopes much more than it changes depth. Colour follows
# depth itself: good for seeing holes and wrong distances, blind to roughness.
# </details>
#
# **Next: `01_ground_truth_synthesis`** draws the faces.
