//! Tokenizer files at the path, beside the model, or one level up.

use std::fmt::Write as _;

use super::local::LocalFiles;
use super::search::Search;
use crate::outcome::Outcome;

pub(super) fn attempt(search: &Search<'_>) -> Outcome {
    let mut failed = None;
    let mut halves = Vec::new();
    let elsewhere =
        search.evidence.directories().iter().filter(|directory| *directory != search.evidence.path());
    let elsewhere = elsewhere.map(|directory| LocalFiles::in_directory(directory));
    let here = std::iter::once((search.local().incomplete().to_vec(), search.local_outcome().cloned()));
    let there = elsewhere.map(|files| (files.incomplete().to_vec(), search.load(&files)));
    for (incomplete, outcome) in here.chain(there) {
        halves.extend(
            incomplete.iter().filter_map(|path| path.file_name()).map(|name| name.display().to_string()),
        );
        match outcome {
            Some(found @ Outcome::Found(_)) => return found,
            // The failure of the nearest file is the one to tell.
            Some(other) => _ = failed.get_or_insert(other),
            None => {}
        }
    }
    failed.unwrap_or_else(|| {
        halves.sort();
        halves.dedup();
        let mut reason = String::from("no tokenizer file beside the model");
        if !halves.is_empty() {
            // Writing to a `String` cannot fail.
            let _ = write!(reason, " ({} alone is no tokenizer)", halves.join(", "));
        }
        Outcome::NotApplicable(reason)
    })
}
