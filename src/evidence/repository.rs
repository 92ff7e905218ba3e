//! Names of repositories that a model may come from, and how far each is to be trusted.

use std::fmt;
use std::path::{Path, PathBuf};

use super::config::Config;
use crate::gguf::Gguf;
use crate::hub::{RepoId, is_commit};

/// A repository that may hold the model's tokenizer, and where its name was found.
///
/// All but the names from the path are hints written by whoever made the file: what is downloaded from them must fit the
/// model before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repository {
    /// The name, valid on the Hub. Never a host: which server is asked is the caller's choice alone.
    pub id: RepoId,
    /// The commit, where the evidence gives one: always 40 lowercase hexadecimal digits.
    pub revision: Option<String>,
    /// What the repository is to the model.
    pub kind: RepositoryKind,
    /// Where the name was found.
    pub source: NameSource,
}

/// What a repository is to the model at hand; the first is the most likely to hold its tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RepositoryKind {
    /// The model's own repository. That of a GGUF seldom has tokenizer files besides it.
    Same,
    /// The repository that the model was converted from: the same tokenizer.
    Source,
    /// The model that this one was made from by training, merging or adapting; tokens may have been added since.
    Base,
}

impl fmt::Display for RepositoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Source => "source",
            Self::Base => "base",
        })
    }
}

/// Where the name of a repository was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameSource {
    /// The caller said so.
    Caller,
    /// The path leads through a Hugging Face cache (`models--owner--name`).
    HubCachePath,
    /// The path leads through LM Studio's models (`publisher/model`).
    LmStudioPath,
    /// The path leads through text-generation-webui's models (`owner_name`).
    TextGenerationWebuiPath,
    /// This manifest of an ollama store lists the file.
    OllamaManifest(PathBuf),
    /// This key of the GGUF.
    GgufKey(String),
    /// This key of this JSON file beside the model.
    Json {
        /// The file's name.
        file: &'static str,
        /// The key.
        key: &'static str,
    },
    /// `base_model` in the front matter of `README.md` beside the model.
    Readme,
}

impl fmt::Display for NameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("the caller"),
            Self::HubCachePath => f.write_str("path in a Hugging Face cache"),
            Self::LmStudioPath => f.write_str("path in LM Studio's models"),
            Self::TextGenerationWebuiPath => f.write_str("path in text-generation-webui's models"),
            Self::OllamaManifest(path) => write!(f, "ollama manifest {}", path.display()),
            Self::GgufKey(key) => write!(f, "GGUF key {key}"),
            Self::Json { file, key } => write!(f, "{key} in {file}"),
            Self::Readme => f.write_str("base_model in README.md"),
        }
    }
}

impl Repository {
    /// The repository that the caller names: nothing is more trusted.
    pub(crate) fn of_caller(id: RepoId) -> Self {
        Self::new(id, RepositoryKind::Same, NameSource::Caller)
    }

    pub(super) fn new(id: RepoId, kind: RepositoryKind, source: NameSource) -> Self {
        Self { id, revision: None, kind, source }
    }
}

/// All names that the evidence gives, the most trusted first: by kind, and within a kind the path before the GGUF's keys
/// before the files beside it. One entry a repository, and at most four, so that a crafted file makes us ask no more.
pub(super) fn collect(
    from_path: &[Repository],
    gguf: Option<&Gguf>,
    config: &Config,
    endpoint: Option<&str>,
) -> Vec<Repository> {
    let mut all = from_path.to_vec();
    if let Some(gguf) = gguf {
        from_gguf(gguf, endpoint, &mut all);
    }
    from_config(config, endpoint, &mut all);
    all.sort_by_key(|repository| repository.kind); // stable
    let mut chosen: Vec<Repository> = Vec::new();
    for repository in all {
        // The Hub's names are unique without regard to case.
        let same = |other: &&mut Repository| other.id.as_str().eq_ignore_ascii_case(repository.id.as_str());
        match chosen.iter_mut().find(same) {
            Some(known) => {
                if known.revision.is_none() {
                    known.revision = repository.revision;
                }
            }
            None => chosen.push(repository),
        }
    }
    chosen.truncate(MAX_REPOSITORIES);
    chosen
}

