//! The road of one job: which stages run, in which order, through the cache.

use std::time::Instant;

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::recipe::{Init, Recipe, Shifting, Task, ViewSourceKind};
use maquette_core::{Asset, Image, Mesh, Plane, Progress, Stage, Views};
use maquette_geometry::consistency::consistency;
use maquette_geometry::detail::{DetailSettings, sharpen};
use maquette_geometry::health::MeshHealth;
use maquette_geometry::reconstruct;
use maquette_geometry::shifting::{Alignment, Shift, ShiftSettings};
use maquette_geometry::simplify::simplify;
use maquette_texture::{Textured, texture_mesh};
use serde_json::{Map, Value, json};

use crate::cache::{self, Cache, sections};
use crate::latent::DecodedField;
use crate::likeness::Likeness;
use crate::refine::Start;
use crate::request::{Outcome, Request};
use crate::segment::{self, Cutout};
use crate::sources::{SourceResult, draft, inflate, views_from_front, zero123plus};
use crate::{Error, Result};

/// Start and length of each stage as shares of the whole job, from measured times at the standard preset.
const SEGMENT: (f32, f32) = (0.0, 0.02);
const VIEWS: (f32, f32) = (0.02, 0.05);
const COARSE: (f32, f32) = (0.07, 0.22);
const REFINE: (f32, f32) = (0.29, 0.10);
const DETAIL: (f32, f32) = (0.39, 0.23);
const TEXTURE: (f32, f32) = (0.62, 0.36);
const FINISH: (f32, f32) = (0.98, 0.02);
/// Share of the whole job until the views are there, where a diffusion model draws them.
const DRAWN_VIEWS: f32 = 0.8;

/// Raised when a stage's code gives other results, so that old cache entries are not used.
const SEGMENT_VERSION: u32 = 1;
const VIEWS_VERSION: u32 = 7;
const GEOMETRY_VERSION: u32 = 2;
const DETAIL_VERSION: u32 = 4;
const TEXTURE_VERSION: u32 = 3;

/// Runs a job to its end.
///
/// Deterministic for a seed; reports to `progress` and stops soon after it is cancelled. Nothing is written but cache
/// entries.
pub fn run(request: &Request, cache: &Cache, progress: &Progress) -> Result<Outcome> {
    progress.enter(Stage::Load, (0.0, 0.0))?;
    request.validate()?;
    let mut job = Job { recipe: &request.recipe, cache, progress, timings: Map::new() };
    if let (Task::Refine, Some(asset)) = (request.task(), &request.mesh) {
        return job.refine(asset, request);
    }
    if let (Task::Texture, Some(asset)) = (request.task(), &request.mesh) {
        let (views, cutout) = job.views_of(&asset.mesh, request)?;
        let textured = job.texture(&asset.mesh, None, &Posed::from(&views), None)?;
        return job.finish(request, cutout, SourceResult { views, ..SourceResult::default() }, textured);
    }
    let mut cutout = None;
    let source = match (&request.views, &request.picture) {
        (Some(views), _) => SourceResult { views: views.clone(), ..SourceResult::default() },
        (None, Some(picture)) => {
            let object = job.cut_out(picture)?;
            let source = job.views(&object)?;
            cutout = Some(object.rgba);
            source
        }
        (None, None) => return Err(neither()),
    };
    let rough = job.geometry(&source)?;
    // Views taken of the source's own shape agree and show no more than that shape: there is nothing to sharpen.
    let (full, shifts) = if job.recipe.detail.enabled && source.shape.is_none() {
        job.sharpened(&rough, &Posed::from(&source.views))?
    } else {
        (rough, None)
    };
    let mesh = job.simplified(&full)?;
    let mut posed = source.views.clone();
    posed.views.extend(source.input_view.clone());
    let textured = job.texture(&mesh, Some(&full), &Posed::from(&posed), shifts.as_deref())?;
    job.finish(request, cutout, source, textured)
}

fn neither() -> Error {
    Error::Request("the job has neither picture nor views".to_owned())
}

/// Views with what a stage makes of them.
#[derive(BorshSerialize)]
struct Posed<'a> {
    views: &'a Views,
    /// How much each view counts; empty: all alike.
    weights: &'a [f32],
    /// The view that is never shifted.
    anchor: Option<usize>,
    /// The others are the mesh's own: where they do not agree with that view, it is the mesh that has to change.
    own: bool,
}

