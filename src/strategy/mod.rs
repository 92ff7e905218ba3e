//! Where a tokenizer could come from, and in which order to look.

mod backup;
mod cache;
mod embedded;
mod hub;
mod local;
mod repository;
mod sibling;

use std::cell::OnceCell;

pub(crate) use local::LocalFiles;

use crate::error::Failure;
use crate::evidence::{Evidence, Repository};
use crate::fit::{ModelFacts, check};
use crate::resolution::Outcome;
use crate::resolver::Options;
use crate::tokenizer::Tokenizer;

/// A place where a tokenizer could come from. The list is closed: every caller can match on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the chain is the product's contract; a sixth strategy would be a new contract"
)]
pub enum Strategy {
    /// The tokenizer in the GGUF's own metadata.
    Embedded,
    /// A repository on the Hub that the caller, the path or the metadata names.
    Hub,
    /// The same repository in a cache on this machine, without the network.
    Cache,
    /// Tokenizer files at the path, beside the model, or one level up.
    Sibling,
    /// The last resort, always marked as degraded: the model's own vocabulary with a guess at how it cuts text, else bytes.
    Backup,
}

impl Strategy {
    /// Every strategy, in the order [`Resolver::resolve`](crate::Resolver::resolve) tries them.
    ///
    /// 1. `Embedded`: what travels inside the model cannot have been mixed up, and costs no search.
    /// 2. `Hub`: it revalidates what is cached with one conditional request, so that a corrected tokenizer reaches its users;
    ///    offline it does not run, and with a pinned commit in the cache it makes no request.
    /// 3. `Cache`: the same repository without a network, which is why it may stand behind `Hub`.
    /// 4. `Sibling`: files that lie about may be another model's; they are believed only if they fit. What lies at the path
    ///    itself (a tokenizer file, a directory that holds one) is read directly: then `Hub` and `Cache` stand back.
    /// 5. `Backup`: better than nothing for a tool that must go on, and never in silence.
    pub const CHAIN: &'static [Self] = &[Self::Embedded, Self::Hub, Self::Cache, Self::Sibling, Self::Backup];

    /// The same with everything on this machine before the network.
    pub const LOCAL_FIRST: &'static [Self] =
        &[Self::Embedded, Self::Sibling, Self::Cache, Self::Hub, Self::Backup];

    /// The strategy's name in tables, logs and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Hub => "hub",
            Self::Cache => "cache",
            Self::Sibling => "sibling",
            Self::Backup => "backup",
        }
    }

    /// The strategy's rank in [`Strategy::CHAIN`]: 100, 80, 60, 40, 20; the highest is tried first.
    #[must_use]
    pub const fn priority(self) -> u8 {
        match self {
            Self::Embedded => 100,
            Self::Hub => 80,
            Self::Cache => 60,
            Self::Sibling => 40,
            Self::Backup => 20,
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::CHAIN.iter().copied().find(|strategy| strategy.name() == name)
    }

    pub(crate) fn attempt(self, search: &Search<'_>) -> Outcome {
        match self {
            Self::Embedded => embedded::attempt(search),
            Self::Hub => hub::attempt(search),
            Self::Cache => cache::attempt(search),
            Self::Sibling => sibling::attempt(search),
            Self::Backup => backup::attempt(search),
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One resolution: the evidence, the caller's options, and what strategies share so that nothing is read twice.
pub(crate) struct Search<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) options: &'a Options,
    #[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only requests take time"))]
    pub(crate) deadline: crate::hub::Deadline,
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
            repositories: OnceCell::new(),
            local: OnceCell::new(),
            local_outcome: OnceCell::new(),
        }
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
    pub(crate) fn stands_back(&self) -> Option<String> {
        if self.options.repository.is_some() || !self.options.chain.contains(&Strategy::Sibling) {
            return None;
        }
        let found = matches!(self.local_outcome(), Some(Outcome::Found(_)));
        found.then(|| "the path holds its own tokenizer, which is read directly".into())
    }

    /// How loud a strategy's failure is: what the caller asked for by name is a warning, our own tries are not.
    pub(crate) fn loudness(&self, strategy: Strategy) -> log::Level {
        let asked = match strategy {
            Strategy::Hub | Strategy::Cache => self.options.repository.is_some(),
            Strategy::Embedded | Strategy::Sibling => true,
            Strategy::Backup => false,
        };
        if asked { log::Level::Warn } else { log::Level::Debug }
    }

    /// Whether `tokenizer`, found at `place`, is this model's.
    pub(crate) fn fits(&self, tokenizer: &Tokenizer, place: &str) -> Result<(), Failure> {
        let mismatch = |source| Failure::Mismatch { path: place.to_owned(), source: Box::new(source) };
        let fit = check(tokenizer, &ModelFacts::of(self.evidence)).map_err(mismatch)?;
        log::debug!("{place} fits the model: {fit:?}");
        Ok(())
    }

    /// What lies at the path itself.
    pub(crate) fn local(&self) -> &LocalFiles {
        self.local.get_or_init(|| LocalFiles::at(self.evidence))
    }

    /// What came of loading it; `None` when there is nothing to load.
    pub(crate) fn local_outcome(&self) -> Option<&Outcome> {
        self.local_outcome.get_or_init(|| self.local().load(self)).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_descends_by_priority() {
        let priorities: Vec<u8> = Strategy::CHAIN.iter().map(|strategy| strategy.priority()).collect();
        assert_eq!(priorities, [100, 80, 60, 40, 20]);
        assert!(Strategy::CHAIN.is_sorted_by(|a, b| a.priority() > b.priority()));
    }

    #[test]
    fn both_orders_hold_every_strategy_once() {
        let mut local_first = Strategy::LOCAL_FIRST.to_vec();
        local_first.sort();
        assert_eq!(local_first, Strategy::CHAIN);
    }

    #[test]
    fn names_lead_back() {
        for &strategy in Strategy::CHAIN {
            assert_eq!(Strategy::from_name(strategy.name()), Some(strategy));
        }
        assert_eq!(Strategy::from_name("mock"), None);
    }
}
