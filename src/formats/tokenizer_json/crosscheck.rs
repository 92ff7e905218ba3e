//! Answers questions for `tests/crosscheck/matrix`, which holds them against the Python library.

use std::io::{BufRead as _, Write as _};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::load;
use super::tests::stored;
use crate::formats::side_files::SideFiles;
use crate::split::{any_pattern, translate};
use crate::{Special, SpecialText};

#[derive(Deserialize)]
#[serde(untagged)]
enum Question {
    /// A whole `tokenizer.json`.
    File { file: String, texts: Vec<String>, ids: Vec<Vec<u32>> },
    /// A pattern as that file has it.
    Pattern { pattern: String, texts: Vec<String> },
}

/// Ids and their places.
type Encoded = (Vec<u32>, Vec<Range<usize>>);

#[derive(Serialize, Default)]
struct Answer {
    refused: Option<String>,
    engine: Option<String>,
    /// With special tokens added; `None` is an error.
    encoded: Vec<Option<Encoded>>,
    /// Special tokens left out and rendered.
    decoded: Vec<[Option<String>; 2]>,
    matches: Vec<Option<Vec<(usize, usize)>>>,
}

/// One JSON question a line, one JSON answer a line.
#[test]
#[ignore = "asks standard input; run by tests/crosscheck/matrix"]
fn answers_standard_input() {
    let mut output = std::io::stdout().lock();
    writeln!(output).unwrap();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
            Question::File { file, texts, ids } => whole(&file, &texts, &ids),
            Question::Pattern { pattern, texts } => matches(&pattern, &texts),
        };
        writeln!(output, "{}", serde_json::to_string(&answer).unwrap()).unwrap();
        output.flush().unwrap();
    }
}

fn whole(file: &str, texts: &[String], ids: &[Vec<u32>]) -> Answer {
    let tokenizer = match load(file.as_bytes(), "tokenizer.json", &SideFiles::default()) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return Answer { refused: Some(full(&error)), ..Answer::default() },
    };
    let stored = tokenizer.has_image().then(|| stored(&tokenizer));
    let encode = |text: &String| {
        let plain = tokenizer.encode(text, Special::AddAndParse).ok()?;
        if let Some(stored) = &stored {
            assert_eq!(plain, stored.encode(text, Special::AddAndParse).unwrap(), "stored: {text:?} {file}");
        }
        let placed = tokenizer.encode_with_offsets(text, Special::AddAndParse).ok()?;
        assert_eq!(plain, placed.ids, "with and without offsets: {text:?} {file}");
        let counted = tokenizer.encode_with_library_offsets(text, Special::AddAndParse).ok()?;
        assert_eq!(placed.ids, counted.ids, "by both rules: {text:?} {file}");
        Some((counted.ids, counted.offsets))
    };
    let decode = |ids: &Vec<u32>| {
        [SpecialText::Skip, SpecialText::Render].map(|special| tokenizer.decode(ids, special).ok())
    };
    Answer {
        engine: Some(tokenizer.engine().to_string()),
        encoded: texts.iter().map(encode).collect(),
        decoded: ids.iter().map(decode).collect(),
        ..Answer::default()
    }
}

fn matches(pattern: &str, texts: &[String]) -> Answer {
    let split = match translate(pattern) {
        Ok(translated) => any_pattern(&translated).map_err(|error| full(&error)),
        Err(error) => Err(full(&error)),
    };
    let split = match split {
        Ok(split) => split,
        Err(refused) => return Answer { refused: Some(refused), ..Answer::default() },
    };
    let matches = texts.iter().map(|text| {
        let mut found = Vec::new();
        split.split(text.as_bytes(), &mut |range| found.push((range.start, range.end))).ok()?;
        Some(found)
    });
    Answer { matches: matches.collect(), ..Answer::default() }
}

fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
