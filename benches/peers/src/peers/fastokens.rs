use fastokens::{TiktokenConfig, Tokenizer};
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let mut tokenizer = match source {
        Source::TokenizerJson(path) => Tokenizer::from_file(path)?,
        Source::Tiktoken(path) => Tokenizer::from_tiktoken_file(
            path,
            TiktokenConfig::new(worker::tiktoken_pattern(path)?, Vec::new()),
        )?,
        _ => return Err("reads tokenizer.json and tiktoken".into()),
    };
    tokenizer.set_truncation(None);
    tokenizer.set_padding(None);
    Ok(Loaded::new(
        |tokenizer: &Tokenizer, text| tokenizer.encode_with_special_tokens(text, false),
        |tokenizer, ids| tokenizer.decode(ids, true),
        tokenizer,
    ))
}
