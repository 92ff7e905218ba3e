//! What can go wrong between a repository's name and a file's bytes.

use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

use super::id::RepoId;

/// Why a file could not be had from the Hub or from its cache.
///
/// [`is_absent`](Self::is_absent) tells "it is not there" from "it is there, or might be, and something failed".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file name or revision that could leave its place in a URL or in the cache. Found before disk or network is touched.
    #[error("expected {expected}, found {found:?}")]
    #[non_exhaustive]
    BadName {
        /// What a valid name is.
        expected: &'static str,
        /// The name, cut to 200 characters.
        found: String,
    },

    /// The endpoint (`HF_ENDPOINT` or the builder's) is not a URL to build on.
    #[error("{expected} as the Hub's endpoint, found {found:?}")]
    #[non_exhaustive]
    BadEndpoint {
        /// "expected …": what is wrong with it.
        expected: &'static str,
        /// The endpoint as given, cut to 200 characters.
        found: String,
    },

    /// A proxy variable that names no usable proxy. Going round a proxy without being told to is not an option.
    #[error("expected a proxy such as http://host:port in the environment for {scheme}")]
    #[non_exhaustive]
    BadProxy {
        /// The scheme the proxy is for.
        scheme: &'static str,
        /// The client's complaint.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The file with root certificates cannot be read or holds none.
    #[error("expected PEM root certificates in {path}")]
    #[non_exhaustive]
    RootCertificates {
        /// The file named by the builder or by `SSL_CERT_FILE`.
        path: PathBuf,
        /// What went wrong with it.
        source: io::Error,
    },

    /// The repository has no such file at this revision (404 `EntryNotFound`).
    #[error("no file {file} in {repository} at revision {revision}")]
    #[non_exhaustive]
    FileNotFound {
        /// The repository asked.
        repository: RepoId,
        /// The commit, or the revision where no commit is known.
        revision: String,
        /// The file's path in the repository.
        file: String,
    },

    /// The repository has no such branch, tag or commit (404 `RevisionNotFound`).
    #[error("no revision {revision} in {repository}")]
    #[non_exhaustive]
    RevisionNotFound {
        /// The repository asked.
        repository: RepoId,
        /// The revision asked for.
        revision: String,
    },

    /// No such repository, or a private one: the Hub does not tell which (401 or 404).
    #[error(
        "no repository {repository} at {host}, or it is private{}",
        if *.authenticated { "" } else { ": if it is, set HF_TOKEN" }
    )]
    #[non_exhaustive]
    RepositoryNotFound {
        /// The repository asked.
        repository: RepoId,
        /// Who answered.
        host: String,
        /// Whether a token was sent.
        authenticated: bool,
    },

    /// The repository's licence has to be accepted first.
    #[error(
        "{repository} is gated: accept its terms at {url}{}",
        if *.authenticated { " with the account of the token in use" } else { " and set HF_TOKEN" }
    )]
    #[non_exhaustive]
    Gated {
        /// The repository asked.
        repository: RepoId,
        /// The page where its terms are.
        url: String,
        /// Whether a token was sent.
        authenticated: bool,
    },

    /// The token is wrong or expired, and the repository is not open without one.
    #[error("{host} refused the token: check HF_TOKEN, or the token file")]
    #[non_exhaustive]
    InvalidToken {
        /// Who answered.
        host: String,
    },

    /// The Hub refuses access for another reason (403), for instance because the repository was taken down.
    #[error("{host} refused access to {repository}: {message}")]
    #[non_exhaustive]
    Forbidden {
        /// The repository asked.
        repository: RepoId,
        /// Who answered.
        host: String,
        /// The server's words, made printable.
        message: String,
    },

    /// The answer lacks what every Hub answer has: a captive portal, a wrong endpoint, a broken mirror.
    #[error("{host} does not answer like a Hub ({found}): check HF_ENDPOINT, or log in to the network")]
    #[non_exhaustive]
    NotAHub {
        /// Who answered.
        host: String,
        /// What was found instead.
        found: String,
    },

    /// A redirect that leads nowhere, in circles, or from `https` to `http`.
    #[error("{host} redirected to where no file can come from: {reason}")]
    #[non_exhaustive]
    Redirect {
        /// Who answered.
        host: String,
        /// Why it was not followed.
        reason: &'static str,
    },

    /// The server did not connect, answer, or go on sending in time.
    #[error("{host} did not {phase} within {} s", .limit.as_secs_f32())]
    #[non_exhaustive]
    Timeout {
        /// Who was silent.
        host: String,
        /// What it did not do.
        phase: Phase,
        /// How long it had.
        limit: Duration,
    },

    /// The time for the whole resolution is over.
    #[error("the time budget was spent while waiting for {host}")]
    #[non_exhaustive]
    Budget {
        /// Who was being waited for.
        host: String,
    },

    /// Too many requests (429), and the wait asked for is longer than the time left.
    #[error(
        "{host} asks for fewer requests{}: wait, or set HF_TOKEN for a higher limit",
        .retry_after.map(|wait| format!(", the next in {} s", wait.as_secs())).unwrap_or_default()
    )]
    #[non_exhaustive]
    RateLimited {
        /// Who answered.
        host: String,
        /// The wait asked for, if it was said.
        retry_after: Option<Duration>,
    },

    /// A status that has no meaning here, or a transient one that stayed.
    #[error("{host} answered {status}{}{message}", if .message.is_empty() { "" } else { ": " })]
    #[non_exhaustive]
    Status {
        /// Who answered.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The server's words with its request id, made printable. May be empty.
        message: String,
    },

    /// No connection, or it broke.
    #[error("no connection to {host}, or it broke")]
    #[non_exhaustive]
    Connection {
        /// Who could not be reached.
        host: String,
        /// The client's error.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// No trust in the server's certificate, or no common protocol.
    #[error(
        "no trusted TLS connection to {host}: behind a proxy that inspects TLS, set SSL_CERT_FILE to its root \
         certificate"
    )]
    #[non_exhaustive]
    Tls {
        /// Who could not be trusted.
        host: String,
        /// The client's error.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The content is not what its hash promised.
    #[error("expected {file} to hash to {expected}, found {found}")]
    #[non_exhaustive]
    Hash {
        /// The file's path in the repository.
        file: String,
        /// The hash the server announced.
        expected: String,
        /// The hash of what it sent.
        found: String,
    },

    /// The content is shorter or longer than announced.
    #[error("expected {expected} bytes of {file}, found {found}")]
    #[non_exhaustive]
    Length {
        /// The file's path in the repository.
        file: String,
        /// Length announced, in bytes.
        expected: u64,
        /// Length received, in bytes.
        found: u64,
    },

    /// The file is larger than the limit.
    #[error("expected {file} to have at most {limit} bytes: raise the limit if it is a tokenizer file")]
    #[non_exhaustive]
    TooLarge {
        /// The file's path in the repository.
        file: String,
        /// The limit, in bytes.
        limit: u64,
    },

    /// The file only adds to a tokenizer that works without it, and is not in the cache.
    #[error(
        "no request is left for {file}, which only adds to the tokenizer: `ResolverBuilder::side_files(true)` asks for it"
    )]
    #[non_exhaustive]
    RequestLimit {
        /// The file's path in the repository.
        file: String,
    },

    /// Offline, and the file is not in the cache.
    #[error("{repository}/{file} is not cached, and the network is off")]
    #[non_exhaustive]
    Offline {
        /// The repository asked.
        repository: RepoId,
        /// The file's path in the repository.
        file: String,
    },

    /// A cached file is damaged, and the network is off.
    #[error(
        "expected {path} to hash to {expected}, found {found}: delete it, or go online to have it replaced"
    )]
    #[non_exhaustive]
    CorruptCache {
        /// The file in the cache.
        path: PathBuf,
        /// Its hash according to its name.
        expected: String,
        /// Its hash.
        found: String,
    },

    /// A cached file is there and cannot be read.
    #[error("cannot read {path}")]
    #[non_exhaustive]
    Unreadable {
        /// The file in the cache.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// The observer asked to stop.
    #[error("cancelled while {file} was downloading")]
    #[non_exhaustive]
    Cancelled {
        /// The file's path in the repository.
        file: String,
    },
}

