//! The model that a subcommand works on, and how its tokenizer is to be found.

use std::error::Error;
use std::io::IsTerminal as _;
use std::ops::{ControlFlow, Deref};
use std::path::PathBuf;
use std::time::Duration;

use anytok::{Progress, RepoId, Resolution, Resolver, ResolverBuilder, Strategy};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

/// A path, and the options of the resolver.
#[derive(Args)]
pub(crate) struct Model {
    /// A model file, a model directory, a tokenizer file, or a repository on the Hub as `hub:OWNER/NAME`
    #[arg(value_name = "MODEL")]
    pub(crate) path: PathBuf,
    /// Use a degraded tokenizer (a guess, or bytes) instead of failing
    #[arg(long, help_heading = HEADING)]
    allow_degraded: bool,
    #[command(flatten)]
    search: Search,
}

/// How to look for a tokenizer.
#[derive(Args)]
pub(crate) struct Search {
    /// Stay off the network
    #[arg(long, help_heading = HEADING)]
    offline: bool,
    /// Leave out the last resort, so that an error tells what failed
    #[arg(long, help_heading = HEADING)]
    strict: bool,
    /// The repository on the Hub that holds the tokenizer
    #[arg(long, help_heading = HEADING, value_name = "OWNER/NAME")]
    repo: Option<RepoId>,
    /// Branch, tag or commit of the repository
    #[arg(long, help_heading = HEADING, value_name = "REVISION")]
    revision: Option<String>,
    /// The strategies to try, in order: embedded, hub, cache, sibling, backup
    #[arg(long, help_heading = HEADING, value_name = "STRATEGY,...", value_delimiter = ',', value_parser = strategy)]
    chain: Vec<Strategy>,
}

/// What was found. Before it goes, which is after the output, the store has written it down for the next run.
pub(crate) struct Found {
    resolution: Resolution,
    resolver: Resolver,
}

impl Deref for Found {
    type Target = Resolution;

    fn deref(&self) -> &Resolution {
        &self.resolution
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        self.resolver.store().flush();
    }
}

impl Model {
    /// Finds the tokenizer; one that may have other ids than the model's only if that is allowed.
    pub(crate) fn resolve(&self) -> Result<Found, Box<dyn Error>> {
        let found = self.resolve_any()?;
        if found.is_degraded() && !self.allow_degraded {
            let notes = found.notes().join("; ");
            let path = self.path.display();
            return Err(format!(
                "no tokenizer found for {path} whose ids are sure to be the model's; `--allow-degraded` uses what there is ({notes})\n{}",
                found.resolution
            )
            .trim_end()
            .into());
        }
        Ok(found)
    }

    /// Finds the tokenizer, degraded or not.
    pub(crate) fn resolve_any(&self) -> Result<Found, Box<dyn Error>> {
        let resolver = self.resolver()?;
        let resolution = match self.repository() {
            Some(id) => resolver.resolve_repo(id)?,
            None => resolver.resolve(&self.path).map_err(|error| self.told(error))?,
        };
        Ok(Found { resolution, resolver })
    }

    /// The repository that stands in place of a path.
    pub(crate) fn repository(&self) -> Option<&str> {
        self.path.to_str()?.strip_prefix("hub:")
    }

    /// An error of the library, in the words of this command where that names its own functions.
    pub(crate) fn told(&self, error: anytok::Error) -> Box<dyn Error> {
        let path = self.path.display();
        let is_missing = matches!(error, anytok::Error::NotFound { .. });
        if is_missing && error.to_string().contains("`resolve_repo`") {
            return format!("no file or directory at {path}; `hub:{path}` names the repository on the Hub")
                .into();
        }
        error.into()
    }

    /// Whether a degraded result counts as one.
    pub(crate) fn allows(&self, found: &Resolution) -> bool {
        self.allow_degraded || !found.is_degraded()
    }

    pub(crate) fn resolver(&self) -> Result<Resolver, Box<dyn Error>> {
        let Search { offline, strict, repo, revision, chain } = &self.search;
        let mut resolver = Resolver::builder().strict(*strict);
        if *offline {
            resolver = resolver.offline(true);
        }
        if let Some(repo) = repo {
            resolver = resolver.repo(repo.clone());
        }
        if let Some(revision) = revision {
            resolver = resolver.revision(revision.clone());
        }
        if !chain.is_empty() {
            resolver = resolver.chain(chain.clone());
        }
        Ok(with_progress(resolver)?.build())
    }
}

/// Draws downloads on standard error, if that is a terminal.
fn with_progress(resolver: ResolverBuilder) -> Result<ResolverBuilder, Box<dyn Error>> {
    if !std::io::stderr().is_terminal() {
        return Ok(resolver);
    }
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
    )?;
    let bar = ProgressBar::hidden().with_style(style);
    Ok(resolver.observer(move |progress: &Progress<'_>| {
        if progress.received == 0 {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.reset();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar.set_message(format!("{}/{}", progress.repository, progress.file));
        }
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.received);
        if progress.total == Some(progress.received) {
            bar.finish_and_clear();
        }
        ControlFlow::Continue(())
    }))
}

fn strategy(name: &str) -> Result<Strategy, String> {
    Strategy::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Strategy::CHAIN.iter().map(|strategy| strategy.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

const HEADING: &str = "Finding the tokenizer";
