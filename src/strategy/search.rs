//! One resolution, as its strategies see it.

use std::cell::OnceCell;

use super::chain::Strategy;
use super::local::LocalFiles;
use crate::evidence::{Evidence, Repository};
use crate::failure::Failure;
use crate::fit::{ModelFacts, check};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::tokenizer::Tokenizer;

/// One resolution: the evidence, the caller's options, and what strategies share so that nothing is read twice.
pub(crate) struct Search<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) options: &'a Options,
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only requests take time"))]
    pub(crate) deadline: crate::hub::Deadline,
    /// Every source is wanted: none is skipped for another, and whether it fits is judged later.
    compares: bool,
    repositories: OnceCell<Vec<Repository>>,
    /// What the path itself holds: a tokenizer file, or a directory with one.
    local: OnceCell<LocalFiles>,
    /// What came of loading it; taken by the strategy that answers with it.
    local_outcome: OnceCell<Option<Outcome>>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(evidence: &'a Evidence, options: &'a Options) -> Self {
        Self {
            evidence,
            options,
            deadline: options.hub.deadline(),
            compares: false,
            repositories: OnceCell::new(),
            local: OnceCell::new(),
            local_outcome: OnceCell::new(),
        }
    }

    /// A search for every source there is, whether or not it fits.
    pub(crate) fn of_all(evidence: &'a Evidence, options: &'a Options) -> Self {
        Self { compares: true, ..Self::new(evidence, options) }
    }

    /// Repositories to ask, the most trusted first.
    pub(crate) fn repositories(&self) -> &[Repository] {
        self.repositories.get_or_init(|| match &self.options.repository {
            Some(id) => vec![Repository::of_caller(id.clone())],
            None => self.evidence.repositories_at(Some(&self.options.hub.endpoint)),
        })
    }

    /// The revision to read a repository at.
    pub(crate) fn revision_of(&self, repository: &Repository) -> String {
        let asked = self.options.revision.as_ref().or(repository.revision.as_ref());
        asked.map_or_else(|| "main".into(), Clone::clone)
    }

    /// Why the strategies that read repositories have nothing to do: a tokenizer at the path itself is read directly, provided
    /// that it loads and fits.
    pub(crate) fn skip_reason(&self) -> Option<String> {
        if self.compares
            || self.options.repository.is_some()
            || !self.options.chain.contains(&Strategy::Sibling)
        {
            return None;
        }
        let found = matches!(self.local_outcome(), Some(Outcome::Found(_)));
        found.then(|| "the path holds its own tokenizer, which is read directly".into())
    }

    /// The level at which a strategy's failure is logged: `warn` for what the caller asked for, `debug` for our own tries.
    pub(crate) fn log_level(&self, strategy: Strategy) -> log::Level {
        let asked = match strategy {
            Strategy::Hub | Strategy::Cache => self.options.repository.is_some(),
            Strategy::Embedded | Strategy::Sibling => true,
            Strategy::Backup => false,
        };
        if asked { log::Level::Warn } else { log::Level::Debug }
    }

    /// Whether `tokenizer`, read from `origin`, is this model's.
    pub(crate) fn fits(&self, tokenizer: &Tokenizer, origin: &str) -> Result<(), Failure> {
        if self.compares {
            return Ok(());
        }
        let mismatch = |source| Failure::Mismatch { path: origin.to_owned(), source: Box::new(source) };
        let fit = check(tokenizer, &ModelFacts::of(self.evidence)).map_err(mismatch)?;
        log::debug!("{origin} fits the model: {fit:?}");
        Ok(())
    }

    /// The first tokenizer among `files` that loads and fits; else the failure of the best one, or `None` when there is
    /// nothing to load.
    pub(crate) fn load(&self, files: &LocalFiles) -> Option<Outcome> {
        files.load(|tokenizer, origin| self.fits(tokenizer, origin))
    }

    /// What lies at the path itself.
    pub(crate) fn local(&self) -> &LocalFiles {
        self.local.get_or_init(|| LocalFiles::at(self.evidence))
    }

    /// What came of loading it; `None` when there is nothing to load.
    pub(crate) fn local_outcome(&self) -> Option<&Outcome> {
        self.local_outcome.get_or_init(|| self.load(self.local())).as_ref()
    }
}
