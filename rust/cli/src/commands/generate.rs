use maquette_core::io;
use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Generate;
use crate::error::Result;

pub(crate) fn generate(arguments: &Generate) -> Result<()> {
    job::run(&arguments.job, &arguments.picture, Task::Generate, |request, progress| {
        let views = arguments.views.as_deref().map(|path| sources::load_views(path, progress)).transpose()?;
        let mut recipe = request.recipe;
        if let Some(source) = &arguments.view_source {
            recipe = recipe.with("views.source", source)?;
        }
        Ok(Request { picture: Some(io::read_picture(&arguments.picture)?), views, recipe, ..request })
    })
}
