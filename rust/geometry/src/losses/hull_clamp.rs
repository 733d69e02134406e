//! Keeping the surface inside of every silhouette: weight / 4 * sum over vertices of max(d, 0)^2, with d the signed
//! distance of the projected vertex to the outline in world units. Hidden vertices count too: nothing may stick out
//! anywhere, and the distance field leads every vertex back however far out it is.

use super::{MeshLosses, Projected, Target};
use crate::vec3::{Vec3, accumulate};

/// The weighted loss; adds dL/dposition to `gradient`.
pub(super) fn hull_clamp(target: &Target, vertices: &[Projected], weight: f32, gradient: &mut [Vec3]) -> f64 {
    if weight <= 0.0 {
        return 0.0;
    }
    let scale = weight / 4.0 * target.pixel * target.pixel;
    let mut loss = 0.0f64;
    for (vertex, gradient) in vertices.iter().zip(gradient) {
        if vertex.depth < MeshLosses::NEAR_DEPTH {
            continue;
        }
        let (distance, slope) = target.silhouette.sample(vertex.pixel[0], vertex.pixel[1]);
        if distance > 0.0 {
            loss += f64::from(scale * distance * distance);
            let slope = slope.map(|x| 2.0 * scale * distance * x);
            accumulate(gradient, vertex.pull_back(&target.camera, slope));
        }
    }
    loss
}
