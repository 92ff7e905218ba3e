//! What the store holds: `cargo run --example cache [list | verify | clear | remove NUMBER]`.
//!
//! `ANYTOK_CACHE_DIR` says where the store is, if it is not in the user's cache directory.

use std::process::ExitCode;
use std::time::SystemTime;

use anytok::{Entry, Resolver};

fn main() -> ExitCode {
    let resolver = Resolver::default();
    let store = resolver.store();
    let entries = store.list();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["list"] => {
            match store.directory() {
                Some(directory) => println!("{}", directory.display()),
                None => println!("no store: this user has no home directory"),
            }
            print_table(&entries);
        }
        ["verify"] => {
            let mut damaged = 0;
            for entry in &entries {
                match store.verify(entry) {
                    Ok(()) => println!("sound    {}", entry.model.display()),
                    Err(error) => {
                        damaged += 1;
                        println!("damaged  {}: {error}", entry.model.display());
                    }
                }
            }
            return if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        ["clear"] => {
            store.clear();
            println!("removed {} entries", entries.len());
        }
        ["remove", number] => {
            let entry = number.parse::<usize>().ok().and_then(|number| entries.get(number.checked_sub(1)?));
            let Some(entry) = entry else {
                eprintln!("expected a number of the list, 1 to {}, found {number}", entries.len());
                return ExitCode::FAILURE;
            };
            store.remove(entry);
            println!("removed {}", entry.model.display());
        }
        _ => {
            eprintln!("usage: cache [list | verify | clear | remove NUMBER]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print_table(entries: &[Entry]) {
    println!("{:>3}  {:>9}  {:>9}  {:9}  {:40}  model", "", "size", "last used", "strategy", "source");
    for (i, entry) in entries.iter().enumerate() {
        println!(
            "{:>3}  {:>9}  {:>9}  {:9}  {:40}  {}",
            i + 1,
            size(entry.bytes),
            age(entry.last_used),
            entry.strategy,
            entry.source,
            entry.model.display()
        );
    }
    println!("{} entries, {}", entries.len(), size(entries.iter().map(|entry| entry.bytes).sum()));
}

fn size(bytes: u64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xF_FFFF) * 10) >> 20),
    }
}

fn age(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).map_or(0, |age| age.as_secs());
    match seconds {
        ..7200 => "now".into(),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
