//! Rust side of `cpp/include/maquette.h`: the same constants, codes and structs, in the same order.
//!
//! `tests/header.rs` compiles the header against this file, so that neither can change alone. What fields mean is said
//! in the header.
#![allow(missing_docs, reason = "the header is the manual")]
#![allow(unsafe_code, reason = "the promise that the structs are plain data")]

use std::ffi::{c_char, c_void};

pub const MAQ_ABI_MAJOR: u32 = 1;
pub const MAQ_ABI_MINOR: u32 = 0;
pub const MAQ_ABI: u32 = MAQ_ABI_MAJOR << 16 | MAQ_ABI_MINOR;
pub const MAQ_FOREVER: u32 = u32::MAX;

/// Defines numbered codes, and a table of them for the comparison with the header.
macro_rules! codes {
    ($table:ident: $type:ty { $($name:ident = $value:expr,)* }) => {
        $(pub const $name: $type = $value;)*
        pub const $table: &[(&str, $type)] = &[$((stringify!($name), $value),)*];
    };
}

codes!(STATUSES: i32 {
    MAQ_OK = 0,
    MAQ_PENDING = 1,
    MAQ_ERROR_INTERNAL = -1,
    MAQ_ERROR_INVALID_ARGUMENT = -2,
    MAQ_ERROR_INVALID_HANDLE = -3,
    MAQ_ERROR_ABI_MISMATCH = -4,
    MAQ_ERROR_BUSY = -5,
    MAQ_ERROR_CANCELLED = -6,
    MAQ_ERROR_OUT_OF_MEMORY = -7,
    MAQ_ERROR_NO_DEVICE = -8,
    MAQ_ERROR_DEVICE_LOST = -9,
    MAQ_ERROR_WEIGHTS = -10,
    MAQ_ERROR_IO = -11,
});

codes!(DEVICE_KINDS: u32 {
    MAQ_DEVICE_CPU = 1,
    MAQ_DEVICE_CUDA = 2,
});

codes!(STAGES: u32 {
    MAQ_STAGE_QUEUED = 0,
    MAQ_STAGE_LOAD = 1,
    MAQ_STAGE_SEGMENT = 2,
    MAQ_STAGE_VIEWS = 3,
    MAQ_STAGE_COARSE = 4,
    MAQ_STAGE_REFINE = 5,
    MAQ_STAGE_DETAIL = 6,
    MAQ_STAGE_TEXTURE = 7,
    MAQ_STAGE_BAKE = 8,
    MAQ_STAGE_FINISH = 9,
    MAQ_STAGE_DONE = 10,
});

codes!(IMAGE_KINDS: u32 {
    MAQ_IMAGE_BASE_COLOR = 1,
    MAQ_IMAGE_NORMAL_MAP = 2,
    MAQ_IMAGE_CUTOUT = 3,
});

/// One field of a [`Mirror`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub offset: usize,
    pub size: usize,
}

/// A struct of the header.
///
/// # Safety
/// `repr(C)` without padding, the first field is `struct_size: u32`, and any bytes are a valid value.
pub unsafe trait Mirror: Copy {
    const NAME: &'static str;
    const FIELDS: &'static [Field];

    /// Every byte zero: all defaults.
    fn zeroed() -> Self {
        // SAFETY: any bytes are a valid value.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! mirror {
    ($name:ident = $c_name:literal { $($field:ident: $type:ty,)* }) => {
        #[doc = concat!("`", $c_name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        pub struct $name { $(pub $field: $type,)* }

        // SAFETY: repr(C); integers, floats and pointers only; padding is ruled out below.
        unsafe impl Mirror for $name {
            const NAME: &'static str = $c_name;
            const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                size: size_of::<$type>(),
            },)*];
        }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "padding");
    };
}

mirror!(DeviceInfo = "maq_device_info" {
    struct_size: u32,
    kind: u32,
    memory_bytes: u64,
    name: [u8; 128],
    note: [u8; 256],
});

