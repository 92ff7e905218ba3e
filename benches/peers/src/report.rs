//! The results as Markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::columns::{Column, columns};
use crate::corpus::Corpus;
use crate::race::{Cell, Row, source_name};

/// A vocabulary with what was measured on it.
pub struct Section {
    pub name: &'static str,
    pub rows: Vec<Row>,
}

const LOCKS: [&str; 2] = [include_str!("../Cargo.lock"), include_str!("../tokenizers-1.0/Cargo.lock")];
const CRATES: [&str; 11] = [
    "tokenizers",
    "fastokens",
    "snaptokens",
    "tokie",
    "splintr",
    "tiktoken",
    "tiktoken-rs",
    "bpe-openai",
    "kitoken",
    "shimmytok",
    "anytok",
];
const PACKAGES: [&str; 3] = ["gigatoken", "tiktoken", "sentencepiece"];

/// All of `RESULTS.md`.
pub fn document(sections: &[Section], corpora: &[Corpus], python: &Path, rounds: usize) -> String {
    let (short, long) = corpora.split_last().expect("there are texts");
    let mut text = format!(
        "# anytok beside its peers\n\n\
         Written by `benches/peers/run`; [`README.md`](README.md) says how it measures.\n\n\
         - Date: {}; commit {}\n- Machine: {}, one core; {}\n- Rust crates: {}\n- Python packages: {}\n\
         - Best of {rounds} rounds; a peer that the first round showed below 0.4 of the best everywhere ran once\n\
         - Text in MB, before / after the warm-up: {}; short: {} MB\n\n\
         ![Encoding text not seen before](chart.svg)\n\n\
         Long texts: MB/s in the first pass of a fresh process / on text not seen before, after 1 MB / hot. Short strings: first pass / hot. \
         Load: CPU time from nothing to the first ids.\n\n",
        output("date", &["-u", "+%Y-%m-%d"]),
        output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]),
        machine(),
        output("rustc", &["--version"]),
        crate_versions(),
        package_versions(python),
        long.iter()
            .map(|corpus| format!("{} {:.1}/{:.1}", corpus.name, mb(corpus.warm_len), mb(corpus.timed_len)))
            .collect::<Vec<_>>()
            .join(", "),
        format_args!("{:.1}", mb(short.timed_len)),
    );
    for part in sections {
        text.push_str(&section(part, corpora));
        text.push('\n');
    }
    if let Some((ratio, column)) = worst(sections, corpora) {
        let _ = writeln!(text, "Worst ratio to the best peer: {ratio:.2} ({column}).");
    }
    text
}

fn mb(len: u64) -> f64 {
    len as f64 / 1e6
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let flags = field("flags").unwrap_or_default();
    let vectors: Vec<&str> = ["avx2", "avx512bw", "avx512vbmi"]
        .into_iter()
        .filter(|vector| flags.split(' ').any(|flag| flag == *vector))
        .collect();
    format!(
        "{} ({})",
        field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        vectors.join(", ")
    )
}

fn crate_versions() -> String {
    let version = |lock: &str, name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split_once('"')?.0))
    };
    let versions = LOCKS.iter().flat_map(|lock| CRATES.iter().filter_map(|name| version(lock, name)));
    versions.collect::<Vec<_>>().join(", ")
}

fn package_versions(python: &Path) -> String {
    let version = |name: &&str| {
        let code = format!("import importlib.metadata as m; print(m.version('{name}'))");
        format!("{name} {}", output(&python.to_string_lossy(), &["-c", &code]))
    };
    PACKAGES.iter().map(version).collect::<Vec<_>>().join(", ")
}

/// Both tables of a vocabulary and what is to be said about them.
pub fn section(section: &Section, corpora: &[Corpus]) -> String {
    let rows = &section.rows;
    let long = corpora.len() - 1;
    let mut text = format!("### {}\n\n| peer | source |", section.name);
    for corpus in &corpora[..long] {
        let _ = write!(text, " {} |", corpus.name);
    }
    text.push_str(" short | decode | load, ms |\n|---|---|");
    text.push_str(&"--:|".repeat(long + 3));
    text.push('\n');
    let mut order: Vec<&Row> =
        rows.iter().filter(|row| row.cells.iter().any(|cell| cell.measured().is_some())).collect();
    order.sort_by(|a, b| {
        let key = |row: &Row| Column::Unseen(0).figure(row, corpora).unwrap_or_default();
        key(b).total_cmp(&key(a))
    });
    for row in order {
        let cell = |columns: &[Column]| {
            let figures = columns.iter().map(|&column| figure(column, row, rows, corpora));
            figures.collect::<Vec<_>>().join("/")
        };
        let bold = format!("**{}**", row.entry.peer);
        let name = if row.is_ours() { &bold } else { row.entry.peer };
        let _ = write!(text, "| {name} | {} |", source_name(&row.entry));
        for at in 0..long {
            let _ = write!(text, " {} |", cell(&[Column::First(at), Column::Unseen(at), Column::Hot(at)]));
        }
        let short = cell(&[Column::First(long), Column::Hot(long)]);
        let _ = writeln!(text, " {short} | {} | {} |", cell(&[Column::Decode]), cell(&[Column::Load]));
    }
    text.push_str("\nanytok to the best peer:\n\n| source |");
    let columns = columns(corpora);
    for column in &columns {
        let _ = write!(text, " {} |", column.name(corpora));
    }
    let _ = write!(text, "\n|---|{}\n", "--:|".repeat(columns.len()));
    for row in rows.iter().filter(|row| row.is_ours()) {
        let stored = if row.entry.peer == "anytok" { "" } else { ", stored" };
        let _ = write!(text, "| {}{stored} |", source_name(&row.entry));
        for column in &columns {
            match column.ratio(row, rows, corpora) {
                Some(ratio) => write!(text, " {ratio:.2} |"),
                None => write!(text, " – |"),
            }
            .expect("a String takes all");
        }
        text.push('\n');
    }
    text.push('\n');
    for row in rows {
        for (cell, corpus) in row.cells.iter().zip(corpora) {
            let what = match cell {
                Cell::Measured(_) => continue,
                Cell::Differs => "other ids than anytok's, so not timed".to_owned(),
                Cell::Failed(why) => why.lines().next().unwrap_or_default().to_owned(),
            };
            let _ =
                writeln!(text, "- {}, {}, {}: {what}", row.entry.peer, source_name(&row.entry), corpus.name);
        }
    }
    text
}

fn figure(column: Column, row: &Row, rows: &[Row], corpora: &[Corpus]) -> String {
    let Some(figure) = column.figure(row, corpora) else { return "–".to_owned() };
    let text = if figure < 9.95 { format!("{figure:.1}") } else { format!("{figure:.0}") };
    if column.best(rows.iter(), corpora) == Some(figure) { format!("**{text}**") } else { text }
}

/// The least ratio of anytok to the best peer in a column of speed, and where.
pub fn worst(sections: &[Section], corpora: &[Corpus]) -> Option<(f64, String)> {
    let mut worst: Option<(f64, String)> = None;
    for Section { name, rows } in sections {
        for row in rows.iter().filter(|row| row.is_ours()) {
            for column in columns(corpora).into_iter().filter(|&column| column != Column::Load) {
                let Some(ratio) = column.ratio(row, rows, corpora) else { continue };
                if worst.as_ref().is_none_or(|(least, _)| ratio < *least) {
                    worst = Some((
                        ratio,
                        format!("{name} {}, {}", source_name(&row.entry), column.name(corpora)),
                    ));
                }
            }
        }
    }
    worst
}
