//! Texts in, ids out, a line each: the contract that `anytok pipe` and `examples/pipe.rs` share.
//!
//! Standard input has one JSON string a line, standard output one JSON array of ids a line, in the same order; in the other
//! direction it is the other way round. This contract is stable:
//!
//! - Line n of the output answers line n of the input. A line that has no answer (not JSON, a text without ids, an id without a
//!   token) is answered by `null` and reported with its number on standard error; the exit status is then 1, at the end.
//! - The answer to a line is written at the latest when no further whole line has arrived, so a program may wait for it.
//! - An id that a vocabulary leaves open (`LLAMA_TOKEN_NULL` of llama.cpp) is written as -1.
//! - Decoded text renders special tokens unless they are to be skipped; what is not UTF-8 in it becomes U+FFFD.

use std::borrow::Cow;
use std::error::Error;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};

use anytok::{Special, SpecialText, Tokenizer};
use serde::{Deserialize, Serializer as _};

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Encode(Special),
    Decode(SpecialText),
}

/// Answers every line of standard input and returns how many were bad.
pub(crate) fn answer(tokenizer: &Tokenizer, direction: Direction) -> Result<u64, Box<dyn Error>> {
    let mut answers = Answers { tokenizer, direction, ids: Vec::new(), text: Vec::new() };
    let mut input = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut line = Vec::new();
    let (mut number, mut bad) = (0u64, 0u64);
    while input.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if let Err(error) = answers.write(&line, &mut output) {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Err(io::Error::from(error.kind()).into());
            }
            bad += 1;
            eprintln!("pipe: line {number}: {}", chain(&*error));
            output.write_all(b"null")?;
        }
        output.write_all(b"\n")?;
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
        line.clear();
    }
    output.flush()?;
    if bad > 0 {
        eprintln!("pipe: {bad} bad lines, each answered by null");
    }
    Ok(bad)
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Whether that is a reader that has gone.
pub(crate) fn is_closed(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Answers to lines, with the buffers that all of them share.
struct Answers<'t> {
    tokenizer: &'t Tokenizer,
    direction: Direction,
    ids: Vec<u32>,
    text: Vec<u8>,
}

impl Answers<'_> {
    /// Writes nothing when the line is bad.
    fn write(&mut self, line: &[u8], output: &mut impl Write) -> Result<(), Box<dyn Error>> {
        match self.direction {
            Direction::Encode(special) => {
                let Text(text) =
                    serde_json::from_slice(line).map_err(|error| expected("a JSON string", &error))?;
                self.ids.clear();
                self.tokenizer.encode_into(&text, special, &mut self.ids)?;
                let ids = self.ids.iter().map(|&id| if id == u32::MAX { -1 } else { i64::from(id) });
                serde_json::Serializer::new(output).collect_seq(ids).map_err(io::Error::from)?;
            }
            Direction::Decode(special) => {
                let ids: Vec<u32> =
                    serde_json::from_slice(line).map_err(|error| expected("a JSON array of ids", &error))?;
                self.text.clear();
                self.tokenizer.decode_into(&ids, special, &mut self.text)?;
                serde_json::to_writer(output, &String::from_utf8_lossy(&self.text))
                    .map_err(io::Error::from)?;
            }
        }
        Ok(())
    }
}

/// A JSON string, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

fn expected(what: &str, error: &serde_json::Error) -> String {
    format!("expected {what}: {error}")
}
