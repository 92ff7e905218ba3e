//! A repository on the Hub, by the network.
//!
//! A cold cache costs at most three requests for a `tokenizer.json`: the file itself, which takes two where the Hub redirects
//! to it, and what the third is enough for of the files that add roles and chat templates. huggingface.co redirects to all of
//! its files, so that these come from there only if the caller asks for them; those that lie beside the model need no request.
//! A warm cache costs one request, which asks whether `tokenizer.json` is still the same; a pinned commit costs none.
//!
//! A vocabulary whose ids depend on `tokenizer_config.json`, such as `tokenizer.model`, costs what it takes.
#![cfg_attr(not(feature = "hub"), allow(dead_code))]

use super::search::Search;
use crate::outcome::Outcome;

/// Asks the repositories that the caller, the path or the metadata names, the most trusted first.
#[cfg(feature = "hub")]
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    online::attempt(search)
}

/// Without the cargo feature `hub` nothing here opens a socket.
#[cfg(not(feature = "hub"))]
pub(super) fn attempt(_: &Search<'_>) -> Outcome {
    Outcome::NotApplicable("built without the cargo feature `hub`".into())
}

#[cfg(feature = "hub")]
mod online {
    use log::{debug, warn};

    use super::super::repository::{FileSource, Part, failure, read};
    use super::super::search::Search;
    use crate::evidence::{NameSource, Repository, RepositoryKind};
    use crate::failure::{Failure, chain};
    use crate::formats::{Content, is_complete};
    use crate::hub::{Error, Fetched, How, Session};
    use crate::mmap::Bytes;
    use crate::outcome::Outcome;

    pub(super) fn attempt(search: &Search<'_>) -> Outcome {
        if search.options.hub.offline {
            return Outcome::NotApplicable("the network is off".into());
        }
        if let Some(reason) = search.skip_reason() {
            return Outcome::NotApplicable(reason);
        }
        let mut requests = 0;
        let mut failed = None;
        let mut absent = Vec::new();
        for repository in search.repositories() {
            let mut online = match Online::new(search, repository, requests) {
                Ok(online) => online,
                Err(error) => return failure(&repository.id, error).into(),
            };
            let outcome = read(search, repository, &mut online);
            requests += online.session.requests();
            match outcome {
                found @ Outcome::Found(_) => return found,
                Outcome::Failed(failure) => {
                    debug!("{}: {}", repository.id, chain(&*failure));
                    let stop = matches!(&*failure, Failure::Hub { source, .. } if source.is_about_the_hub());
                    // The failure of the most trusted repository is the one to tell.
                    failed.get_or_insert(failure);
                    if stop {
                        break;
                    }
                }
                Outcome::NotApplicable(reason) => {
                    let reason = online.left_out.take().unwrap_or(reason);
                    if repository.source == NameSource::Caller {
                        warn!("{}: {reason}", search.evidence.path().display());
                    }
                    absent.push(reason);
                }
            }
            if requests >= MOST_REQUESTS || search.deadline.remaining().is_none() {
                break;
            }
        }
        match failed {
            Some(failure) => Outcome::Failed(failure),
            None if absent.is_empty() => Outcome::NotApplicable("no repository is named".into()),
            None => Outcome::NotApplicable(absent.join("; ")),
        }
    }

