//! One repository at one commit, file by file: redirects, metadata, retries, verification.

use std::{ops::ControlFlow, path::PathBuf, thread, time::Duration};

use log::{debug, warn};

use super::{
    cache::{self, CachedFile, Lookup, Repository},
    client::{Answer, Client, Failure, Method, Repeat, over_budget},
    digest::{Digest, parse_etag},
    error::Error,
    id::{RepoId, is_commit},
    observer::{Observer, Progress},
    settings::{Deadline, Settings},
    token::Token,
    url::{Origin, Url, encode},
};

/// A repository at one revision. The first answer pins the commit, so that all files of a session belong together.
///
/// A session opens no connection before it needs one: none at all for files cached at a full commit, none offline.
pub(crate) struct Session<'a> {
    settings: &'a Settings,
    endpoint: Url,
    repository: RepoId,
    revision: String,
    commit: Option<String>,
    cache: Option<Repository>,
    observer: Option<&'a dyn Observer>,
    deadline: Deadline,
    client: Option<Client>,
    token: Option<&'a Token>,
    token_refused: bool,
    /// Whether the repository has answered with a file, so that a later "no such repository" must mean the file.
    answered: bool,
    requests: u32,
    /// No request is sent once so many were.
    most_requests: u32,
    /// Further attempts after a failure that may pass.
    retries: u32,
    /// Whether the Hub has redirected to itself, as it then does for every file.
    redirects_to_itself: bool,
    /// Whether the endpoint names commit and hash only in answer to a `HEAD`, as olah does for its own repositories.
    asks_head_first: bool,
}

/// A file of a repository, verified.
#[derive(Debug)]
#[cfg_attr(not(test), allow(dead_code))] // tests hold what a file cost against the Hub's log
pub(crate) struct Fetched {
    /// The very bytes that were verified.
    pub(crate) content: Vec<u8>,
    /// Where the cache keeps them; `None` if it could not be written.
    pub(crate) path: Option<PathBuf>,
    pub(crate) commit: String,
    /// The hash the server or the blob's name gave. `None` for a copied file or an opaque tag.
    pub(crate) etag: Option<String>,
    pub(crate) how: How,
    /// Requests this file took, redirects included.
    pub(crate) requests: u32,
}

/// How a file was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Its content was transferred.
    Downloaded,
    /// The server confirmed what the cache had.
    Revalidated,
    /// The cache had the content, and did not know it as this file of this commit.
    Relinked,
    /// Without a request.
    Cached,
}

/// What the Hub says of a file, apart from its content.
#[derive(Debug, Default)]
struct Metadata {
    commit: Option<String>,
    /// From `X-Linked-Etag`, else from the last answer's `ETag`.
    etag: Option<String>,
    linked: bool,
    /// In bytes. Unknown behind some mirrors.
    size: Option<u64>,
}

/// Where the content of a file to be published is.
enum Content<'a> {
    /// In the cache, as the blob that its hash names.
    InBlob,
    /// Here.
    New(&'a [u8]),
}

type Attempt<T> = Result<T, Failure>;

/// As many as `huggingface_hub` follows.
const MAX_REDIRECTS: u32 = 20;

/// Origins that belong to the Hub besides the configured endpoint: a mirror may redirect to them, and they may see the token.
const HUB_HOSTS: [&str; 3] = ["huggingface.co", "hub-ci.huggingface.co", "hf.co"];

