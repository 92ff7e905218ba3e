//! A repository's files in a cache on this machine.

use std::path::{Path, PathBuf};

use super::repository::{FileSource, Part, read};
use super::search::Search;
use crate::evidence::Repository;
use crate::formats::Content;
use crate::hub::cache::{Lookup, find, locate};
use crate::hub::{Error, Settings};
use crate::outcome::Outcome;

/// Looks for the repositories in every cache there is: the shared one, other tools', the one that the model lies in. No network.
pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    if let Some(reason) = search.skip_reason() {
        return Outcome::NotApplicable(reason);
    }
    let repositories = search.repositories();
    if repositories.is_empty() {
        return Outcome::NotApplicable("no repository is named".into());
    }
    let roots = roots(search);
    if roots.is_empty() {
        return Outcome::NotApplicable("there is no cache directory".into());
    }
    let mut failed = None;
    for repository in repositories {
        for root in &roots {
            let settings = &search.options.hub;
            let revisions = revisions(search, repository);
            let mut cached = Cached { root, repository, settings, revisions, commit: None };
            match read(search, repository, &mut cached) {
                found @ Outcome::Found(_) => return found,
                failure @ Outcome::Failed(_) => _ = failed.get_or_insert(failure),
                Outcome::NotApplicable(_) => {}
            }
        }
    }
    failed.unwrap_or_else(|| {
        let names: Vec<&str> = repositories.iter().map(|repository| repository.id.as_str()).collect();
        let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let reason = format!("no tokenizer file of {} in {}", names.join(", "), roots.join(", "));
        Outcome::NotApplicable(reason)
    })
}

/// The caches to look into, the shared one first.
fn roots(search: &Search<'_>) -> Vec<PathBuf> {
    let settings = &search.options.hub;
    let path = search.evidence.path();
    // The path as given names the snapshot; followed, it is a blob, perhaps in another cache that links were made from.
    let own = [std::path::absolute(path).ok(), path.canonicalize().ok()];
    let own = own.into_iter().flatten().filter_map(|path| Some(locate(&path)?.root));
    let mut roots: Vec<PathBuf> = Vec::new();
    for root in settings.cache_dir.iter().chain(&settings.other_caches).cloned().chain(own) {
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

/// The revisions at which a cache may have the repository. Where nobody insists on the commit that the path names, the default
/// branch will do as well: the repository of a GGUF gets a commit for every file uploaded.
fn revisions(search: &Search<'_>, repository: &Repository) -> Vec<String> {
    let mut revisions = vec![search.revision_of(repository)];
    if search.options.revision.is_none() && revisions[0] != "main" {
        revisions.push("main".into());
    }
    revisions
}

/// One repository in one cache.
struct Cached<'a> {
    root: &'a Path,
    repository: &'a Repository,
    settings: &'a Settings,
    revisions: Vec<String>,
    /// Where the last vocabulary file was.
    commit: Option<String>,
}

impl FileSource for Cached<'_> {
    fn get(&mut self, file: &str, part: Part) -> Result<Option<(Content, String)>, Error> {
        let revisions = match (&self.commit, part) {
            (Some(commit), Part::OtherHalf | Part::Side) => std::slice::from_ref(commit),
            _ => &self.revisions,
        };
        for revision in revisions {
            if let Lookup::Found(cached) = find(self.root, &self.repository.id, revision, file)? {
                let settings = self.settings;
                let bytes = cached.read(settings.verify, &settings.verified, settings.max_file_bytes)?;
                self.commit = Some(cached.commit.clone());
                return Ok(Some((
                    Content::Verified { path: cached.path, bytes: bytes.into() },
                    cached.commit,
                )));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use crate::env::Environment;
    use crate::gguf::GgufBuilder;
    use crate::options::ResolverBuilder;
    use crate::strategy::Strategy;

    #[test]
    fn the_cache_of_llama_cpp_is_read_unless_the_caller_names_the_only_one() {
        const TOKENIZER: &str = r#"{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("llama.cpp");
        let commit = "1111111111111111111111111111111111111111";
        let snapshot = root.join("models--org--model/snapshots").join(commit);
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(snapshot.join("tokenizer.json"), TOKENIZER).unwrap();
        let model = directory.path().join("models/model.gguf");
        std::fs::create_dir_all(model.parent().unwrap()).unwrap();
        std::fs::write(&model, GgufBuilder::new().string("general.architecture", "llama").finish()).unwrap();

        let environment =
            Environment::of(&[("LLAMA_CACHE", root.to_str().unwrap()), ("HF_HUB_OFFLINE", "1")]);
        let builder = || ResolverBuilder::from_environment(&environment).repo("org/model".parse().unwrap());
        let found = builder().build().resolve(&model).unwrap();
        assert_eq!(found.strategy(), Strategy::Cache, "{found}");
        let found = builder().cache_dir(directory.path().join("other")).build().resolve(&model).unwrap();
        assert_eq!(found.strategy(), Strategy::Backup, "{found}");
    }
}
