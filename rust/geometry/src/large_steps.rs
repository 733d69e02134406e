//! Vertex moves that stay smooth: the optimiser of B. Nicolet, A. Jacobson, W. Jakob, "Large Steps in Inverse Rendering
//! of Geometry", 2021.
//!
//! Instead of the vertices v it moves u = (I + λ L) v, with L the combinatorial Laplacian, so that a gradient at one vertex
//! moves its whole surroundings; and one second moment, that of the vertex that is pulled most, scales all steps, so
//! that they keep the gradient's direction. The system changes with every remeshing and solutions change little from step
//! to step: conjugate gradients from the last solution need some ten cheap iterations, without a factorisation.

use glam::Vec3A;

use crate::adjacency::Adjacency;
use crate::{Error, Result};

/// The matrix I + λ L of a triangle mesh, symmetric and positive definite.
#[derive(Clone, Debug, Default)]
pub struct LargeSteps {
    lambda: f32,
    adjacency: Adjacency,
    residual: Vec<Vec3A>,
    direction: Vec<Vec3A>,
    image: Vec<Vec3A>,
}

impl LargeSteps {
    /// The matrix of a mesh of `vertex_count` vertices; `lambda` 0 leaves vertices alone, 5 to 20 is usual.
    pub fn new(vertex_count: usize, triangles: &[[u32; 3]], lambda: f32) -> Result<Self> {
        if !(lambda >= 0.0 && lambda.is_finite()) {
            return Err(Error::invalid(format!("lambda of large steps is {lambda}; give a finite one, 0 or above")));
        }
        if let Some(index) = triangles.iter().position(|t| t.iter().any(|&vertex| vertex as usize >= vertex_count)) {
            return Err(Error::invalid(format!(
                "triangle {index} names a vertex beyond the {vertex_count} of the mesh"
            )));
        }
        Ok(Self { lambda, adjacency: Adjacency::new(vertex_count, triangles), ..Self::default() })
    }

    /// Number of vertices.
    pub fn len(&self) -> usize {
        self.adjacency.len()
    }

    /// Whether there are no vertices.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// u = (I + λ L) v.
    pub fn latent_from_positions(&self, positions: &[[f32; 3]]) -> Vec<[f32; 3]> {
        let padded: Vec<Vec3A> = positions.iter().map(|&p| p.into()).collect();
        let mut latent = vec![Vec3A::ZERO; padded.len()];
        self.multiply(&padded, &mut latent);
        latent.into_iter().map(Into::into).collect()
    }

    /// Solves (I + λ L) x = b from the `x` that is given, until the residual is below `tolerance` times b; returns the
    /// number of iterations. Turns u into v, and, the matrix being symmetric, dL/dv into dL/du.
    pub fn solve(&mut self, b: &[Vec3A], x: &mut [Vec3A], tolerance: f32) -> usize {
        const MOST_ITERATIONS: usize = 500;
        let count = self.len();
        let (mut residual, mut direction, mut image) =
            (std::mem::take(&mut self.residual), std::mem::take(&mut self.direction), std::mem::take(&mut self.image));
        for buffer in [&mut residual, &mut direction, &mut image] {
            buffer.resize(count, Vec3A::ZERO);
        }
        self.multiply(x, &mut image);
        let (mut goal, mut size, mut product) = (Vec3A::ZERO, Vec3A::ZERO, Vec3A::ZERO);
        for vertex in 0..count {
            let rest = b[vertex] - image[vertex];
            let preconditioned = rest * self.inverse_diagonal(vertex);
            residual[vertex] = rest;
            direction[vertex] = preconditioned;
            goal += b[vertex] * b[vertex];
            size += rest * rest;
            product += rest * preconditioned;
        }
        let goal = goal * tolerance * tolerance;
        let mut iterations = 0;
        // The three coordinates are three systems with steps of their own.
        while size.cmpgt(goal).any() && iterations < MOST_ITERATIONS {
            iterations += 1;
            self.multiply(&direction, &mut image);
            let curvature: Vec3A = direction.iter().zip(&image).map(|(&d, &i)| d * i).sum();
            let step = quotient(product, curvature);
            let mut next_product = Vec3A::ZERO;
            size = Vec3A::ZERO;
            for vertex in 0..count {
                x[vertex] += step * direction[vertex];
                let rest = residual[vertex] - step * image[vertex];
                residual[vertex] = rest;
                size += rest * rest;
                next_product += rest * rest * self.inverse_diagonal(vertex);
            }
            let turn = quotient(next_product, product);
            product = next_product;
            for vertex in 0..count {
                direction[vertex] = residual[vertex] * self.inverse_diagonal(vertex) + turn * direction[vertex];
            }
        }
        (self.residual, self.direction, self.image) = (residual, direction, image);
        iterations
    }

