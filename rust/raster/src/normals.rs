//! Normals of triangles and of vertices.

use rayon::prelude::*;

use crate::scatter::{add, scatter};

/// Unit normals of triangles, outward for counter-clockwise winding; zero for a triangle without area.
pub fn face_normals(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let normal = |&triangle: &[u32; 3]| unit(area_vector(corners(positions, triangle)));
    triangles.par_iter().with_min_len(4096).map(normal).collect()
}

/// Adds the gradient of [`face_normals`] to `position_gradients`, given the one of its result.
pub fn face_normals_backward(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    normal_gradients: &[[f32; 3]],
    position_gradients: &mut [[f32; 3]],
) {
    scatter(triangles.len(), position_gradients, |range, sums| {
        for index in range {
            let gradient = normal_gradients[index];
            if gradient != [0.0; 3] {
                let corners = corners(positions, triangles[index]);
                let gradient = unit_backward(area_vector(corners), gradient);
                add_area_vector_backward(corners, triangles[index], gradient, sums);
            }
        }
    });
}

/// Unit vertex normals, the mean of the triangles around weighted by area; zero for a vertex without area around it.
pub fn vertex_normals(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    vertex_area_vectors(positions, triangles).into_iter().map(unit).collect()
}

/// Adds the gradient of [`vertex_normals`] to `position_gradients`, given the one of its result.
pub fn vertex_normals_backward(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    normal_gradients: &[[f32; 3]],
    position_gradients: &mut [[f32; 3]],
) {
    let mut gradients = vertex_area_vectors(positions, triangles);
    for (area, &gradient) in gradients.iter_mut().zip(normal_gradients) {
        *area = unit_backward(*area, gradient);
    }
    scatter(triangles.len(), position_gradients, |range, sums| {
        for &triangle in &triangles[range] {
            let mut gradient = [0.0; 3];
            for vertex in triangle {
                add(&mut gradient, gradients[vertex as usize]);
            }
            add_area_vector_backward(corners(positions, triangle), triangle, gradient, sums);
        }
    });
}

fn vertex_area_vectors(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    let mut areas = vec![[0.0; 3]; positions.len()];
    scatter(triangles.len(), &mut areas, |range, sums| {
        for &triangle in &triangles[range] {
            let area = area_vector(corners(positions, triangle));
            for vertex in triangle {
                add(&mut sums[vertex as usize], area);
            }
        }
    });
    areas
}

#[inline]
fn corners(positions: &[[f32; 3]], triangle: [u32; 3]) -> [[f32; 3]; 3] {
    triangle.map(|vertex| positions[vertex as usize])
}

/// Twice the area of a triangle, along its outward normal.
#[inline]
fn area_vector([a, b, c]: [[f32; 3]; 3]) -> [f32; 3] {
    cross(difference(b, a), difference(c, a))
}

#[inline]
fn add_area_vector_backward([a, b, c]: [[f32; 3]; 3], triangle: [u32; 3], gradient: [f32; 3], sums: &mut [[f32; 3]]) {
    let to_b = cross(difference(c, a), gradient);
    let to_c = cross(gradient, difference(b, a));
    add(&mut sums[triangle[0] as usize], [0, 1, 2].map(|k| -to_b[k] - to_c[k]));
    add(&mut sums[triangle[1] as usize], to_b);
    add(&mut sums[triangle[2] as usize], to_c);
}

/// `v` at length 1; zero where it has no direction.
#[inline]
pub(crate) fn unit(v: [f32; 3]) -> [f32; 3] {
    let scale = 1.0 / dot(v, v).sqrt();
    if scale.is_finite() { v.map(|x| x * scale) } else { [0.0; 3] }
}

/// Gradient to `v` of [`unit`], given the one to its result.
#[inline]
pub(crate) fn unit_backward(v: [f32; 3], gradient: [f32; 3]) -> [f32; 3] {
    let scale = 1.0 / dot(v, v).sqrt();
    if !scale.is_finite() {
        return [0.0; 3];
    }
    let direction = v.map(|x| x * scale);
    let along = dot(direction, gradient);
    [0, 1, 2].map(|k| (gradient[k] - along * direction[k]) * scale)
}

#[inline]
fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline]
fn difference(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline]
fn cross(u: [f32; 3], v: [f32; 3]) -> [f32; 3] {
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}
