use snaptokens::Tokenizer;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    Ok(Loaded::new(
        |tokenizer: &Tokenizer, text| tokenizer.encode_with_special_tokens(text, false),
        |tokenizer, ids| tokenizer.decode(ids, true),
        Tokenizer::from_file(source.tokenizer_json()?)?,
    ))
}
