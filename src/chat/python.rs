//! Values spelled as Python spells them: `str`, `repr` and `json.dumps`.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::marks::Marks;
use crate::unicode::{self, Category};

/// `str(value)`; what is undefined is empty, as jinja2's `Undefined` is.
pub(super) fn to_str(value: &Value, marks: &Marks) -> String {
    let mut out = String::new();
    push_str(&mut out, value, marks);
    out
}

/// Appends `str(value)`.
pub(super) fn push_str(out: &mut String, value: &Value, marks: &Marks) {
    match value.kind() {
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        ValueKind::Undefined => {}
        _ => push_repr(out, value, marks),
    }
}

/// Appends `repr(value)`. Values that hold themselves cannot be made, so the nesting is that of the input.
fn push_repr(out: &mut String, value: &Value, marks: &Marks) {
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => push_quoted(out, value.as_str().unwrap_or_default(), marks),
        ValueKind::Number => match as_float(value) {
            Some(number) => push_float(out, number, "inf", "nan"),
            None => _ = write!(out, "{value}"),
        },
        ValueKind::Map => out.push_str(&dict_repr(value, marks)),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            let list = list_repr(&items, marks);
            if value.is_tuple() {
                let comma = if items.len() == 1 { "," } else { "" };
                _ = write!(out, "({}{comma})", &list[1..list.len() - 1]);
            } else {
                out.push_str(&list);
            }
        }
        _ => _ = write!(out, "{value}"),
    }
}

/// `repr` of a dict.
pub(super) fn dict_repr(map: &Value, marks: &Marks) -> String {
    let mut out = String::from("{");
    for (i, key) in map.try_iter().into_iter().flatten().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        push_repr(&mut out, &key, marks);
        out.push_str(": ");
        push_repr(&mut out, &map.get_item(&key).unwrap_or_default(), marks);
    }
    out.push('}');
    out
}

/// `repr` of a list.
pub(super) fn list_repr(items: &[Value], marks: &Marks) -> String {
    let mut out = String::from("[");
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        push_repr(&mut out, item, marks);
    }
    out.push(']');
    out
}

/// `repr` of a float.
pub(super) fn float(number: f64) -> String {
    let mut out = String::new();
    push_float(&mut out, number, "inf", "nan");
    out
}

/// Whether the engine would spell the number in another way than Python: not finite, or with an exponent.
pub(super) fn is_spelled_differently(number: f64) -> bool {
    !number.is_finite() || number != 0.0 && !(1e-4..1e16).contains(&number.abs())
}

/// A string in the quotes and with the escapes that Python's `repr` takes.
fn push_quoted(out: &mut String, text: &str, marks: &Marks) {
    let quote = if text.chars().any(|c| marks.base(c) == '\'') && !text.chars().any(|c| marks.base(c) == '"')
    {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for marked in text.chars() {
        let c = marks.base(marked);
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if is_printable(c) => out.push(marked),
            _ => {
                _ = match u32::from(c) {
                    code @ ..=0xFF => write!(out, "\\x{code:02x}"),
                    code @ ..=0xFFFF => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                }
            }
        }
    }
    out.push(quote);
}

/// `str.isprintable` of one character.
fn is_printable(c: char) -> bool {
    match unicode::category(u32::from(c)) {
        Category::Separator => c == ' ',
        Category::Control | Category::Undefined => false,
        _ => true,
    }
}

/// The number, if it is a float and not an integer.
pub(super) fn as_float(value: &Value) -> Option<f64> {
    if let Some(Float(number)) = value.downcast_object_ref() {
        return Some(*number);
    }
    (value.kind() == ValueKind::Number && !value.is_integer()).then(|| f64::try_from(value.clone()).ok())?
}

/// Appends the shortest digits that name `number`, with an exponent where Python has one: below 1e-4 and from 1e16 on.
fn push_float(out: &mut String, number: f64, infinite: &str, nan: &str) {
    if !number.is_finite() {
        let text = if number.is_nan() { nan } else { infinite };
        out.push_str(if number == f64::NEG_INFINITY { "-" } else { "" });
        return out.push_str(text);
    }
    if is_spelled_differently(number) {
        let text = format!("{number:e}");
        if let Some((digits, exponent)) = text.split_once('e') {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            _ = write!(out, "{digits}e{sign}{exponent:0>2}");
        }
        return;
    }
    _ = write!(out, "{number:?}");
}

/// `json.dumps` with what a template may ask of it.
pub(super) struct Json<'a> {
    pub(super) ensure_ascii: bool,
    pub(super) indent: Option<String>,
    pub(super) item_separator: String,
    pub(super) key_separator: String,
    pub(super) sort_keys: bool,
    pub(super) marks: &'a Marks,
}

impl Json<'_> {
    /// The JSON text of `value`; what JSON cannot say is an error.
    pub(super) fn dumps(&self, state: &State, value: &Value) -> Result<String, Error> {
        let mut out = String::new();
        self.push(state, &mut out, value, 0)?;
        Ok(out)
    }

    fn push(&self, state: &State, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number | ValueKind::Plain => match as_float(value) {
                Some(number) => push_float(out, number, "Infinity", "NaN"),
                None if value.is_integer() => _ = write!(out, "{value}"),
                None => return Err(not_json(value.kind())),
            },
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                // The engine takes one unit for 64 bytes of what it copies.
                state.consume_fuel(text.len() as u64 / 64)?;
                self.push_string(out, text);
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                out.push('{');
                for (i, key) in keys.iter().enumerate() {
                    self.begin_item(out, i, depth + 1);
                    match key.kind() {
                        ValueKind::String => self.push_string(out, key.as_str().unwrap_or_default()),
                        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                            out.push('"');
                            self.push(state, out, key, depth)?;
                            out.push('"');
                        }
                        kind => return Err(not_json(kind)),
                    }
                    out.push_str(&self.key_separator);
                    self.push(state, out, &value.get_item(key)?, depth + 1)?;
                }
                self.end(out, keys.len(), depth);
                out.push('}');
            }
            ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
                out.push('[');
                let mut count = 0;
                for item in value.try_iter()? {
                    self.begin_item(out, count, depth + 1);
                    self.push(state, out, &item, depth + 1)?;
                    count += 1;
                }
                self.end(out, count, depth);
                out.push(']');
            }
            kind => return Err(not_json(kind)),
        }
        Ok(())
    }

    fn begin_item(&self, out: &mut String, i: usize, depth: usize) {
        if i > 0 {
            out.push_str(&self.item_separator);
        }
        self.new_line(out, depth);
    }

    fn end(&self, out: &mut String, count: usize, depth: usize) {
        if count > 0 {
            self.new_line(out, depth);
        }
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(indent);
            }
        }
    }

    fn push_string(&self, out: &mut String, text: &str) {
        out.push('"');
        for marked in text.chars() {
            let c = self.marks.base(marked);
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => _ = write!(out, "\\u{:04x}", u32::from(c)),
                _ if self.ensure_ascii && !matches!(c, ' '..='~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        _ = write!(out, "\\u{unit:04x}");
                    }
                }
                _ => out.push(marked),
            }
        }
        out.push('"');
    }
}

fn not_json(kind: ValueKind) -> Error {
    Error::new(ErrorKind::BadSerialization, format!("expected what JSON can say, found {kind}"))
}

/// Python's white space: that of Unicode, and the four information separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// A float that Python spells in a way of its own. Nothing can be computed with it.
#[derive(Debug)]
pub(super) struct Float(pub(super) f64);

impl Object for Float {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0 != 0.0
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.total_cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&float(self.0))
    }
}
