"""The catalogue that the project draws itself: garments that share cloths and differ in cut."""

from embedder_service.training.sample.draw import SampleSettings, draw

__all__ = ["SampleSettings", "draw"]