impl<'a> From<&'a Views> for Posed<'a> {
    fn from(views: &'a Views) -> Self {
        Self { views, weights: &[], anchor: None, own: false }
    }
}

/// What every stage of one job needs.
struct Job<'a> {
    recipe: &'a Recipe,
    cache: &'a Cache,
    progress: &'a Progress,
    /// Seconds by stage.
    timings: Map<String, Value>,
}

impl Job<'_> {
    /// Runs a stage through the cache and notes its time.
    fn stage<I: BorshSerialize + ?Sized, O: BorshSerialize + BorshDeserialize>(
        &mut self,
        stage: Stage,
        span: (f32, f32),
        settings: &[&str],
        code_version: u32,
        input: &I,
        compute: impl FnOnce(&Recipe, &Progress) -> Result<O>,
    ) -> Result<O> {
        self.progress.enter(stage, self.span(span))?;
        let start = Instant::now();
        let settings = sections(self.recipe, settings);
        let key = cache::Stage { name: stage.name(), code_version, settings: &settings };
        let output = self.cache.through(&key, input, self.progress, || compute(self.recipe, self.progress))?;
        self.timings.insert(stage.name().to_owned(), json!(start.elapsed().as_secs_f32()));
        self.progress.step(1, 1)?;
        Ok(output)
    }

    fn cut_out(&mut self, picture: &Image) -> Result<Cutout> {
        let object =
            self.stage(Stage::Segment, SEGMENT, &["segment"], SEGMENT_VERSION, picture, |recipe, progress| {
                Ok(segment::segment(picture, &recipe.segment, progress)?)
            })?;
        if let Some(warning) = &object.warning {
            self.progress.warn(warning.clone());
        }
        Ok(object)
    }

    /// What a mesh is textured from: its views, else those that the picture of its front gives; and the cut-out picture.
    fn views_of(&mut self, mesh: &Mesh, request: &Request) -> Result<(Views, Option<Image>)> {
        match (&request.views, &request.picture) {
            (Some(views), _) => Ok((views.clone(), None)),
            (None, Some(picture)) => {
                let object = self.cut_out(picture)?;
                let settings = &self.recipe.views;
                let elevation_degrees = settings.elevation_degrees as f32;
                self.progress.enter(Stage::Views, VIEWS)?;
                let views = views_from_front(&object, mesh, elevation_degrees, settings.size_px, self.progress)?;
                Ok((views, Some(object.rgba)))
            }
            (None, None) => Err(neither()),
        }
    }

    /// A stage's share of the whole job, from its share where views cost little.
    fn span(&self, (start, length): (f32, f32)) -> (f32, f32) {
        if self.recipe.views.source != ViewSourceKind::Zero123Plus {
            return (start, length);
        }
        let place = |at: f32| {
            let after = VIEWS.0 + VIEWS.1;
            if at <= VIEWS.0 { at } else { DRAWN_VIEWS + (at - after) * (1.0 - DRAWN_VIEWS) / (1.0 - after) }
        };
        (place(start), place(start + length) - place(start))
    }

    fn views(&mut self, object: &Cutout) -> Result<SourceResult> {
        match self.recipe.views.source {
            kind @ (ViewSourceKind::Draft | ViewSourceKind::Inflate) => {
                self.stage(Stage::Views, VIEWS, &["views", "seed"], VIEWS_VERSION, object, |recipe, progress| {
                    if kind == ViewSourceKind::Draft {
                        draft::draft(object, &recipe.views, progress)
                    } else {
                        Ok(inflate::inflate(object, &recipe.views, progress)?)
                    }
                })
            }
            ViewSourceKind::Zero123Plus => self.drawn_views(object),
            ViewSourceKind::Provided => Err(Error::Request(
                "views.source is \"provided\", but no views were given; give a folder of views".to_owned(),
            )),
        }
    }

    /// Views of Zero123++; where they stand to the picture's own camera is not known, so that it is no view.
    fn drawn_views(&mut self, object: &Cutout) -> Result<SourceResult> {
        let found = zero123plus::Places::of_process().find(&self.recipe.views)?;
        let source = zero123plus::Source::open(found, self.progress)?;
        let input = (&object.rgba, source.identity());
        self.stage(Stage::Views, VIEWS, &["views", "seed"], VIEWS_VERSION, &input, |recipe, progress| {
            let views = source.views(&object.rgba, &recipe.views, recipe.seed, progress)?;
            Ok(SourceResult { views, ..SourceResult::default() })
        })
    }

    /// The closed mesh at full resolution: coarse, then refine.
    fn geometry(&mut self, source: &SourceResult) -> Result<Mesh> {
        let mut views = source.views.clone();
        // Views of a guessed shape know the silhouette at their own resolution only.
        if self.recipe.views.source == ViewSourceKind::Draft {
            views.views.extend(source.input_view.clone());
        }
        let input = (&views, &source.shape);
        let sections = ["coarse", "refine", "finish"];
        let refine = self.span(REFINE);
        self.stage(Stage::Coarse, COARSE, &sections, GEOMETRY_VERSION, &input, |recipe, progress| {
            let mut prior = DecodedField::start(recipe.coarse.init, &views)?;
            let start = match (&mut prior, &source.shape) {
                (Some(field), _) => reconstruct::Start::Field(field),
                (None, Some(shape)) if recipe.coarse.init == Init::Auto => reconstruct::Start::Mesh(shape),
                (None, _) => reconstruct::Start::Hull,
            };
            let shape = reconstruct::coarse(&views, start, &recipe.coarse, progress)?;
            progress.enter(Stage::Refine, refine)?;
            Ok(reconstruct::refine(shape, &views, &recipe.refine, recipe.finish.smallest_part, progress)?)
        })
    }

    /// The mesh pulled to the views' normals and outlines; and the views' shifts.
    fn sharpened(&mut self, mesh: &Mesh, posed: &Posed) -> Result<(Mesh, Option<Vec<Shift>>)> {
        self.stage(Stage::Detail, DETAIL, &["detail"], DETAIL_VERSION, &(mesh, posed), |recipe, progress| {
            let mut settings = DetailSettings::from(&recipe.detail);
            settings.anchor = posed.anchor;
            settings.view_weights = posed.weights.to_vec();
            if posed.own && settings.shift.shifting == Shifting::Auto {
                settings.shift.shifting = Shifting::Off;
            }
            let sharpened = sharpen(mesh, posed.views, &settings, progress)?;
            Ok((sharpened.mesh, sharpened.shifts))
        })
    }

    /// The given mesh towards the picture and the views. The detail stage is what this task is for: it always runs.
    fn refine(mut self, asset: &Asset, request: &Request) -> Result<Outcome> {
        let object = request.picture.as_ref().map(|picture| self.cut_out(picture)).transpose()?;
        self.progress.enter(Stage::Views, VIEWS)?;
        let settings = &self.recipe.views;
        let start = Start::new(asset, request.views.as_ref(), object.as_ref(), settings, self.progress)?;
        let own = request.views.is_none();
        let posed = Posed { views: &start.views, weights: &start.view_weights, anchor: start.anchor, own };
        let (full, shifts) = self.sharpened(&start.mesh, &posed)?;
        let mesh = self.simplified(&full)?;
        let mut textured = self.texture(&mesh, Some(&full), &posed, shifts.as_deref())?;
        let mut views = start.views.clone();
        start.frame.leave(&mut textured.mesh, &mut views);
        let input_view = start.anchor.map(|picture| views.views[picture].clone());
        let source = SourceResult { views, input_view, ..SourceResult::default() };
        self.finish(request, object.map(|object| object.rgba), source, textured)
    }

    fn simplified(&mut self, mesh: &Mesh) -> Result<Mesh> {
        self.progress.check()?;
        Ok(simplify(mesh, self.recipe.finish.triangles as usize, self.progress)?)
    }

    /// `shifts` are those of the first views, if geometry has found any.
    fn texture(
        &mut self,
        mesh: &Mesh,
        detail: Option<&Mesh>,
        posed: &Posed,
        shifts: Option<&[Shift]>,
    ) -> Result<Textured> {
        let input = (mesh, detail, posed, shifts);
        let sections = ["detail", "texture", "bake"];
        self.stage(Stage::Texture, TEXTURE, &sections, TEXTURE_VERSION, &input, |recipe, progress| {
            let pushed = texture_shifts(mesh, posed, shifts, detail.is_none(), recipe, progress)?;
            Ok(texture_mesh(mesh, posed.views, &pushed, &recipe.texture, &recipe.bake, detail, progress)?)
        })
    }

    /// The outcome; of the views' source it tells the views, and how much the result looks like its input view.
    fn finish(
        self,
        request: &Request,
        cutout: Option<Image>,
        source: SourceResult,
        textured: Textured,
    ) -> Result<Outcome> {
        self.progress.enter(Stage::Finish, self.span(FINISH))?;
        let mesh = textured.mesh;
        let given = request.mesh.as_ref().filter(|given| given.mesh.corner_uvs == mesh.corner_uvs);
        let gltf_corner_v = given.and_then(|given| given.gltf_corner_v.clone());
        let provenance = json!({
            "generator": concat!("Maquette ", env!("CARGO_PKG_VERSION")),
            "recipe": request.recipe.to_value(),
            "input_hash": input_hash(request),
        });
        let mut report = json!({
            "health": health(&mesh)?,
            "texture": textured.report,
            "seconds": self.timings,
            "provenance": provenance,
            "warnings": self.progress.warnings(),
        });
        let asset = Asset {
            mesh,
            base_color: Some(textured.base_color),
            normal_map: textured.normal_map,
            name: request.name.clone(),
            provenance: Some(provenance),
            gltf_corner_v,
        };
        if let Some(view) = &source.input_view {
            report["input_view"] = json!(Likeness::of(&asset, view));
        }
        self.progress.finish();
        Ok(Outcome { asset, cutout, views: source.views, report })
    }
}

