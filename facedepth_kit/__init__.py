"""Learning-based enhancement of face depth images: the helpers behind the numbered notebooks."""

__version__ = "0.1.0"
