//! From a path to a tokenizer: the options, and the loop over the strategies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, trace, warn};

use crate::env::Environment;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::hub::{Observer, RepoId, Settings, Token, Verify};
use crate::resolution::{Answer, Attempt, Outcome, Resolution};
use crate::strategy::{Search, Strategy};

/// Finds the tokenizer of a model.
///
/// [`Resolver::default`] is what most programs want: every strategy, the environment of the process (see [`environment`](crate::environment)), the shared Hugging Face cache. Cheap to clone; `Send` and `Sync`.
///
/// ```
/// use anytok::{Resolver, Special};
///
/// let found = Resolver::default().resolve("testdata/models/llama-bpe.gguf")?;
/// let ids = found.tokenizer().encode("Hello, world!", Special::Ignore)?;
/// assert_eq!(found.tokenizer().decode(&ids, anytok::SpecialText::Skip)?, "Hello, world!");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Resolver {
    options: Arc<Options>,
}

/// Everything a caller may decide.
pub(crate) struct Options {
    pub(crate) chain: Vec<Strategy>,
    pub(crate) repository: Option<RepoId>,
    pub(crate) revision: Option<String>,
    pub(crate) hub: Settings,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Resolver {
    /// Options first: [`ResolverBuilder::build`] ends them.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::from_environment(&Environment::process())
    }

    /// The tokenizer of the model at `path`: a GGUF, safetensors, ONNX or PyTorch file, a model directory, a tokenizer file, a
    /// snapshot of the Hugging Face cache, a blob or manifest of ollama.
    ///
    /// What is at the path is decided by content, never by extension. The file must not be changed while it is read: it is
    /// mapped, and a process that cuts it short meanwhile makes the system end this one (`SIGBUS`).
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`]: nothing is at the path;
    /// - [`Error::Unreadable`]: something is, but it cannot be looked at;
    /// - [`Error::Exhausted`]: no strategy of the chain found a tokenizer. Not with the default chain, whose last strategy always
    ///   does; see [`Resolution::is_degraded`].
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Resolution, Error> {
        let path = path.as_ref();
        let evidence = Evidence::gather(path).map_err(Error::of_evidence)?;
        if let Some(error) = evidence.model_error() {
            warn!("{}: {}", path.display(), crate::error::chain(error));
        }
        let search = Search::new(&evidence, &self.options);
        let mut attempts = Vec::with_capacity(self.options.chain.len());
        for &strategy in &self.options.chain {
            let start = Instant::now();
            let outcome = strategy.attempt(&search);
            let duration = start.elapsed();
            match outcome {
                Outcome::Found(found) => {
                    debug!("{}: {strategy} found {} in {duration:?}", path.display(), found.source);
                    let answer = Answer::Found { source: found.source.clone(), degraded: found.degraded };
                    attempts.push(Attempt { strategy, answer, duration });
                    return Ok(Resolution::new(strategy, found, attempts));
                }
                Outcome::NotApplicable(reason) => {
                    trace!("{}: {strategy} does not apply: {reason}", path.display());
                    attempts.push(Attempt { strategy, answer: Answer::NotApplicable { reason }, duration });
                }
                Outcome::Failed(failure) => {
                    let level = search.loudness(strategy);
                    log::log!(
                        level,
                        "{}: {strategy} failed: {}",
                        path.display(),
                        crate::error::chain(&failure)
                    );
                    attempts.push(Attempt { strategy, answer: Answer::Failed { failure }, duration });
                }
            }
        }
        Err(Error::Exhausted { path: path.to_owned(), attempts })
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("chain", &self.options.chain)
            .field("repository", &self.options.repository)
            .field("revision", &self.options.revision)
            .field("hub", &self.options.hub)
            .finish_non_exhaustive()
    }
}

/// Options of a [`Resolver`]; each says its default.
#[must_use]
pub struct ResolverBuilder {
    chain: Vec<Strategy>,
    strict: bool,
    repository: Option<RepoId>,
    revision: Option<String>,
    hub: Settings,
    observer: Option<Arc<dyn Observer>>,
}

impl ResolverBuilder {
    pub(crate) fn from_environment(environment: &Environment) -> Self {
        Self {
            chain: Strategy::CHAIN.to_vec(),
            strict: false,
            repository: None,
            revision: None,
            hub: Settings::from_environment(environment),
            observer: None,
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

    /// The resolver.
    #[must_use]
    pub fn build(self) -> Resolver {
        let Self { chain: wanted, strict, repository, revision, hub, observer } = self;
        let mut chain = Vec::with_capacity(wanted.len());
        for strategy in wanted {
            let refused = strict && strategy == Strategy::Backup;
            if !refused && !chain.contains(&strategy) {
                chain.push(strategy);
            }
        }
        Resolver { options: Arc::new(Options { chain, repository, revision, hub, observer }) }
    }
}