/// Views that were not sure to disagree are shifted where that lowers their colours' squared difference to this share.
const MUCH_BETTER: f64 = 0.75;

/// How far each view's pixels are moved before they are cast onto `mesh`, in pixels; nothing for views that agree.
fn texture_shifts(
    mesh: &Mesh,
    posed: &Posed,
    start: Option<&[Shift]>,
    mesh_is_given: bool,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<Vec<Plane<2>>> {
    let views = posed.views;
    let rounds = recipe.texture.shift_rounds as usize;
    let settings = ShiftSettings { shifting: recipe.detail.shifting, ..ShiftSettings::default() };
    // The detail stage has decided already where it ran.
    let sure =
        if mesh_is_given || !recipe.detail.enabled { settings.wanted(views, progress)? } else { start.is_some() };
    // Masks may hide a disagreement: where the mesh is given, colours that agree much better tell of it, too.
    let perhaps = settings.shifting == Shifting::Auto && mesh_is_given;
    if rounds == 0 || !(sure || perhaps) {
        return Ok(Vec::new());
    }
    progress.check()?;
    let mut alignment = Alignment::new(views)?;
    alignment.anchor = posed.anchor;
    progress.check()?;
    if let Some(start) = start {
        alignment.shifts[..start.len()].clone_from_slice(start);
    }
    let before = alignment.shifts.clone();
    alignment.align(mesh, &settings);
    progress.check()?;
    alignment.align_colors(mesh, views, &settings, rounds, progress)?;
    if !sure {
        let mse = |shifts: &[Shift]| consistency(mesh, views, shifts).map(|measured| measured.reprojection_mse);
        if mse(&alignment.shifts)? > MUCH_BETTER * mse(&before)? {
            return Ok(Vec::new());
        }
    }
    Ok(alignment.shifts.iter().map(Shift::pushed_px).collect())
}

/// Whether a mesh is closed, manifold and so on, as JSON.
pub fn health(mesh: &Mesh) -> Result<Value> {
    // Numbers and booleans always serialise.
    Ok(serde_json::to_value(MeshHealth::of(mesh)?).unwrap_or_default())
}

/// Hash of everything the artist gave but the recipe.
fn input_hash(request: &Request) -> String {
    let mut hasher = blake3::Hasher::new();
    let mesh = request.mesh.as_ref().map(|asset| &asset.mesh);
    // Validated input has no NaN, the one value without a canonical form.
    let _ = (&request.picture, &request.views, mesh).serialize(&mut hasher);
    hasher.finalize().to_hex().to_string()
}
