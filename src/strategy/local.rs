//! Tokenizer files on this machine: at the path, and beside the model.

use std::path::{Path, PathBuf};

use crate::evidence::{Evidence, Listing, TokenizerFile};
use crate::failure::{Failure, chain};
use crate::formats::{Content, Files, TEMPLATE_DIRECTORY, load_named};
use crate::outcome::{Found, Outcome};
use crate::source::Source;
use crate::tokenizer::Tokenizer;

/// Tokenizer files in one directory.
#[derive(Debug, Default)]
pub(crate) struct LocalFiles {
    /// Files that hold a vocabulary, the best first.
    found: Vec<TokenizerFile>,
    /// Halves of a tokenizer and files that only belong to one, to be named in the answer.
    incomplete: Vec<PathBuf>,
    /// Everything in the directory that a loader may want to see, by name.
    files: Files,
}

impl LocalFiles {
    /// What lies at the path itself: the tokenizer file that it is, or those in the directory that it is.
    pub(super) fn at(evidence: &Evidence) -> Self {
        let path = evidence.path();
        if let Some(kind) = evidence.tokenizer_kind() {
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let found = vec![TokenizerFile { path: path.to_owned(), kind }];
            return Self { found, ..Self::in_directory(directory) };
        }
        if path.is_dir() { Self::in_directory(path) } else { Self::default() }
    }

    /// What lies in a directory; nothing if it cannot be read.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let Ok(listing) = Listing::read(directory) else { return Self::default() };
        let files = listing.tokenizer_files();
        let mut entries = Files::default();
        for path in listing.files() {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                let name = name.to_owned();
                entries.insert(name, Content::Path(path));
            }
        }
        // Named templates lie one level down.
        if let Ok(listing) = Listing::read(&directory.join(TEMPLATE_DIRECTORY)) {
            for path in listing.files() {
                if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                    let name = format!("{TEMPLATE_DIRECTORY}/{name}");
                    entries.insert(name, Content::Path(path));
                }
            }
        }
        Self { found: files.found, incomplete: files.incomplete, files: entries }
    }

    pub(super) fn incomplete(&self) -> &[PathBuf] {
        &self.incomplete
    }

    /// The first tokenizer that loads and that `fits`, which is given it with its path; else the failure of the best one, or
    /// `None` when there is nothing to load.
    pub(super) fn load(&self, fits: impl Fn(&Tokenizer, &str) -> Result<(), Failure>) -> Option<Outcome> {
        let mut failure = None;
        for (_, loaded) in self.load_each(fits) {
            match loaded {
                Ok(found) => return Some(Outcome::Found(found)),
                Err(error) => {
                    log::debug!("sibling: {}", chain(&error));
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map(Outcome::from)
    }

    /// Each tokenizer file with what comes of loading it, the best first; loaded when it is asked for.
    pub(crate) fn load_each(
        &self,
        fits: impl Fn(&Tokenizer, &str) -> Result<(), Failure>,
    ) -> impl Iterator<Item = (&Path, Result<Found, Failure>)> {
        self.found.iter().filter_map(move |TokenizerFile { path, .. }| {
            let name = path.file_name().and_then(|name| name.to_str())?;
            let mut files = self.files.clone();
            files.insert(name, Content::Path(path.clone()));
            let place = path.display().to_string();
            let loaded = load_named(&files, name)
                .map_err(|source| Failure::Format { path: place.clone(), source })
                .and_then(|tokenizer| {
                    fits(&tokenizer, &place)?;
                    let paths = files.used_by(name);
                    Ok(Found {
                        notes: tokenizer.recipe().notes.clone(),
                        tokenizer,
                        source: Source::Files { paths: paths.clone() },
                        degraded: false,
                        files: paths,
                    })
                });
            Some((path.as_path(), loaded))
        })
    }
}
