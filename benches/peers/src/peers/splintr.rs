use splintr::{AddedTokenSet, AnyTokenizer, Tokenizer};
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    match source {
        Source::TokenizerJson(path) => Ok(Loaded::new(
            |tokenizer: &AnyTokenizer, text| Ok::<_, Failure>(tokenizer.encode_raw(text)),
            |tokenizer, ids| tokenizer.decode(ids),
            splintr::from_json_path(path)?,
        )),
        Source::Tiktoken(path) => Ok(Loaded::new(
            |tokenizer: &Tokenizer, text| Ok::<_, Failure>(tokenizer.encode_ordinary(text)),
            |tokenizer, ids| tokenizer.decode(ids),
            Tokenizer::from_file(
                &path.to_string_lossy(),
                worker::tiktoken_pattern(path)?,
                AddedTokenSet::default(),
            )?,
        )),
        _ => Err("reads tokenizer.json and tiktoken".into()),
    }
}
