"""PRNet (Feng et al. 2018) in Keras, every variable of the official checkpoint in name and shape (section III-A)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facedepth_kit.common.quiet import quiet_tensorflow

if TYPE_CHECKING:
    import keras

SIDE = 256  # pixels of the photo's crop and of the position map

# Filters and stride of the residual blocks, then of the transposed convolutions.
BLOCKS = ((32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
UPWARDS = (
    *((512, 1), (256, 2), (256, 1), (256, 1), (128, 2), (128, 1), (128, 1), (64, 2), (64, 1), (64, 1)),
    *((32, 2), (32, 1), (16, 2), (16, 1), (3, 1), (3, 1), (3, 1)),
)
KERNEL = 4


def build_prnet() -> keras.Model:
    """PRNet without weights: (n, 256, 256, 3) float32 RGB in 0..1 to the same shape in 0..1 (x 256 x 1.1: positions).

    Its 245 variables hold 13,365,508 values; :func:`variables` names them as the official checkpoint does.
    """
    quiet_tensorflow()
    import keras
    from keras import layers

    def convolve(x: Any, scope: str, filters: int, kernel: int, stride: int = 1, normalized: bool = True) -> Any:
        convolution = layers.Conv2D(
            filters, kernel, strides=stride, padding="same", use_bias=False, name=_layer_name(scope)
        )
        return normalize(convolution(x), scope) if normalized else convolution(x)

    def normalize(x: Any, scope: str, activation: str = "relu") -> Any:
        name = _layer_name(f"{scope}/BatchNorm")
        return layers.Activation(activation)(layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x))

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
    try:
        inputs = keras.Input((SIDE, SIDE, 3), name="photo")
        x = convolve(inputs, "Conv", 16, KERNEL)
        channels = 16
        for number, (filters, stride) in enumerate(BLOCKS):
            scope = _numbered("resBlock", number)
            shortcut = x
            if stride != 1 or channels != filters:
                shortcut = convolve(x, f"{scope}/shortcut", filters, 1, stride, normalized=False)
            x = convolve(x, f"{scope}/Conv", filters // 2, 1)
            x = convolve(x, f"{scope}/Conv_1", filters // 2, KERNEL, stride)
            x = convolve(x, f"{scope}/Conv_2", filters, 1, normalized=False)
            x = normalize(layers.Add()([shortcut, x]), scope)
            channels = filters
        for number, (filters, stride) in enumerate(UPWARDS):
            scope = _numbered("Conv2d_transpose", number)
            x = layers.Conv2DTranspose(
                filters, KERNEL, strides=stride, padding="same", use_bias=False, name=_layer_name(scope)
            )(x)
            x = normalize(x, scope, "sigmoid" if number == len(UPWARDS) - 1 else "relu")
        return keras.Model(inputs, x, name="resfcn256")
    finally:
        keras.config.set_dtype_policy(policy)


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _layer_name(scope: str) -> str:
    return scope.replace("/", "-")  # Keras keeps the slash for itself


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in the official checkpoint, such as ``resfcn256/Conv/weights``."""
    found = {}
    for layer in model.layers:
        scope = f"resfcn256/{layer.name.replace('-', '/')}"
        for variable in layer.variables:
            name = "weights" if variable.name == "kernel" else variable.name
            found[f"{scope}/{name}"] = variable
    return found
