//! The threads that share the work on one window.
//!
//! One pool, used in turn by the network and by the projection. libtorch's own threads stay out of it: two pools on a few
//! cores wait for each other, and OpenMP's waiting burns the time that the other one needs.

use rayon::prelude::*;
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// A pool, or the calling thread alone.
pub struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    /// Work is done where it is asked for.
    pub const CALLER: Self = Self(None);

    /// `count` threads; with 0 or 1, and where the system has none to give, the calling thread alone.
    pub fn new(count: usize) -> Self {
        let name = |i| format!("audiodiff-{i}");
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(name).build().ok();
        Self((count > 1).then(pool).flatten())
    }

    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `work` on the pool, so that its `for_each` calls find the threads awake.
    pub fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// `work` on every item, in any order.
    pub fn for_each<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
        match &self.0 {
            Some(pool) if items.len() > 1 => pool.install(|| items.par_iter_mut().for_each(work)),
            _ => items.iter_mut().for_each(work),
        }
    }
}

/// `work` done on each item by a few threads, the results in the items' order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((i, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
                {
                    let result = work(item);
                    results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
