//! The worker process of `tokenizers` 1.0.

use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken};
use worker::{Failure, Load, Loaded, Source};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    worker::serve(&arguments, |_| Some(load as Load));
}

fn load(source: &Source) -> Result<Loaded, Failure> {
    let path = source.tokenizer_json()?;
    // Files of older releases have to be brought into the form that it reads.
    let json = tokenizers::canonicalize_file(path)?;
    let options =
        EncodeOptions { truncation: Override::Off, padding: Override::Off, ..EncodeOptions::no_specials() };
    Ok(Loaded::new(
        move |tokenizer: &tokenizers::pipeline::PipelineTokenizer, text| {
            let mut tokens: Vec<PipelineToken> = Vec::with_capacity(text.len() / 4);
            tokenizer.encode_into(text, &options, &mut tokens)?;
            Ok::<_, Failure>(PipelineToken::cast_slice(&tokens).to_vec())
        },
        |tokenizer, ids| tokenizer.decode(ids, true),
        tokenizers::from_json(&json)?,
    ))
}
