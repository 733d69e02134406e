//! The recipe: every setting of a job as one JSON document, the same text in Blender, Houdini, the command line and
//! a farm, stored in the result.
//!
//! A recipe may be partial: it is laid over its preset. Unknown keys are refused, the nearest known key is named, and
//! every range stands in one place, the `schemars` attributes below, from which schema, check and front ends are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// How much time to spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A few seconds: to see whether the picture works at all.
    Draft,
    /// The default.
    #[default]
    Standard,
    /// Finer grid, texture and mesh.
    Fine,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Texture when a mesh is given, reconstruct when only views are, else generate.
    #[default]
    Auto,
    /// A new mesh from one picture.
    Generate,
    /// A new mesh from the given views.
    Reconstruct,
    /// New texture for the given mesh, which keeps its vertices and texture coordinates.
    Texture,
    /// The given mesh pulled towards the picture and the views, and textured anew.
    Refine,
}

/// Every setting of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Named defaults that the other settings are laid over.
    pub preset: Preset,
    /// What to do with the given picture, views and mesh.
    pub task: Task,
    /// Seed of everything random; the same seed gives the same result on one device.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
    /// Cutting the object out of the picture.
    pub segment: Segment,
    /// Where the six views come from.
    pub views: ViewSource,
    /// Fitting the signed distance field to the views.
    pub coarse: Coarse,
    /// Fitting the surface with the field fixed.
    pub refine: Refine,
    /// Sharpening the mesh.
    pub detail: Detail,
    /// Fitting the texture to the views.
    pub texture: Texture,
    /// Unwrapping and baking.
    pub bake: Bake,
    /// Last steps and export.
    pub finish: Finish,
}

/// How to find the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// Alpha if the picture has a useful one, else the colour of its border.
    #[default]
    Auto,
    /// The picture's alpha.
    Alpha,
    /// Everything unlike the colour of the border is the object.
    Border,
    /// The whole picture is the object.
    Keep,
}

/// Cutting the object out of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Segment {
    /// How to find the object.
    pub background: Background,
    /// How unlike the border a pixel must be, in CIE Lab units, to belong to the object.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub tolerance: f64,
}

impl Default for Segment {
    fn default() -> Self {
        Self { background: Background::Auto, tolerance: 12.0 }
    }
}

/// Names of the view sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ViewSourceKind {
    /// The shape that the built-in network takes the picture for.
    #[default]
    Draft,
    /// The silhouette inflated into a rounded solid.
    Inflate,
    /// The artist's own views.
    Provided,
    /// Six views drawn by Zero123++ from a model on this machine.
    Zero123Plus,
}

/// How the elevation of the input picture's camera is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Elevation {
    /// `elevation_degrees`; where that is 0, the draft source estimates it, and where a mesh is refined, it is found by
    /// comparing picture and mesh.
    #[default]
    Auto,
    /// `elevation_degrees`, also where it is 0.
    Given,
}

/// Where the six views come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ViewSource {
    /// Which source makes the views.
    pub source: ViewSourceKind,
    /// Side of the views in pixels.
    #[schemars(range(min = 64, max = 1024))]
    pub size_px: u32,
    /// How thick the inflated solid is, 1 = as deep as it is wide.
    #[schemars(range(min = 0.05, max = 2.0))]
    pub inflate_depth: f64,
    /// Elevation of the input picture's camera in degrees, positive above.
    #[schemars(range(min = -45.0, max = 75.0))]
    pub elevation_degrees: f64,
    /// Whether it may be found by search instead.
    pub elevation: Elevation,
    /// Zero123++: folder or name of the model; empty takes the one of the environment, else of the cache.
    pub model: String,
    /// Zero123++: folder or name of the ControlNet that makes normals, "none" to go without; empty as for the model.
    pub normal_model: String,
    /// Zero123++: denoising steps of the colours; 28 usually do, 75 give finer detail.
    #[schemars(range(min = 1, max = 1000))]
    pub steps: u32,
    /// Zero123++: how closely the colours follow the picture; above 1 each step takes twice as long.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub guidance: f64,
    /// Zero123++: denoising steps of the normals.
    #[schemars(range(min = 1, max = 1000))]
    pub normal_steps: u32,
    /// Zero123++: how closely the normals follow the picture; above 1 each step takes twice as long.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub normal_guidance: f64,
}

impl ViewSource {
    /// The elevation that the artist has said, `None` where it is to be found.
    pub fn known_elevation_degrees(&self) -> Option<f64> {
        (self.elevation == Elevation::Given || self.elevation_degrees != 0.0).then_some(self.elevation_degrees)
    }
}