impl<'a> Session<'a> {
    /// `revision` is a branch, a tag or a commit; `main` is the Hub's default.
    ///
    /// # Errors
    /// For an endpoint or a revision that cannot be used.
    pub(crate) fn new(
        settings: &'a Settings,
        repository: RepoId,
        revision: &str,
        observer: Option<&'a dyn Observer>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        cache::check_revision(revision)?;
        let endpoint = Url::parse(&settings.endpoint).map_err(|error| Error::BadEndpoint {
            expected: error.0,
            found: settings.endpoint.chars().take(200).collect(),
        })?;
        Ok(Self {
            settings,
            endpoint,
            cache: settings.cache_dir.as_deref().map(|root| Repository::new(root, &repository)),
            repository,
            revision: revision.to_owned(),
            commit: is_commit(revision).then(|| revision.to_owned()),
            observer,
            deadline,
            client: None,
            token: settings.token.as_ref(),
            token_refused: false,
            answered: false,
            requests: 0,
            most_requests: u32::MAX,
            retries: settings.retry.limit,
            redirects_to_itself: false,
            asks_head_first: false,
        })
    }

    /// The commit all files come from, once it is known.
    #[cfg(test)]
    pub(crate) fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Requests of the whole session so far, redirects included.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// The fewest requests that a file costs which the cache does not have.
    pub(crate) fn requests_per_file(&self) -> u32 {
        if self.redirects_to_itself || self.asks_head_first { 2 } else { 1 }
    }

    /// `file`, from the cache if the Hub confirms it or the commit is known, else from the Hub.
    ///
    /// Costs no request when the commit is known and the file (or its absence) is cached, or offline; one to revalidate; one
    /// plus redirects to download, and one more behind a mirror that sends content without commit and hash. A revalidation is
    /// not repeated after a failure, since the cache has a copy.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_absent`] tells a missing file from a failure.
    pub(crate) fn fetch(&mut self, file: &str) -> Result<Fetched, Error> {
        cache::check_file(file)?;
        let before = self.requests;
        let fetched = self.fetch_uncounted(file)?;
        let requests = self.requests - before;
        debug!(
            "{}/{file} at {}: {:?} with {requests} requests",
            self.repository, fetched.commit, fetched.how
        );
        Ok(Fetched { requests, ..fetched })
    }

    /// As [`fetch`](Self::fetch), but with at most so many requests, and a failure is not waited out: for files that are not
    /// worth it.
    ///
    /// # Errors
    /// Also [`Error::RequestLimit`], for a file that takes more.
    pub(crate) fn fetch_within(&mut self, most_requests: u32, file: &str) -> Result<Fetched, Error> {
        let retries = std::mem::take(&mut self.retries);
        self.most_requests = self.requests.saturating_add(most_requests);
        let fetched = self.fetch(file);
        self.most_requests = u32::MAX;
        self.retries = retries;
        fetched
    }

    fn fetch_uncounted(&mut self, file: &str) -> Result<Fetched, Error> {
        if self.settings.offline {
            return self.fetch_offline(file);
        }
        let known = self.commit.is_some();
        let cached = match self.look_up(file) {
            Some(Lookup::KnownAbsent { commit }) if known => return Err(self.file_not_found(file, &commit)),
            Some(Lookup::Found(cached)) => match self.read(&cached) {
                Ok(content) if known => return Ok(fetched(content, cached, How::Cached)),
                Ok(content) => Some((cached, content)),
                Err(error) => {
                    warn!("cached file left aside, to be downloaded again: {error}");
                    None
                }
            },
            _ => None,
        };
        if let Some((cached, content)) = cached
            && let Some(revalidated) = self.revalidate(file, cached, content)?
        {
            return Ok(revalidated);
        }
        self.download(file)
    }

    fn fetch_offline(&mut self, file: &str) -> Result<Fetched, Error> {
        let lookup = self.look_up(file);
        match lookup {
            Some(Lookup::Found(cached)) => {
                let content = self.read(&cached)?;
                self.commit = Some(cached.commit.clone());
                Ok(fetched(content, cached, How::Cached))
            }
            Some(Lookup::KnownAbsent { commit }) => Err(self.file_not_found(file, &commit)),
            _ => Err(Error::Offline { repository: self.repository.clone(), file: file.to_owned() }),
        }
    }

    fn look_up(&self, file: &str) -> Option<Lookup> {
        let cache = self.cache.as_ref()?;
        let (commit, _) = cache.resolve(self.commit.as_deref().unwrap_or(&self.revision))?;
        Some(cache.find(&commit, file))
    }

