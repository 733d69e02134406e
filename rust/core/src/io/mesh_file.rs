use std::path::Path;

use super::{read_gltf, read_obj, write_glb, write_gltf, write_obj, write_ply};
use crate::{Asset, Error, Result};

/// Mesh files by extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeshFormat {
    /// Binary glTF, one file.
    Glb,
    /// glTF with its buffer and textures beside it.
    Gltf,
    /// Wavefront OBJ with material file and textures beside it.
    Obj,
    /// Binary PLY: geometry and texture coordinates.
    Ply,
}

impl MeshFormat {
    /// The format that the extension of `path` names.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "glb" => Ok(Self::Glb),
            "gltf" => Ok(Self::Gltf),
            "obj" => Ok(Self::Obj),
            "ply" => Ok(Self::Ply),
            _ => {
                Err(Error::file(path, format!("mesh format \"{extension}\" is unknown; use .glb, .gltf, .obj or .ply")))
            }
        }
    }
}

/// Reads a `.glb`, `.gltf` or `.obj` file, checked with [`crate::Mesh::validate`].
///
/// Vertices, their order and texture coordinates stay as in the file.
pub fn read_mesh(path: &Path) -> Result<Asset> {
    let asset = match MeshFormat::of(path)? {
        MeshFormat::Glb | MeshFormat::Gltf => read_gltf(path)?,
        MeshFormat::Obj => read_obj(path)?,
        MeshFormat::Ply => {
            return Err(Error::file(path, ".ply can be written but not read; convert it to .glb or .obj"));
        }
    };
    asset.mesh.validate().map_err(|error| Error::file(path, error.to_string()))?;
    if asset.mesh.triangles.is_empty() {
        return Err(Error::file(path, "has no triangles; give a mesh with a surface"));
    }
    Ok(asset)
}

/// Writes `asset` in the format that the extension names; each file whole or not at all, the named one last.
pub fn write_mesh(path: &Path, asset: &Asset) -> Result<()> {
    asset.mesh.validate()?;
    match MeshFormat::of(path)? {
        MeshFormat::Glb => write_glb(path, asset),
        MeshFormat::Gltf => write_gltf(path, asset),
        MeshFormat::Obj => write_obj(path, asset),
        MeshFormat::Ply => write_ply(path, asset),
    }
}

/// File name of `path` with another ending, for the files that lie beside it.
pub(super) fn sibling_name(path: &Path, ending: &str) -> String {
    let stem = path.file_stem().map_or_else(|| "mesh".into(), |stem| stem.to_string_lossy());
    format!("{stem}{ending}")
}
