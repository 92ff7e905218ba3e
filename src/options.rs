//! What a caller may decide.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::env::Environment;
use crate::hub::{Observer, RepoId, Settings, Token, Verify};
use crate::store::Store;
use crate::strategy::Strategy;

/// Options of a [`Resolver`](crate::Resolver); each says its default.
#[must_use]
pub struct ResolverBuilder {
    chain: Vec<Strategy>,
    strict: bool,
    repository: Option<RepoId>,
    revision: Option<String>,
    side_files: bool,
    hub: Settings,
    observer: Option<Arc<dyn Observer>>,
    store: Option<StoreOptions>,
}

/// Where resolutions are kept, and how much of it.
struct StoreOptions {
    directory: Option<PathBuf>,
    limit: u64,
}

impl ResolverBuilder {
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        Self {
            chain: Strategy::CHAIN.to_vec(),
            strict: false,
            repository: None,
            revision: None,
            side_files: false,
            hub: Settings::from_environment(environment),
            observer: None,
            store: Some(StoreOptions { directory: environment.path(&["ANYTOK_CACHE_DIR"]), limit: 1 << 30 }),
        }
    }

    /// The strategies to try, in order; a second mention of a strategy counts for nothing. Default: [`Strategy::CHAIN`].
    pub fn chain(mut self, chain: impl Into<Vec<Strategy>>) -> Self {
        self.chain = chain.into();
        self
    }

    /// Whether to refuse degraded results: leaves [`Strategy::Backup`] out of the chain. Default: `false`.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Whether to stay off the network; no socket is opened. Default: what `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` say.
    pub fn offline(mut self, offline: bool) -> Self {
        self.hub.offline = offline;
        self
    }

    /// The repository that holds the model's tokenizer; names found in paths and metadata then count for nothing. Default: none.
    pub fn repo(mut self, repository: RepoId) -> Self {
        self.repository = Some(repository);
        self
    }

    /// Branch, tag or commit of the repository; a full commit never moves and, once cached, is never asked for again. Default:
    /// the commit that the evidence gives, else `main`.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Whether to ask the Hub for all the files that add to a `tokenizer.json`: roles, what ends a generation, chat templates.
    /// They change no id. Default: `false`, which asks for as many as three requests allow; that is none on huggingface.co, where
    /// every file takes two, and the resolution's notes say so. With `true`, a first resolution takes up to a dozen requests.
    /// What the cache holds, or lies beside a model that is not a GGUF, is used in any case.
    pub fn side_files(mut self, side_files: bool) -> Self {
        self.side_files = side_files;
        self
    }

    /// Base URL of the Hub or of a mirror, which then receives the token. Default: `HF_ENDPOINT`, else
    /// `https://huggingface.co`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.hub.endpoint = endpoint.into();
        self
    }

    /// The access token. Default: `HF_TOKEN`, else the file that `huggingface-cli login` writes.
    pub fn token(mut self, token: Token) -> Self {
        self.hub.token = Some(token);
        self
    }

    /// Sends no token, whatever the environment holds.
    pub fn without_token(mut self) -> Self {
        self.hub.token = None;
        self
    }

    /// The shared cache of Hub repositories, and the only one: llama.cpp's is then left aside. A cache that the model itself
    /// lies in is read all the same. Default: `HF_HUB_CACHE`, else `$HF_HOME/hub`.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.hub.cache_dir = Some(directory.into());
        self.hub.other_caches = Vec::new();
        self
    }

    /// The time all requests of one resolution may take together, retries and waits included. Default: 60 seconds.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.hub.timeouts.budget = budget;
        self
    }

    /// When the hash of a cached file is checked. Default: [`Verify::Always`].
    pub fn verify(mut self, verify: Verify) -> Self {
        self.hub.verify = verify;
        self
    }

    /// The largest file that is downloaded, in bytes. Default: 64 MiB.
    pub fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.hub.max_file_bytes = bytes;
        self
    }

    /// A PEM file of root certificates, in place of the built-in ones. Default: `SSL_CERT_FILE`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.hub.root_certificates = Some(file.into());
        self
    }

    /// Is told how downloads go on, and may stop them. Default: none.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The directory in which resolutions are kept for the next process. Default: `ANYTOK_CACHE_DIR`, else the user's cache
    /// directory (`~/.cache/anytok` on Linux).
    pub fn store_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store.get_or_insert(StoreOptions { directory: None, limit: 1 << 30 }).directory =
            Some(directory.into());
        self
    }

    /// How many bytes the store may take; what was not used for longest goes first. Default: 1 GiB.
    pub fn store_limit(mut self, bytes: u64) -> Self {
        self.store.get_or_insert(StoreOptions { directory: None, limit: bytes }).limit = bytes;
        self
    }

    /// Keeps nothing on disk and looks nothing up there. Default: the store is used.
    pub fn without_store(mut self) -> Self {
        self.store = None;
        self
    }

    /// The options, and the store that they name.
    pub(crate) fn finish(self) -> (Options, Store) {
        let Self { chain: wanted, strict, repository, revision, side_files, hub, observer, store } = self;
        let store =
            store.map_or_else(Store::none, |StoreOptions { directory, limit }| Store::open(directory, limit));
        let mut chain = Vec::with_capacity(wanted.len());
        for strategy in wanted {
            let refused = strict && strategy == Strategy::Backup;
            if !refused && !chain.contains(&strategy) {
                chain.push(strategy);
            }
        }
        (Options { chain, repository, revision, side_files, hub, observer }, store)
    }
}

/// The options of one resolver.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) chain: Vec<Strategy>,
    pub(crate) repository: Option<RepoId>,
    pub(crate) revision: Option<String>,
    pub(crate) side_files: bool,
    pub(crate) hub: Settings,
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "there is nothing to observe"))]
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Options {
    /// What tells apart two ways of asking that could have different answers.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        let chain: Vec<&str> = self.chain.iter().map(|strategy| strategy.name()).collect();
        let Settings { endpoint, cache_dir, other_caches, offline, token, .. } = &self.hub;
        let caches = (cache_dir, other_caches);
        let asked = (&self.repository, &self.revision, self.side_files);
        let parts = (chain, asked, endpoint, caches, offline, token.is_some());
        // A cache directory that is not Unicode cannot be written as JSON; its bytes tell it apart as well.
        serde_json::to_vec(&parts).unwrap_or_else(|_| format!("{parts:?}").into_bytes())
    }
}
