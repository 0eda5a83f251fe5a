"""3D faces: the parametric face model, and where photos and meshes of other origins come in."""