    fn read(&self, cached: &CachedFile) -> Result<Vec<u8>, Error> {
        cached.read(self.settings.verify, &self.settings.verified, self.settings.max_file_bytes)
    }

    /// Asks whether `cached` is what the revision has now; `None` if it is not.
    fn revalidate(
        &mut self,
        file: &str,
        cached: CachedFile,
        content: Vec<u8>,
    ) -> Result<Option<Fetched>, Error> {
        let (_, metadata) = self.with_token_fallback(|session| session.follow(Method::Head, file, true))?;
        let commit = self.pin(metadata.commit, file)?;
        let announced = metadata.etag.as_deref().and_then(Digest::new);
        let same = match (&announced, &cached.digest) {
            (Some(announced), Some(cached)) => announced == cached,
            (Some(announced), None) => announced.of_same_kind(&content) == *announced,
            // A commit's files do not change; without a hash, that is what there is to go by.
            (None, _) => commit == cached.commit,
        };
        if !same {
            return Ok(None);
        }
        self.answered = true;
        let mut cached = cached;
        let mut how = How::Revalidated;
        if commit != cached.commit {
            how = How::Relinked;
            let digest = cached.digest.clone().or(announced).unwrap_or_else(|| Digest::sha256(&content));
            let in_blob = cached.digest.is_some() && self.has_blob(&digest);
            let source = if in_blob { Content::InBlob } else { Content::New(&content) };
            if let Some(path) = self.publish(&commit, file, &digest, &source) {
                cached.path = path;
            }
            cached.commit = commit;
        }
        self.set_reference();
        Ok(Some(fetched(content, cached, how)))
    }

