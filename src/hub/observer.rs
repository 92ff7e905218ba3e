//! Progress of a download, and a way to stop it.

use std::ops::ControlFlow;

use super::id::RepoId;

/// Told how a download goes on; may stop it.
///
/// Called on the thread that resolves: once when a body begins, then after every read (at most 64 KiB), so it should
/// return soon. A `Fn(&Progress) -> ControlFlow<()>` is an observer.
///
/// ```
/// use std::ops::ControlFlow;
/// let observer = |progress: &anytok::Progress<'_>| {
///     eprintln!("{}: {} bytes of {:?}", progress.file, progress.received, progress.total);
///     ControlFlow::Continue(())
/// };
/// # fn takes(_: impl anytok::Observer) {}
/// # takes(observer);
/// ```
pub trait Observer: Send + Sync {
    /// `Break` ends the download and leaves nothing of it on disk.
    fn progress(&self, progress: &Progress<'_>) -> ControlFlow<()>;
}

/// Where a download stands.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The repository it comes from.
    pub repository: &'a RepoId,
    /// The file's path in the repository.
    pub file: &'a str,
    /// Bytes received so far. Begins at 0 again when a broken download is repeated.
    pub received: u64,
    /// Length of the file in bytes, if the server announced it.
    pub total: Option<u64>,
}

impl<F: Fn(&Progress<'_>) -> ControlFlow<()> + Send + Sync> Observer for F {
    fn progress(&self, progress: &Progress<'_>) -> ControlFlow<()> {
        self(progress)
    }
}
