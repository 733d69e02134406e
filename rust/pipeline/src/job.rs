//! The road of one job: which stages run, in which order, through the cache.

use std::time::Instant;

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::recipe::{Recipe, Task, ViewSourceKind};
use maquette_core::{Asset, Image, Mesh, Progress, Stage, View, Views};
use maquette_geometry::{MeshHealth, Reconstruction};
use serde_json::{Map, Value, json};

use crate::cache::{self, Cache, sections};
use crate::request::{Outcome, Request};
use crate::segment;
use crate::sources::{SourceResult, inflate};
use crate::{Error, Result};

/// Share of the whole job where each stage starts, from measured times at the standard preset.
const SEGMENT: (f32, f32) = (0.0, 0.02);
const VIEWS: (f32, f32) = (0.02, 0.08);
const GEOMETRY: (f32, f32) = (0.10, 0.55);
const TEXTURE: (f32, f32) = (0.65, 0.33);
const FINISH: (f32, f32) = (0.98, 0.02);

/// Raised when a stage's code gives other results, so that old cache entries are not used.
const VIEWS_VERSION: u32 = 1;
const GEOMETRY_VERSION: u32 = 1;
const TEXTURE_VERSION: u32 = 1;

/// Runs a job to its end.
///
/// Deterministic for a seed; reports to `progress` and stops soon after it is cancelled. Nothing is written but cache
/// entries.
pub fn run(request: &Request, cache: &Cache, progress: &Progress) -> Result<Outcome> {
    progress.enter(Stage::Load, (0.0, 0.0))?;
    request.validate()?;
    let mut job = Job { recipe: &request.recipe, cache, progress, timings: Map::new() };
    let mut cutout = None;
    let (views, geometry, textured) = match request.task() {
        Task::Texture => {
            let (Some(asset), Some(views)) = (&request.mesh, &request.views) else {
                return Err(Error::Request("texture needs a mesh and views of it".to_owned()));
            };
            let textured = job.texture(&asset.mesh, None, views, false)?;
            let kept = Asset { gltf_corner_v: asset.gltf_corner_v.clone(), ..textured };
            (views.clone(), None, kept)
        }
        task => {
            let source = match (task, &request.views, &request.picture) {
                (_, Some(views), _) => SourceResult { views: views.clone(), ..SourceResult::default() },
                (_, None, Some(picture)) => {
                    let object = job.cut_out(picture)?;
                    let source = job.views(&object)?;
                    cutout = Some(object);
                    source
                }
                (_, None, None) => return Err(Error::Request("the job has neither picture nor views".to_owned())),
            };
            let geometry = job.geometry(&source)?;
            let mesh = job.simplified(&geometry.mesh)?;
            let textured = job.texture(&mesh, Some(&geometry.mesh), &source.views_for_texture(), true)?;
            (source.views, Some(geometry), textured)
        }
    };
    ...
}
