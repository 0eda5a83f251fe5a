"""The second paper: paired recordings of two depth cameras, aligned in space and time, for learning to denoise."""