    fn download(&mut self, file: &str) -> Result<Fetched, Error> {
        let mut wait = self.settings.retry.wait;
        let mut costly = 0;
        for attempt in 0.. {
            let failure = match self.with_token_fallback(|session| session.download_once(file)) {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            let pause = match failure.repeat {
                Repeat::Never => return Err(failure.error),
                Repeat::Once => {
                    costly += 1;
                    if costly > 1 {
                        return Err(failure.error);
                    }
                    Duration::ZERO
                }
                Repeat::After(asked) => asked,
                Repeat::Often => wait,
            };
            // A wait that the budget cannot hold is not begun: the next strategy gets the time.
            let fits = self.deadline.remaining().is_some_and(|left| pause < left);
            if attempt >= self.retries || !fits {
                return Err(failure.error);
            }
            debug!("{}/{file}: again in {pause:?}: {}", self.repository, failure.error);
            thread::sleep(pause);
            wait = (wait * 2).min(self.settings.retry.max_wait);
        }
        unreachable!("the loop above returns")
    }

    fn download_once(&mut self, file: &str) -> Attempt<Fetched> {
        let mut lock = None;
        let mut trust_blobs = true;
        loop {
            let (answer, metadata) = self.content_and_metadata(file, trust_blobs)?;
            let commit = self.pin(metadata.commit.clone(), file).map_err(never)?;
            let limit = self.settings.max_file_bytes;
            if metadata.size.is_some_and(|size| size > limit) {
                return Err(never(Error::TooLarge { file: file.to_owned(), limit }));
            }
            let announced = metadata.etag.as_deref().and_then(Digest::new);
            if let (Some(cache), Some(digest)) = (&self.cache, &announced) {
                let mut answer = Some(answer);
                if lock.is_none() {
                    lock = cache.try_lock(digest);
                    if lock.is_none() {
                        // Someone is downloading this very blob. Our answer would go stale while we wait for it.
                        answer = None;
                        let patience = self.deadline.remaining().unwrap_or_default();
                        lock = Some(cache.lock(digest, patience.min(self.settings.timeouts.lock)));
                    }
                }
                if let Some(content) = cache.read_blob(digest, limit) {
                    let path = self.publish(&commit, file, digest, &Content::InBlob);
                    let etag = Some(digest.to_string());
                    self.finish();
                    return Ok(Fetched { content, path, commit, etag, how: How::Relinked, requests: 0 });
                }
                // No such blob after all, or a damaged one: now for the content.
                trust_blobs = false;
                let Some(answer) = answer.filter(|answer| answer.status() == 200) else { continue };
                return self.receive(file, answer, &metadata, commit, announced);
            }
            return self.receive(file, answer, &metadata, commit, announced);
        }
    }

    /// An answer with the content, or a redirect that makes it unnecessary, and what the Hub says of the file.
    ///
    /// A `HEAD` is sent as well where a `GET` does not say it. Then only a hash can tell that both speak of the same.
    fn content_and_metadata(&mut self, file: &str, trust_blobs: bool) -> Attempt<(Answer, Metadata)> {
        let told = if self.asks_head_first { Some(self.follow(Method::Head, file, true)?.1) } else { None };
        let (answer, said) = self.follow(Method::Get, file, trust_blobs)?;
        if said.commit.is_some() {
            return Ok((answer, said));
        }
        let metadata = match told {
            Some(metadata) => metadata,
            None => match self.follow(Method::Head, file, true) {
                Ok((_, metadata)) => metadata,
                Err(failure) if failure.error.is_about_the_hub() => return Err(failure),
                Err(failure @ Failure { error: Error::RequestLimit { .. }, .. }) => return Err(failure),
                // A page that is there and that the same server then refuses is no file of a Hub.
                Err(_) => said,
            },
        };
        if metadata.commit.is_some() && metadata.etag.as_deref().and_then(Digest::new).is_none() {
            let found = format!("no X-Repo-Commit in the answer for {file}, and no hash in that to a HEAD");
            return Err(never(Error::NotAHub { host: self.endpoint.host(), found }));
        }
        self.asks_head_first = metadata.commit.is_some();
        Ok((answer, metadata))
    }

    /// Reads the body, verifies and stores it.
    fn receive(
        &mut self,
        file: &str,
        mut answer: Answer,
        metadata: &Metadata,
        commit: String,
        announced: Option<Digest>,
    ) -> Attempt<Fetched> {
        let content = self.read_body(file, &mut answer, metadata.size)?;
        let length = content.len() as u64;
        if let Some(expected) = metadata.size.filter(|&expected| expected != length) {
            let error = Error::Length { file: file.to_owned(), expected, found: length };
            return Err(Failure { error, repeat: Repeat::Often });
        }
        if let Some(expected) = &announced {
            let found = expected.of_same_kind(&content);
            if found != *expected {
                let (expected, found) = (expected.to_string(), found.to_string());
                let error = Error::Hash { file: file.to_owned(), expected, found };
                return Err(Failure { error, repeat: Repeat::Once });
            }
        }
        let etag = announced.as_ref().map(Digest::to_string);
        let digest = announced.unwrap_or_else(|| Digest::sha256(&content));
        let path = self.publish(&commit, file, &digest, &Content::New(&content));
        self.finish();
        Ok(Fetched { content, path, commit, etag, how: How::Downloaded, requests: 0 })
    }

    /// The body, in memory: its reader wants all of it at once, and the cache never sees an unverified byte.
    fn read_body(&self, file: &str, answer: &mut Answer, total: Option<u64>) -> Attempt<Vec<u8>> {
        const CHUNK: usize = 64 << 10;
        let limit = self.settings.max_file_bytes;
        // The announced length is only a hint: memory grows with what arrives.
        let hint = total.unwrap_or(0).min(1 << 20) as usize;
        let mut content = Vec::with_capacity(hint);
        let mut buffer = vec![0; CHUNK];
        loop {
            let received = content.len() as u64;
            let progress = Progress { repository: &self.repository, file, received, total };
            if let Some(observer) = self.observer
                && observer.progress(&progress) == ControlFlow::Break(())
            {
                return Err(never(Error::Cancelled { file: file.to_owned() }));
            }
            match answer.read(&mut buffer)? {
                0 => return Ok(content),
                read => content.extend_from_slice(&buffer[..read]),
            }
            if content.len() as u64 > limit {
                return Err(never(Error::TooLarge { file: file.to_owned(), limit }));
            }
        }
    }

    /// Puts a verified file into the cache; a cache that cannot be written costs only the next download.
    fn publish(&self, commit: &str, file: &str, digest: &Digest, content: &Content<'_>) -> Option<PathBuf> {
        let cache = self.cache.as_ref()?;
        let symlinks = self.settings.symlinks;
        let linked = match content {
            Content::InBlob => cache.link(commit, file, digest, symlinks),
            Content::New(content) => cache.store(commit, file, digest, content, symlinks),
        };
        linked.inspect_err(|error| warn!("{}/{file} is used, but not cached: {error}", self.repository)).ok()
    }

    fn finish(&mut self) {
        self.answered = true;
        self.set_reference();
    }

    fn set_reference(&self) {
        if let (Some(cache), Some(commit)) = (&self.cache, &self.commit)
            && let Err(error) = cache.set_reference(&self.revision, commit)
        {
            debug!("cannot record that {} is at {commit}: {error}", self.revision);
        }
    }

    /// Takes the commit of an answer as the session's, or compares it.
    fn pin(&mut self, commit: Option<String>, file: &str) -> Result<String, Error> {
        let host = self.endpoint.host();
        let commit = commit.ok_or_else(|| Error::NotAHub {
            host: host.clone(),
            found: format!("no X-Repo-Commit in the answer for {file}"),
        })?;
        match &self.commit {
            Some(pinned) if *pinned != commit => Err(Error::NotAHub {
                host,
                found: format!("commit {commit} in the answer for commit {pinned}"),
            }),
            Some(_) => Ok(commit),
            None => {
                self.commit = Some(commit.clone());
                Ok(commit)
            }
        }
    }

    /// Repeats `attempt` without the token if the token was refused: a stale one should not hide public files.
    fn with_token_fallback<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Attempt<T>) -> Attempt<T> {
        match attempt(self) {
            Err(Failure { error: Error::InvalidToken { host }, .. }) if self.token.is_some() => {
                warn!("{host} refused the token; trying without");
                self.token = None;
                self.token_refused = true;
                attempt(self)
            }
            done => done,
        }
    }

