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
# # The networks
#
# *Part 2: Networks and filters*
#
# **Goal.** Write the paper's network in twenty lines, then build all four of its networks and count their parameters.
#
# **You will learn** what a U-Net is, where its parameters are, and how four published numbers fix the layout of four
# networks.
#
# **Comes out:** Table III and Figure 7 (sections III-C and IV-C).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("04_networks", profile, seed, output)
work

# %% [markdown]
# ## A U-Net in one sentence
#
# Halve the image again and again while looking for larger and larger shapes (the left side of the U); double it again
# and again while building the output (the right side); and hand each level's fine detail straight across, so that it
# need not pass through the small images at the bottom.
#
# Its building block is the **convolution**: every pixel of the result is a weighted sum of a small window of input
# pixels, with the same weights everywhere. One convolution has many such sets of weights. Each makes an image of its
# own, a **channel**: one may respond to edges, another to slopes. The weights are the **parameters**. Nobody writes
# them down; training finds them.
#
# ## The network in twenty lines

# %%
import keras
from keras import layers


def convolve(x, filters):
    """Two convolutions, each followed by ReLU (negative values become zero)."""
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return x


# %%
def unet(filters, bottom):
    inputs = x = keras.Input((256, 256, 1))  # a depth image, scaled from 0 to 1
    skips = []
    for count in filters:  # down: convolve, keep, halve
        x = convolve(x, count)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolve(x, bottom)
    for count, skip in zip(reversed(filters), reversed(skips), strict=True):  # up: double, join, convolve
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = convolve(x, count)
    outputs = layers.Conv2D(1, 1)(x)  # one value for each pixel: depth again
    return keras.Model(inputs, outputs)


# %% [markdown]
# A small one with two levels is short enough to read. Follow *Output Shape* from top to bottom: the image is halved
# twice and doubled twice, and the channels do the opposite.

# %%
unet(filters=(16, 32), bottom=64).summary(line_length=100)

# %% [markdown]
# The paper's DL-Delta has seven levels. Is the network of the package, which all other notebooks use, the same? If so,
# it has as many parameters, and with the same weights it gives the same output.

# %%
import numpy as np

from facedepth_kit.networks.unet import SIZES, build_unet

mine = unet(filters=(16, 32, 64, 128, 128, 128, 128), bottom=256)
models = {name: build_unet(size) for name, size in SIZES.items()}
models["DL-Delta"].set_weights(mine.get_weights())
image = work.rng("an image").random((1, 256, 256, 1), dtype=np.float32)
outputs = [keras.ops.convert_to_numpy(model(image)) for model in (mine, models["DL-Delta"])]
print(f"parameters: {mine.count_params():,} and {models['DL-Delta'].count_params():,}")
print(f"largest difference of the outputs: {np.abs(outputs[0] - outputs[1]).max():.1e}")

# %% [markdown]
# ## Table III: are the counts right?
#
# The text of the paper does not give the layout of its Figure 7. But it prints the number of trainable parameters of
# all four networks, and these fix filters, levels and kernels.

# %%
from facedepth_kit.evaluation.published import rows, verdicts

counted = {name: {"parameters": model.count_params()} for name, model in models.items()}
published = rows("III")
same = {verdict.claim.row: verdict.holds for verdict in verdicts("III", counted)}
notes = {
    "DL-Alpha": "four 3x3 convolutions a level, by its count",
    "DL-Gamma": "the 5x5 version of DL-Delta, by its count; the paper's text says of DL-Alpha",
}

# %%
table = [
    {
        "network": name,
        "parameters": counted[name]["parameters"],
        "published_parameters": published[name]["parameters"],
        "same": same[name],
        "filters": " ".join(map(str, size.filters)),
        "convolutions_per_level": size.convolutions,
        "kernel": f"{size.kernel}x{size.kernel}",
        "note": notes.get(name, ""),
    }
    for name, size in SIZES.items()
]

# %%
caption = (
    "Trainable parameters counted on the networks as built, beside Table III of the paper. "
    "Activation (ReLU) and pooling are not fixed by the counts and are the kit's choice."
)
work.save_table("table_3", table, caption)

# %% [markdown]
# ## Figure 7: the smallest of them

# %%
from facedepth_kit.plots.networks import network_drawing

drawn = [
    {
        "kind": type(layer).__name__,
        "size": layer.output.shape[1],
        "channels": layer.output.shape[3],
        "kernel": getattr(layer, "kernel_size", (0,))[0],
    }
    for layer in models["DL-Delta"].layers
]

# %%
caption = "After Figure 7: DL-Delta, drawn from the built Keras model. Height: resolution; small numbers: channels."
work.save_figure(network_drawing(drawn, "DL-Delta"), "figure_07.png", caption, width=1100)

# %% [markdown]
# ## Predict: where are the parameters?
#
# Near the top of the U the images are large, at the bottom they are small. Where is the layer of DL-Delta with the
# most parameters: in the *first* level, at the *bottom*, or in the *last* level?

# %%
my_place = ""  # your answer: first, bottom or last

# %%
from facedepth_kit.pipeline.exercises import check

largest = max(models["DL-Delta"].layers, key=lambda layer: layer.count_params())
place = {"down1": "first", "bottom": "bottom", "up1": "last"}.get(largest.name.split("_")[0], largest.name)
print(check(my_place, place))

# %% [markdown]
# **Exercise.** A convolution has one weight for each pixel of its kernel, each channel that comes in and each channel
# that goes out, and one further parameter (the *bias*) for each channel that goes out. How many parameters has that
# layer? The next cell prints its kernel and channels.

# %%
print(f"kernel {largest.kernel_size}, channels in {largest.input.shape[3]}, channels out {largest.output.shape[3]}")
my_count = ...  # your answer: a number, or the calculation

# %%
print(check(my_count, largest.count_params()))

# %% [markdown]
# <details><summary>Solution</summary>
#
# At the bottom: kernel area times channels in times channels out, plus channels out: `3 * 3 * 256 * 256 + 256`. The
# size of the image does not occur in it, and where the image is small the channels are many. The *work* is the other
# way round: it grows with the number of pixels.
# </details>

# %% [markdown]
# ## What you have seen
#
# Twenty lines are the whole network, and all four published counts are met exactly. The networks have not learnt
# anything yet. **Next:** [05_training](05_training.ipynb) trains one.
