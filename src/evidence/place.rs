//! What a path says of the model by where it leads: the caches and stores of other tools.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::config;
use super::repository::{NameSource, Repository, RepositoryKind};
use crate::hub::{RepoId, is_commit, is_lower_hex};

/// The names that the path of a model gives, without looking at the model.
pub(super) fn repositories(path: &Path, canonical: Option<&Path>, is_directory: bool) -> Vec<Repository> {
    let mut found: Vec<Repository> = Vec::new();
    for path in [Some(path), canonical].into_iter().flatten() {
        let names = components(path);
        found.extend(in_hub_cache(path, &names));
        found.extend(in_lm_studio(&names));
        found.extend(in_text_generation_webui(&names, is_directory));
        found.extend(in_ollama_store(path));
    }
    if let Some(commit) = local_directory_commit(path, is_directory) {
        for repository in &mut found {
            repository.revision.get_or_insert_with(|| commit.clone());
        }
    }
    found
}

/// The directories of snapshots in a Hugging Face cache that hold the file at `path`: the one that the path leads through,
/// or for a blob all that link to it.
pub(super) fn snapshots(path: &Path) -> Vec<PathBuf> {
    let names = components(path);
    let Some((at, _)) = hub_cache_entry(&names) else { return Vec::new() };
    let entry: PathBuf = path.components().take(at + 1).collect();
    match names.get(at + 1) {
        Some(&"snapshots") if names.len() > at + 2 => vec![entry.join("snapshots").join(names[at + 2])],
        Some(&"blobs") => links_to(path, &entry.join("snapshots")),
        _ => Vec::new(),
    }
}

/// The file of the model that an ollama manifest lists, if the manifest lies in a store.
pub(super) fn ollama_model(manifest: &Path, content: &[u8]) -> Option<PathBuf> {
    let digest = model_digests(content).next()?;
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && is_lower_hex(hex))?;
    let models = manifest.ancestors().find(|at| at.file_name() == Some(OsStr::new("manifests")))?.parent()?;
    Some(models.join("blobs").join(format!("sha256-{hex}")))
}

/// `…/models--owner--name/{snapshots/<commit>,blobs}/…`
fn in_hub_cache(path: &Path, names: &[&str]) -> Option<Repository> {
    let (at, id) = hub_cache_entry(names)?;
    let mut repository = Repository::new(id, RepositoryKind::Same, NameSource::HubCachePath);
    let commit = match names.get(at + 1) {
        Some(&"snapshots") => names.get(at + 2).map(|&name| name.to_owned()),
        Some(&"blobs") => {
            snapshots(path).first().and_then(|snapshot| Some(snapshot.file_name()?.to_str()?.to_owned()))
        }
        _ => None,
    };
    repository.revision = commit.filter(|commit| is_commit(commit));
    Some(repository)
}

/// Which component is the repository's entry in a cache, and its name. A cache may lie within another's path, so the last
/// one counts.
fn hub_cache_entry(names: &[&str]) -> Option<(usize, RepoId)> {
    names.iter().enumerate().rev().find_map(|(at, name)| {
        // Names hold no `--`, so the first one divides; one without is a legacy name without an owner.
        let name = name.strip_prefix("models--")?.replacen("--", "/", 1);
        Some((at, name.parse().ok()?))
    })
}

/// `~/.lmstudio/models/<publisher>/<model>/…`, earlier `~/.cache/lm-studio/models/…`.
fn in_lm_studio(names: &[&str]) -> Option<Repository> {
    let at = names.windows(2).rposition(|pair| matches!(pair, [".lmstudio" | "lm-studio", "models"]))?;
    let id = format!("{}/{}", names.get(at + 2)?, names.get(at + 3)?).parse().ok()?;
    Some(Repository::new(id, RepositoryKind::Same, NameSource::LmStudioPath))
}

/// `…/text-generation-webui/…/models/<owner>_<name>/…`: a directory, since lone files keep the name they have.
fn in_text_generation_webui(names: &[&str], is_directory: bool) -> Option<Repository> {
    let root =
        names.iter().position(|name| name.to_ascii_lowercase().starts_with("text-generation-webui"))?;
    let models = root + names[root..].iter().position(|&name| name == "models")?;
    let name = names.get(models + 1)?;
    if names.len() == models + 2 && !is_directory {
        return None;
    }
    let (owner, name) = name.split_once('_')?;
    let id = format!("{owner}/{name}").parse().ok()?;
    Some(Repository::new(id, RepositoryKind::Same, NameSource::TextGenerationWebuiPath))
}

