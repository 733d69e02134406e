//! View sources: each turns what the artist gave into posed views of the object.

pub mod draft;
mod front;
pub mod inflate;
mod pictures;
pub mod provided;
mod save;
pub mod zero123plus;

pub use front::{posed_front, six_views_of, views_from_front};
pub use pictures::{pictures_of, view_from_pictures};
pub use provided::load as load_views;
pub use save::save as save_views;

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::{Mesh, View, Views};

/// What every view source gives.
#[derive(Clone, Debug, Default, BorshSerialize, BorshDeserialize)]
pub struct SourceResult {
    /// Posed pictures of the object, for reconstruction and texturing.
    pub views: Views,
    /// The source's own shape in the canonical frame, for sources that have one: a place to start from.
    pub shape: Option<Mesh>,
    /// The input picture itself as a posed view, for sources that know where it was taken from.
    pub input_view: Option<View>,
}

#[cfg(test)]
impl SourceResult {
    /// Overlap of the solid's outline, seen by the input camera, with the picture's alpha.
    fn outline_iou(&self) -> f32 {
        let (mesh, view) = (self.shape.as_ref().unwrap(), self.input_view.as_ref().unwrap());
        let seen = maquette_raster::rasterize(&mesh.positions, &mesh.triangles, &view.camera);
        let (mut both, mut either) = (0, 0);
        for (triangle, mask) in seen.triangle.iter().zip(&view.mask.data) {
            let (a, b) = (*triangle != maquette_raster::GBuffer::EMPTY, mask[0] >= 0.5);
            both += i32::from(a && b);
            either += i32::from(a || b);
        }
        both as f32 / either as f32
    }
}
