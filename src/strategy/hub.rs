//! A repository on the Hub, by the network.

use super::Search;
#[cfg(feature = "hub")]
use crate::formats::Content;
#[cfg(feature = "hub")]
use crate::mmap::Bytes;
use crate::resolution::Outcome;

/// Asks the repositories that the caller, the path or the metadata names, the most trusted first.
#[cfg(feature = "hub")]
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    use super::cache::read_repository;
    use crate::hub::Session;

    if search.options.hub.offline {
        return Outcome::NotApplicable("offline".into());
    }
    if let Some(reason) = search.stands_back() {
        return Outcome::NotApplicable(reason);
    }
    let mut requests = 0;
    let mut answer = None;
    for repository in search.repositories() {
        let revision = search.revision_of(repository);
        let observer = search.options.observer.as_deref();
        let session =
            Session::new(&search.options.hub, repository.id.clone(), &revision, observer, search.deadline);
        let mut session = match session {
            Ok(session) => session,
            Err(error) => return super::cache::failure(&repository.id, error).into(),
        };
        let outcome = read_repository(search, repository, |file, optional| {
            // A file that names many repositories must not make us a scanner, nor must what is nice to have cost much.
            if requests + session.requests() >= if optional { MOST_BEFORE_OPTIONAL } else { MOST_REQUESTS } {
                return Ok(None);
            }
            match session.fetch(file) {
                Ok(fetched) => Ok(Some(content_of(fetched))),
                Err(error) if error.is_absent() && error.is_about_one_file() => Ok(None),
                Err(error) => Err(error),
            }
        });
        requests += session.requests();
        match outcome {
            found @ Outcome::Found(_) => return found,
            // The failure of the most trusted repository is the one to tell.
            failed @ Outcome::Failed(_) => _ = answer.get_or_insert(failed),
            absent @ Outcome::NotApplicable(_) => _ = answer.get_or_insert(absent),
        }
        if requests >= MOST_REQUESTS || search.deadline.remaining().is_none() {
            break;
        }
    }
    answer.unwrap_or_else(|| Outcome::NotApplicable("no repository is named".into()))
}

/// Without the cargo feature `hub` nothing here opens a socket.
#[cfg(not(feature = "hub"))]
pub(super) fn attempt(_: &Search<'_>) -> Outcome {
    Outcome::NotApplicable("built without the cargo feature `hub`".into())
}

#[cfg(feature = "hub")]
fn content_of(fetched: crate::hub::Fetched) -> (Content, String) {
    let bytes = Bytes::from(fetched.content);
    let content = match fetched.path {
        Some(path) => Content::Verified { path, bytes },
        None => Content::Bytes(bytes),
    };
    (content, fetched.commit)
}

/// Of one resolution, over all repositories.
#[cfg(feature = "hub")]
const MOST_REQUESTS: u32 = 12;

/// Files that only add to a tokenizer are asked for while fewer requests than this were made.
#[cfg(feature = "hub")]
const MOST_BEFORE_OPTIONAL: u32 = 3;
