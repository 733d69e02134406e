//! Any sizes, angles, cameras, reserved fields and struct sizes in a request of views and a mesh: an error, or a sound request.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use maquette::abi::{self, Mirror as _};
use maquette::testing::load_request;

#[derive(Arbitrary, Debug)]
struct Given {
    views: Vec<View>,
    mesh: Option<Mesh>,
    /// Taken from the true sizes of request, view, image.
    shorter: [u8; 3],
    count_off: bool,
}

#[derive(Arbitrary, Debug)]
struct View {
    angles_degrees: [f32; 2],
    width: u8,
    height: u8,
    /// Sizes of the kind that limits are for; no pixels are behind them.
    huge: Option<[u32; 2]>,
    normal: Option<[u8; 2]>,
    camera: Option<([f32; 2], [f32; 2], [f32; 16])>,
    reserved: [bool; 2],
    pixel: [u8; 4],
}

#[derive(Arbitrary, Debug)]
struct Mesh {
    positions: Vec<[f32; 3]>,
    triangles: Vec<[u8; 3]>,
    uvs: Option<[f32; 2]>,
    normals: bool,
}

fn size<T>(shorter: u8) -> u32 {
    (size_of::<T>() as u32).saturating_sub(u32::from(shorter))
}

fn image(size_px: [u32; 2], pixels: &[u8], shorter: u8, reserved: bool) -> abi::Image {
    let [width, height] = size_px;
    abi::Image { struct_size: size::<abi::Image>(shorter), width, height, reserved: reserved.into(), rgba: pixels.as_ptr() }
}

fuzz_target!(|given: Given| {
    let pixels: Vec<Vec<u8>> = given.views.iter().map(|view| view.pixel.repeat(255 * 255)).collect();
    let normals: Vec<Option<abi::Image>> = given
        .views
        .iter()
        .zip(&pixels)
        .map(|(view, pixels)| view.normal.map(|size| image(size.map(u32::from), pixels, 0, false)))
        .collect();
    let colors: Vec<abi::Image> = given
        .views
        .iter()
        .zip(&pixels)
        .map(|(view, pixels)| {
            let size = [view.width.into(), view.height.into()];
            // Sizes that are within the limits would need the pixels.
            let huge = view.huge.filter(|[w, h]| *w > 16_384 || *h > 16_384 || u64::from(*w) * u64::from(*h) > 100_000_000);
            image(huge.unwrap_or(size), pixels, given.shorter[2], view.reserved[0])
        })
        .collect();
    let cameras: Vec<Option<abi::Camera>> = given
        .views
        .iter()
        .map(|view| {
            view.camera.map(|(focal_px, center_px, world_from_camera)| abi::Camera {
                struct_size: size_of::<abi::Camera>() as u32,
                reserved: 0,
                focal_px,
                center_px,
                world_from_camera,
            })
        })
        .collect();
    let null = std::ptr::null();
    let views: Vec<abi::View> = (0..given.views.len())
        .map(|index| abi::View {
            struct_size: size::<abi::View>(given.shorter[1]),
            reserved: given.views[index].reserved[1].into(),
            azimuth_degrees: given.views[index].angles_degrees[0],
            elevation_degrees: given.views[index].angles_degrees[1],
            color: &raw const colors[index],
            normal: normals[index].as_ref().map_or(null, |normal| &raw const *normal),
            camera: cameras[index].as_ref().map_or(std::ptr::null(), |camera| &raw const *camera),
        })
        .collect();
    // Elements lie struct_size bytes apart.
    let stride = size::<abi::View>(given.shorter[1]) as usize;
    if views.len() > 1 && stride != size_of::<abi::View>() {
        return;
    }
    let parts = given.mesh.as_ref().map(|mesh| {
        let triangles: Vec<[u32; 3]> = mesh.triangles.iter().map(|t| t.map(u32::from)).collect();
        let uvs = mesh.uvs.map(|uv| vec![[uv; 3]; triangles.len()]);
        (mesh, triangles, uvs)
    });
    let mesh = parts.as_ref().map(|(mesh, triangles, uvs)| abi::Mesh {
        struct_size: size_of::<abi::Mesh>() as u32,
        reserved: 0,
        vertex_count: mesh.positions.len() as u64,
        triangle_count: triangles.len() as u64,
        positions: mesh.positions.as_ptr().cast(),
        normals: if mesh.normals { mesh.positions.as_ptr().cast() } else { std::ptr::null() },
        triangles: triangles.as_ptr().cast(),
        corner_uvs: uvs.as_ref().map_or(std::ptr::null(), |uvs| uvs.as_ptr().cast()),
    });
    let request = abi::Request {
        struct_size: size::<abi::Request>(given.shorter[0]),
        view_count: if given.count_off { 0 } else { views.len() as u32 },
        views: views.as_ptr(),
        mesh: mesh.as_ref().map_or(std::ptr::null(), |mesh| &raw const *mesh),
        ..abi::Request::zeroed()
    };
    // SAFETY: every pointer is NULL or to as much as the sizes and counts say.
    if let Ok(request) = unsafe { load_request(&raw const request) } {
        request.validate().expect("a request that was taken is sound");
    }
});
