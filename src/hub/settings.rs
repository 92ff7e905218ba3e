//! How the Hub is reached: from the environment, overridden by the resolver's builder.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use log::{debug, warn};

use super::token::Token;
use crate::env::Environment;

/// Everything a [`Session`](super::Session) needs to know besides what it fetches. Plain data: tests point it at loopback
/// and shrink the waits to milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Base URL, unchecked; a session checks it.
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    /// The shared cache. `None` without a home directory: then downloads stay in memory.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Caches of other tools, in the same layout. They are read, never written.
    pub(crate) other_caches: Vec<PathBuf>,
    /// No socket is opened.
    pub(crate) offline: bool,
    /// Link snapshots to blobs; otherwise copy.
    pub(crate) symlinks: bool,
    pub(crate) verify: Verify,
    /// What [`Verify::FirstUse`] has seen; shared by the clones of these settings.
    pub(crate) verified: Verified,
    pub(crate) max_file_bytes: u64,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: Retry,
    /// Appended to the `User-Agent`.
    pub(crate) user_agent_origin: Option<String>,
    /// PEM file of root certificates, in place of the built-in ones.
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) proxies: Proxies,
}

/// When a cached file's hash is computed and compared with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// At every use. A tokenizer file takes some milliseconds, and the resolution store makes uses rare.
    #[default]
    Always,
    /// Once per resolver, and again when the file's length or modification time changes.
    FirstUse,
    /// Never: the cache is trusted. Downloads are verified all the same.
    Never,
}

/// Bounds on silence. None of them bounds the whole: that is [`Deadline`]'s part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Resolving a name; connecting, with TLS.
    pub(crate) connect: Duration,
    /// From the request to the end of the answer's head.
    pub(crate) first_byte: Duration,
    /// Between two reads of a body.
    pub(crate) stall: Duration,
    /// Waiting for another process that writes the same blob.
    pub(crate) lock: Duration,
    /// Default budget of a whole resolution.
    pub(crate) budget: Duration,
}

/// What happens after a transient failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    /// Further attempts per file.
    pub(crate) limit: u32,
    /// The first wait; it doubles up to `max_wait`.
    pub(crate) wait: Duration,
    pub(crate) max_wait: Duration,
}

/// Proxies as the environment names them, unchecked; a session checks them.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) no_proxy: Option<String>,
}

/// Files whose hash was found right, by path, length and modification time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified(Arc<Mutex<HashSet<FileState>>>);

type FileState = (PathBuf, u64, Option<SystemTime>);