    /// Sends a request for `file` and follows redirects to the content, with a status of 200. May stop at a redirect that says
    /// all there is to know: for a `HEAD`, commit and hash; for a `GET` that trusts blobs, the hash of one in the cache.
    fn follow(&mut self, method: Method, file: &str, trust_blobs: bool) -> Attempt<(Answer, Metadata)> {
        let mut url = self.file_url(file);
        let mut metadata = Metadata::default();
        let mut on_hub = true;
        for _ in 0..=MAX_REDIRECTS {
            if self.requests >= self.most_requests {
                return Err(never(Error::RequestLimit { file: file.to_owned() }));
            }
            let mut answer = self.send(method, &url, on_hub)?;
            if on_hub {
                metadata.absorb(&answer);
            }
            match answer.status() {
                200 => {
                    if on_hub {
                        metadata.absorb_final(&answer);
                        let length = answer.header("content-length").and_then(|length| length.parse().ok());
                        metadata.size = metadata.size.or(length);
                    }
                    let encoding = answer.header("content-encoding").unwrap_or("identity");
                    if !encoding.eq_ignore_ascii_case("identity") {
                        let found = format!("a body encoded as {encoding:?}, which was not asked for");
                        return Err(never(Error::NotAHub { host: answer.host().to_owned(), found }));
                    }
                    return Ok((answer, metadata));
                }
                301 | 302 | 303 | 307 | 308 => {
                    let next = redirect(&url, answer.header("location")).map_err(never)?;
                    if on_hub && !self.is_hub(next.origin()) {
                        // From here on, another's server: this answer is the Hub's last word on the file.
                        metadata.absorb_final(&answer);
                        if metadata.commit.is_none() {
                            let found = format!("a redirect to {} without X-Repo-Commit", next.host());
                            return Err(never(Error::NotAHub { host: url.host(), found }));
                        }
                        on_hub = false;
                    }
                    self.redirects_to_itself |= on_hub;
                    let enough = match method {
                        Method::Head => !on_hub || metadata.is_complete(),
                        Method::Get => {
                            trust_blobs && metadata.names_blob().is_some_and(|digest| self.has_blob(&digest))
                        }
                    };
                    if enough {
                        return Ok((answer, metadata));
                    }
                    answer.read_some(4096); // a short body read to its end leaves the connection usable
                    url = next;
                }
                _ if on_hub => return Err(self.refusal(&mut answer, file)),
                _ => return Err(status_failure(&mut answer)),
            }
        }
        Err(never(Error::Redirect { host: url.host(), reason: "more than 20 in a row" }))
    }

