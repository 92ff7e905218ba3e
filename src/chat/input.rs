//! What the caller passes in, as values of the template engine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Serde, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;

use super::ChatError;
use super::marks::Marks;
use super::methods;
use super::python::{self, Float};

/// Data nested deeper is refused: it is walked by recursion.
const DEEPEST: usize = 128;

/// Under this key `serde_json`'s `RawValue` hands over its text, whose keys then keep their order.
const RAW: &str = "$serde_json::private::RawValue";

/// `data` in plain values, mappings as [`Dict`].
pub(super) fn value_of(place: &str, data: &(impl Serialize + ?Sized)) -> Result<Value, ChatError> {
    let value = Value::from(Serde(data));
    Rebuild { marks: &Arc::default(), text: |text: &str| Value::from(text) }.value(place, &value, 0)
}

/// Builds values again.
pub(super) struct Rebuild<'m, F> {
    pub(super) marks: &'m Arc<Marks>,
    /// What a string becomes.
    pub(super) text: F,
}

impl<F: Fn(&str) -> Value> Rebuild<'_, F> {
    /// `value` again, with every string as `text` gives it, keys included.
    pub(super) fn value(&self, place: &str, value: &Value, depth: usize) -> Result<Value, ChatError> {
        let refuse = |expected, found: String| ChatError::Input { place: place.to_owned(), expected, found };
        if depth > DEEPEST {
            return Err(refuse("at most 128 values in each other", "more".into()));
        }
        Ok(match value.kind() {
            ValueKind::Undefined | ValueKind::None => Value::from(()),
            ValueKind::Bool => value.clone(),
            ValueKind::Number => python::as_float(value)
                .filter(|&number| python::is_spelled_differently(number))
                .map_or_else(|| value.clone(), |number| Value::from_object(Float(number))),
            ValueKind::String => (self.text)(value.as_str().unwrap_or_default()),
            ValueKind::Plain if value.downcast_object_ref::<Float>().is_some() => value.clone(),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter().into_iter().flatten().enumerate();
                let items = items.map(|(i, item)| self.value(&format!("{place}[{i}]"), &item, depth + 1));
                list(items.collect::<Result<_, _>>()?, self.marks)
            }
            ValueKind::Map => {
                let keys: Vec<Value> = value.try_iter().into_iter().flatten().collect();
                if let [key] = &keys[..]
                    && key.as_str() == Some(RAW)
                {
                    let text = value.get_item(key).unwrap_or_default();
                    let parsed: Value = serde_json::from_str(text.as_str().unwrap_or_default())
                        .map_err(|error| refuse("JSON", error.to_string()))?;
                    return self.value(place, &parsed, depth + 1);
                }
                let mut pairs = Vec::with_capacity(keys.len());
                for key in keys {
                    let item = value.get_item(&key).unwrap_or_default();
                    let item = self.value(&format!("{place}.{key}"), &item, depth + 1)?;
                    let key = key.as_str().map_or_else(|| key.clone(), &self.text);
                    pairs.push((key, item));
                }
                dict(pairs, self.marks)
            }
            ValueKind::Invalid => return Err(refuse("what JSON can say", value.to_string())),
            kind => return Err(refuse("what JSON can say", kind.to_string())),
        })
    }
}

/// Python's `list`.
pub(super) fn list(items: Vec<Value>, marks: &Arc<Marks>) -> Value {
    Value::from_object(List(items, Arc::clone(marks)))
}

/// Python's `dict`.
pub(super) fn dict(pairs: Vec<(Value, Value)>, marks: &Arc<Marks>) -> Value {
    Value::from_object(Dict(Value::from_pairs(pairs), Arc::clone(marks)))
}

/// A list that is spelled as Python spells it, whatever spells it.
#[derive(Debug)]
struct List(Vec<Value>, Arc<Marks>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python::list_repr(&self.0, &self.1))
    }
}

/// What filters such as `map` give: true even if empty, without a length, and gone when it was gone through.
#[derive(Debug)]
pub(super) struct Generator(Mutex<std::vec::IntoIter<Value>>);

impl Generator {
    pub(super) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self(Mutex::new(items.into_iter())))
    }

    fn next(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let this = Arc::clone(self);
        Enumerator::Iter(Box::new(std::iter::from_fn(move || this.next())))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}

/// A mapping whose attributes are the methods of a `dict` before they are its keys, as jinja2 looks them up: `schema.items` is the method even
/// where the schema has a key of that name, `schema['items']` is the key.
#[derive(Debug)]
struct Dict(Value, Arc<Marks>);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get_item(key).ok().filter(|value| !value.is_undefined())
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if methods::DICT.contains(&key) {
            return Some(Value::from_object(Method));
        }
        self.0.get_attr(key).ok().filter(|value| !value.is_undefined())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.try_iter().into_iter().flatten().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.0.len()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python::dict_repr(&self.0, &self.1))
    }
}

/// A method that nobody calls: it is true, and neither text nor a sequence.
#[derive(Debug)]
struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<built-in method>")
    }
}