impl Default for ViewSource {
    fn default() -> Self {
        Self {
            source: ViewSourceKind::Draft,
            size_px: 320,
            inflate_depth: 1.0,
            elevation_degrees: 0.0,
            elevation: Elevation::Auto,
            model: String::new(),
            normal_model: String::new(),
            steps: 28,
            guidance: 4.0,
            normal_steps: 50,
            normal_guidance: 1.0,
        }
    }
}

/// Where the signed distance field starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// As the view source's own shape if it has one, else as the hull.
    #[default]
    Auto,
    /// As the visual hull of the silhouettes.
    Hull,
    /// As the shape that the built-in prior takes the six views of the rig for, its latent fitted to the views first.
    Lin,
    /// As what the prior's latent zero becomes once it is fitted to the views.
    Zero,
}

/// Fitting the signed distance field to the views (LatentDreamer's coarse stage).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Coarse {
    /// Where the field starts.
    pub init: Init,
    /// Steps on the prior's latent, where the field starts from it.
    #[schemars(range(min = 0, max = 5000))]
    pub latent_iterations: u32,
    /// Adam step of the latent.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub latent_learning_rate: f64,
    /// The refine stage leaves the field as it is, which avoids holes.
    pub fix_sdf: bool,
    /// Cells of the grid on each axis.
    #[schemars(range(min = 16, max = 192))]
    pub resolution: u32,
    /// Optimisation steps.
    #[schemars(range(min = 0, max = 5000))]
    pub iterations: u32,
    /// Side of the views used here, in pixels.
    #[schemars(range(min = 32, max = 1024))]
    pub view_size_px: u32,
    /// Adam step, in cells.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub learning_rate: f64,
    /// Weight of the normal loss.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub normal_weight: f64,
    /// Weight of the loss that keeps the shape inside every silhouette.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub mask_weight: f64,
    /// Weight of the loss that pulls the shape out to every silhouette.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub contour_weight: f64,
    /// Weight of FlexiCubes' own regulariser, mean `L_dev`.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub deviation_weight: f64,
    /// Weight of the cross-entropy of sign changes of the field.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sign_change_weight: f64,
    /// Weight of the smoothness of the field.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub smoothness_weight: f64,
}

impl Default for Coarse {
    fn default() -> Self {
        Self {
            init: Init::Auto,
            latent_iterations: 60,
            latent_learning_rate: 0.05,
            fix_sdf: true,
            resolution: 64,
            iterations: 150,
            view_size_px: 160,
            learning_rate: 0.02,
            normal_weight: 10.0,
            mask_weight: 20.0,
            contour_weight: 10.0,
            deviation_weight: 0.0,
            sign_change_weight: 0.0,
            smoothness_weight: 0.0,
        }
    }
}

/// Fitting FlexiCubes' weights and the grid's deformation with the field fixed (LatentDreamer's refine stage).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Refine {
    /// Optimisation steps; 0 leaves the stage out.
    #[schemars(range(min = 0, max = 5000))]
    pub iterations: u32,
    /// Side of the views used here, in pixels.
    #[schemars(range(min = 32, max = 1024))]
    pub view_size_px: u32,
    /// Adam step.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub learning_rate: f64,
    /// Weight of FlexiCubes' own regulariser, mean `L_dev`.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub deviation_weight: f64,
}

impl Default for Refine {
    fn default() -> Self {
        Self { iterations: 40, view_size_px: 320, learning_rate: 0.01, deviation_weight: 0.1 }
    }
}

/// Whether views are taken as those of a mirror-symmetric object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Symmetry {
    /// Where the masks allow it.
    #[default]
    Auto,
    /// Always, about the vertical plane that fits best.
    On,
    /// Never.
    Off,
}

/// Which maps make views that disagree agree with one mesh (LSS3D).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shifting {
    /// 2D and 3D shifting where silhouettes disagree, else none.
    #[default]
    Auto,
    /// None: views are taken as they are.
    Off,
    /// 2D shifting: where in the view a pixel is read.
    #[serde(rename = "2d")]
    Plane,
    /// 3D shifting: how the normals that are read are turned.
    #[serde(rename = "3d")]
    Turn,
    /// 2D and 3D shifting.
    Both,
}

/// Sharpening the mesh by vertex moves under continuous remeshing (LSS3D's mesh optimisation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detail {
    /// Whether the stage runs at all. Views that a source has taken of its own shape (`draft`, `inflate`) never need it.
    pub enabled: bool,
    /// Steps at the coarse and at the fine level each.
    #[schemars(range(min = 0, max = 5000))]
    pub iterations: u32,
    /// Edge length of the finished mesh, in units of the unit cube.
    #[schemars(range(min = 0.002, max = 0.1))]
    pub edge_length: f64,
    /// Side of the views at the fine level, in pixels; the coarse level has half of it.
    #[schemars(range(min = 32, max = 1024))]
    pub view_size_px: u32,
    /// Step of a vertex, in units of the unit cube, before it is spread over its surroundings.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub learning_rate: f64,
    /// Weight of the normals.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub normal_weight: f64,
    /// Weight of staying inside of every silhouette.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub mask_weight: f64,
    /// Weight of reaching every silhouette.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub contour_weight: f64,
    /// Left-right symmetry: mirrored views as further views.
    pub symmetry: Symmetry,
    /// Maps that make views which disagree agree with one mesh.
    pub shifting: Shifting,
}

