//! Turns ids into text as they come, as a model gives them: no half character is shown, and the end of the turn ends it.
//!
//! ```text
//! stream MODEL < ids
//! ```
//!
//! Standard input has one id a line.

use std::io::{BufRead as _, Write as _};

use anytok::{Resolver, SpecialText};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: stream MODEL < ids")?;
    let found = Resolver::builder().strict(true).build().resolve(path)?;
    let tokenizer = found.tokenizer();

    let mut output = std::io::stdout().lock();
    let mut stream = tokenizer.decode_stream(SpecialText::Skip);
    for line in std::io::stdin().lock().lines() {
        let id = line?.trim().parse()?;
        if tokenizer.is_eog(id) {
            break;
        }
        // Empty while a character lacks bytes.
        output.write_all(stream.push(id)?.as_bytes())?;
        output.flush()?;
    }
    // What is held back when no id follows; bytes that are no text become U+FFFD.
    writeln!(output, "{}", stream.finish())?;
    Ok(())
}
