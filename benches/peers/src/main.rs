//! anytok beside its peers: the same ids, one core, one run. `run` starts it; `README.md` says how it measures.

mod chart;
mod columns;
mod corpus;
mod peers;
mod race;
mod report;
mod vocabularies;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use race::Programs;
use report::Section;
use vocabularies::VOCABULARIES;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "worker") {
        worker::serve(&arguments.split_off(1), peers::load);
        return Ok(());
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../..");
    let shared = std::env::var_os("ANYTOK_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let data = variable("PEERS_DATA")?;
    let programs = Programs {
        crates: std::env::current_exe()?,
        tokenizers_1_0: variable("PEERS_TOKENIZERS_1_0")?,
        python: variable("PEERS_PYTHON")?,
        script: here.join("worker.py"),
    };
    let crates =
        std::fs::read_to_string(data.join("crates.txt"))?.lines().map(PathBuf::from).collect::<Vec<_>>();
    let corpora = corpus::write(&data, &crates, 1_500_000)?;
    let rounds = if quick { 2 } else { 3 };
    let mut sections = Vec::new();
    for (at, vocabulary) in VOCABULARIES.iter().enumerate() {
        let take = if wanted.is_empty() {
            !quick || at < 2
        } else {
            wanted.iter().any(|name| *name == vocabulary.name)
        };
        if !take {
            continue;
        }
        let start = Instant::now();
        let entries = vocabulary.entries(&shared, &data);
        let rows = race::race(&programs, entries, &corpora, rounds);
        let section = Section { name: vocabulary.name, rows };
        println!("{}({:.0} s)\n", report::section(&section, &corpora), start.elapsed().as_secs_f64());
        sections.push(section);
    }
    if !quick {
        std::fs::write(
            here.join("RESULTS.md"),
            report::document(&sections, &corpora, &programs.python, rounds),
        )?;
        std::fs::write(here.join("chart.svg"), chart::svg(&sections, &corpora))?;
    }
    if let Some((ratio, column)) = report::worst(&sections, &corpora) {
        println!("worst ratio to the best peer: {ratio:.2} ({column})");
    }
    Ok(())
}

fn variable(name: &str) -> Result<PathBuf, String> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("{name} is not set: start this by `run`"))
}