impl Default for Detail {
    fn default() -> Self {
        Self {
            enabled: true,
            iterations: 200,
            edge_length: 0.010,
            view_size_px: 320,
            learning_rate: 0.03,
            normal_weight: 20.0,
            mask_weight: 20.0,
            contour_weight: 3.0,
            symmetry: Symmetry::Auto,
            shifting: Shifting::Auto,
        }
    }
}

/// Fitting the texture to the views (view-aware loss of LatentDreamer over pixel footprints).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Texture {
    /// Edge of a cell of the 3D texture space, in units of the unit cube.
    #[schemars(range(min = 0.0005, max = 0.05))]
    pub cell: f64,
    /// k in the view-aware weight |cos|^k.
    #[schemars(range(min = 0.0, max = 16.0))]
    pub view_power: f64,
    /// Sub-rays a pixel and axis that sample its footprint.
    #[schemars(range(min = 1, max = 8))]
    pub footprint_samples: u32,
    /// Weight of smoothness between neighbouring cells.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub smoothness: f64,
    /// Conjugate-gradient steps at most, for each solve.
    #[schemars(range(min = 1, max = 5000))]
    pub iterations: u32,
    /// Rounds that sharpen edges and flatten what is between them.
    #[schemars(range(min = 0, max = 16))]
    pub edge_rounds: u32,
    /// Rounds that align the views to the mesh and to one another before their colours are taken, where silhouettes
    /// disagree; 0 leaves the views as they are.
    #[schemars(range(min = 0, max = 16))]
    pub shift_rounds: u32,
}

impl Default for Texture {
    fn default() -> Self {
        Self {
            cell: 0.0025,
            view_power: 2.0,
            footprint_samples: 4,
            smoothness: 0.02,
            iterations: 150,
            edge_rounds: 3,
            shift_rounds: 2,
        }
    }
}

/// Unwrapping and baking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bake {
    /// Side of the texture in texels.
    #[schemars(range(min = 64, max = 8192))]
    pub texture_size: u32,
    /// Texels between charts.
    #[schemars(range(min = 1, max = 64))]
    pub gutter: u32,
    /// Also bake a tangent-space normal map from the mesh before simplification.
    pub normal_map: bool,
    /// Keep the texture coordinates that a mesh brings along.
    pub keep_uvs: bool,
}

impl Default for Bake {
    fn default() -> Self {
        Self { texture_size: 1024, gutter: 4, normal_map: true, keep_uvs: true }
    }
}

/// Last steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Finish {
    /// Triangles of the result at most; 0 keeps all.
    #[schemars(range(min = 0, max = 2_000_000))]
    pub triangles: u32,
    /// Parts below this share of the whole surface area are dropped.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub smallest_part: f64,
}

impl Default for Finish {
    fn default() -> Self {
        Self { triangles: 20_000, smallest_part: 0.005 }
    }
}

impl Recipe {
    /// The defaults of a preset.
    pub fn preset(preset: Preset) -> Self {
        let mut recipe = Self { preset, ..Self::default() };
        match preset {
            Preset::Draft => {
                recipe.coarse.resolution = 48;
                recipe.coarse.iterations = 50;
                recipe.refine.iterations = 0;
                recipe.detail.enabled = false;
                recipe.texture.cell = 0.004;
                recipe.bake.texture_size = 512;
                recipe.finish.triangles = 8_000;
            }
            Preset::Standard => {}
            Preset::Fine => {
                recipe.coarse.resolution = 96;
                recipe.coarse.iterations = 250;
                recipe.refine.iterations = 80;
                recipe.detail.edge_length = 0.007;
                recipe.texture.cell = 0.0018;
                recipe.bake.texture_size = 2048;
                recipe.finish.triangles = 60_000;
            }
        }
        recipe
    }

