//! Soft silhouettes: pixels at an outline are blended by where the outline crosses between pixel centres.
//!
//! The idea is that of Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering": coverage of
//! pixel centres does not change with the mesh, but the crossing point does, and gradients reach the outline's two vertices
//! through it. Here the outlines are walked instead of the pixels, so an outline made of triangles smaller than a pixel is
//! found as well.
//!
//! An edge blends left and right neighbours by the square of the x component of its unit normal, upper and lower ones by
//! that of the y component. The two add up to 1, so an outline at 45 degrees is not counted twice, a pixel whose centre it
//! passes changes without a jump, and the sum over all pixels changes by the area that the outline sweeps.
//!
//! The backward pass takes those squares as constants. Turning a short edge then has no gradient of its own, and what is
//! left is the derivative of the area under the outline, to which it is nearer than the derivative of the blend.

use maquette_core::{Camera, Plane};
use rayon::prelude::*;

use crate::projection::{NEAR_DEPTH, Projection};
use crate::scatter::add;
use crate::{Edges, GBuffer};

/// Pixels by which the rasteriser's fixed-point outlines may differ from those computed here.
const ROUNDING: f32 = 1e-3;

/// Where an outline passes between two neighbouring pixel centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// Index of the pixel whose centre lies on the surface that ends at the outline.
    pub near: u32,
    /// Index of its neighbour, which sees what is behind, or nothing.
    pub far: u32,
    /// The outline's vertices.
    pub vertices: [u32; 2],
    /// Way from the near centre to the outline, in pixels, 0..=1.
    pub fraction: f32,
    /// How squarely the outline crosses, 0..=1: square of its unit normal's component along this pair of neighbours.
    pub squareness: f32,
}

/// The visible outlines of a mesh in one view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Silhouettes {
    /// At most one for each pair of neighbours, in order of pixels.
    pub crossings: Vec<Crossing>,
}

impl Silhouettes {
    /// Finds the outlines of the mesh that `gbuffer` was rasterised from with `camera`. `edges` are those of `triangles`.
    ///
    /// An outline is an edge whose triangles all lie on one side of it in the picture. Edges that reach behind the camera
    /// are left out.
    pub fn new(
        gbuffer: &GBuffer,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        edges: &Edges,
        camera: &Camera,
    ) -> Self {
        let projection = Projection::new(camera);
        let pixels: Vec<PixelVertex> =
            positions.par_iter().with_min_len(4096).map(|&p| PixelVertex::new(&projection, p)).collect();
        let facing: Vec<i8> =
            triangles.par_iter().with_min_len(4096).map(|&triangle| facing(&pixels, triangle)).collect();

        // Keyed by the left or upper pixel and the axis towards its neighbour.
        let mut candidates: Vec<((u32, usize), Crossing)> = Vec::new();
        for (index, surface_side) in edges.outlines(&facing) {
            let vertices = edges.vertices()[index];
            let [a, b] = vertices.map(|vertex| pixels[vertex as usize]);
            if !(a.is_visible() && b.is_visible()) {
                continue;
            }
            for axis in 0..2 {
                let line = OutlineLine::new(&a, &b, axis);
                // The surface lies towards smaller coordinates along the crossed axis.
                let surface_first = ((line.delta[1 - axis] > 0.0) == (surface_side > 0)) == (axis == 0);
                line.for_each_crossing(gbuffer, |first, second, position, depth| {
                    let (near, far, fraction) =
                        if surface_first { (first, second, position) } else { (second, first, 1.0 - position) };
                    if separates(gbuffer, near, far, depth) {
                        let (near, far, squareness) = (near as u32, far as u32, line.squareness);
                        let crossing = Crossing { near, far, vertices, fraction, squareness };
                        candidates.push(((first as u32, axis), crossing));
                    }
                });
            }
        }
        // Of several outlines between two centres the outermost ends the surface.
        candidates.sort_unstable_by(|(pair, x), (other, y)| {
            pair.cmp(other).then(y.fraction.total_cmp(&x.fraction)).then(x.vertices.cmp(&y.vertices))
        });
        candidates.dedup_by_key(|(pair, _)| *pair);
        Self { crossings: candidates.into_iter().map(|(_, crossing)| crossing).collect() }
    }

    /// Blends the pixels on both sides of every outline. Values may leave their range a little where a pixel has outlines
    /// on all sides.
    #[must_use]
    pub fn antialias<const C: usize>(&self, plane: &Plane<C>) -> Plane<C> {
        let mut blended = plane.clone();
        self.blend(&mut blended, |pixel| plane.data[pixel]);
        blended
    }

