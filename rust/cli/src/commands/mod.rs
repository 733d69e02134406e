//! One file a command.

mod inspect;
mod recipe;
mod turntable;

pub(crate) use inspect::inspect;
pub(crate) use recipe::recipe;
pub(crate) use turntable::turntable;

use clap::CommandFactory as _;

/// Prints completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) {
    let mut command = crate::arguments::Arguments::command();
    clap_complete::generate(shell, &mut command, "maquette", &mut std::io::stdout());
}
