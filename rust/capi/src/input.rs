//! From a host's request to a pipeline request: copied and checked on the host's thread, files and conversions on the
//! worker's.
#![allow(unsafe_code, reason = "reads the structs that a request points to")]

use std::ffi::c_char;
use std::path::PathBuf;

use maquette_core::image::check_size;
use maquette_core::{Asset, Camera, Image, Mesh, Progress, Recipe, Views, io};
use maquette_pipeline::{Request, sources};
use nalgebra::Matrix4;

use crate::pointers::{element, read_array, read_str, read_struct};
use crate::{Error, Result, abi};

/// Longest accepted recipe in bytes.
pub(crate) const MAX_RECIPE: usize = 1 << 20;
/// Longest accepted path in bytes.
pub(crate) const MAX_PATH: usize = 32 * 1024;
/// Longest accepted name in bytes.
const MAX_NAME: usize = 1024;
/// Most pixels of all views of a request together.
const MAX_VIEW_PIXELS: u64 = Image::MAX_PIXELS;

/// A request as it was given, owned.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    picture: Option<Given<Image>>,
    views: Option<Given<Vec<GivenView>>>,
    mesh: Option<Given<Asset>>,
    recipe: Recipe,
}

/// In memory, or where to find it.
#[derive(Debug)]
enum Given<T> {
    Here(T),
    At(PathBuf),
}

#[derive(Debug)]
struct GivenView {
    camera: Camera,
    color: Image,
    normal: Option<Image>,
}

impl Input {
    /// Copies a request.
    ///
    /// # Safety
    /// `request` and everything it points to are NULL or readable for as long as their sizes and counts say.
    pub(crate) unsafe fn read(request: *const abi::Request) -> Result<Self> {
        // SAFETY: the caller's promise, here and in the calls below.
        unsafe {
            let abi::Request {
                struct_size: _,
                view_count,
                picture,
                views,
                mesh,
                recipe,
                name,
                picture_path,
                views_path,
                mesh_path,
            } = read_struct(request, "request")?;
            let name = read_str(name, MAX_NAME, "request.name")?;
            let recipe = read_recipe(recipe, "request.recipe")?;
            let picture_path = read_path(picture_path, "request.picture_path")?;
            let views_path = read_path(views_path, "request.views_path")?;
            let mesh_path = read_path(mesh_path, "request.mesh_path")?;
            let picture = (!picture.is_null()).then(|| read_image(picture, "request.picture")).transpose()?;
            let mesh = (!mesh.is_null()).then(|| read_mesh(mesh, "request.mesh")).transpose()?;
            let views = read_views(views, view_count)?;
            let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = name
                .map(str::to_owned)
                .or_else(|| picture_path.as_ref().and_then(stem))
                .or_else(|| mesh_path.as_ref().and_then(stem))
                .unwrap_or_else(|| "maquette".to_owned());
            let mesh = mesh.map(|mesh| Asset { mesh, name: name.clone(), ..Asset::default() });
            Ok(Self {
                name,
                picture: one_of(picture, picture_path, "picture")?,
                views: one_of(views, views_path, "views")?,
                mesh: one_of(mesh, mesh_path, "mesh")?,
                recipe,
            })
        }
    }

    /// Reads what is in files, and makes the request.
    pub(crate) fn load(self, progress: &Progress) -> Result<Request> {
        let Self { name, picture, views, mesh, recipe } = self;
        let picture = match picture {
            Some(Given::Here(picture)) => Some(picture),
            Some(Given::At(path)) => Some(io::read_picture(&path)?),
            None => None,
        };
        progress.check()?;
        let mesh = match mesh {
            Some(Given::Here(mesh)) => Some(mesh),
            Some(Given::At(path)) => Some(Asset { name: name.clone(), ..io::read_mesh(&path)? }),
            None => None,
        };
        progress.check()?;
        let views = match views {
            Some(Given::Here(given)) => {
                let mut views = Vec::with_capacity(given.len());
                for view in given {
                    progress.check()?;
                    views.push(sources::view_from_pictures(view.camera, &view.color, view.normal.as_ref())?);
                }
                Some(Views { views })
            }
            Some(Given::At(path)) => Some(sources::provided::load(&path, progress)?),
            None => None,
        };
        Ok(Request { name, picture, views, mesh, recipe })
    }
}

fn one_of<T>(here: Option<T>, at: Option<PathBuf>, name: &str) -> Result<Option<Given<T>>> {
    match (here, at) {
        (Some(_), Some(path)) => Err(Error::argument(format!(
            "request.{name} and request.{name}_path ({}) are both set; give one of them",
            path.display()
        ))),
        (Some(here), None) => Ok(Some(Given::Here(here))),
        (None, Some(path)) => Ok(Some(Given::At(path))),
        (None, None) => Ok(None),
    }
}

/// A recipe from its JSON; NULL gives the defaults.
///
/// # Safety
/// As [`read_str`].
pub(crate) unsafe fn read_recipe(text: *const c_char, name: &str) -> Result<Recipe> {
    // SAFETY: the caller's promise.
    let text = unsafe { read_str(text, MAX_RECIPE, name)? };
    Ok(Recipe::from_json(text.unwrap_or("{}"))?)
}

/// A path; NULL gives none.
///
/// # Safety
/// As [`read_str`].
pub(crate) unsafe fn read_path(text: *const c_char, name: &str) -> Result<Option<PathBuf>> {
    // SAFETY: the caller's promise.
    let path = unsafe { read_str(text, MAX_PATH, name)? };
    if path == Some("") {
        return Err(Error::argument(format!("{name} is empty; give a path, or NULL for none")));
    }
    Ok(path.map(PathBuf::from))
}

