use tokenizers_0_23::Tokenizer;
use worker::{Failure, Loaded, Source};

pub fn load(source: &Source) -> Result<Loaded, Failure> {
    let mut tokenizer = Tokenizer::from_file(source.tokenizer_json()?)?;
    tokenizer.with_truncation(None)?.with_padding(None);
    Ok(Loaded::new(
        |tokenizer: &Tokenizer, text| {
            tokenizer.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec())
        },
        |tokenizer, ids| tokenizer.decode(ids, true),
        tokenizer,
    ))
}
