//! Arbitrary bytes as a GGUF container: every entry and tensor is read, nothing panics.

#![no_main]

use anytok::gguf::Gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(gguf) = Gguf::parse(bytes) {
        for entry in gguf.entries() {
            if let Some(strings) = entry.value().as_array().and_then(|array| array.strings()) {
                assert!(strings.map(<[u8]>::len).sum::<usize>() <= bytes.len());
            }
        }
        gguf.tensors().take_while(Result::is_ok).for_each(drop);
    }
});
