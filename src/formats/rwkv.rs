//! x
pub(crate) fn load(_: &str, _: &[u8], _: &super::side_files::SideFiles) -> Result<crate::Tokenizer, super::FormatError> { Err(super::FormatError::NoVocabulary) }