unsafe fn read_image(image: *const abi::Image, name: &str) -> Result<Image> {
    // SAFETY: the caller's promise.
    let abi::Image { struct_size: _, width, height, reserved, rgba } = unsafe { read_struct(image, name)? };
    check_reserved(reserved, name)?;
    check_size(width, height).map_err(|error| Error::from(error).within(name))?;
    let count = width as usize * height as usize;
    // SAFETY: the caller's promise: [height][width][4] bytes.
    let pixels = unsafe { read_array(rgba.cast::<[u8; 4]>(), count, &format!("{name}.rgba"))? };
    Ok(Image::new(width, height, pixels)?)
}

/// Copy of a host's mesh, checked.
///
/// # Safety
/// `mesh` and its arrays are NULL or readable for as long as their sizes and counts say.
pub(crate) unsafe fn read_mesh(mesh: *const abi::Mesh, name: &str) -> Result<Mesh> {
    let abi::Mesh {
        struct_size: _,
        reserved,
        vertex_count,
        triangle_count,
        positions,
        normals,
        triangles,
        corner_uvs,
        // SAFETY: the caller's promise.
    } = unsafe { read_struct(mesh, name)? };
    check_reserved(reserved, name)?;
    let limit = Mesh::MAX_ELEMENTS as u64;
    if vertex_count == 0 || triangle_count == 0 || vertex_count > limit || triangle_count > limit {
        return Err(Error::argument(format!(
            "{name} has {vertex_count} vertices and {triangle_count} triangles; give 1 to {limit} of each"
        )));
    }
    let (vertex_count, triangle_count) = (vertex_count as usize, triangle_count as usize);
    let field = |field: &str| format!("{name}.{field}");
    // SAFETY: the caller's promise: arrays of the counts given.
    let mesh = unsafe {
        Mesh {
            positions: read_array(positions.cast(), vertex_count, &field("positions"))?,
            triangles: read_array(triangles.cast(), triangle_count, &field("triangles"))?,
            normals: (!normals.is_null())
                .then(|| read_array(normals.cast(), vertex_count, &field("normals")))
                .transpose()?,
            corner_uvs: (!corner_uvs.is_null())
                .then(|| read_array(corner_uvs.cast(), triangle_count, &field("corner_uvs")))
                .transpose()?,
        }
    };
    mesh.validate().map_err(|error| Error::from(error).within(name))?;
    Ok(mesh)
}

unsafe fn read_views(views: *const abi::View, count: u32) -> Result<Option<Vec<GivenView>>> {
    if views.is_null() && count == 0 {
        return Ok(None);
    }
    if views.is_null() || count == 0 || count as usize > Views::MAX_VIEWS {
        return Err(Error::argument(format!(
            "request.view_count is {count} and request.views is {}; give 1 to {} views, or 0 and NULL",
            if views.is_null() { "NULL" } else { "set" },
            Views::MAX_VIEWS
        )));
    }
    let mut given = Vec::with_capacity(count as usize);
    let (mut stride, mut pixels) = (0, 0u64);
    for index in 0..count as usize {
        let name = format!("request.views[{index}]");
        // SAFETY: the caller's promise: `count` elements, each `struct_size` bytes, which all share.
        let view = unsafe { read_struct(element(views, index, stride), &name)? };
        if index > 0 && view.struct_size as usize != stride {
            return Err(Error::argument(format!(
                "{name}.struct_size is {}, but that of the first view is {stride}; give all the same",
                view.struct_size
            )));
        }
        stride = view.struct_size as usize;
        // SAFETY: the caller's promise.
        let view = unsafe { read_view(&view, &name)? };
        pixels += view.color.pixels().len() as u64;
        if pixels > MAX_VIEW_PIXELS {
            return Err(Error::argument(format!(
                "request.views hold more than {} million pixels in all; scale them down",
                MAX_VIEW_PIXELS / 1_000_000
            )));
        }
        given.push(view);
    }
    Ok(Some(given))
}

unsafe fn read_view(view: &abi::View, name: &str) -> Result<GivenView> {
    let abi::View { struct_size: _, reserved, azimuth_degrees, elevation_degrees, color, normal, camera } = *view;
    check_reserved(reserved, name)?;
    // SAFETY: the caller's promise, here and below.
    let color = unsafe { read_image(color, &format!("{name}.color"))? };
    // SAFETY: as above.
    let normal = (!normal.is_null()).then(|| unsafe { read_image(normal, &format!("{name}.normal")) }).transpose()?;
    let (width, height) = (color.width() as usize, color.height() as usize);
    let camera = if camera.is_null() {
        if !azimuth_degrees.is_finite() || !(-90.0..=90.0).contains(&elevation_degrees) {
            return Err(Error::argument(format!(
                "{name} stands at azimuth {azimuth_degrees}, elevation {elevation_degrees} degrees; give a finite azimuth, \
                 and an elevation from -90 to 90"
            )));
        }
        sources::provided::rig_camera((azimuth_degrees, elevation_degrees), width, height)
    } else {
        let place = format!("{name}.camera");
        let abi::Camera { struct_size: _, reserved, focal_px, center_px, world_from_camera } =
            // SAFETY: as above.
            unsafe { read_struct(camera, &place)? };
        check_reserved(reserved, &place)?;
        let matrix = Matrix4::from_row_slice(&world_from_camera);
        Camera::from_matrix(&matrix, focal_px, center_px, width, height)
            .map_err(|error| Error::from(error).within(&place))?
    };
    Ok(GivenView { camera, color, normal })
}

fn check_reserved(reserved: u32, name: &str) -> Result<()> {
    if reserved == 0 {
        return Ok(());
    }
    Err(Error::argument(format!("{name}.reserved is {reserved}; leave it 0")))
}
