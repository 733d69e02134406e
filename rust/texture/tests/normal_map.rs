//! Normal maps of meshes whose true normals are known.

mod common;

use common::{cube, look_up, position, render, six_views, sphere};
use maquette_core::{Camera, Mesh, Progress, Recipe};
use maquette_texture::{Textured, texture_mesh};

fn bake(mesh: &Mesh, detail: &Mesh) -> Textured {
    let mut recipe = Recipe::default();
    recipe.bake.texture_size = 256;
    recipe.texture.cell = 0.02;
    let views = six_views(mesh, 32, |_| [0.5; 3]);
    texture_mesh(mesh, &views, &[], &recipe.texture, &recipe.bake, Some(detail), &Progress::new()).expect("good input")
}

#[test]
fn a_mesh_on_itself_is_flat() {
    for mesh in [sphere(16), cube([0.0; 3], 0.27)] {
        let textured = bake(&mesh, &mesh);
        for pixel in textured.normal_map.unwrap().pixels() {
            assert!(pixel[0].abs_diff(128) <= 2 && pixel[1].abs_diff(128) <= 2 && pixel[2] >= 254, "{pixel:?}");
        }
    }
}

#[test]
fn without_detail_there_is_no_map() {
    let mesh = cube([0.0; 3], 0.27);
    let recipe = Recipe::default();
    let views = six_views(&mesh, 32, |_| [0.5; 3]);
    let run = |detail: Option<&Mesh>, wanted: bool| {
        let mut bake = recipe.bake.clone();
        (bake.normal_map, bake.texture_size) = (wanted, 64);
        let mut texture = recipe.texture.clone();
        texture.cell = 0.02;
        texture_mesh(&mesh, &views, &[], &texture, &bake, detail, &Progress::new()).unwrap().normal_map
    };
    assert!(run(None, true).is_none() && run(Some(&mesh), false).is_none() && run(Some(&mesh), true).is_some());
}

/// A renderer's use of the map (tangents from the derivatives of position and texture coordinates) gives the fine
/// sphere's normals back, in the direction of both axes of the map.
#[test]
fn a_renderer_gets_the_detailed_normals_back() {
    let (coarse, fine) = (sphere(6), sphere(96));
    let textured = bake(&coarse, &fine);
    let map = textured.normal_map.as_ref().unwrap();
    let plane = maquette_core::Plane {
        width: 256,
        height: 256,
        data: map.pixels().iter().map(|p| p.map(|x| f32::from(x) / 127.5 - 1.0)).collect(),
    };
    let uvs = textured.mesh.corner_uvs.as_ref().unwrap();
    let normals = coarse.vertex_normals();
    let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let unit = |a: [f32; 3]| a.map(|x| x / dot(a, a).sqrt());
    let errors = std::cell::RefCell::new((0.0f64, 0.0f64, 0.0f64));
    render(&coarse, &Camera::rig(20.0, 10.0, 64), |triangle, weights| {
        let corners = coarse.triangles[triangle as usize];
        let [a, b, c] = corners.map(|vertex| coarse.positions[vertex as usize]);
        let [ta, tb, tc] = uvs[triangle as usize];
        let mix = |k: usize| (0..3).map(|i| weights[i] * normals[corners[i] as usize][k]).sum::<f32>();
        let smooth = unit([mix(0), mix(1), mix(2)]);
        let (du, dv) = ([tb[0] - ta[0], tc[0] - ta[0]], [tb[1] - ta[1], tc[1] - ta[1]]);
        let scale = 1.0 / (du[0] * dv[1] - du[1] * dv[0]);
        let along = |s: f32, t: f32| std::array::from_fn(|k| scale * (s * (b[k] - a[k]) + t * (c[k] - a[k])));
        let flatten = |v: [f32; 3]| unit(std::array::from_fn(|k| v[k] - smooth[k] * dot(v, smooth)));
        let (tangent, bitangent) = (flatten(along(dv[1], -dv[0])), flatten(along(-du[1], du[0])));
        let uv = std::array::from_fn(|k| weights[0] * ta[k] + weights[1] * tb[k] + weights[2] * tc[k]);
        let [x, y, z] = look_up(&plane, uv);
        let shaded = unit(std::array::from_fn(|k| x * tangent[k] + y * bitangent[k] + z * smooth[k]));
        let truth = unit(position(&coarse, triangle, weights));
        let mut errors = errors.borrow_mut();
        errors.0 += f64::from(dot(shaded, truth).clamp(-1.0, 1.0).acos().to_degrees());
        errors.1 += f64::from(dot(smooth, truth).clamp(-1.0, 1.0).acos().to_degrees());
        errors.2 += 1.0;
        [0.0; 3]
    });
    let (mapped, plain, count) = errors.into_inner();
    let (mapped, plain) = (mapped / count, plain / count);
    assert!(plain > 1.5, "the coarse sphere must be visibly coarse: {plain} degrees");
    assert!(mapped < 0.5 * plain, "mean error with the map {mapped} degrees, without {plain}");
}