    fn has_blob(&self, digest: &Digest) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has_blob(digest))
    }

    fn send(&mut self, method: Method, url: &Url, on_hub: bool) -> Attempt<Answer> {
        if self.deadline.remaining().is_none() {
            return Err(over_budget(url.host()));
        }
        let authorization =
            self.token.filter(|_| on_hub && self.may_carry_token(url.origin())).map(Token::authorization);
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::new(self.settings).map_err(never)?),
        };
        self.requests += 1;
        client.send(method, url, authorization.as_deref(), self.deadline)
    }

    fn file_url(&self, file: &str) -> Url {
        let revision = encode(self.commit.as_deref().unwrap_or(&self.revision));
        let file: Vec<String> = file.split('/').map(encode).collect();
        self.endpoint.with_path(&format!("/{}/resolve/{revision}/{}", self.repository, file.join("/")))
    }

    /// Whether redirects to `origin` stay on the Hub.
    fn is_hub(&self, origin: &Origin) -> bool {
        let public = origin.https && origin.port == 443 && HUB_HOSTS.contains(&origin.host.as_str());
        public || origin == self.endpoint.origin()
    }

    /// In clear text, a token goes to this machine and to an endpoint that was set on purpose (the default one has TLS).
    fn may_carry_token(&self, origin: &Origin) -> bool {
        self.is_hub(origin) && (origin.https || origin.is_loopback() || origin == self.endpoint.origin())
    }

    fn file_not_found(&self, file: &str, revision: &str) -> Error {
        let (repository, revision) = (self.repository.clone(), revision.to_owned());
        Error::FileNotFound { repository, revision, file: file.to_owned() }
    }

    /// What a status other than 200 and redirects means, by `X-Error-Code` where there is one.
    fn refusal(&mut self, answer: &mut Answer, file: &str) -> Failure {
        let status = answer.status();
        let code = answer.header("x-error-code").unwrap_or("").to_owned();
        let host = answer.host().to_owned();
        let authenticated = self.token.is_some();
        let repository = self.repository.clone();
        let error = match (status, code.as_str()) {
            (401 | 403, _) if self.token_refused => Error::InvalidToken { host },
            (401 | 403, "GatedRepo") => Error::Gated {
                url: self.endpoint.with_path(&format!("/{repository}")).to_string(),
                repository,
                authenticated,
            },
            (401, _)
                if authenticated
                    && message(answer).contains("Invalid credentials in Authorization header") =>
            {
                Error::InvalidToken { host }
            }
            (404, "RevisionNotFound") => Error::RevisionNotFound {
                repository,
                revision: self.commit.as_ref().unwrap_or(&self.revision).clone(),
            },
            // Some mirrors say so of a missing file; a repository that gave one file is there.
            (401, _) | (404, "RepoNotFound") if !self.answered => {
                Error::RepositoryNotFound { repository, host, authenticated }
            }
            (401 | 404, _) => self.record_absence(answer, file, code == "EntryNotFound"),
            (403, _) => Error::Forbidden { repository, host, message: message(answer) },
            _ => return status_failure(answer),
        };
        never(error)
    }

    /// Only a Hub that names the commit is believed to know that the file is not in it.
    fn record_absence(&mut self, answer: &Answer, file: &str, certain: bool) -> Error {
        let commit = answer.header("x-repo-commit").filter(|commit| certain && is_commit(commit));
        if let Some(Ok(commit)) = commit.map(|commit| self.pin(Some(commit.to_owned()), file)) {
            self.answered = true;
            if let Some(cache) = &self.cache {
                match cache.mark_absent(&commit, file) {
                    Ok(()) => self.set_reference(),
                    Err(error) => debug!("cannot record that {file} is absent: {error}"),
                }
            }
        }
        self.file_not_found(file, self.commit.as_deref().unwrap_or(&self.revision))
    }
}

