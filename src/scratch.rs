//! Files and folders that are gone when the process is, also where it ends without a word to those who hold them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// All that are held now.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file or folder, removed when this is dropped and by [`remove_all`].
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// For what is about to be made at `path`. Relative paths mean the folder that the process is in.
    pub fn new(path: PathBuf) -> Self {
        held().push(path.clone());
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// It has become what it was to be, and is kept.
    pub fn keep(mut self) {
        self.forget();
        self.0 = PathBuf::new();
    }

    fn forget(&self) {
        let mut held = held();
        if let Some(at) = held.iter().position(|path| *path == self.0) {
            held.swap_remove(at);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            remove(&self.0);
            self.forget();
        }
    }
}

/// Removes all of them, for a process that ends now: whoever would make another one waits from here on.
pub fn remove_all() {
    let held = held();
    held.iter().for_each(|path| remove(path));
    std::mem::forget(held);
}

/// Nothing can be done about a failure.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}