    /// Adds the gradient of [`Silhouettes::antialias`] to `plane_gradient` and, through the outlines' vertices, to
    /// `position_gradients`, given the one of its result. `plane`, `positions` and `camera` are those of the forward pass.
    pub fn antialias_backward<const C: usize>(
        &self,
        plane: &Plane<C>,
        gradient: &Plane<C>,
        positions: &[[f32; 3]],
        camera: &Camera,
        plane_gradient: &mut Plane<C>,
        position_gradients: &mut [[f32; 3]],
    ) {
        for (sum, &g) in plane_gradient.data.iter_mut().zip(&gradient.data) {
            add(sum, g);
        }
        let add_value = |pixel: usize, g: [f32; C]| add(&mut plane_gradient.data[pixel], g);
        self.blend_backward(gradient, |pixel| plane.data[pixel], positions, camera, add_value, position_gradients);
    }

    /// [`Silhouettes::antialias`] of a plane that holds `value(pixel)` everywhere, in its place.
    pub(crate) fn blend<const C: usize>(&self, plane: &mut Plane<C>, value: impl Fn(usize) -> [f32; C]) {
        for crossing in &self.crossings {
            let (to, weight) = crossing.blend();
            let difference = crossing.difference(&value);
            add(&mut plane.data[to], difference.map(|x| x * weight));
        }
    }

    /// Gradient of [`Silhouettes::blend`], except that each pixel also hands its own on to its value: calls
    /// `add_value(pixel, gradient)` and adds to `position_gradients`.
    pub(crate) fn blend_backward<const C: usize>(
        &self,
        gradient: &Plane<C>,
        value: impl Fn(usize) -> [f32; C],
        positions: &[[f32; 3]],
        camera: &Camera,
        mut add_value: impl FnMut(usize, [f32; C]),
        position_gradients: &mut [[f32; 3]],
    ) {
        let projection = Projection::new(camera);
        for crossing in &self.crossings {
            let (to, weight) = crossing.blend();
            let g = gradient.data[to];
            add_value(crossing.near as usize, g.map(|x| x * weight));
            add_value(crossing.far as usize, g.map(|x| -x * weight));

            let difference = crossing.difference(&value);
            let to_fraction = crossing.squareness * (0..C).map(|k| g[k] * difference[k]).sum::<f32>();
            if to_fraction != 0.0 {
                crossing.add_vertex_gradients(to_fraction, gradient.width, positions, &projection, position_gradients);
            }
        }
    }
}

impl Crossing {
    /// The pixel that the outline cuts, and what it gains of (near - far): past the middle the near surface reaches into the
    /// far pixel, before it the far one into the near pixel.
    #[inline]
    fn blend(&self) -> (usize, f32) {
        let pixel = if self.fraction > 0.5 { self.far } else { self.near };
        (pixel as usize, (self.fraction - 0.5) * self.squareness)
    }

    /// Near minus far value.
    #[inline]
    fn difference<const C: usize>(&self, value: impl Fn(usize) -> [f32; C]) -> [f32; C] {
        let (near, far) = (value(self.near as usize), value(self.far as usize));
        std::array::from_fn(|k| near[k] - far[k])
    }

    fn add_vertex_gradients(
        &self,
        to_fraction: f32,
        width: usize,
        positions: &[[f32; 3]],
        projection: &Projection,
        position_gradients: &mut [[f32; 3]],
    ) {
        let [a, b] = self.vertices.map(|vertex| PixelVertex::new(projection, positions[vertex as usize]));
        // One pixel wide pictures have no left and right neighbours.
        let axis = usize::from(width == 1 || self.near.abs_diff(self.far) != 1);
        let line = OutlineLine::new(&a, &b, axis);
        let near = self.near as usize;
        let center = [near % width, near / width][1 - axis] as f32 + 0.5;
        let share = (center - line.from[1 - axis]) / line.delta[1 - axis];
        let slope = line.delta[axis] / line.delta[1 - axis];
        let outward = if self.far > self.near { to_fraction } else { -to_fraction };
        for (vertex, point, share) in [(self.vertices[0], a, 1.0 - share), (self.vertices[1], b, share)] {
            let mut to_pixel = [0.0; 2];
            to_pixel[axis] = outward * share;
            to_pixel[1 - axis] = -outward * share * slope;
            let gradient = projection.pixel_backward(point.position, point.depth, to_pixel);
            add(&mut position_gradients[vertex as usize], gradient);
        }
    }
}

/// A vertex in pixels.
#[derive(Clone, Copy)]
struct PixelVertex {
    position: [f32; 2],
    depth: f32,
}

