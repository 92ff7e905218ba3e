//! Answers that this process is still writing, beside whatever it does meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The directories of their stores, and their names.
static PENDING: Mutex<Vec<(PathBuf, blake3::Hash)>> = Mutex::new(Vec::new());
static ENDED: Condvar = Condvar::new();

/// An answer on its way into a store. It counts as written, or as given up, when this is dropped.
pub(super) struct Pending {
    root: PathBuf,
    name: blake3::Hash,
}

impl Pending {
    pub(super) fn new(root: &Path, name: blake3::Hash) -> Self {
        list().push((root.to_owned(), name));
        Self { root: root.to_owned(), name }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = list();
        if let Some(at) = pending.iter().position(|(root, name)| *root == self.root && *name == self.name) {
            pending.swap_remove(at);
        }
        ENDED.notify_all();
    }
}

/// Waits until the answer of that name is written, or all that go into the store at `root`.
pub(super) fn wait(root: &Path, name: Option<blake3::Hash>) {
    let is_awaited =
        |(other, of): &(PathBuf, blake3::Hash)| other == root && name.is_none_or(|name| *of == name);
    let mut pending = list();
    while pending.iter().any(is_awaited) {
        pending = ENDED.wait(pending).unwrap_or_else(PoisonError::into_inner);
    }
}

fn list() -> MutexGuard<'static, Vec<(PathBuf, blake3::Hash)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}
