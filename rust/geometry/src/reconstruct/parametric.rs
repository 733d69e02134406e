//! Descent on the parameters of a field instead of on its values: LatentDreamer's coarse stage, whose field is the decoder of
//! a shape autoencoder.

use maquette_core::{Mesh, Progress};

use super::hull_of;
use crate::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use crate::losses::{LossTerms, LossWeights, MeshLosses};
use crate::sdf_grid::{SdfGrid, for_each_border_vertex};
use crate::{Error, Result};

/// A signed distance field that follows from parameters.
pub trait ParametricField {
    /// The field on a grid of `resolution` cells an axis over the unit cube, world units.
    ///
    /// # Errors
    /// When it cannot be computed.
    fn values(&mut self, resolution: usize) -> Result<SdfGrid>;

    /// Moves the parameters one step of `rate` against `gradient`, dL/dvalue on the grid of [`ParametricField::values`].
    ///
    /// # Errors
    /// When it cannot be computed.
    fn step(&mut self, gradient: &[f32], resolution: usize, rate: f32) -> Result<()>;
}

/// How to fit a [`ParametricField`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitSettings {
    /// Cells of FlexiCubes' grid on each axis.
    pub resolution: usize,
    /// Steps.
    pub iterations: usize,
    /// Step of the parameters; it falls to a tenth along a cosine.
    pub learning_rate: f32,
    /// Weights of the loss terms.
    pub weights: LossWeights,
}

/// Share of the hull that is next to nothing.
const NOTHING: f32 = 0.05;
/// Share of the hull that is enough.
const ENOUGH: f32 = 0.5;

