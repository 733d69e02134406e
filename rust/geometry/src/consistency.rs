//! How well views agree with one another on a mesh: LSS3D's two measures, before and after shifting.
//!
//! For every view, the two views next to it are projected onto the mesh and seen from there; for the input view alone, all
//! others. The flow between that and the view itself is our own pyramidal Lucas-Kanade on smooth maps, see [`crate::shifting`], in place of the paper's RAFT.

use maquette_core::recipe::Shifting;
use maquette_core::{Mesh, Plane, Views};
use maquette_raster::{NormalViews, Shading};
use serde::Serialize;

use crate::Result;
use crate::reprojection::reproject;
use crate::shifting::{AlignedView, Shift, ShiftSettings};

/// Means over all views' pixels that a neighbouring view sees, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Consistency {
    /// Mean squared difference of the projected and the view's own colours, linear light, over channels.
    pub reprojection_mse: f64,
    /// Mean length of the flow between them in pixels.
    pub flow_error_px: f64,
    /// Pixels that were compared.
    pub pixels: usize,
}

/// Compares `views`, each read by its map of `shifts`, on `mesh`, which must be valid. Views without colour are left out.
pub fn consistency(mesh: &Mesh, views: &Views, shifts: &[Shift]) -> Result<Consistency> {
    let comparison = Comparison::new(mesh, views, shifts)?;
    let mut sums = Sums::default();
    for index in 0..views.views.len() {
        comparison.add(index, &nearest_two(views, index), &mut sums);
    }
    Ok(sums.mean())
}

/// As [`consistency`], of view `target` alone, with what all other views show of the surface that it sees.
pub fn consistency_into(mesh: &Mesh, views: &Views, shifts: &[Shift], target: usize) -> Result<Consistency> {
    if target >= views.views.len() {
        return Err(crate::Error::invalid(format!(
            "view {target} is to be compared, but there are only {}; numbers start at 0",
            views.views.len()
        )));
    }
    let others: Vec<usize> = (0..views.views.len()).filter(|&other| other != target).collect();
    let mut sums = Sums::default();
    Comparison::new(mesh, views, shifts)?.add(target, &others, &mut sums);
    Ok(sums.mean())
}

/// Views and the mesh as each of them shows it.
struct Comparison<'a> {
    views: &'a Views,
    shifts: &'a [Shift],
    rendered: NormalViews,
}

/// Over the pixels that were compared.
#[derive(Default)]
struct Sums {
    squares: f64,
    lengths: f64,
    pixels: usize,
}

impl Sums {
    fn mean(&self) -> Consistency {
        let mean = |sum: f64| if self.pixels > 0 { sum / self.pixels as f64 } else { 0.0 };
        Consistency { reprojection_mse: mean(self.squares), flow_error_px: mean(self.lengths), pixels: self.pixels }
    }
}

impl<'a> Comparison<'a> {
    fn new(mesh: &Mesh, views: &'a Views, shifts: &'a [Shift]) -> Result<Self> {
        views.validate()?;
        crate::Error::check_length("shifts", shifts.len(), views.views.len(), "one for each view")?;
        let cameras: Vec<_> = views.views.iter().map(|view| view.camera.clone()).collect();
        let mut rendered = NormalViews::new(&cameras, Shading::Flat);
        rendered.render(&mesh.positions, &mesh.triangles);
        Ok(Self { views, shifts, rendered })
    }

    /// Compares view `index` with what `sources` show of the surface it sees.
    fn add(&self, index: usize, sources: &[usize], sums: &mut Sums) {
        let (view, rendered) = (&self.views.views[index], &self.rendered.views);
        let settings =
            ShiftSettings { shifting: Shifting::Plane, normal: 0.0, outline: 0.0, ..ShiftSettings::default() };
        let projected = reproject(self.views, rendered, self.shifts, index, sources);
        let own = self.shifts[index].apply(view);
        let Some(color) = &own.color else { return };
        let mut flow = Shift::new(view.camera.width, view.camera.height);
        let known = Plane { data: color.data.iter().map(|&[r, g, b, a]| [r * a, g * a, b * a, a]).collect(), ..*color };
        flow.align(
            &AlignedView::given(&own).with_color(&known),
            &AlignedView::rendered(&rendered[index]).with_color(&projected),
            &settings,
        );
        for row in 0..view.camera.height {
            for column in 0..view.camera.width {
                let (seen, own) = (projected.at(row, column), color.at(row, column));
                if seen[3] < 0.99 || own[3] < 0.99 {
                    continue;
                }
                sums.squares += (0..3).map(|k| f64::from(seen[k] - own[k]).powi(2)).sum::<f64>() / 3.0;
                let [dx, dy] = flow.shift_px(column as f32 + 0.5, row as f32 + 0.5);
                sums.lengths += f64::from(dx.hypot(dy));
                sums.pixels += 1;
            }
        }
    }
}

/// The two views whose cameras are nearest to that of view `index`.
fn nearest_two(views: &Views, index: usize) -> Vec<usize> {
    let own = views.views[index].camera.position;
    let mut others: Vec<usize> = (0..views.views.len()).filter(|&other| other != index).collect();
    let distance = |other: &usize| (views.views[*other].camera.position - own).norm();
    others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    others.truncate(2);
    others
}