mirror!(ContextConfig = "maq_context_config" {
    struct_size: u32,
    device_index: u32,
    threads: u32,
    reserved: u32,
    cache_dir: *const c_char,
});

mirror!(Image = "maq_image" {
    struct_size: u32,
    width: u32,
    height: u32,
    reserved: u32,
    rgba: *const u8,
});

mirror!(Mesh = "maq_mesh" {
    struct_size: u32,
    reserved: u32,
    vertex_count: u64,
    triangle_count: u64,
    positions: *const f32,
    normals: *const f32,
    triangles: *const u32,
    corner_uvs: *const f32,
});

mirror!(Camera = "maq_camera" {
    struct_size: u32,
    reserved: u32,
    focal_px: [f32; 2],
    center_px: [f32; 2],
    world_from_camera: [f32; 16],
});

mirror!(View = "maq_view" {
    struct_size: u32,
    reserved: u32,
    azimuth_degrees: f32,
    elevation_degrees: f32,
    color: *const Image,
    normal: *const Image,
    camera: *const Camera,
});

mirror!(Request = "maq_request" {
    struct_size: u32,
    view_count: u32,
    picture: *const Image,
    views: *const View,
    mesh: *const Mesh,
    recipe: *const c_char,
    name: *const c_char,
    picture_path: *const c_char,
    views_path: *const c_char,
    mesh_path: *const c_char,
});

mirror!(Progress = "maq_progress" {
    struct_size: u32,
    stage: u32,
    step: u32,
    step_count: u32,
    fraction: f32,
    preview_revision: u32,
});

/// Names, sizes and fields of every struct, for the comparison with the header.
pub fn structs() -> Vec<(&'static str, usize, &'static [Field])> {
    fn of<T: Mirror>() -> (&'static str, usize, &'static [Field]) {
        (T::NAME, size_of::<T>(), T::FIELDS)
    }
    vec![
        of::<DeviceInfo>(),
        of::<ContextConfig>(),
        of::<Image>(),
        of::<Mesh>(),
        of::<Camera>(),
        of::<View>(),
        of::<Request>(),
        of::<Progress>(),
    ]
}

/// A Rust type as C spells it, for the comparison with the header.
pub trait CType {
    fn spelling() -> String;
}

macro_rules! spelled {
    ($($type:ty => $spelling:literal),* $(,)?) => {
        $(impl CType for $type {
            fn spelling() -> String {
                $spelling.to_owned()
            }
        })*
    };
}

spelled! {
    () => "void", c_void => "void", c_char => "char", i32 => "int32_t", u32 => "uint32_t", usize => "size_t",
    f32 => "float",
    DeviceInfo => "maq_device_info", ContextConfig => "maq_context_config", Image => "maq_image", Mesh => "maq_mesh",
    View => "maq_view", Request => "maq_request", Progress => "maq_progress",
}

impl<T: CType> CType for *const T {
    fn spelling() -> String {
        format!("const {} *", T::spelling())
    }
}

impl<T: CType> CType for *mut T {
    fn spelling() -> String {
        format!("{} *", T::spelling())
    }
}

/// A function of the ABI, as its C declaration.
pub trait Prototype {
    fn declaration(&self, name: &str) -> String;
}

macro_rules! prototype {
    ($($argument:ident),*) => {
        impl<R: CType, $($argument: CType),*> Prototype for unsafe extern "C" fn($($argument),*) -> R {
            fn declaration(&self, name: &str) -> String {
                let arguments: Vec<String> = vec![$($argument::spelling()),*];
                let arguments = if arguments.is_empty() { "void".to_owned() } else { arguments.join(", ") };
                format!("{} {name}({arguments});", R::spelling())
            }
        }
    };
}

prototype!();
prototype!(A);
prototype!(A, B);
prototype!(A, B, C);
prototype!(A, B, C, D, E);
