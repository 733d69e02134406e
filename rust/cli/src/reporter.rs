//! Shows a job on the terminal: a bar for people, JSON lines for programs, or nothing.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use maquette_core::Progress;
use maquette_core::progress::Snapshot;
use serde_json::json;

use crate::arguments::OutputStyle;
use crate::error::{Error, Result};

/// A progress that is shown as `style` asks and that Ctrl-C cancels.
pub(crate) fn watched(style: &OutputStyle) -> Result<Progress> {
    let progress = if style.json {
        json_lines()
    } else if style.quiet || !std::io::stderr().is_terminal() {
        Progress::new()
    } else {
        bar()
    };
    cancelled_by_ctrl_c(progress)
}

/// A progress that is not shown and that Ctrl-C cancels.
pub(crate) fn cancellable() -> Result<Progress> {
    cancelled_by_ctrl_c(Progress::new())
}

fn cancelled_by_ctrl_c(progress: Progress) -> Result<Progress> {
    let handle = progress.clone();
    ctrlc::set_handler(move || handle.cancel())?;
    Ok(progress)
}

fn bar() -> Progress {
    let bar = ProgressBar::new(1000);
    // The template is a constant; were it wrong, the default style would do.
    if let Ok(style) = ProgressStyle::with_template("{msg:10} [{bar:32}] {percent:>3} %  {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    Progress::observed(move |snapshot| {
        bar.set_message(snapshot.stage.name());
        bar.set_position((snapshot.fraction * 1000.0) as u64);
        if snapshot.fraction >= 1.0 {
            bar.finish_and_clear();
        }
    })
}

fn json_lines() -> Progress {
    let start = Instant::now();
    let last = Mutex::new(None::<(&'static str, u32)>);
    Progress::observed(move |snapshot: &Snapshot| {
        // One line a stage and percent: enough to follow, few enough to store.
        let mark = (snapshot.stage.name(), (snapshot.fraction * 100.0) as u32);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != Some(mark) {
            *last = Some(mark);
            // A job whose progress nobody can read is still worth finishing.
            let _ = print_line(json!({
                "event": "progress",
                "stage": snapshot.stage.name(),
                "step": snapshot.step,
                "step_count": snapshot.step_count,
                "fraction": snapshot.fraction,
                "seconds": start.elapsed().as_secs_f32(),
            }));
        }
    })
}

/// One line on standard output. A reader that went away, as `head` does, has seen enough; any other failure is one.
pub(crate) fn print_line(line: impl Display) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => Err(Error::Print(source)),
        _ => Ok(()),
    }
}