/// The end of the time that a whole resolution may take, all its requests, retries and waits together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Settings {
    /// The settings that `environment` asks for. Reads the token file.
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        let seconds = |name| environment.seconds(&[name]).unwrap_or(Duration::from_secs(10));
        Self {
            endpoint: environment.text(&["HF_ENDPOINT"]).unwrap_or_else(|| "https://huggingface.co".into()),
            token: implicit_token(environment),
            cache_dir: environment.hub_cache(),
            other_caches: environment.path(&["LLAMA_CACHE"]).into_iter().collect(),
            offline: environment.flag(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            symlinks: !environment.flag(&["HF_HUB_DISABLE_SYMLINKS"]),
            verify: Verify::default(),
            verified: Verified::default(),
            max_file_bytes: 64 << 20,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                first_byte: seconds("HF_HUB_ETAG_TIMEOUT"),
                stall: seconds("HF_HUB_DOWNLOAD_TIMEOUT"),
                lock: Duration::from_secs(20),
                budget: Duration::from_secs(60),
            },
            retry: Retry { limit: 5, wait: Duration::from_secs(1), max_wait: Duration::from_secs(8) },
            user_agent_origin: environment.text(&["HF_HUB_USER_AGENT_ORIGIN"]),
            root_certificates: environment.path(&["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]),
            proxies: Proxies {
                // Lower case first for http: a CGI server sets HTTP_PROXY from a request header of that name.
                http: environment.text(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
                https: environment.text(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
                no_proxy: environment.text(&["no_proxy", "NO_PROXY"]),
            },
        }
    }

    /// The deadline of a resolution that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.budget)
    }
}

/// The token of the environment or of the token file; one that cannot be sent is reported and left out.
fn implicit_token(environment: &Environment) -> Option<Token> {
    if environment.flag(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
        return None;
    }
    let names = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
    if let Some(text) = names.iter().find_map(|name| environment.text(&[name])) {
        return text.parse().inspect_err(|error| warn!("the token in HF_TOKEN is left out: {error}")).ok();
    }
    let path = environment
        .path(&["HF_TOKEN_PATH"])
        .or_else(|| Some(environment.hugging_face_home()?.join("token")))?;
    let text = read_token_file(&path)?;
    text.parse().inspect_err(|error| warn!("the token in {} is left out: {error}", path.display())).ok()
}

/// The token file's text; `None` if it is absent, empty or not a small text.
fn read_token_file(path: &Path) -> Option<String> {
    use std::io::Read as _;
    const LIMIT: u64 = 16 << 10;
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    if let Err(error) = read {
        debug!("token file {} is left out: {error}", path.display());
        return None;
    }
    (!text.trim().is_empty()).then_some(text)
}

impl Proxies {
    /// The proxy for requests to `host`, lower-cased as in an [`Origin`](super::url::Origin).
    pub(crate) fn of(&self, https: bool, host: &str) -> Option<&str> {
        let proxy = if https { &self.https } else { &self.http };
        let excepted = self.no_proxy.as_deref().is_some_and(|list| {
            list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| match entry.as_str() {
                "" => false,
                "*" => true,
                // `example.com`, `.example.com` and `*.example.com` cover the subdomains, too; curl and Python agree.
                entry => {
                    let suffix = entry.trim_start_matches('*').trim_start_matches('.');
                    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
            })
        });
        proxy.as_deref().filter(|_| !excepted)
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A proxy's URL may hold a password.
        let shown = |proxy: &Option<String>| proxy.as_ref().map(|_| "…");
        f.debug_struct("Proxies")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl Verified {
    /// Whether this file, in this state, was marked before.
    pub(crate) fn contains(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        self.lock().contains(&Self::key(path, metadata))
    }

    pub(crate) fn mark(&self, path: &Path, metadata: &fs::Metadata) {
        self.lock().insert(Self::key(path, metadata));
    }

    fn key(path: &Path, metadata: &fs::Metadata) -> FileState {
        (path.to_owned(), metadata.len(), metadata.modified().ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<FileState>> {
        // A set of keys is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// The deadline `budget` from now. A budget too long to be represented never ends.
    pub(crate) fn after(budget: Duration) -> Self {
        Self(Instant::now().checked_add(budget))
    }

    /// Time left; `None` when it is over.
    pub(crate) fn remaining(self) -> Option<Duration> {
        let Some(end) = self.0 else { return Some(Duration::from_secs(u64::from(u32::MAX))) };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from_environment(&Environment::of(variables))
    }

    #[test]
    fn an_empty_environment_has_the_documented_defaults() {
        let settings = settings(&[]);
        assert_eq!(settings.endpoint, "https://huggingface.co");
        assert_eq!((settings.token, settings.cache_dir), (None, None));
        assert!(!settings.offline && settings.symlinks);
        assert_eq!(settings.timeouts.first_byte, Duration::from_secs(10));
        assert_eq!(settings.max_file_bytes, 67_108_864);
    }

    #[test]
    fn the_token_comes_from_the_first_source_that_has_one() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().unwrap();
        fs::write(directory.path().join("token"), "hf_file\n").unwrap();
        let token = |variables: &[(&str, &str)]| settings(variables).token.map(|token| token.authorization());
        let bearer = |text: &str| Some(format!("Bearer {text}"));
        assert_eq!(token(&[("HF_HOME", home)]), bearer("hf_file"));
        assert_eq!(token(&[("HF_HOME", home), ("HUGGING_FACE_HUB_TOKEN", "hf_old")]), bearer("hf_old"));
        assert_eq!(
            token(&[("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", " hf_new\n")]),
            bearer("hf_new")
        );
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " ")]), bearer("hf_file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN_PATH", "/nowhere")]), None);
        assert_eq!(token(&[("HF_TOKEN", "hf_a\u{1}b")]), None);
    }

    #[test]
    fn settings_do_not_print_secrets() {
        let settings = settings(&[("HF_TOKEN", "hf_secret"), ("HTTPS_PROXY", "http://u:secret@proxy:1")]);
        let text = format!("{settings:?}");
        assert!(text.contains("redacted") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn the_proxy_follows_scheme_and_exceptions() {
        let proxies = settings(&[
            ("HTTPS_PROXY", "http://secure:1"),
            ("all_proxy", "http://all:1"),
            ("NO_PROXY", "127.0.0.1, .corp.example,internal"),
        ])
        .proxies;
        assert_eq!(proxies.of(true, "huggingface.co"), Some("http://secure:1"));
        assert_eq!(proxies.of(false, "huggingface.co"), Some("http://all:1"));
        for host in ["127.0.0.1", "corp.example", "hub.corp.example", "internal", "a.internal"] {
            assert_eq!(proxies.of(true, host), None, "{host}");
        }
        for host in ["notcorp.example", "internal.example", "1.127.0.0.2"] {
            assert!(proxies.of(true, host).is_some(), "{host}");
        }
        let all = settings(&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", "*")]).proxies;
        assert_eq!(all.of(true, "huggingface.co"), None);
    }

    #[test]
    fn a_deadline_ends() {
        assert!(Deadline::after(Duration::MAX).remaining().is_some());
        assert!(
            Deadline::after(Duration::from_secs(60)).remaining().is_some_and(|left| left.as_secs() >= 59)
        );
        assert_eq!(Deadline::after(Duration::ZERO).remaining(), None);
    }
}
