//! Real vocabularies and the answers of reference implementations, which are not part of the repository.

use std::path::{Path, PathBuf};

/// The directory of shared data: `ANYTOK_SHARED`, else `../shared`. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none and `CI` is `true`: there, what was skipped would count as passed.
pub fn root() -> Option<PathBuf> {
    let root = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "../shared is absent");
    println!("skipped: ../shared is absent");
    None
}

/// The JSON value of each line of a gzip file.
pub fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).expect("a whole gzip file");
    let parse =
        |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(parse).collect()
}

/// Names of the files in `directory` that end in `ending`, without it, sorted.
pub fn names(directory: &Path, ending: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect();
    names.sort_unstable();
    names
}