/// `…/blobs/sha256-<hex>`, or the manifest of one, of a model that ollama took from the Hub.
fn in_ollama_store(path: &Path) -> Option<Repository> {
    let manifest = if path.components().any(|part| part.as_os_str() == "manifests") {
        path.to_owned()
    } else {
        let hex = path.file_name()?.to_str()?.strip_prefix("sha256-")?;
        let blobs = path.parent().filter(|parent| parent.file_name() == Some(OsStr::new("blobs")))?;
        if hex.len() != 64 || !is_lower_hex(hex) {
            return None;
        }
        let digest = format!("sha256:{hex}");
        let mut budget = MAX_MANIFESTS;
        manifest_of(&digest, &blobs.parent()?.join("manifests"), MAX_DEPTH, &mut budget)?
    };
    let names = components(&manifest);
    let at = names.iter().rposition(|&name| name == "manifests")?;
    let ["hf.co" | "huggingface.co", owner, name, _tag] = names.get(at + 1..)? else { return None };
    let id = format!("{owner}/{name}").parse().ok()?;
    Some(Repository::new(id, RepositoryKind::Same, NameSource::OllamaManifest(manifest.clone())))
}

/// The manifest that lists `digest` as a model. One from the Hub is preferred: only those name a repository.
fn manifest_of(digest: &str, directory: &Path, depth: usize, budget: &mut usize) -> Option<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(directory)
        .ok()?
        .take(*budget)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let of_hub = |path: &PathBuf| {
        !matches!(path.file_name().and_then(OsStr::to_str), Some("hf.co" | "huggingface.co"))
    };
    names.sort_by_key(|path| (of_hub(path), path.clone()));
    for path in names {
        *budget = budget.checked_sub(1)?;
        if path.is_dir() {
            let found = depth.checked_sub(1).and_then(|depth| manifest_of(digest, &path, depth, budget));
            if found.is_some() {
                return found;
            }
        } else if let Ok(content) = config::read(&path, MAX_MANIFEST) {
            let listed = memmem::find(&content, digest.as_bytes()).is_some();
            if listed && model_digests(&content).any(|found| found == digest) {
                return Some(path);
            }
        }
    }
    None
}

/// The digests of the layers of a manifest that are models.
fn model_digests(content: &[u8]) -> impl Iterator<Item = String> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        layers: Vec<Layer>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layer {
        media_type: String,
        digest: String,
    }
    let manifest = if content.len() as u64 <= MAX_MANIFEST {
        serde_json::from_slice(content).unwrap_or(Manifest { layers: Vec::new() })
    } else {
        Manifest { layers: Vec::new() }
    };
    let is_model = |layer: &Layer| layer.media_type == "application/vnd.ollama.image.model";
    manifest.layers.into_iter().filter(is_model).map(|layer| layer.digest)
}

/// The commit that `huggingface_hub` noted beside a file that it downloaded into a plain directory: the first line of
/// `<directory>/.cache/huggingface/download/<file>.metadata`.
fn local_directory_commit(path: &Path, is_directory: bool) -> Option<String> {
    if is_directory {
        let noted = path.join(LOCAL_METADATA).join("config.json.metadata");
        return first_line_commit(&noted);
    }
    // The file may lie in a directory of the repository.
    path.ancestors().skip(1).take(MAX_DEPTH).find_map(|root| {
        let mut file = path.strip_prefix(root).ok()?.as_os_str().to_owned();
        file.push(".metadata");
        first_line_commit(&root.join(LOCAL_METADATA).join(file))
    })
}

fn first_line_commit(path: &Path) -> Option<String> {
    let content = config::read(path, MAX_MANIFEST).ok()?;
    let line = std::str::from_utf8(&content).ok()?.lines().next()?.trim();
    is_commit(line).then(|| line.to_owned())
}

/// The snapshots under `directory` in which a link leads to `blob`.
fn links_to(blob: &Path, directory: &Path) -> Vec<PathBuf> {
    let Ok(snapshots) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut snapshots: Vec<PathBuf> =
        snapshots.take(MAX_SNAPSHOTS).filter_map(|entry| Some(entry.ok()?.path())).collect();
    snapshots.sort();
    let Ok(blob) = blob.canonicalize() else { return Vec::new() };
    let mut budget = MAX_LINKS;
    snapshots.retain(|snapshot| has_link_to(&blob, snapshot, MAX_DEPTH, &mut budget));
    snapshots
}

fn has_link_to(blob: &Path, directory: &Path, depth: usize, budget: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    for entry in entries {
        let Some(left) = budget.checked_sub(1) else { return false };
        *budget = left;
        let Ok(entry) = entry else { continue }; // vanished meanwhile, or unreadable: then it is not our link
        let Ok(kind) = entry.file_type() else { continue };
        let found = if kind.is_symlink() {
            entry.path().canonicalize().is_ok_and(|target| target == blob)
        } else {
            kind.is_dir() && depth > 0 && has_link_to(blob, &entry.path(), depth - 1, budget)
        };
        if found {
            return true;
        }
    }
    false
}

/// The components of a path, an empty text for one that is not UTF-8: it cannot be a name on the Hub.
fn components(path: &Path) -> Vec<&str> {
    path.components().map(|part| part.as_os_str().to_str().unwrap_or_default()).collect()
}

const LOCAL_METADATA: &str = ".cache/huggingface/download";
const MAX_DEPTH: usize = 5;
const MAX_MANIFEST: u64 = 1 << 20;
const MAX_MANIFESTS: usize = 4096;
const MAX_SNAPSHOTS: usize = 64;
const MAX_LINKS: usize = 4096;