/// The messages as transformers hands them to a template: keys without a value dropped, and what the assistant thought under each of
/// the names that templates look for.
///
/// Follows `_normalize_chat_messages` and `_alias_reasoning_fields` of transformers 5.24 (`utils/chat_template_utils.py`).
pub(super) fn messages(value: &Value) -> Result<Vec<Value>, ChatError> {
    let refuse = |place: String, expected, found: &Value| {
        Err(ChatError::Input { place, expected, found: found.kind().to_string() })
    };
    let (ValueKind::Seq, Ok(items)) = (value.kind(), value.try_iter()) else {
        return refuse("messages".into(), "a list of messages", value);
    };
    let mut messages = Vec::new();
    for (i, message) in items.enumerate() {
        if message.kind() != ValueKind::Map {
            return refuse(format!("messages[{i}]"), "a message: an object with a `role`", &message);
        }
        let role = field(&message, "role");
        if role.kind() != ValueKind::String {
            return refuse(format!("messages[{i}].role"), "the role, a string", &role);
        }
        let mut pairs = pairs(&message);
        pairs.retain(|(_, value)| !value.is_none());
        messages.push(dict(with_reasoning(pairs), &Arc::default()));
    }
    if messages.is_empty() {
        return Err(ChatError::Input {
            place: "messages".into(),
            expected: "at least one message",
            found: "none".into(),
        });
    }
    Ok(messages)
}

/// The names of what the assistant thought.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

fn with_reasoning(mut pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let find =
        |pairs: &[(Value, Value)], name: &str| pairs.iter().position(|(key, _)| key.as_str() == Some(name));
    let Some(from) = REASONING.iter().find_map(|name| find(&pairs, name)) else { return pairs };
    let reasoning = pairs[from].1.clone();
    if find(&pairs, "thinking").is_none() {
        pairs.insert(0, ("thinking".into(), reasoning.clone()));
    }
    match find(&pairs, "reasoning_content") {
        Some(at) => pairs[at].1 = reasoning,
        None => pairs.push(("reasoning_content".into(), reasoning)),
    }
    pairs
}

/// The value under `name`, which no method hides.
pub(super) fn field(message: &Value, name: &str) -> Value {
    message.get_item(&Value::from(name)).unwrap_or_default()
}

/// The pairs of a mapping, in order.
pub(super) fn pairs(value: &Value) -> Vec<(Value, Value)> {
    let keys = value.try_iter().into_iter().flatten();
    keys.map(|key| (key.clone(), value.get_item(&key).unwrap_or_default())).collect()
}

/// Objects in a list: tools and documents.
pub(super) fn objects(place: &'static str, expected: &'static str, value: &Value) -> Result<(), ChatError> {
    let refuse = |place: String, found: &Value| {
        Err(ChatError::Input { place, expected, found: found.kind().to_string() })
    };
    if value.is_none() {
        return Ok(());
    }
    let (ValueKind::Seq, Ok(items)) = (value.kind(), value.try_iter()) else {
        return refuse(place.into(), value);
    };
    for (i, item) in items.enumerate() {
        if item.kind() != ValueKind::Map {
            return refuse(format!("{place}[{i}]"), &item);
        }
    }
    Ok(())
}

/// Calls `each` with every string in `value`, keys included.
pub(super) fn each_text(value: &Value, each: &mut impl FnMut(&str)) {
    match value.kind() {
        ValueKind::String => each(value.as_str().unwrap_or_default()),
        ValueKind::Seq => value.try_iter().into_iter().flatten().for_each(|item| each_text(&item, each)),
        ValueKind::Map => {
            for (key, value) in pairs(value) {
                each_text(&key, each);
                each_text(&value, each);
            }
        }
        _ => {}
    }
}

/// Bytes of text and a flat price for each value: what the limit on a template's work follows.
pub(super) fn size(value: &Value) -> u64 {
    const EACH: u64 = 64;
    let children = match value.kind() {
        ValueKind::String => value.as_str().map_or(0, |text| text.len() as u64),
        ValueKind::Seq => value.try_iter().into_iter().flatten().map(|item| size(&item)).sum(),
        ValueKind::Map => pairs(value).iter().map(|(key, value)| size(key) + size(value)).sum(),
        _ => 0,
    };
    EACH + children
}

/// `dict(...)`, and `dict.fromkeys(...)`.
#[derive(Debug)]
pub(super) struct DictType(pub(super) Arc<Marks>);

impl Object for DictType {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (positional, keywords): (&[Value], Kwargs) = from_args(args)?;
        let mut all = Vec::new();
        match positional {
            [] => {}
            [first] if first.kind() == ValueKind::Map => all = pairs(first),
            [first] => {
                for pair in first.try_iter()? {
                    let mut parts = pair.try_iter()?;
                    let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
                        return Err(Error::new(
                            ErrorKind::CannotUnpack,
                            "expected pairs of a key and a value",
                        ));
                    };
                    all.push((key, value));
                }
            }
            _ => return Err(ErrorKind::TooManyArguments.into()),
        }
        for name in keywords.args() {
            all.push((Value::from(name), keywords.peek::<Value>(name)?));
        }
        Ok(dict(all, &self.0))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "fromkeys" {
            return Err(ErrorKind::UnknownMethod.into());
        }
        let [keys, value] = methods::arguments(args, ["iterable", "value"])?;
        let keys = keys.ok_or(ErrorKind::MissingArgument)?;
        let value = value.unwrap_or_else(|| ().into());
        Ok(dict(keys.try_iter()?.map(|key| (key, value.clone())).collect(), &self.0))
    }
}