impl Metadata {
    /// Takes what any answer of the Hub says of the file, redirects included.
    fn absorb(&mut self, answer: &Answer) {
        if let Some(commit) = answer.header("x-repo-commit").filter(|commit| is_commit(commit)) {
            self.commit = Some(commit.to_owned());
        }
        if let Some(etag) = answer.header("x-linked-etag").and_then(parse_etag) {
            self.etag = Some(etag);
            self.linked = true;
        }
        // A redirect's Content-Length is that of its own body.
        if let Some(size) = answer.header("x-linked-size").and_then(|size| size.trim().parse().ok()) {
            self.size = Some(size);
        }
    }

    /// Takes the plain `ETag` of the last answer on the Hub.
    fn absorb_final(&mut self, answer: &Answer) {
        if !self.linked {
            self.etag = answer.header("etag").and_then(parse_etag);
        }
    }

    fn is_complete(&self) -> bool {
        self.commit.is_some() && self.linked
    }

    /// The hash, once all that matters is known.
    fn names_blob(&self) -> Option<Digest> {
        self.etag.as_deref().filter(|_| self.is_complete()).and_then(Digest::new)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

fn never(error: Error) -> Failure {
    Failure { error, repeat: Repeat::Never }
}

fn fetched(content: Vec<u8>, cached: CachedFile, how: How) -> Fetched {
    let CachedFile { path, commit, digest } = cached;
    Fetched {
        content,
        path: Some(path),
        commit,
        etag: digest.map(|digest| digest.to_string()),
        how,
        requests: 0,
    }
}

/// Where a redirect seen at `url` leads, if it may be followed at all.
fn redirect(url: &Url, location: Option<&str>) -> Result<Url, Error> {
    let refuse = |reason| Error::Redirect { host: url.host(), reason };
    let next = url.join(location.ok_or_else(|| refuse("no Location"))?).map_err(|error| refuse(error.0))?;
    if url.origin().https && !next.origin().https {
        return Err(refuse("from https to http"));
    }
    Ok(next)
}

fn status_failure(answer: &mut Answer) -> Failure {
    let (status, host) = (answer.status(), answer.host().to_owned());
    let asked = wait_asked(answer.header("ratelimit"), answer.header("retry-after"));
    let repeat = match status {
        408 | 429 | 500 | 502 | 503 | 504 => asked.map_or(Repeat::Often, Repeat::After),
        _ => Repeat::Never,
    };
    let error = if status == 429 {
        Error::RateLimited { host, retry_after: asked }
    } else {
        Error::Status { host, status, message: message(answer) }
    };
    Failure { error, repeat }
}

/// The wait that a server asks for: `RateLimit: "…";r=0;t=55` (believed only when nothing remains), else `Retry-After` in seconds.
/// One second is added, since both are rounded. The date form of `Retry-After` is not read; the usual wait applies.
fn wait_asked(rate_limit: Option<&str>, retry_after: Option<&str>) -> Option<Duration> {
    let parameter = |name: &str| {
        rate_limit?.split(';').find_map(|part| part.trim().strip_prefix(name)?.trim().parse::<u32>().ok())
    };
    let reset = (parameter("r=") == Some(0)).then(|| parameter("t=")).flatten();
    let seconds = reset.or_else(|| retry_after?.trim().parse().ok())?;
    Some(Duration::from_secs(u64::from(seconds) + 1))
}

/// The server's words: `X-Error-Message`, else the `error` of a JSON body; with the request id for its support.
fn message(answer: &mut Answer) -> String {
    let mut text = if let Some(text) = answer.header("x-error-message") {
        text.to_owned()
    } else {
        let body = answer.read_some(4096);
        let json: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        json.and_then(|json| Some(json.get("error")?.as_str()?.to_owned())).unwrap_or_default()
    };
    if let Some(id) = answer.header("x-request-id") {
        text = format!("{text} (request {id})");
    }
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;

    #[test]
    fn redirects_stay_on_http_and_never_lose_tls() {
        let secure = Url::parse("https://huggingface.co/a").unwrap();
        let plain = Url::parse("http://127.0.0.1:1/a").unwrap();
        let to = |url: &Url, location| redirect(url, location).map(|url| url.to_string()).ok();
        assert_eq!(to(&secure, Some("/b?c")).as_deref(), Some("https://huggingface.co/b?c"));
        assert_eq!(to(&plain, Some("https://x/b")).as_deref(), Some("https://x/b"));
        for location in
            [None, Some(""), Some("http://huggingface.co/b"), Some("file:///b"), Some("ftp://x/b")]
        {
            assert_eq!(to(&secure, location), None, "{location:?}");
        }
    }

    #[test]
    fn the_token_goes_to_the_hub_only_and_not_in_clear() {
        let may = |endpoint: &str, target: &str| {
            let mut settings = Settings::from_environment(&Environment::of(&[("HF_ENDPOINT", endpoint)]));
            settings.offline = true;
            let id = "a/b".parse().unwrap();
            let session = Session::new(&settings, id, "main", None, settings.deadline()).unwrap();
            session.may_carry_token(Url::parse(target).unwrap().origin())
        };
        let (hub, mirror) = ("https://huggingface.co", "http://mirror.example:8080/hf");
        for (endpoint, target) in [
            (hub, "https://huggingface.co/x"),
            (hub, "https://HF.co/x"),
            (mirror, "http://mirror.example:8080/y"),
            (mirror, "https://huggingface.co/x"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/x"),
        ] {
            assert!(may(endpoint, target), "{endpoint} -> {target}");
        }
        for (endpoint, target) in [
            (hub, "http://huggingface.co/x"),
            (hub, "https://huggingface.co:8443/x"),
            (hub, "https://cdn-lfs.huggingface.co/x"),
            (hub, "https://huggingface.co.example/x"),
            (hub, "http://127.0.0.1/x"),
            (mirror, "http://mirror.example/x"),
            (mirror, "https://mirror.example:8080/x"),
            ("http://127.0.0.1:9", "http://127.0.0.1:10/x"),
        ] {
            assert!(!may(endpoint, target), "{endpoint} -> {target}");
        }
    }

    #[test]
    fn waits_are_read_from_either_header() {
        let wait = |rate_limit, retry_after| wait_asked(rate_limit, retry_after).map(|wait| wait.as_secs());
        assert_eq!(wait(Some("\"resolvers\";r=0;t=55"), None), Some(56));
        assert_eq!(wait(Some("\"resolvers\"; r=0; t=55"), Some("7")), Some(56));
        assert_eq!(wait(Some("\"resolvers\";r=12;t=55"), None), None);
        assert_eq!(wait(Some("\"resolvers\";r=12;t=55"), Some("7")), Some(8));
        assert_eq!(wait(None, Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(wait(Some("r=0;t=99999999999"), Some("-1")), None);
    }
}
