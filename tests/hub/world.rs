//! A Hub, a cache and a place for models, joined by a resolver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anytok::{
    Answer, Attempt, RepoId, Resolution, Resolver, ResolverBuilder, Special, SpecialText, Strategy,
};

use crate::fake_hub::{Delivery, FakeHub, Server};
use crate::models;

/// The repository that has a tokenizer.
pub(crate) const REPOSITORY: &str = "org/model";

pub(crate) struct World {
    pub(crate) hub: FakeHub,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    /// With an empty Hub.
    pub(crate) fn empty() -> Self {
        Self { hub: FakeHub::start(), directory: tempfile::tempdir().unwrap() }
    }

    /// With one repository that has `tokenizer.json` alone, handed out directly.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.publish(REPOSITORY);
        world
    }

    /// Gives `repository` a `tokenizer.json`; returns the commit.
    pub(crate) fn publish(&self, repository: &str) -> String {
        self.hub.commit(
            repository,
            "main",
            &[("tokenizer.json", &models::tokenizer_json(), Delivery::Direct)],
        )
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("hub")
    }

    /// Writes a file, with the directories above it, and returns its path.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A GGUF without a tokenizer that names `REPOSITORY` as its source, in a directory of its own.
    pub(crate) fn model(&self) -> PathBuf {
        self.model_of(&[REPOSITORY])
    }

    /// The same with these repositories: the first as its source, the others as bases.
    pub(crate) fn model_of(&self, repositories: &[&str]) -> PathBuf {
        let (source, bases) = repositories.split_first().unwrap();
        let mut gguf = models::bare_gguf()
            .string("general.source.huggingface.repository", source)
            .u32("general.base_model.count", bases.len() as u32);
        for (index, base) in bases.iter().enumerate() {
            let url = format!("https://huggingface.co/{base}");
            gguf = gguf.string(&format!("general.base_model.{index}.repo_url"), url);
        }
        self.write("models/one/model.gguf", gguf.finish())
    }

    /// A builder for this world alone: no token, no cache and no Hub of the machine's. Every call runs the chain, as long as each
    /// has a resolver of its own.
    pub(crate) fn builder(&self) -> ResolverBuilder {
        Resolver::builder()
            .endpoint(self.hub.endpoint())
            .cache_dir(self.cache())
            .without_token()
            .without_store()
            .offline(false)
            .budget(Duration::from_secs(20))
    }

    #[track_caller]
    pub(crate) fn resolve(&self, path: impl AsRef<Path>) -> Resolution {
        self.builder().build().resolve(path).unwrap()
    }

    #[track_caller]
    pub(crate) fn resolve_offline(&self, path: impl AsRef<Path>) -> Resolution {
        self.builder().offline(true).build().resolve(path).unwrap()
    }

    /// The requests since the last call: "GET /org/model/resolve/main/tokenizer.json", those to the other server marked with
    /// `cdn:` and without what is in place of their path, commits as `*`, queries left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        let commit = |part: &str| part.len() == 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let line = |request: &crate::fake_hub::Request| {
            if request.server == Server::Cdn {
                return format!("{} cdn:", request.method);
            }
            let path = request.target.split('?').next().unwrap_or_default();
            let parts: Vec<&str> =
                path.split('/').map(|part| if commit(part) { "*" } else { part }).collect();
            format!("{} {}", request.method, parts.join("/"))
        };
        self.hub.take_log().iter().map(line).collect()
    }
}

pub(crate) fn id(text: &str) -> RepoId {
    text.parse().unwrap()
}

/// Each attempt as "strategy: answer".
pub(crate) fn story(attempts: &[Attempt]) -> Vec<String> {
    attempts.iter().map(|attempt| format!("{}: {}", attempt.strategy, attempt.answer.word())).collect()
}

/// Why that strategy did not find anything.
#[track_caller]
pub(crate) fn reason(attempts: &[Attempt], strategy: Strategy) -> String {
    let attempt = attempts.iter().find(|attempt| attempt.strategy == strategy).unwrap();
    assert!(!matches!(attempt.answer, Answer::Found { .. }), "{strategy} found {}", attempt.answer.reason());
    attempt.answer.reason()
}

/// Holds that `found` is a tokenizer of [`models`] and the attempts are these.
#[track_caller]
pub(crate) fn assert_found(found: &Resolution, expected: &[&str]) {
    assert_eq!(story(found.attempts()), expected, "\n{found}");
    assert!(!found.is_degraded());
    let tokenizer = found.tokenizer();
    let ids = tokenizer.encode("Hello, world!", Special::Ignore).unwrap();
    assert_eq!(ids, models::HELLO);
    assert_eq!(tokenizer.decode(&ids, SpecialText::Skip).unwrap(), "Hello, world!");
}

/// Holds that `found` is the last resort, and that it gives a text back.
#[track_caller]
pub(crate) fn assert_backup(found: &Resolution) {
    assert_eq!(found.strategy(), Strategy::Backup, "\n{found}");
    assert!(found.is_degraded());
    let ids = found.tokenizer().encode("Hello, world!", Special::Ignore).unwrap();
    assert_eq!(found.tokenizer().decode(&ids, SpecialText::Skip).unwrap(), "Hello, world!");
}