    fn multiply(&self, x: &[Vec3A], out: &mut [Vec3A]) {
        for (vertex, out) in out.iter_mut().enumerate() {
            let row = self.adjacency.of(vertex);
            let sum: Vec3A = row.iter().map(|&neighbour| x[neighbour as usize]).sum();
            *out = x[vertex] * (1.0 + self.lambda * row.len() as f32) - sum * self.lambda;
        }
    }

    fn inverse_diagonal(&self, vertex: usize) -> f32 {
        (1.0 + self.lambda * self.adjacency.of(vertex).len() as f32).recip()
    }
}

/// a / b, and 0 where a coordinate is solved already.
fn quotient(a: Vec3A, b: Vec3A) -> Vec3A {
    Vec3A::select(b.cmpgt(Vec3A::splat(f32::MIN_POSITIVE)), a / b, Vec3A::ZERO)
}

/// Decay rates and accuracy of [`LargeStepsAdam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LargeStepsSettings {
    /// λ: how far a pull spreads, in edges squared.
    pub lambda: f32,
    /// Decay rate of the first moment, in 0..1.
    pub beta1: f32,
    /// Decay rate of the second moment, in 0..1.
    pub beta2: f32,
    /// Relative residual at which solving stops.
    pub tolerance: f32,
}

impl Default for LargeStepsSettings {
    fn default() -> Self {
        Self { lambda: 5.0, beta1: 0.9, beta2: 0.99, tolerance: 1e-3 }
    }
}

/// Adam on u = (I + λ L) v. The mesh may change between steps: the state of a vertex is a few numbers that remeshing can
/// carry.
#[derive(Clone, Debug, Default)]
pub struct LargeStepsAdam {
    settings: LargeStepsSettings,
    system: LargeSteps,
    steps: i32,
    /// Largest squared dL/du of a vertex, decaying.
    second: f32,
    first: Vec<Vec3A>,
    /// Last dL/du and last move, where the next solutions start.
    latent_gradient: Vec<Vec3A>,
    moves: Vec<Vec3A>,
    right_side: Vec<Vec3A>,
}

impl LargeStepsAdam {
    /// Numbers that one vertex carries.
    pub const STATE_WIDTH: usize = 9;

    /// An optimiser for a mesh.
    pub fn new(vertex_count: usize, triangles: &[[u32; 3]], settings: LargeStepsSettings) -> Result<Self> {
        let LargeStepsSettings { beta1, beta2, tolerance, .. } = settings;
        if !((0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2) && tolerance > 0.0 && tolerance < 1.0) {
            return Err(Error::invalid(format!(
                "large steps have decay rates {beta1} and {beta2} and tolerance {tolerance}; rates must be from 0 to below \
                 1, the tolerance between 0 and 1"
            )));
        }
        let mut adam = Self { settings, ..Self::default() };
        adam.set_mesh(vertex_count, triangles, &vec![0.0; vertex_count * Self::STATE_WIDTH])?;
        Ok(adam)
    }

    /// `[vertices][STATE_WIDTH]` numbers for remeshing to carry.
    pub fn state(&self) -> Vec<f32> {
        let vertices = self.first.iter().zip(&self.latent_gradient).zip(&self.moves);
        vertices
            .flat_map(|((first, gradient), moves)| [first, gradient, moves].map(Vec3A::to_array))
            .flatten()
            .collect()
    }