    /// One repository on the Hub.
    struct Online<'a> {
        repository: &'a Repository,
        session: Session<'a>,
        /// Requests that other repositories took.
        spent: u32,
        /// The repository that a GGUF lies in is mostly a quantizer's and has no tokenizer files: one question is enough to
        /// know, and leaves the rest for the repository that the model was made from.
        is_quantizer: bool,
        /// Whether all side files are worth their requests.
        side_files: bool,
        /// Whether the caches knew nothing of the vocabulary's commit, and so of what goes with it.
        is_new: bool,
        /// Whether the vocabulary gives the right ids without any other file.
        is_complete: bool,
        /// Why not every file was asked for.
        left_out: Option<String>,
    }

    impl<'a> Online<'a> {
        fn new(search: &'a Search<'_>, repository: &'a Repository, spent: u32) -> Result<Self, Error> {
            let options = search.options;
            let revision = search.revision_of(repository);
            let observer = options.observer.as_deref();
            let session =
                Session::new(&options.hub, repository.id.clone(), &revision, observer, search.deadline)?;
            let is_quantizer = repository.kind == RepositoryKind::Same
                && repository.source != NameSource::Caller
                && search.evidence.gguf().is_some();
            Ok(Self {
                repository,
                session,
                spent,
                is_quantizer,
                side_files: options.side_files,
                is_new: false,
                is_complete: false,
                left_out: None,
            })
        }

        fn requests(&self) -> u32 {
            self.spent + self.session.requests()
        }

        /// Whether a file that holds the vocabulary, or half of it, is asked for.
        fn may_ask(&mut self, file: &str, part: Part) -> bool {
            let id = &self.repository.id;
            if self.requests() >= MOST_REQUESTS {
                self.left_out =
                    Some(format!("{MOST_REQUESTS} requests were made before {id} was searched to its end"));
                return false;
            }
            if self.is_quantizer && part == Part::Vocabulary && file != "tokenizer.json" {
                self.left_out = Some(format!("{id}, where the GGUF is from, has no tokenizer.json"));
                return false;
            }
            true
        }

        /// How many requests a side file may take.
        fn worth(&self, file: &str) -> u32 {
            let limit = match file {
                // Without it, ids might be wrong.
                CONFIG if !self.is_complete => return u32::MAX,
                _ if self.side_files => MOST_REQUESTS,
                _ if self.is_new => MOST_COLD,
                _ => 0,
            };
            let left = limit.saturating_sub(self.requests());
            // What cannot be had with one request is not asked for with one.
            if left < self.session.requests_per_file() { 0 } else { left }
        }

        fn vocabulary(&mut self, file: &str, part: Part) -> Result<Option<Fetched>, Error> {
            if !self.may_ask(file, part) {
                return Ok(None);
            }
            let fetched = self.session.fetch(file)?;
            self.is_new |= matches!(fetched.how, How::Downloaded | How::Relinked);
            self.is_complete = is_complete(file);
            Ok(Some(fetched))
        }

        fn side_file(&mut self, file: &str) -> Result<Option<Fetched>, Error> {
            match self.session.fetch_within(self.worth(file), file) {
                // Of the other files, most repositories have none.
                Err(Error::RequestLimit { .. }) if file != CONFIG => Ok(None),
                fetched => fetched.map(Some),
            }
        }
    }

    impl FileSource for Online<'_> {
        fn get(&mut self, file: &str, part: Part) -> Result<Option<(Content, String)>, Error> {
            let fetched = match part {
                Part::Vocabulary | Part::OtherHalf => self.vocabulary(file, part),
                Part::Side => self.side_file(file),
            };
            match fetched {
                Ok(fetched) => Ok(fetched.map(content_of)),
                Err(error) if error.is_absent() && error.is_about_one_file() => Ok(None),
                Err(error) => Err(error),
            }
        }
    }

    fn content_of(fetched: Fetched) -> (Content, String) {
        let bytes = Bytes::from(fetched.content);
        let content = match fetched.path {
            Some(path) => Content::Verified { path, bytes },
            None => Content::Bytes(bytes),
        };
        (content, fetched.commit)
    }

    /// Of one resolution, over all repositories, so that a file that names many does not make us a scanner. No file is asked
    /// for once so many were made; one that is being fetched may still be redirected or repeated.
    const MOST_REQUESTS: u32 = 12;

    /// Of a cold `tokenizer.json` with what goes with it.
    const MOST_COLD: u32 = 3;

    /// The side file that says most.
    const CONFIG: &str = "tokenizer_config.json";
}
