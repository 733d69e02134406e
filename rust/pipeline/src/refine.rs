//! What task `refine` starts from: any mesh, and the views that it is pulled to.

use maquette_core::recipe::ViewSource;
use maquette_core::{Asset, Mesh, Plane, Progress, View, Views};

use crate::Result;
use crate::segment::Cutout;
use crate::sources::{posed_front, six_views_of};
use crate::turntable::base_color_seen_by;

/// Distance of the farthest vertex from the origin in the canonical frame.
const CANONICAL_RADIUS: f32 = 0.48;
/// How much a view that was rendered from the mesh itself counts beside the picture: it keeps what the picture does not see
/// and must give way where the picture tells otherwise.
const OWN_VIEW_WEIGHT: f32 = 0.1;

/// A mesh and its views, ready for the detail stage.
pub(crate) struct Start {
    /// Welded; in the frame of the views.
    pub(crate) mesh: Mesh,
    /// The picture, if there is one, comes last.
    pub(crate) views: Views,
    /// How much each view counts.
    pub(crate) view_weights: Vec<f32>,
    /// Where the picture is among the views.
    pub(crate) anchor: Option<usize>,
    /// From the given mesh's frame to that of the views.
    pub(crate) frame: Frame,
}

/// A uniform scale after a move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    center: [f32; 3],
    scale: f32,
}

impl Frame {
    pub(crate) const IDENTITY: Self = Self { center: [0.0; 3], scale: 1.0 };

    /// To the canonical frame: box centre at the origin, farthest vertex at the canonical radius.
    fn canonical(mesh: &Mesh) -> Self {
        let (low, high) = mesh.bounds().unwrap_or_default();
        let center: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
        let squared = |p: &[f32; 3]| (0..3).map(|k| (p[k] - center[k]).powi(2)).sum::<f32>();
        let radius = mesh.positions.iter().map(squared).fold(0.0, f32::max).sqrt();
        Self { center, scale: CANONICAL_RADIUS / radius.max(1e-12) }
    }

    fn enter(self, mesh: &mut Mesh) {
        for p in &mut mesh.positions {
            *p = std::array::from_fn(|k| (p[k] - self.center[k]) * self.scale);
        }
    }

    fn left(self, p: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|k| p[k] / self.scale + self.center[k])
    }

    /// Back to the frame of the given mesh.
    pub(crate) fn leave(self, mesh: &mut Mesh, views: &mut Views) {
        if self == Self::IDENTITY {
            return;
        }
        for p in &mut mesh.positions {
            *p = self.left(*p);
        }
        for view in &mut views.views {
            view.camera.position = self.left(view.camera.position.coords.into()).into();
        }
    }
}

impl Start {
    /// From given views, whose frame the mesh must be in, and a picture; one of them may be missing. Without views there are
    /// six of the mesh itself, in its own colours, else in those of the picture.
    pub(crate) fn new(
        asset: &Asset,
        given: Option<&Views>,
        cutout: Option<&Cutout>,
        settings: &ViewSource,
        progress: &Progress,
    ) -> Result<Self> {
        let frame = if given.is_some() { Frame::IDENTITY } else { Frame::canonical(&asset.mesh) };
        let (mut mesh, _) = asset.mesh.welded();
        mesh.corner_uvs = None;
        frame.enter(&mut mesh);
        let front = cutout
            .map(|cutout| posed_front(cutout, &mesh, settings.known_elevation_degrees(), progress))
            .transpose()?
            .map(|(view, _)| view);
        let mut views = given.cloned().unwrap_or_default();
        let mut view_weights = vec![1.0; views.views.len()];
        if let (None, Some(front)) = (given, &front) {
            views = six_views_of(&mesh, front, settings.size_px, progress)?;
            view_weights = vec![OWN_VIEW_WEIGHT; views.views.len()];
            if asset.base_color.is_some() && asset.mesh.corner_uvs.is_some() {
                let mut seen =
                    Asset { mesh: asset.mesh.clone(), base_color: asset.base_color.clone(), ..Asset::default() };
                frame.enter(&mut seen.mesh);
                for view in &mut views.views {
                    progress.check()?;
                    view.color = Some(own_color(&seen, view));
                }
            }
        }
        let anchor = front.map(|front| {
            views.views.push(front);
            view_weights.push(1.0);
            views.views.len() - 1
        });
        Ok(Self { mesh, views, view_weights, anchor, frame })
    }
}

/// The mesh's own base colour in a view of it.
fn own_color(asset: &Asset, view: &View) -> Plane<4> {
    let (mut color, paper) = base_color_seen_by(asset, &view.camera);
    for (pixel, &[mask]) in color.data.iter_mut().zip(&view.mask.data) {
        // Take out the paper that shows beside the object in pixels of its outline.
        let unmixed = |value: f32| if mask > 1e-3 { ((value - (1.0 - mask) * paper) / mask).max(0.0) } else { 0.0 };
        *pixel = [unmixed(pixel[0]), unmixed(pixel[1]), unmixed(pixel[2]), mask];
    }
    color
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lead_there_and_back() {
        let positions = vec![[4.0, 1.0, 2.0], [8.0, 1.0, 2.0], [6.0, 5.0, 2.0]];
        let mesh = Mesh::new(positions, vec![[0, 1, 2]]).unwrap();
        let frame = Frame::canonical(&mesh);
        let mut moved = mesh.clone();
        frame.enter(&mut moved);
        let radius = |p: &[f32; 3]| p.iter().map(|x| x * x).sum::<f32>().sqrt();
        let largest = moved.positions.iter().map(radius).fold(0.0, f32::max);
        assert!((largest - CANONICAL_RADIUS).abs() < 1e-5, "{largest}");
        frame.leave(&mut moved, &mut Views::default());
        for (a, b) in moved.positions.iter().flatten().zip(mesh.positions.iter().flatten()) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
