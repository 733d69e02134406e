//! World to pixels, in the form that the rasteriser and its derivatives share.

use maquette_core::Camera;

/// Surface nearer to the camera plane than this is not seen, in metres along the optical axis.
pub const NEAR_DEPTH: f32 = 1e-4;

/// A camera as a linear map from world space to homogeneous pixels `(x, y, depth)` about the principal point: the pixel
/// position is `center + (x, y) / depth`. Linear, so that points behind the camera need no special case.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    /// Rows of the linear part, focal lengths included.
    pub(crate) rows: [[f32; 3]; 3],
    /// Camera centre in world space.
    pub(crate) position: [f32; 3],
    /// Principal point in pixels.
    pub(crate) center: [f32; 2],
}

impl Projection {
    pub(crate) fn new(camera: &Camera) -> Self {
        let rotation = camera.world_from_camera.matrix();
        let axis =
            |k: usize, scale: f32| [rotation[(0, k)] * scale, rotation[(1, k)] * scale, rotation[(2, k)] * scale];
        Self {
            rows: [axis(0, camera.focal_px[0]), axis(1, -camera.focal_px[1]), axis(2, -1.0)],
            position: [camera.position.x, camera.position.y, camera.position.z],
            center: camera.center_px,
        }
    }

    /// Homogeneous pixel of a world point.
    #[inline]
    pub(crate) fn project(&self, point: [f32; 3]) -> [f32; 3] {
        let p = [point[0] - self.position[0], point[1] - self.position[1], point[2] - self.position[2]];
        self.rows.map(|row| row[0] * p[0] + row[1] * p[1] + row[2] * p[2])
    }

    /// Gradient to the world point, given the one to its homogeneous pixel.
    #[inline]
    pub(crate) fn project_backward(&self, gradient: [f32; 3]) -> [f32; 3] {
        let [x, y, z] = &self.rows;
        [0, 1, 2].map(|k| gradient[0] * x[k] + gradient[1] * y[k] + gradient[2] * z[k])
    }

    /// Gradient to the world point, given the one to its pixel position `pixel` at `depth`.
    #[inline]
    pub(crate) fn pixel_backward(&self, pixel: [f32; 2], depth: f32, gradient: [f32; 2]) -> [f32; 3] {
        let [x, y] = gradient.map(|g| g / depth);
        let offset = [pixel[0] - self.center[0], pixel[1] - self.center[1]];
        self.project_backward([x, y, -(x * offset[0] + y * offset[1])])
    }
}

/// Perspective-correct weights of a triangle's vertices, given as homogeneous pixels, at the pixel position that is
/// `offset` away from the principal point. Clamped to the triangle, so that rounding never extrapolates.
///
/// Works for vertices behind the camera: weight i is the 2x2 determinant of the other two vertices, seen from the pixel.
#[inline]
pub(crate) fn perspective_weights(vertices: [[f32; 3]; 3], offset: [f32; 2]) -> [f32; 3] {
    let [a, b, c] = vertices.map(|q| seen_from(q, offset));
    let (wa, wb, wc) = (cross(b, c), cross(c, a), cross(a, b));
    let scale = 1.0 / (wa + wb + wc);
    let (u, v) = (wb * scale, wc * scale);
    // Nearly always; NaN fails.
    if u >= 0.0 && v >= 0.0 && u + v <= 1.0 {
        return [1.0 - u - v, u, v];
    }
    if !(u.is_finite() && v.is_finite()) {
        return [1.0 / 3.0; 3];
    }
    let (u, v) = (u.clamp(0.0, 1.0), v.clamp(0.0, 1.0));
    let over = (u + v).max(1.0);
    let (u, v) = (u / over, v / over);
    [(1.0 - u - v).max(0.0), u, v]
}

/// Gradient of [`perspective_weights`] to the three homogeneous pixels, given the one to the second and third weight. The
/// clamp is not differentiated: it only removes rounding.
#[inline]
pub(crate) fn perspective_weights_backward(
    vertices: [[f32; 3]; 3],
    offset: [f32; 2],
    gradient: [f32; 2],
) -> [[f32; 3]; 3] {
    let [a, b, c] = vertices.map(|q| seen_from(q, offset));
    let (wa, wb, wc) = (cross(b, c), cross(c, a), cross(a, b));
    let scale = 1.0 / (wa + wb + wc);
    let mean = (gradient[0] * wb + gradient[1] * wc) * scale;
    let (ga, gb, gc) = (-mean * scale, (gradient[0] - mean) * scale, (gradient[1] - mean) * scale);
    if !(ga.is_finite() && gb.is_finite() && gc.is_finite()) {
        return [[0.0; 3]; 3];
    }
    // The determinant cross(p, q) has the gradient (q.y, -q.x) to p and (-p.y, p.x) to q.
    let to_vertex = |next: [f32; 2], to_cross_next: f32, last: [f32; 2], to_cross_last: f32| {
        let x = to_cross_next * next[1] - to_cross_last * last[1];
        let y = to_cross_last * last[0] - to_cross_next * next[0];
        [x, y, -(offset[0] * x + offset[1] * y)]
    };
    [to_vertex(b, gc, c, gb), to_vertex(c, ga, a, gc), to_vertex(a, gb, b, ga)]
}

/// A homogeneous pixel relative to the pixel position `offset` away from the principal point, times its depth.
#[inline]
fn seen_from(q: [f32; 3], offset: [f32; 2]) -> [f32; 2] {
    [q[0] - offset[0] * q[2], q[1] - offset[1] * q[2]]
}

#[inline]
fn cross(p: [f32; 2], q: [f32; 2]) -> f32 {
    p[0] * q[1] - p[1] * q[0]
}
