//! What stands for the `tokenizers` crate in a build without it: a type without values.

use std::convert::Infallible;

use super::Frame;
use crate::decode::tokenizers::Renderer;
use crate::decode::{DecodeError, SpecialText};
use crate::encode::output::Sink;
use crate::encode::{EncodeError, Special};

#[derive(Clone, Debug)]
pub(crate) struct Wrapped {
    never: Infallible,
    pub(crate) reason: String,
    pub(crate) frame: Option<Frame>,
    pub(crate) renderer: Option<Renderer>,
}

impl Wrapped {
    pub(crate) fn encode<S: Sink>(&self, _: &[u8], _: Special, _: &mut S) -> Result<(), EncodeError> {
        match self.never {}
    }

    pub(crate) fn to_json(&self) -> Result<String, std::fmt::Error> {
        match self.never {}
    }

    pub(crate) fn decode(&self, _: &[u32], _: SpecialText) -> Result<String, DecodeError> {
        match self.never {}
    }
}
