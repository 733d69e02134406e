use maquette_core::io;
use maquette_core::recipe::Task;
use maquette_pipeline::{Request, sources};

use super::job;
use crate::arguments::Texture;
use crate::error::Result;

pub(crate) fn texture(arguments: &Texture) -> Result<()> {
    job::run(&arguments.job, &arguments.mesh, Task::Texture, |request, progress| {
        let mesh = io::read_mesh(&arguments.mesh)?;
        let views = arguments.views.as_ref().map(|views| sources::load_views(views, progress)).transpose()?;
        let picture = arguments.picture.as_ref().map(|picture| io::read_picture(picture)).transpose()?;
        Ok(Request { mesh: Some(mesh), views, picture, ..request })
    })
}
