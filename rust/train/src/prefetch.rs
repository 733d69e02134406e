//! Samples made ahead by threads of low weight, handed out in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Makes `make(first)`, `make(first + 1)`, … on threads of its own; the order does not depend on them.
pub struct Prefetch<T> {
    ready: Option<Receiver<(u64, T)>>,
    early: BTreeMap<u64, T>,
    next: u64,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `threads` threads that stay about `ahead` samples ahead.
    pub fn new(first: u64, threads: usize, ahead: usize, make: impl Fn(u64) -> T + Send + Sync + 'static) -> Self {
        let (sender, ready) = sync_channel(ahead.max(1));
        let (make, next) = (Arc::new(make), Arc::new(AtomicU64::new(first)));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads.max(1))
            .filter_map(|_| {
                let (make, next, stop, sender) = (make.clone(), next.clone(), stop.clone(), sender.clone());
                let work = move || {
                    while !stop.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if sender.send((index, make(index))).is_err() {
                            return;
                        }
                    }
                };
                // Without threads there are no samples, which `next` tells.
                std::thread::Builder::new().name("samples".to_owned()).spawn(work).ok()
            })
            .collect();
        Self { ready: Some(ready), early: BTreeMap::new(), next: first, stop, threads }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    /// The next sample; `None` when the threads have died.
    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(sample) = self.early.remove(&self.next) {
                self.next += 1;
                return Some(sample);
            }
            let (index, sample) = self.ready.as_ref()?.recv().ok()?;
            self.early.insert(index, sample);
        }
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Threads that wait for room are woken by the closing channel.
        self.ready = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_in_order_and_threads_end() {
        let mut samples = Prefetch::new(5, 3, 4, |index| {
            std::thread::sleep(std::time::Duration::from_micros((index * 7919) % 500));
            index * index
        });
        for index in 5..60 {
            assert_eq!(samples.next(), Some(index * index));
        }
    }
}
