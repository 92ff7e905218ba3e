//! From a path to a tokenizer: the options, and the loop over the strategies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, trace};

use crate::env::Environment;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::formats::{Content as FileContent, Files, load_named};
use crate::hub::{Observer, RepoId, Settings, Token, Verify};
use crate::resolution::{Answer, Attempt, Outcome, Resolution, Source};
use crate::store::{About, Content, Ground, Key, Memory, Saved, Store};
use crate::strategy::{Search, Strategy};
use crate::tokenizer::Tokenizer;

/// Finds the tokenizer of a model.
///
/// [`Resolver::default`] is what most programs want: every strategy, the environment of the process (see
/// [`environment`](crate::environment)), the shared Hugging Face cache. Cheap to clone; `Send` and `Sync`.
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
    store: Store,
    /// Answers of this process, shared by clones.
    memory: Arc<Memory<Resolution>>,
}

/// Everything a caller may decide.
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
    fn fingerprint(&self) -> Vec<u8> {
        let chain: Vec<&str> = self.chain.iter().map(|strategy| strategy.name()).collect();
        let Settings { endpoint, cache_dir, other_caches, offline, token, .. } = &self.hub;
        let caches = (cache_dir, other_caches);
        let asked = (&self.repository, &self.revision, self.side_files);
        let parts = (chain, asked, endpoint, caches, offline, token.is_some());
        // A cache directory that is not Unicode cannot be written as JSON; its bytes tell it apart as well.
        serde_json::to_vec(&parts).unwrap_or_else(|_| format!("{parts:?}").into_bytes())
    }
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
        // Where even a `stat` fails, the evidence says why.
        let key = Key::new(path, &self.options.fingerprint()).ok();
        if let Some(resolution) = key.as_ref().and_then(|key| self.recall(key, None)) {
            return Ok(resolution);
        }
        let evidence = Evidence::gather(path).map_err(Error::of_evidence)?;
        // The hash takes a tenth of the time of a whole load: not where nobody asks for it.
        let asked = evidence.model_error().is_none() && self.store.directory().is_some();
        let content = evidence.gguf().filter(|_| asked).map(Content::of_gguf);
        if let (Some(key), Some(content)) = (&key, content)
            && let Some(resolution) = self.recall(key, Some(content))
        {
            return Ok(resolution);
        }
        let (resolution, files) = self.search(path, &evidence)?;
        if let Some(key) = key {
            self.keep(key, content, &evidence, &resolution, files);
        }
        Ok(resolution)
    }

    /// The store of resolutions, to be listed, verified and cleared.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs the chain. With the resolution come the files it depends on, beside the model.
    fn search(&self, path: &Path, evidence: &Evidence) -> Result<(Resolution, Vec<PathBuf>), Error> {
        let search = Search::new(evidence, &self.options);
        let mut attempts = Vec::with_capacity(self.options.chain.len());
        for &strategy in &self.options.chain {
            let start = Instant::now();
            let outcome = strategy.attempt(&search);
            let duration = start.elapsed();
            match outcome {
                Outcome::Found(mut found) => {
                    debug!("{}: {strategy} found {} in {duration:?}", path.display(), found.source);
                    let answer = Answer::Found { source: found.source.clone(), degraded: found.degraded };
                    attempts.push(Attempt { strategy, answer, duration });
                    let files = std::mem::take(&mut found.files);
                    return Ok((Resolution::new(strategy, found, attempts), files));
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

    /// An answer found earlier, by this process or another: by path, or by the model's content once that is known.
    fn recall(&self, key: &Key, content: Option<Content>) -> Option<Resolution> {
        let stored = match content {
            None => {
                if let Some(resolution) = self.memory.get(key) {
                    return Some(Resolution::clone(&resolution));
                }
                self.store.lookup(key)?
            }
            Some(content) => self.store.lookup_content(key, content)?,
        };
        let tokenizer = match stored.tokenizer {
            Some(tokenizer) => tokenizer,
            None => load_again(stored.ground.sources())?,
        };
        let About { strategy, story, notes, .. } = stored.about;
        let resolution = Resolution::recall(&strategy, &story, notes, tokenizer)?;
        self.memory.put(key, stored.ground, Arc::new(resolution.clone()));
        Some(resolution)
    }

    /// Remembers an answer that will be the same next time.
    fn keep(
        &self,
        key: Key,
        content: Option<Content>,
        evidence: &Evidence,
        resolution: &Resolution,
        files: Vec<PathBuf>,
    ) {
        // What the Hub failed to give today it may give tomorrow, and a degraded answer is none to keep.
        let failed_hub = |attempt: &Attempt| {
            attempt.strategy == Strategy::Hub && matches!(attempt.answer, Answer::Failed { .. })
        };
        if resolution.is_degraded() || resolution.attempts().iter().any(failed_hub) {
            return;
        }
        // An answer from the model itself, before anything else was asked, depends on nothing else.
        let alone = resolution.strategy() == Strategy::Embedded && resolution.attempts().len() == 1;
        let mut sources = files;
        sources.extend(evidence.model_path().filter(|model| *model != evidence.path()).map(Path::to_owned));
        let watched = if alone { &[][..] } else { evidence.directories() };
        let ground = match Ground::note(&sources, watched) {
            Ok(ground) => ground,
            Err(error) => {
                debug!("{}: the answer is not kept: {error}", evidence.path().display());
                return;
            }
        };
        let (repository, commit) = match resolution.source() {
            Source::Repository { id, commit, .. } => (Some(id.to_string()), Some(commit.clone())),
            _ => (None, None),
        };
        let about = About {
            strategy: resolution.strategy().name().into(),
            source: resolution.source().to_string(),
            repository,
            commit,
            story: resolution.story(),
            notes: resolution.notes().to_vec(),
        };
        let tokenizer = resolution.tokenizer().clone();
        self.memory.put(&key, ground.clone(), Arc::new(resolution.clone()));
        self.store.save_later(key, Saved { tokenizer, content, portable: alone, ground, about });
    }
}

/// A tokenizer that has no image, from the files it was made of; the first of them holds the vocabulary.
fn load_again<'p>(sources: impl Iterator<Item = &'p Path>) -> Option<Tokenizer> {
    let mut files = Files::default();
    let mut vocabulary = None;
    for path in sources {
        let name = path.file_name()?.to_str()?;
        vocabulary.get_or_insert(name);
        files.insert(name, FileContent::Path(path.to_owned()));
    }
    load_named(&files, vocabulary?).ok()
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

    /// The resolver.
    #[must_use]
    pub fn build(self) -> Resolver {
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
        Resolver {
            options: Arc::new(Options { chain, repository, revision, side_files, hub, observer }),
            store,
            memory: Arc::new(Memory::new()),
        }
    }
}