/// What a server did not do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Its name did not resolve, or the TCP or TLS connection was not made.
    Connect,
    /// No answer came.
    Answer,
    /// The body stood still.
    Send,
}

impl Error {
    /// Whether the file, revision or repository is not there, so that another may be tried; otherwise something failed.
    ///
    /// [`RepositoryNotFound`](Self::RepositoryNotFound) counts as absent, though it may hide a private repository; so does
    /// [`Offline`](Self::Offline).
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::FileNotFound { .. }
                | Self::RevisionNotFound { .. }
                | Self::RepositoryNotFound { .. }
                | Self::Offline { .. }
        )
    }

    /// Whether the repository may still have *other* files: only this one is absent, damaged or too large. Every other error
    /// would meet the repository's next file, too.
    #[must_use]
    pub fn is_about_one_file(&self) -> bool {
        matches!(
            self,
            Self::FileNotFound { .. }
                | Self::Hash { .. }
                | Self::Length { .. }
                | Self::TooLarge { .. }
                | Self::RequestLimit { .. }
                | Self::Offline { .. }
                | Self::CorruptCache { .. }
                | Self::Unreadable { .. }
        )
    }

    /// Whether every other repository would meet the same: the host cannot be reached or does not serve, the settings are
    /// wrong, the caller or the clock says stop.
    pub(crate) fn is_about_the_hub(&self) -> bool {
        match self {
            Self::BadEndpoint { .. }
            | Self::BadProxy { .. }
            | Self::RootCertificates { .. }
            | Self::NotAHub { .. }
            | Self::Timeout { .. }
            | Self::Budget { .. }
            | Self::RateLimited { .. }
            | Self::Connection { .. }
            | Self::Tls { .. }
            | Self::Cancelled { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Answer => "answer",
            Self::Send => "go on sending",
        })
    }
}
