use tokie::Tokenizer;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let mut tokenizer = Tokenizer::from_json(source.tokenizer_json()?)?;
    tokenizer.no_truncation().no_padding();
    Ok(Loaded::new(
        |tokenizer: &Tokenizer, text| Ok::<_, Failure>(tokenizer.encode_ids(text, false)),
        |tokenizer, ids| Ok::<_, Failure>(tokenizer.decode_bytes(ids)),
        tokenizer,
    ))
}
