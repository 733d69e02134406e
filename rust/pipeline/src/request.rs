use maquette_core::recipe::{Recipe, Task};
use maquette_core::{Asset, Image, Views};
use serde_json::Value;

use crate::{Error, Result};

/// What a job is given. Which of picture, views and mesh must be there follows from the recipe's task.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Name of the result, usually that of the picture's file.
    pub name: String,
    /// The one picture.
    pub picture: Option<Image>,
    /// The artist's own views.
    pub views: Option<Views>,
    /// The mesh to texture or to refine.
    pub mesh: Option<Asset>,
    /// Every setting.
    pub recipe: Recipe,
}

/// What a job gives.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Mesh, textures, provenance.
    pub asset: Asset,
    /// The picture with the object cut out, if there was a picture.
    pub cutout: Option<Image>,
    /// The views that geometry and texture were fitted to.
    pub views: Views,
    /// Mesh health, timings, provenance and warnings, as JSON.
    pub report: Value,
}

impl Request {
    /// The task, with [`Task::Auto`] decided by what was given.
    pub fn task(&self) -> Task {
        match self.recipe.task {
            Task::Auto if self.mesh.is_some() => Task::Texture,
            Task::Auto if self.views.is_some() && self.picture.is_none() => Task::Reconstruct,
            Task::Auto => Task::Generate,
            task => task,
        }
    }

    /// Checks that everything the task needs is there and sound.
    pub fn validate(&self) -> Result<()> {
        if let Some(views) = &self.views {
            views.validate()?;
        }
        if let Some(asset) = &self.mesh {
            asset.mesh.validate()?;
        }
        let missing = match self.task() {
            Task::Auto | Task::Generate => self.picture.is_none().then_some("generate needs a picture"),
            Task::Reconstruct => self.views.is_none().then_some("reconstruct needs views"),
            Task::Texture => (self.mesh.is_none() || (self.views.is_none() && self.picture.is_none()))
                .then_some("texture needs a mesh, and views of it or one picture of its front"),
            Task::Refine => (self.mesh.is_none() || (self.views.is_none() && self.picture.is_none()))
                .then_some("refine needs a mesh, and one picture of its front or views of it"),
        };
        missing.map_or(Ok(()), |reason| Err(Error::Request(reason.to_owned())))
    }
}