/// The repositories that a GGUF names. Titles (`general.name`, `….organization`) are never joined into a name: whoever
/// registers that name on the Hub would be asked for the tokenizer.
fn from_gguf(gguf: &Gguf, endpoint: Option<&str>, into: &mut Vec<Repository>) {
    let mut add = |key: &str, kind, revision: Option<&str>, plain: bool| {
        let Some(text) = gguf.str(key).filter(|text| text.len() <= MAX_URL) else { return };
        let named = if plain { metadata_id(text).map(|id| (id, None)) } else { None };
        let Some((id, commit)) = named.or_else(|| from_url(text, endpoint)) else { return };
        let revision = revision.filter(|revision| is_commit(revision)).map(str::to_owned).or(commit);
        into.push(Repository { id, revision, kind, source: NameSource::GgufKey(key.to_owned()) });
    };
    let sha = gguf.str("general.source.huggingface.repository.sha");
    add("general.source.huggingface.repository", RepositoryKind::Source, sha, true);
    add("general.source.repo_url", RepositoryKind::Source, None, false);
    add("general.source.url", RepositoryKind::Source, None, false);
    add("general.repo_url", RepositoryKind::Same, None, false);
    add("general.url", RepositoryKind::Same, None, false);
    let count = gguf.u64("general.base_model.count").unwrap_or(0).min(MAX_BASE_MODELS);
    for index in 0..count {
        add(&format!("general.base_model.{index}.repo_url"), RepositoryKind::Base, None, false);
        add(&format!("general.base_model.{index}.url"), RepositoryKind::Base, None, false);
    }
}

fn from_config(config: &Config, endpoint: Option<&str>, into: &mut Vec<Repository>) {
    let mut json = |text: Option<&String>, kind, file, key| {
        // What was loaded from disk has a path here, and a path can look like a name.
        let id = text.and_then(|text| metadata_id(text)).filter(|id| !Path::new(id.as_str()).exists());
        into.extend(id.map(|id| Repository::new(id, kind, NameSource::Json { file, key })));
    };
    // Both are saved with the name of what was loaded before training, and tokens may have been added since.
    json(
        config.tokenizer_name_or_path.as_ref(),
        RepositoryKind::Base,
        "tokenizer_config.json",
        "name_or_path",
    );
    json(config.name_or_path.as_ref(), RepositoryKind::Base, "config.json", "_name_or_path");
    json(
        config.adapter_base.as_ref(),
        RepositoryKind::Base,
        "adapter_config.json",
        "base_model_name_or_path",
    );
    let card = &config.front_matter;
    let kind = match card.relation.as_deref() {
        Some("quantized") => RepositoryKind::Source,
        _ => RepositoryKind::Base,
    };
    let names = card.base_models.iter().filter(|name| name.len() <= MAX_URL);
    let ids = names.filter_map(|name| metadata_id(name).or_else(|| Some(from_url(name, endpoint)?.0)));
    into.extend(ids.map(|id| Repository::new(id, kind, NameSource::Readme)));
}

/// A name from metadata, which must have an owner.
fn metadata_id(text: &str) -> Option<RepoId> {
    text.trim().parse::<RepoId>().ok().filter(RepoId::has_owner)
}

/// The repository of a URL on the Hub, and the commit if the URL names one.
///
/// Only `huggingface.co`, `hf.co` and the host of `endpoint` (a URL) are taken for the Hub, and only for reading the name:
/// no connection is ever made to a host from metadata.
pub(crate) fn from_url(url: &str, endpoint: Option<&str>) -> Option<(RepoId, Option<String>)> {
    let (authority, path) = split_url(url.trim())?;
    let host = authority.strip_prefix("www.").unwrap_or(&authority);
    let endpoint_host = endpoint.and_then(split_url).map(|(authority, _)| authority);
    if !matches!(host, "huggingface.co" | "hf.co") && endpoint_host.as_deref() != Some(authority.as_str()) {
        return None;
    }
    let path = path.split(['?', '#']).next()?;
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let owner = segments.next()?;
    if NOT_OWNERS.contains(&owner) {
        return None;
    }
    let name = segments.next()?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let id = metadata_id(&format!("{owner}/{name}"))?;
    let revision = match segments.next() {
        None => None,
        Some("tree" | "resolve" | "blob" | "raw" | "commit") => segments.next(),
        Some(_) => return None,
    };
    // A branch may have moved since, and may have slashes that a URL does not show; a commit has neither.
    Some((id, revision.filter(|revision| is_commit(revision)).map(str::to_owned)))
}

/// The authority of an http or https URL in lower case, and what follows it.
fn split_url(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((authority.to_ascii_lowercase(), path))
}

const MAX_REPOSITORIES: usize = 4;
const MAX_BASE_MODELS: u64 = 8;
const MAX_URL: usize = 1024;
/// First segments of paths on the Hub that are no owners of models.
const NOT_OWNERS: [&str; 10] = [
    "datasets",
    "spaces",
    "papers",
    "collections",
    "docs",
    "api",
    "models",
    "blog",
    "organizations",
    "learn",
];

#[cfg(test)]
mod tests {
    use super::RepositoryKind::{Base, Same, Source};
    use super::*;
    use crate::gguf::GgufBuilder;

