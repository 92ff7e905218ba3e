//! Runs the peers in turn, each measurement in a process of its own, and compares ids first.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use worker::{Measured, Outcome};

use crate::corpus::Corpus;
use crate::vocabularies::{Entry, Kind, PYTHON, TOKENIZERS_1_0};

/// How long one process may take, by the clock on the wall.
const LIMIT: Duration = Duration::from_secs(60);
/// A peer slower than this share of the best by every measure of the first round is not run again.
const HOPELESS: f64 = 0.4;

/// How the workers are started.
pub struct Programs {
    pub crates: PathBuf,
    pub tokenizers_1_0: PathBuf,
    pub python: PathBuf,
    pub script: PathBuf,
}

/// An entry and what came out, corpus by corpus.
pub struct Row {
    pub entry: Entry,
    pub cells: Vec<Cell>,
}

pub enum Cell {
    Measured(Measured),
    /// Other ids than anytok's: not compared by speed.
    Differs,
    Failed(String),
}

impl Cell {
    pub fn measured(&self) -> Option<&Measured> {
        if let Self::Measured(measured) = self { Some(measured) } else { None }
    }
}

impl Row {
    pub fn is_ours(&self) -> bool {
        self.entry.peer.starts_with("anytok")
    }
}

pub fn race(programs: &Programs, entries: Vec<Entry>, corpora: &[Corpus], rounds: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = entries.into_iter().map(|entry| Row { entry, cells: Vec::new() }).collect();
    for corpus in corpora {
        for row in &mut rows {
            let load_failed = matches!(row.cells.first(), Some(Cell::Failed(_)));
            let cell = match (row.cells.first(), load_failed) {
                (Some(Cell::Failed(why)), true) => Cell::Failed(why.clone()),
                _ => programs.run(&row.entry, corpus),
            };
            row.cells.push(cell);
        }
    }
    compare_ids(&mut rows, corpora.len());
    let again = contenders(&rows, corpora.len());
    for _ in 1..rounds {
        for (at, corpus) in corpora.iter().enumerate() {
            for (row, again) in rows.iter_mut().zip(&again) {
                let Some(Cell::Measured(best)) = row.cells.get_mut(at).filter(|_| *again) else { continue };
                if let Cell::Measured(next) = programs.run(&row.entry, corpus) {
                    for (best, next) in [
                        (&mut best.load, next.load),
                        (&mut best.first, next.first),
                        (&mut best.unseen, next.unseen),
                        (&mut best.hot, next.hot),
                        (&mut best.decode, next.decode),
                    ] {
                        *best = next.min(*best);
                    }
                }
            }
        }
    }
    rows
}

/// Marks the cells whose ids are not those of anytok with the same source, or, where anytok reads no such source, with its first.
fn compare_ids(rows: &mut [Row], corpora: usize) {
    for at in 0..corpora {
        let ours: Vec<(Kind, PathBuf, String)> = rows
            .iter()
            .filter(|row| row.is_ours())
            .filter_map(|row| {
                let ids = row.cells[at].measured()?.ids.clone();
                Some((row.entry.kind, row.entry.path.clone(), ids))
            })
            .collect();
        for row in rows.iter_mut() {
            let same = ours.iter().find(|(kind, path, _)| (*kind, path) == (row.entry.kind, &row.entry.path));
            let Some((_, _, expected)) = same.or(ours.first()) else { continue };
            if row.cells[at].measured().is_some_and(|measured| measured.ids != *expected) {
                row.cells[at] = Cell::Differs;
            }
        }
    }
}

/// Which rows are worth a second round: ours, and what comes near the best somewhere.
fn contenders(rows: &[Row], corpora: usize) -> Vec<bool> {
    let times = |row: &Row, at: usize| {
        row.cells[at]
            .measured()
            .map(|measured| [measured.first, measured.unseen, measured.hot, measured.decode])
    };
    let near = |row: &Row, at: usize| {
        let Some(times_here) = times(row, at) else { return false };
        (0..times_here.len()).any(|column| {
            let best = rows.iter().filter_map(|row| times(row, at)).map(|times| times[column]).min();
            best.is_some_and(|best| best as f64 >= HOPELESS * times_here[column] as f64)
        })
    };
    rows.iter().map(|row| row.is_ours() || (0..corpora).any(|at| near(row, at))).collect()
}

impl Programs {
    fn run(&self, entry: &Entry, corpus: &Corpus) -> Cell {
        let mut command = if entry.peer == TOKENIZERS_1_0 {
            Command::new(&self.tokenizers_1_0)
        } else if PYTHON.contains(&entry.peer) {
            let mut command = Command::new(&self.python);
            command.arg(&self.script);
            command
        } else {
            let mut command = Command::new(&self.crates);
            command.arg("worker");
            command
        };
        command.arg(entry.peer).arg(entry.kind.name()).arg(&entry.path).arg(&corpus.warm).arg(&corpus.timed);
        // One core: a pool of threads would only get in its own way.
        command
            .env("RAYON_NUM_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        match command.spawn().map_err(|error| error.to_string()).and_then(output) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(Outcome::Measured(measured)) => Cell::Measured(measured),
                Ok(Outcome::Failed(why)) => Cell::Failed(why),
                Err(_) => Cell::Failed("the process ended without a result".to_owned()),
            },
            Err(why) => Cell::Failed(why),
        }
    }
}

/// What the process prints, unless it takes too long.
fn output(mut child: Child) -> Result<String, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if start.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("takes more than {} s", LIMIT.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let mut text = String::new();
    let mut stdout = child.stdout.take().ok_or("no output")?;
    stdout.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// The directory of a path as a reader knows it.
pub fn source_name(entry: &Entry) -> String {
    let file =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match entry.kind {
        Kind::Bundled => "built in".to_owned(),
        Kind::Gguf => "GGUF".to_owned(),
        Kind::SentencePiece => "SentencePiece".to_owned(),
        Kind::TokenizerJson => file(&entry.path),
        Kind::Tiktoken => "tiktoken".to_owned(),
    }
}
