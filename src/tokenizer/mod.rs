pub(crate) mod pre_tokenizer;
