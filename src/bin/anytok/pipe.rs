//! `pipe`: JSON lines for other programs.

use std::process::ExitCode;

use anytok::SpecialText;
use clap::Args;

use crate::Outcome;
use crate::lines::{self, Direction};
use crate::model::Model;
use crate::text::SpecialTokens;

/// Answer JSON lines for another program, one line for each.
///
/// Standard input has one JSON string a line, standard output one JSON array of ids a line, in the same order; with --decode it is
/// the other way round. This contract is stable:
///
/// - Line n of the output answers line n of the input. A line that has no answer (not JSON, a text without ids, an id without a
///   token) is answered by null and reported with its number on standard error; the exit status is then 1, at the end.
///
/// - The answer to a line is written at the latest when no further whole line has arrived, so a program may wait for it.
///
/// - An id that a vocabulary leaves open (`LLAMA_TOKEN_NULL` of llama.cpp) is written as -1.
///
/// - Decoded text renders special tokens unless --skip-special is given; what is not UTF-8 in it becomes U+FFFD.
#[derive(Args)]
pub(crate) struct Pipe {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    special: SpecialTokens,
    /// Turn ids into text
    #[arg(long, conflicts_with_all = ["add_special", "parse_special"])]
    decode: bool,
    /// Leave special tokens out of the text
    #[arg(long, requires = "decode")]
    skip_special: bool,
}

impl Pipe {
    pub(crate) fn run(&self) -> Outcome {
        let found = self.model.resolve()?;
        let direction = match (self.decode, self.skip_special) {
            (false, _) => Direction::Encode(self.special.get()),
            (true, false) => Direction::Decode(SpecialText::Render),
            (true, true) => Direction::Decode(SpecialText::Skip),
        };
        let bad = lines::answer(found.tokenizer(), direction)?;
        Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
