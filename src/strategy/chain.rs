//! The strategies, and in which order they are tried.

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
    /// 4. `Sibling`: files nearby may be another model's; they are believed only if they fit. What lies at the path
    ///    itself (a tokenizer file, a directory that holds one) is read directly: then `Hub` and `Cache` do not run.
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
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
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