impl PixelVertex {
    #[inline]
    fn new(projection: &Projection, point: [f32; 3]) -> Self {
        let [x, y, depth] = projection.project(point);
        let inverse = 1.0 / depth;
        Self { position: [x * inverse + projection.center[0], y * inverse + projection.center[1]], depth }
    }

    /// In front of the camera and finite.
    #[inline]
    fn is_visible(&self) -> bool {
        self.depth >= NEAR_DEPTH && self.position[0].abs() < 1e7 && self.position[1].abs() < 1e7
    }
}

/// How a triangle is wound in the picture: 1, -1, or 0 where it has no area or reaches behind the camera.
#[inline]
fn facing(pixels: &[PixelVertex], triangle: [u32; 3]) -> i8 {
    let [Some(a), Some(b), Some(c)] = triangle.map(|vertex| pixels.get(vertex as usize)) else {
        return 0;
    };
    if !(a.is_visible() && b.is_visible() && c.is_visible()) {
        return 0;
    }
    let (u, v) = (
        [b.position[0] - a.position[0], b.position[1] - a.position[1]],
        [c.position[0] - a.position[0], c.position[1] - a.position[1]],
    );
    let area = u[0] * v[1] - u[1] * v[0];
    i8::from(area > 0.0) - i8::from(area < 0.0)
}

/// True where the surface that ends at `depth` covers the near pixel, and the far one sees something behind it or nothing.
#[inline]
fn separates(gbuffer: &GBuffer, near: usize, far: usize, depth: f32) -> bool {
    let (near_triangle, far_triangle) = (gbuffer.triangle[near], gbuffer.triangle[far]);
    if near_triangle == GBuffer::EMPTY || near_triangle == far_triangle {
        return false;
    }
    let behind = gbuffer.depth[far];
    // Which surface the near pixel sees is told by depth: it is nearer to the outline than to what is behind.
    far_triangle == GBuffer::EMPTY || (depth < behind && 2.0 * gbuffer.depth[near] < depth + behind)
}

/// An outline in pixels, from its lower to its higher vertex, where it lies between neighbours along one axis.
struct OutlineLine {
    from: [f32; 2],
    delta: [f32; 2],
    inverse_depths: [f32; 2],
    /// 0: it lies between left and right neighbours, 1: between upper and lower ones.
    axis: usize,
    squareness: f32,
}

impl OutlineLine {
    #[inline]
    fn new(a: &PixelVertex, b: &PixelVertex, axis: usize) -> Self {
        let delta = [b.position[0] - a.position[0], b.position[1] - a.position[1]];
        let across = delta[1 - axis] * delta[1 - axis];
        Self {
            from: a.position,
            delta,
            inverse_depths: [1.0 / a.depth, 1.0 / b.depth],
            axis,
            squareness: across / (delta[0] * delta[0] + delta[1] * delta[1]),
        }
    }

    /// Calls `found(first pixel, second pixel, way from the first centre in 0..=1, depth there)` for every pair of
    /// neighbours in the picture between whose centres the line passes, or nearly.
    #[inline]
    fn for_each_crossing(&self, gbuffer: &GBuffer, mut found: impl FnMut(usize, usize, f32, f32)) {
        let (along, across) = (self.axis, 1 - self.axis);
        let size = [gbuffer.width, gbuffer.height];
        let strides = [1, gbuffer.width];
        let (start, end) = (self.from[across], self.from[across] + self.delta[across]);
        // Centres in the half-open range, so that outlines that meet at a vertex do not both cross there.
        let limit = size[across] as f32;
        let first_line = (start.min(end) - 0.5).ceil().clamp(0.0, limit) as usize;
        let last_line = (start.max(end) - 0.5).ceil().clamp(0.0, limit) as usize;
        for line in first_line..last_line {
            let share = (line as f32 + 0.5 - start) / self.delta[across];
            let crossing = self.from[along] + share * self.delta[along] - 0.5;
            if !(crossing >= 0.0 && crossing < size[along] as f32 - 1.0) {
                continue;
            }
            let first = crossing as usize;
            let pixel = first * strides[along] + line * strides[across];
            let depth = 1.0 / (self.inverse_depths[0] + share * (self.inverse_depths[1] - self.inverse_depths[0]));
            let position = crossing - first as f32;
            found(pixel, pixel + strides[along], position, depth);
            // Rounding may have put a centre this near on the other side.
            if position < ROUNDING && first > 0 {
                found(pixel - strides[along], pixel, 1.0, depth);
            }
            if position > 1.0 - ROUNDING && first + 2 < size[along] {
                found(pixel + strides[along], pixel + 2 * strides[along], 0.0, depth);
            }
        }
    }
}