/// Fits the parameters of `field` to the views of `losses`, and gives the fitted field, cut by the visual hull. `observe` sees
/// every step's number, loss and surface. A field that starts with next to nothing inside of the hull has no surface to be moved; it is lowered
/// there first until it fills half of the hull, and the loss of these steps is infinite.
///
/// # Errors
/// When the job is cancelled, a setting is out of range, or the field cannot be computed.
pub fn fit(
    field: &mut dyn ParametricField,
    losses: &mut MeshLosses,
    settings: &FitSettings,
    mut observe: impl FnMut(usize, &LossTerms, &dyn Fn() -> Mesh),
    progress: &Progress,
) -> Result<SdfGrid> {
    let FitSettings { resolution, iterations, learning_rate, weights } = *settings;
    let mut flexicubes = FlexiCubes::<f32>::new(Grid::new([resolution; 3])?);
    let positions = || Positions::Regular { origin: [-0.5; 3], spacing: [1.0 / resolution as f32; 3], offset: None };
    let (mut vertex_gradient, mut sdf_gradient) = (Vec::new(), Vec::new());
    let hull = hull_of(losses, resolution)?;
    let within_hull: Vec<f32> = hull.values().iter().map(|value| f32::from(u8::from(*value < 0.0))).collect();
    let mut growing = false;
    for iteration in 0..iterations {
        progress.step(iteration, iterations)?;
        let mut grid = field.values(resolution)?;
        grid.close_border(grid.cell());
        let values = grid.values();
        let done = iteration as f32 / iterations as f32;
        let rate = learning_rate * (0.1 + 0.45 * (1.0 + (std::f32::consts::PI * done).cos()));
        let filled = values.iter().zip(&within_hull).filter(|(value, share)| **value < 0.0 && **share > 0.0).count();
        let share = filled as f32 / within_hull.iter().sum::<f32>().max(1.0);
        growing = share < if iteration == 0 { NOTHING } else { ENOUGH } && (growing || iteration == 0);
        if growing {
            observe(iteration, &LossTerms { hull: f64::INFINITY, ..LossTerms::default() }, &Mesh::default);
            field.step(&within_hull, resolution, rate)?;
            continue;
        }
        let input = Field { positions: positions(), sdf: values, weights: Weights::default() };
        let mut surface = flexicubes.extract(input, Mode::Evaluation)?;
        if surface.faces.is_empty() {
            break;
        }
        let terms = losses.evaluate(surface.vertices, surface.faces, &weights, iteration, &mut vertex_gradient);
        observe(iteration, &terms, &|| Mesh {
            positions: surface.vertices.to_vec(),
            triangles: surface.faces.to_vec(),
            ..Mesh::default()
        });
        sdf_gradient.clear();
        sdf_gradient.resize(values.len(), 0.0);
        let gradients = Gradients { sdf: Some(sdf_gradient.as_mut_slice()), ..Gradients::default() };
        surface.backward(&vertex_gradient, None, gradients)?;
        for_each_border_vertex(resolution, |index| sdf_gradient[index] = 0.0);
        if let Some(index) = sdf_gradient.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: "gradient of the field at vertex",
                index,
                remedy: "give views with finite normals and masks",
            });
        }
        field.step(&sdf_gradient, resolution, rate)?;
    }
    let mut fitted = field.values(resolution)?;
    for (value, hull) in fitted.values_mut().iter_mut().zip(hull.values()) {
        *value = value.max(*hull);
    }
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, views_of};

    /// A ball with a centre and a radius.
    struct Ball {
        center: [f32; 3],
        radius: f32,
    }

    impl Ball {
        fn offset(&self, p: [f32; 3]) -> ([f32; 3], f32) {
            let off: [f32; 3] = std::array::from_fn(|k| p[k] - self.center[k]);
            (off, off.iter().map(|x| x * x).sum::<f32>().sqrt())
        }
    }

    impl ParametricField for Ball {
        fn values(&mut self, resolution: usize) -> Result<SdfGrid> {
            SdfGrid::from_fn(resolution, |p| self.offset(p).1 - self.radius)
        }

        fn step(&mut self, gradient: &[f32], resolution: usize, rate: f32) -> Result<()> {
            let (mut center, mut radius) = ([0.0; 3], 0.0);
            for (p, g) in SdfGrid::positions(resolution).into_iter().zip(gradient) {
                let (off, length) = self.offset(p);
                (0..3).for_each(|k| center[k] -= g * off[k] / length.max(1e-6));
                radius -= g;
            }
            for (value, slope) in
                self.center.iter_mut().chain([&mut self.radius]).zip(center.into_iter().chain([radius]))
            {
                *value -= rate * slope.signum();
            }
            Ok(())
        }
    }

    #[test]
    fn parameters_find_the_views() {
        let truth = icosphere(4, 0.3);
        let views = views_of(&truth, 96);
        let mut losses = MeshLosses::new(&views, 96).unwrap();
        let mut ball = Ball { center: [0.06, -0.05, 0.04], radius: 0.22 };
        let settings = FitSettings {
            resolution: 32,
            iterations: 40,
            learning_rate: 0.008,
            weights: LossWeights { normal: [1.0, 0.0, 0.0], hull: 20.0, contour: 10.0 },
        };
        let mut totals = Vec::new();
        let observe = |_: usize, terms: &LossTerms, _: &dyn Fn() -> Mesh| totals.push(terms.total());
        fit(&mut ball, &mut losses, &settings, observe, &Progress::new()).unwrap();
        assert!(
            (ball.radius - 0.3).abs() < 0.01 && ball.center.iter().all(|x| x.abs() < 0.01),
            "{:?} {}",
            ball.center,
            ball.radius
        );
        assert!(totals.len() == 40 && totals[39] < 0.2 * totals[0], "{totals:?}");
        // From nothing: the ball grows inside of the hull until it has a surface.
        let mut nothing = Ball { center: [0.01, 0.0, 0.0], radius: -0.05 };
        let settings = FitSettings { iterations: 90, ..settings };
        let mut infinite = 0;
        let observe = |_: usize, terms: &LossTerms, _: &dyn Fn() -> Mesh| {
            infinite += usize::from(terms.total().is_infinite());
        };
        fit(&mut nothing, &mut losses, &settings, observe, &Progress::new()).unwrap();
        assert!((nothing.radius - 0.3).abs() < 0.015 && infinite > 3, "{} {infinite}", nothing.radius);
        let progress = Progress::new();
        progress.cancel();
        assert!(fit(&mut ball, &mut losses, &settings, |_, _, _| (), &progress).is_err());
    }
}
