//! `cache`: the store of resolutions.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

use anytok::{Entry, Resolver, Store};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::Outcome;

/// List, verify and remove what earlier runs have kept.
///
/// The store lies where `path` says; `ANYTOK_CACHE_DIR` moves it. Downloads lie in the Hugging Face cache and are not touched.
#[derive(Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print an entry a line, with the number that `remove` takes
    List,
    /// Check each entry, and exit with status 1 if one is damaged
    Verify,
    /// Remove entries by their numbers in the list
    Remove {
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<usize>,
    },
    /// Remove all entries
    Clear,
    /// Print the directory of the store
    Path,
}

impl Cache {
    pub(crate) fn run(&self, json: bool) -> Outcome {
        let resolver = Resolver::default();
        let store = resolver.store();
        let entries = store.list();
        let mut out = io::stdout().lock();
        match &self.action {
            Action::List if json => {
                for (i, entry) in entries.iter().enumerate() {
                    writeln!(out, "{}", entry_as_json(i + 1, entry))?;
                }
            }
            Action::List => print_table(&mut out, &entries)?,
            Action::Verify => return verify(&mut out, store, &entries, json),
            Action::Remove { numbers } => {
                let mut chosen = Vec::new();
                for &number in numbers {
                    let entry = number.checked_sub(1).and_then(|number| entries.get(number));
                    let last = entries.len();
                    chosen.push(entry.ok_or_else(|| {
                        format!("expected a number of `anytok cache list`, which has {last} entries, found {number}")
                    })?);
                }
                for entry in chosen {
                    store.remove(entry);
                    let model = entry.model.display();
                    if json {
                        writeln!(out, "{}", json!({ "removed": model.to_string() }))?;
                    } else {
                        writeln!(out, "removed {model}")?;
                    }
                }
            }
            Action::Clear => {
                store.clear();
                if json {
                    writeln!(out, "{}", json!({ "removed": entries.len() }))?;
                } else {
                    writeln!(out, "removed {} entries", entries.len())?;
                }
            }
            Action::Path => {
                let directory =
                    store.directory().ok_or("there is no store: this user has no home directory")?;
                if json {
                    writeln!(out, "{}", json!({ "path": directory.display().to_string() }))?;
                } else {
                    writeln!(out, "{}", directory.display())?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn verify(out: &mut impl io::Write, store: &Store, entries: &[Entry], json: bool) -> Outcome {
    let mut damaged = 0;
    for entry in entries {
        let error = store.verify(entry).err().map(|error| error.to_string());
        damaged += usize::from(error.is_some());
        let model = entry.model.display();
        match error {
            error if json => writeln!(out, "{}", json!({ "model": model.to_string(), "error": error }))?,
            None => writeln!(out, "sound    {model}")?,
            Some(error) => writeln!(out, "damaged  {model}: {error}")?,
        }
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn entry_as_json(number: usize, entry: &Entry) -> serde_json::Value {
    let seconds = entry.last_used.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    json!({
        "number": number,
        "model": entry.model.display().to_string(),
        "strategy": entry.strategy,
        "source": entry.source,
        "repository": entry.repository,
        "commit": entry.commit,
        "bytes": entry.bytes,
        "last_used": seconds,
    })
}

fn print_table(out: &mut impl io::Write, entries: &[Entry]) -> io::Result<()> {
    writeln!(out, "{:>3}  {:>10}  {:>9}  {:9}  {:40}  model", "", "size", "last used", "strategy", "source")?;
    for (i, entry) in entries.iter().enumerate() {
        let (size, age) = (size(entry.bytes), age(entry.last_used));
        let (strategy, source, model) = (&entry.strategy, &entry.source, entry.model.display());
        writeln!(out, "{:>3}  {size:>10}  {age:>9}  {strategy:9}  {source:40}  {model}", i + 1)?;
    }
    let total = entries.iter().map(|entry| entry.bytes).sum();
    writeln!(out, "{} entries, {}", entries.len(), size(total))
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// The store notes the last use to the hour.
fn age(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).map_or(0, |age| age.as_secs());
    match seconds {
        ..7200 => "now".into(),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
