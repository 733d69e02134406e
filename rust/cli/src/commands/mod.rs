//! One file a command.

mod eval_views;
mod generate;
mod inspect;
mod job;
mod models;
mod recipe;
mod reconstruct;
mod refine;
mod texture;
mod turntable;

pub(crate) use eval_views::eval_views;
pub(crate) use generate::generate;
pub(crate) use inspect::inspect;
pub(crate) use models::models;
pub(crate) use recipe::recipe;
pub(crate) use reconstruct::reconstruct;
pub(crate) use refine::refine;
pub(crate) use texture::texture;
pub(crate) use turntable::turntable;

use clap::CommandFactory as _;

use crate::arguments::Arguments;
use crate::error::Result;
use crate::reporter;

/// Prints completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "maquette", &mut script);
    reporter::print_line(String::from_utf8_lossy(&script).trim_end())
}
