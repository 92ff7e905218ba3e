//! From a repository's files to a tokenizer, wherever the files come from: what the two strategies that read repositories share.

use super::search::Search;
use crate::evidence::{NameSource, Repository, RepositoryKind};
use crate::failure::{Failure, chain};
use crate::formats::{Content, Files, SIDE_FILES, VOCABULARY_FILES, is_complete, load_named};
use crate::hub::{Error, RepoId};
use crate::outcome::{Found, Outcome};
use crate::source::Source;

/// Where the files of one repository come from.
pub(super) trait FileSource {
    /// The file with its commit, or `None` if the repository has none of that name. Every file asked for after a vocabulary
    /// file is of the same commit.
    fn get(&mut self, file: &str, part: Part) -> Result<Option<(Content, String)>, Error>;
}

/// What a file is to the tokenizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// It holds the vocabulary.
    Vocabulary,
    /// The vocabulary is nothing without it.
    OtherHalf,
    /// It adds roles and templates to a tokenizer that works without it.
    Side,
}

/// The tokenizer of the first vocabulary file that there is and that loads, with the files that go with it, if it fits.
pub(super) fn read(
    search: &Search<'_>,
    repository: &Repository,
    file_source: &mut impl FileSource,
) -> Outcome {
    let id = &repository.id;
    let mut failed: Option<Failure> = None;
    for &(name, other_half) in VOCABULARY_FILES {
        let mut files = Files::default();
        let mut found = None;
        for (file, part) in
            std::iter::once((name, Part::Vocabulary)).chain(other_half.map(|half| (half, Part::OtherHalf)))
        {
            found = match file_source.get(file, part) {
                Ok(found) => found,
                // Neither will the repository's next file be there. What was found before has failed for a reason.
                Err(error) if error.is_absent() => {
                    return failed.map_or_else(|| Outcome::NotApplicable(error.to_string()), Outcome::from);
                }
                Err(error) if error.is_about_one_file() => {
                    failed.get_or_insert_with(|| failure(id, error));
                    None
                }
                Err(error) => return failed.unwrap_or_else(|| failure(id, error)).into(),
            }
            .map(|(content, commit)| {
                files.insert(file, content);
                commit
            });
            if found.is_none() {
                break;
            }
        }
        let Some(commit) = found else { continue };
        if is_complete(name) {
            own_side_files(search, &mut files);
        }
        let mut notes = side_files(id, file_source, &mut files);
        let origin = format!("{id}/{name}");
        let tokenizer = match load_named(&files, name) {
            Ok(tokenizer) => tokenizer,
            Err(source) => {
                failed.get_or_insert(Failure::Format { path: origin, source });
                continue;
            }
        };
        if let Err(failure) = search.fits(&tokenizer, &origin) {
            // Its other files hold the same vocabulary.
            return failure.into();
        }
        notes.extend_from_slice(&tokenizer.recipe().notes);
        notes.extend(provenance(repository));
        return Outcome::Found(Found {
            tokenizer,
            source: Source::Repository { id: id.clone(), commit, file: name.into() },
            degraded: false,
            notes,
            files: files.used_by(name),
        });
    }
    failed.map_or_else(|| Outcome::NotApplicable(format!("{id} has no tokenizer file")), Outcome::from)
}

/// Adds what lies beside the model itself, which knows its roles and templates better than a repository that others may share.
/// A GGUF is left out: it shares its directory with other models, and has keys of its own.
fn own_side_files(search: &Search<'_>, files: &mut Files) {
    if search.evidence.gguf().is_some() {
        return;
    }
    for &name in SIDE_FILES {
        let mut paths = search.evidence.own_directories().iter().map(|directory| directory.join(name));
        if let Some(path) = paths.find(|path| path.is_file()) {
            files.insert(name, Content::Path(path));
        }
    }
}

/// Adds the other files that go with a vocabulary, and says which of them could not be had: a failure here must not cost the
/// tokenizer.
fn side_files(id: &RepoId, file_source: &mut impl FileSource, files: &mut Files) -> Vec<String> {
    let mut notes = Vec::new();
    for &name in SIDE_FILES {
        if files.contains(name) {
            continue;
        }
        match file_source.get(name, Part::Side) {
            Ok(Some((content, _))) => files.insert(name, content),
            Ok(None) => {}
            Err(error) => {
                let note = format!("{name} is left out: {}", chain(&error));
                log::debug!("{id}: {note}");
                notes.push(note);
                if !error.is_about_one_file() {
                    break;
                }
            }
        }
    }
    notes
}

/// What the caller should know of a name that is not its own.
fn provenance(repository: &Repository) -> Option<String> {
    let Repository { id, source, kind, .. } = repository;
    match (source, kind) {
        (NameSource::Caller, _) => None,
        (_, RepositoryKind::Base) => {
            Some(format!("the tokenizer is that of the base model {id}, named by the {source}"))
        }
        _ => Some(format!("the repository {id} was named by the {source}")),
    }
}

pub(super) fn failure(repository: &RepoId, source: Error) -> Failure {
    Failure::Hub { repository: repository.clone(), source: Box::new(source) }
}
