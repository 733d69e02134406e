//! Signed distance grids, FlexiCubes, losses, remeshing, simplification and mesh health.
