use maquette_core::Progress;

use crate::Result;

/// A share of this crate's work, for progress.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    progress: &'a Progress,
    from: f32,
    to: f32,
}

impl<'a> Part<'a> {
    /// All of it.
    pub(crate) fn whole(progress: &'a Progress) -> Self {
        Self { progress, from: 0.0, to: 1.0 }
    }

    /// The part from `from` to `to` of this one, both in 0..1.
    pub(crate) fn part(&self, from: f32, to: f32) -> Self {
        let length = self.to - self.from;
        Self { progress: self.progress, from: self.from + from * length, to: self.from + to * length }
    }

    /// Reports that `done` in 0..1 of this part is done. An error once the job is cancelled.
    pub(crate) fn at(&self, done: f32) -> Result<()> {
        let share = self.from + (self.to - self.from) * done.clamp(0.0, 1.0);
        Ok(self.progress.step((share * 1000.0) as usize, 1000)?)
    }

    /// For loops that only need to know when to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.progress.warn(message);
    }
}
