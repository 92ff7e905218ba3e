//! From a path to a tokenizer: the loop over the strategies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use log::{debug, trace};

use crate::attempt::{Answer, Attempt};
use crate::env::Environment;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::failure::chain;
use crate::formats::{Content as FileContent, Files, load_named};
use crate::hub::RepoId;
use crate::options::{Options, ResolverBuilder};
use crate::outcome::Outcome;
use crate::resolution::Resolution;
use crate::source::Source;
use crate::store::{Content, Dependencies, Key, Memory, Provenance, Saved, Store};
use crate::strategy::{Search, Strategy, attempt};
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

impl Resolver {
    /// Options first: [`ResolverBuilder::build`] ends them.
    pub fn builder() -> ResolverBuilder {
        ResolverBuilder::from_environment(&Environment::process())
    }

    /// The tokenizer of the model at `path`: a GGUF, safetensors, ONNX or PyTorch file, a model directory, a tokenizer file, a
    /// snapshot of the Hugging Face cache, a blob or manifest of ollama.
    ///
    /// What is at the path is decided by content, never by extension. Files are read and never mapped: nothing that another
    /// process does to them afterwards changes the tokenizer, and a file that changes while it is read is an error.
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
        let (resolution, files) = search(&self.options, path, &evidence)?;
        if let Some(key) = key {
            self.keep(key, content, &evidence, &resolution, files);
        }
        Ok(resolution)
    }

    /// The tokenizer of a repository on the Hub, without a model beside it: by its name, such as `Qwen/Qwen3-8B`.
    ///
    /// Of the chain only [`Strategy::Hub`] and [`Strategy::Cache`] have anything to do, and the builder's revision, endpoint and cache
    /// count. There is no model that the tokenizer could be held against, and nothing is kept but the files in the cache.
    ///
    /// ```no_run
    /// use anytok::{Resolver, Special};
    ///
    /// let found = Resolver::default().resolve_repo("Qwen/Qwen3-8B")?;
    /// println!("{:?}", found.tokenizer().encode("Hello, world!", Special::Ignore)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidRepo`]: the name is not a repository's;
    /// - [`Error::Exhausted`]: neither the Hub nor a cache has a tokenizer of that name.
    pub fn resolve_repo(&self, id: &str) -> Result<Resolution, Error> {
        let id: RepoId = id.parse().map_err(|source| Error::InvalidRepo { source })?;
        let evidence = Evidence::of_repository(&id);
        let mut options = self.options.as_ref().clone();
        options.chain.retain(|strategy| matches!(strategy, Strategy::Hub | Strategy::Cache));
        options.repository = Some(id.clone());
        search(&options, Path::new(id.as_str()), &evidence).map(|(resolution, _)| resolution)
    }

    /// The store of resolutions, to be listed, verified and cleared.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
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
            None => load_again(stored.dependencies.sources())?,
        };
        let Provenance { strategy, story, notes, .. } = stored.provenance;
        let resolution = Resolution::recall(&strategy, &story, notes, tokenizer)?;
        self.memory.put(key, stored.dependencies, Arc::new(resolution.clone()));
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
        let dependencies = match Dependencies::note(&sources, watched) {
            Ok(dependencies) => dependencies,
            Err(error) => {
                debug!("{}: the answer is not kept: {error}", evidence.path().display());
                return;
            }
        };
        let (repository, commit) = match resolution.source() {
            Source::Repository { id, commit, .. } => (Some(id.to_string()), Some(commit.clone())),
            _ => (None, None),
        };
        let provenance = Provenance {
            strategy: resolution.strategy().name().into(),
            source: resolution.source().to_string(),
            repository,
            commit,
            story: resolution.story(),
            notes: resolution.notes().to_vec(),
        };
        let tokenizer = resolution.tokenizer().clone();
        self.memory.put(&key, dependencies.clone(), Arc::new(resolution.clone()));
        self.store.save_later(key, Saved { tokenizer, content, portable: alone, dependencies, provenance });
    }
}

/// Runs the chain. With the resolution come the files it depends on, beside the model.
fn search(options: &Options, path: &Path, evidence: &Evidence) -> Result<(Resolution, Vec<PathBuf>), Error> {
    let search = Search::new(evidence, options);
    let mut attempts = Vec::with_capacity(options.chain.len());
    for &strategy in &options.chain {
        let start = Instant::now();
        let outcome = attempt(strategy, &search);
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
                let level = search.log_level(strategy);
                log::log!(level, "{}: {strategy} failed: {}", path.display(), chain(&*failure));
                attempts.push(Attempt { strategy, answer: Answer::Failed { failure }, duration });
            }
        }
    }
    Err(Error::Exhausted { path: path.to_owned(), attempts })
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

impl ResolverBuilder {
    /// The resolver.
    #[must_use]
    pub fn build(self) -> Resolver {
        let (options, store) = self.finish();
        Resolver { options: Arc::new(options), store, memory: Arc::new(Memory::new()) }
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