    /// Goes on with another mesh whose vertices have this [`LargeStepsAdam::state`].
    pub fn set_mesh(&mut self, vertex_count: usize, triangles: &[[u32; 3]], state: &[f32]) -> Result<()> {
        let needed = vertex_count * Self::STATE_WIDTH;
        Error::check_length("state of large steps", state.len(), needed, "nine numbers for each vertex")?;
        self.system = LargeSteps::new(vertex_count, triangles, self.settings.lambda)?;
        let part =
            |k: usize| state.chunks_exact(Self::STATE_WIDTH).map(move |row| Vec3A::from_slice(&row[3 * k..])).collect();
        (self.first, self.latent_gradient, self.moves) = (part(0), part(1), part(2));
        Ok(())
    }

    /// Moves every vertex against the gradient dL/dv; a vertex that is pulled as hard as any has been of late moves about
    /// `learning_rate` in u. Refuses a gradient that is not finite, and changes nothing then.
    pub fn step(&mut self, positions: &mut [[f32; 3]], gradient: &[[f32; 3]], learning_rate: f32) -> Result<()> {
        let count = self.system.len();
        Error::check_length("positions", positions.len(), count, "one for each vertex")?;
        Error::check_length("gradient", gradient.len(), count, "one for each vertex")?;
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            return Err(Error::invalid(format!("learning rate is {learning_rate}; give a finite one, 0 or above")));
        }
        if let Some(index) = gradient.iter().position(|g| !g.iter().all(|x| x.is_finite())) {
            return Err(Error::NotFinite {
                what: "gradient",
                index,
                remedy: "check the loss and lower the learning rate",
            });
        }
        let LargeStepsSettings { beta1, beta2, tolerance, .. } = self.settings;
        self.right_side.clear();
        self.right_side.extend(gradient.iter().map(|&g| Vec3A::from(g)));
        self.system.solve(&self.right_side, &mut self.latent_gradient, tolerance);
        self.steps = self.steps.saturating_add(1);
        let largest = self.latent_gradient.iter().map(|g| g.length_squared()).fold(0.0, f32::max);
        self.second = beta2 * self.second + (1.0 - beta2) * largest;
        let unbias = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(self.steps))) as f32;
        let scale = -learning_rate * unbias(beta1) / ((self.second * unbias(beta2)).sqrt() + 1e-20);
        for ((first, &gradient), right_side) in
            self.first.iter_mut().zip(&self.latent_gradient).zip(&mut self.right_side)
        {
            *first = *first * beta1 + gradient * (1.0 - beta1);
            *right_side = *first * scale;
        }
        self.system.solve(&self.right_side, &mut self.moves, tolerance);
        for (position, moves) in positions.iter_mut().zip(&self.moves) {
            *position = (Vec3A::from(*position) + *moves).into();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remesh::shapes::{sphere, torus};
    use crate::remesh::{Remesh, remesh};

    #[test]
    fn solving_undoes_the_matrix() {
        let mesh = torus(0.3, 0.1, 40, 20);
        let mut system = LargeSteps::new(mesh.positions.len(), &mesh.triangles, 19.0).unwrap();
        let latent: Vec<Vec3A> = system.latent_from_positions(&mesh.positions).into_iter().map(Vec3A::from).collect();
        let mut solution = vec![Vec3A::ZERO; latent.len()];
        let iterations = system.solve(&latent, &mut solution, 1e-6);
        assert!((5..120).contains(&iterations), "{iterations}");
        for (found, expected) in solution.iter().zip(&mesh.positions) {
            assert!((*found - Vec3A::from(*expected)).length() < 1e-4);
        }
        assert_eq!(system.solve(&latent, &mut solution, 1e-4), 0, "the solution is a good start");
    }

    #[test]
    fn the_gradient_of_the_latent_matches_central_differences() {
        // L(v) = Σ w · v³ with v = M⁻¹ u: dL/du = M⁻¹ (3 w v²).
        let mesh = sphere(0.4, 5);
        let count = mesh.positions.len();
        let mut system = LargeSteps::new(count, &mesh.triangles, 5.0).unwrap();
        let weight = |k: usize| Vec3A::new((k as f32).sin(), (2.3 * k as f32).cos(), (0.7 * k as f32).sin());
        let mut loss = |latent: &[Vec3A]| -> f64 {
            let mut v = vec![Vec3A::ZERO; count];
            system.solve(latent, &mut v, 1e-7);
            v.iter().enumerate().map(|(k, &v)| f64::from((weight(k) * v * v * v).element_sum())).sum()
        };
        let latent: Vec<Vec3A> = (0..count).map(|k| Vec3A::splat(0.5) + weight(3 * k + 1)).collect();
        let step = 0.02;
        let numeric = |k: usize, loss: &mut dyn FnMut(&[Vec3A]) -> f64| {
            let mut at = |offset: f32| {
                let mut moved = latent.clone();
                moved[k].y += offset;
                loss(&moved)
            };
            (at(step) - at(-step)) / f64::from(2.0 * step)
        };
        let numbers: Vec<f64> = (0..count).step_by(3).map(|k| numeric(k, &mut loss)).collect();
        let mut v = vec![Vec3A::ZERO; count];
        system.solve(&latent, &mut v, 1e-7);
        let gradient: Vec<Vec3A> = v.iter().enumerate().map(|(k, &v)| 3.0 * weight(k) * v * v).collect();
        let mut latent_gradient = vec![Vec3A::ZERO; count];
        system.solve(&gradient, &mut latent_gradient, 1e-7);
        for (k, numeric) in (0..count).step_by(3).zip(numbers) {
            assert!(
                (numeric - f64::from(latent_gradient[k].y)).abs() < 1e-3,
                "{k}: {numeric} {}",
                latent_gradient[k].y
            );
        }
    }

    #[test]
    fn a_sphere_becomes_an_ellipsoid_across_remeshings() {
        let mut mesh = sphere(0.3, 12);
        let radii = [0.4, 0.25, 0.3];
        let mut adam =
            LargeStepsAdam::new(mesh.positions.len(), &mesh.triangles, LargeStepsSettings::default()).unwrap();
        // Distance to the ellipsoid along the radius.
        let error = |p: &[f32; 3]| (0..3).map(|k| (p[k] / radii[k]).powi(2)).sum::<f32>().sqrt() - 1.0;
        for step in 0..200 {
            let gradient: Vec<[f32; 3]> = mesh.positions.iter().map(|p| p.map(|x| error(p) * x)).collect();
            adam.step(&mut mesh.positions, &gradient, 0.02).unwrap();
            if step % 25 == 24 {
                let mut state = adam.state();
                remesh(&mut mesh, &mut state, &Remesh::uniform(0.04)).unwrap();
                adam.set_mesh(mesh.positions.len(), &mesh.triangles, &state).unwrap();
            }
        }
        let worst = mesh.positions.iter().map(|p| error(p).abs()).fold(0.0, f32::max);
        assert!(worst < 0.02, "{worst}");
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        assert!(LargeSteps::new(3, &[[0, 1, 3]], 1.0).is_err());
        assert!(LargeSteps::new(3, &[[0, 1, 2]], f32::NAN).is_err());
        let settings = LargeStepsSettings { beta1: 1.0, ..LargeStepsSettings::default() };
        assert!(LargeStepsAdam::new(3, &[[0, 1, 2]], settings).is_err());
        let mut adam = LargeStepsAdam::new(3, &[[0, 1, 2]], LargeStepsSettings::default()).unwrap();
        let mut positions = [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let before = positions;
        assert!(adam.step(&mut positions, &[[f32::NAN; 3]; 3], 0.1).is_err());
        assert!(adam.step(&mut positions, &[[0.0; 3]; 2], 0.1).is_err());
        assert!(adam.step(&mut positions, &[[0.0; 3]; 3], -0.1).is_err());
        assert!(adam.set_mesh(3, &[[0, 1, 2]], &[0.0; 26]).is_err());
        assert_eq!(positions, before);
        adam.step(&mut positions, &[[0.0; 3]; 3], 0.1).unwrap();
        assert_eq!(positions, before, "no pull, no move");
        assert!(LargeStepsAdam::new(0, &[], LargeStepsSettings::default()).is_ok());
    }
}
