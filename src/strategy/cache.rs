//! A repository's files in a cache on this machine, and what both strategies that read repositories share.

use super::Search;
use crate::error::Failure;
use crate::evidence::{Repository, RepositoryKind};
use crate::formats::{Content, Files, SIDE_FILES, VOCABULARY_FILES, load_named};
use crate::hub::cache::{Lookup, find};
use crate::hub::{Error, RepoId};
use crate::resolution::{Found, Outcome, Source};

/// Looks for the repositories in the shared Hugging Face cache. No network.
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    if let Some(reason) = search.stands_back() {
        return Outcome::NotApplicable(reason);
    }
    let settings = &search.options.hub;
    let Some(root) = &settings.cache_dir else {
        return Outcome::NotApplicable("there is no cache directory".into());
    };
    let mut answer = None;
    for repository in search.repositories() {
        let revision = search.revision_of(repository);
        let outcome = read_repository(search, repository, |file, _| {
            match find(root, &repository.id, &revision, file)? {
                Lookup::Found(cached) => {
                    let bytes = cached.read(settings.verify, &settings.verified, settings.max_file_bytes)?;
                    Ok(Some((Content::Verified { path: cached.path, bytes: bytes.into() }, cached.commit)))
                }
                Lookup::KnownAbsent { .. } | Lookup::Missing => Ok(None),
            }
        });
        match outcome {
            found @ Outcome::Found(_) => return found,
            failed @ Outcome::Failed(_) => _ = answer.get_or_insert(failed),
            Outcome::NotApplicable(_) => {}
        }
    }
    answer.unwrap_or_else(|| {
        let names: Vec<&str> =
            search.repositories().iter().map(|repository| repository.id.as_str()).collect();
        Outcome::NotApplicable(if names.is_empty() {
            "no repository is named".into()
        } else {
            format!("{} has no tokenizer file in {}", names.join(", "), root.display())
        })
    })
}

/// Reads a repository through `get(file, optional)`, which gives a file with its commit, or `None` where it is absent: the first
/// vocabulary file there is, the files that go with it, then the fit.
pub(super) fn read_repository(
    search: &Search<'_>,
    repository: &Repository,
    mut get: impl FnMut(&str, bool) -> Result<Option<(Content, String)>, Error>,
) -> Outcome {
    let id = &repository.id;
    let mut files = Files::default();
    let mut vocabulary = None;
    for &(name, other_half) in VOCABULARY_FILES {
        match get(name, false) {
            Ok(Some((content, commit))) => {
                files.insert(name, content);
                if let Some(other) = other_half {
                    match get(other, false) {
                        Ok(Some((content, _))) => files.insert(other, content),
                        Ok(None) => continue,
                        Err(error) => return failure(id, error).into(),
                    }
                }
                vocabulary = Some((name, commit));
                break;
            }
            Ok(None) => {}
            Err(error) if error.is_absent() => return Outcome::NotApplicable(error.to_string()),
            Err(error) => return failure(id, error).into(),
        }
    }
    let Some((name, commit)) = vocabulary else {
        return Outcome::NotApplicable(format!("{id} has no tokenizer file"));
    };
    for &name in SIDE_FILES {
        // They add roles and templates to a tokenizer that works without them.
        match get(name, true) {
            Ok(Some((content, _))) => files.insert(name, content),
            Ok(None) => {}
            Err(error) => {
                log::debug!("{id}: {name} is left out: {}", crate::error::chain(&error));
                break;
            }
        }
    }
    let place = format!("{id}/{name}");
    let tokenizer = match load_named(&files, name) {
        Ok(tokenizer) => tokenizer,
        Err(source) => return Failure::Format { path: place, source }.into(),
    };
    if let Err(failure) = search.fits(&tokenizer, &place) {
        return failure.into();
    }
    let mut notes = tokenizer.recipe().notes.clone();
    if search.options.repository.is_none() {
        notes.push(match repository.kind {
            RepositoryKind::Base => {
                format!("the tokenizer is that of the base model {id}; it fits this model's vocabulary")
            }
            _ => format!("the repository {id} was found by {}", repository.source),
        });
    }
    Outcome::Found(Found {
        tokenizer,
        source: Source::Repository { id: id.clone(), commit, file: name.into() },
        degraded: false,
        notes,
        files: files.used_by(name),
    })
}

pub(super) fn failure(repository: &RepoId, source: Error) -> Failure {
    Failure::Hub { repository: repository.clone(), source: Box::new(source) }
}
