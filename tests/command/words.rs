//! What the command says of paths that have no tokenizer.

use crate::refusal;

#[test]
fn a_path_that_is_not_there_is_named() {
    let error = refusal(&["count", "testdata/none.gguf"], "", 1);
    assert!(error.starts_with("anytok: "), "{error}");
    assert!(error.contains("testdata/none.gguf"), "{error}");
}