    /// Reads a whole or partial recipe and lays it over the preset it names (standard when it names none).
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| Error::Recipe(format!("not valid JSON: {error}")))?;
        Self::from_value(&value)
    }

    /// As [`Recipe::from_json`], from parsed JSON.
    pub fn from_value(value: &Value) -> Result<Self> {
        let Value::Object(given) = value else {
            return Err(Error::Recipe(format!("must be a JSON object, but is {value}")));
        };
        let preset = match given.get("preset") {
            None => Preset::default(),
            Some(name) => Preset::deserialize(name).map_err(|_| {
                Error::Recipe(format!("preset {name} is unknown; use \"draft\", \"standard\" or \"fine\""))
            })?,
        };
        let mut merged = Self::preset(preset).to_value();
        overlay(&mut merged, given, "")?;
        check_ranges(&merged, &Self::schema(), "")?;
        serde_json::from_value(merged).map_err(|error| Error::Recipe(error.to_string()))
    }

    /// The recipe with `path` (as in `bake.texture_size`) set to `text`, which is read as JSON, else as a string.
    pub fn with(&self, path: &str, text: &str) -> Result<Self> {
        let leaf = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        let patch = path.rsplit('.').fold(leaf, |inner, key| {
            let mut object = Map::new();
            object.insert(key.to_owned(), inner);
            Value::Object(object)
        });
        let mut merged = self.to_value();
        if let Value::Object(patch) = &patch {
            overlay(&mut merged, patch, "")?;
        }
        check_ranges(&merged, &Self::schema(), "")?;
        serde_json::from_value(merged).map_err(|error| Error::Recipe(format!("{path}: {error}")))
    }

    /// The whole recipe as JSON.
    pub fn to_value(&self) -> Value {
        // A tree of numbers, strings and booleans always serialises.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// JSON Schema of the recipe: names, types, ranges, help.
    pub fn schema() -> Value {
        let mut settings = schemars::generate::SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        settings.into_generator().into_root_schema_for::<Self>().to_value()
    }
}

/// Lays `patch` over `base`, refusing keys that `base` does not have.
fn overlay(base: &mut Value, patch: &Map<String, Value>, path: &str) -> Result<()> {
    let Value::Object(base) = base else {
        return Err(Error::Recipe(format!("{path} is a single value, not a group of settings")));
    };
    for (key, value) in patch {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(slot) = base.get_mut(key) else {
            let nearest = base
                .keys()
                .map(|known| (strsim::jaro_winkler(known, key), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map_or(String::new(), |(_, known)| {
                    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
                    format!("; did you mean {prefix}{known}?")
                });
            return Err(Error::Recipe(format!("unknown key {here}{nearest}")));
        };
        match (slot.is_object(), value) {
            (true, Value::Object(inner)) => overlay(slot, inner, &here)?,
            (true, other) => {
                return Err(Error::Recipe(format!("{here} is a group of settings, but {other} was given")));
            }
            (false, other) => *slot = other.clone(),
        }
    }
    Ok(())
}

/// Checks numbers against the schema's `minimum` and `maximum`.
fn check_ranges(value: &Value, schema: &Value, path: &str) -> Result<()> {
    if let (Value::Object(fields), Some(properties)) = (value, schema.get("properties")) {
        for (key, field) in fields {
            let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some(property) = properties.get(key) {
                check_ranges(field, property, &here)?;
            }
        }
    }
    if let Some(number) = value.as_f64() {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (low, high) = (bound("minimum"), bound("maximum"));
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            return Err(Error::Recipe(format!(
                "{path} is {number}, but must be from {} to {}",
                low.unwrap_or(f64::NEG_INFINITY),
                high.unwrap_or(f64::INFINITY)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_round_trip_and_validate() {
        for preset in [Preset::Draft, Preset::Standard, Preset::Fine] {
            let recipe = Recipe::preset(preset);
            assert_eq!(Recipe::from_value(&recipe.to_value()).unwrap(), recipe);
        }
        assert_eq!(Recipe::from_json("{}").unwrap(), Recipe::preset(Preset::Standard));
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let error = Recipe::from_json(r#"{"bake": {"texure_size": 512}}"#).unwrap_err().to_string();
        assert!(error.contains("bake.texure_size") && error.contains("did you mean bake.texture_size?"), "{error}");
    }

    #[test]
    fn ranges_and_types_are_checked() {
        let error = Recipe::from_json(r#"{"coarse": {"resolution": 7}}"#).unwrap_err().to_string();
        assert!(error.contains("coarse.resolution is 7") && error.contains("16 to 192"), "{error}");
        assert!(Recipe::from_json(r#"{"coarse": {"resolution": "many"}}"#).is_err());
        assert!(Recipe::from_json(r#"{"coarse": 3}"#).is_err());
        assert!(Recipe::from_json("[]").is_err());
        assert!(Recipe::from_json("{").is_err());
        assert!(Recipe::from_json(r#"{"preset": "finest"}"#).unwrap_err().to_string().contains("\"fine\""));
        assert!(Recipe::from_json(r#"{"seed": -1}"#).is_err());
    }

    #[test]
    fn set_reads_json_or_text() {
        let recipe = Recipe::default();
        assert_eq!(recipe.with("bake.texture_size", "256").unwrap().bake.texture_size, 256);
        assert_eq!(recipe.with("segment.background", "border").unwrap().segment.background, Background::Border);
        assert!(recipe.with("bake.nothing.deeper", "1").is_err());
    }
}