    #[test]
    fn only_urls_of_models_on_the_hub_give_names() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let with_commit = format!("https://huggingface.co/o/n/tree/{commit}");
        for (url, expected) in [
            ("https://huggingface.co/o/n", Some(("o/n", None))),
            ("http://www.huggingface.co/o/n/", Some(("o/n", None))),
            ("HTTPS://HF.co/o/n.git", Some(("o/n", None))),
            ("https://huggingface.co/o/n/tree/main", Some(("o/n", None))),
            ("https://huggingface.co/o/n/resolve/main/a/b.gguf?download=true", Some(("o/n", None))),
            (with_commit.as_str(), Some(("o/n", Some(commit)))),
            ("https://mirror.example:8443/o/n", Some(("o/n", None))),
            ("https://mirror.example/o/n", None),
            ("https://huggingface.co.evil.example/o/n", None),
            ("https://evil.example/huggingface.co/o/n", None),
            ("https://user@huggingface.co/o/n", None),
            ("https://huggingface.co:444/o/n", None),
            ("ftp://huggingface.co/o/n", None),
            ("huggingface.co/o/n", None),
            ("https://huggingface.co/o", None),
            ("https://huggingface.co/datasets/o/n", None),
            ("https://huggingface.co/spaces/o", None),
            ("https://huggingface.co/o/../n", None),
            ("https://huggingface.co/o/n/discussions/1", None),
            ("https://huggingface.co/o/%2e%2e", None),
            ("", None),
        ] {
            let found = from_url(url, Some("https://mirror.example:8443/hf"));
            let found = found.as_ref().map(|(id, revision)| (id.as_str(), revision.as_deref()));
            assert_eq!(found, expected, "{url}");
        }
    }

    fn names(repositories: &[Repository]) -> Vec<(&str, RepositoryKind)> {
        repositories.iter().map(|repository| (repository.id.as_str(), repository.kind)).collect()
    }

    #[test]
    fn keys_give_names_in_the_order_of_their_trust() {
        let gguf = GgufBuilder::new()
            .string("general.name", "Qwen3 8B")
            .string("general.organization", "Qwen")
            .string("general.base_model.0.organization", "Meta Llama")
            .string("general.base_model.0.name", "Llama 3 8B")
            .u32("general.base_model.count", 2)
            .string("general.base_model.0.repo_url", "https://huggingface.co/base/one")
            .string("general.base_model.1.repo_url", "https://huggingface.co/base/two")
            .string("general.repo_url", "https://huggingface.co/quantizer/n-gguf")
            .string("general.source.huggingface.repository", "source/n")
            .string("general.source.url", "https://huggingface.co/SOURCE/N")
            .string("general.url", "https://evil.example/o/n")
            .finish();
        let gguf = Gguf::parse(gguf).unwrap();
        let found = collect(&[], Some(&gguf), &Config::default(), None);
        assert_eq!(
            names(&found),
            [("quantizer/n-gguf", Same), ("source/n", Source), ("base/one", Base), ("base/two", Base)]
        );
        assert_eq!(found[2].source.to_string(), "GGUF key general.base_model.0.repo_url");
    }

    #[test]
    fn names_without_an_owner_and_paths_are_no_names() {
        let config = Config {
            name_or_path: Some("gpt2".into()),
            tokenizer_name_or_path: Some("/home/me/model".into()),
            adapter_base: Some("src/lib.rs".into()), // exists where tests run
            ..Config::default()
        };
        assert_eq!(collect(&[], None, &config, None), []);
        let config = Config { name_or_path: Some("o/n".into()), ..Config::default() };
        assert_eq!(names(&collect(&[], None, &config, None)), [("o/n", RepositoryKind::Base)]);
    }

    #[test]
    fn a_file_cannot_name_more_than_four_repositories() {
        let mut gguf = GgufBuilder::new().u64("general.base_model.count", u64::MAX);
        for index in 0..20 {
            let url = format!("https://hf.co/o/n{index}");
            gguf = gguf.string(&format!("general.base_model.{index}.repo_url"), url);
        }
        let gguf = Gguf::parse(gguf.finish()).unwrap();
        assert_eq!(collect(&[], Some(&gguf), &Config::default(), None).len(), 4);
    }

    #[test]
    fn a_card_says_whether_its_base_has_the_same_tokenizer() {
        for (relation, kind) in [("quantized", RepositoryKind::Source), ("finetune", RepositoryKind::Base)] {
            let mut config = Config::default();
            config.front_matter.base_models =
                vec!["o/n".into(), "https://huggingface.co/p/q".into(), "x".into()];
            config.front_matter.relation = Some(relation.into());
            assert_eq!(names(&collect(&[], None, &config, None)), [("o/n", kind), ("p/q", kind)]);
        }
    }
}
