//! Values of the template language.

use std::collections::BTreeMap;
use std::rc::Rc;

use vocab::Labels;

use super::QuerySample;
use super::format::format_default;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// A map of strings to strings: a missing key is the empty string.
    Strings(Rc<BTreeMap<String, String>>),
    /// A record with named fields: a missing one is an error.
    Record(Rc<BTreeMap<String, Value>>),
    /// A map made by `args`.
    Map(Rc<BTreeMap<String, Value>>),
    /// A list.
    List(Rc<Vec<Value>>),
}

impl Value {
    /// A string value.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// A label set as a map.
    pub fn labels(labels: &Labels) -> Self {
        Self::Strings(Rc::new(labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()))
    }

    /// A query's result: a list of records with `Labels` and `Value`.
    pub fn samples(samples: &[QuerySample]) -> Self {
        let sample = |s: &QuerySample| {
            Self::Record(Rc::new(BTreeMap::from([
                ("Labels".to_owned(), Self::labels(&s.labels)),
                ("Value".to_owned(), Self::Float(s.value)),
            ])))
        };
        Self::List(Rc::new(samples.iter().map(sample).collect()))
    }

    /// Whether `if` takes its first branch.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(t) => !t.is_empty(),
            Self::Strings(m) => !m.is_empty(),
            Self::Record(_) => true,
            Self::Map(m) => !m.is_empty(),
            Self::List(l) => !l.is_empty(),
        }
    }

    /// The type's name as Go prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Strings(_) => "map[string]string",
            Self::Record(_) => "struct",
            Self::Map(_) => "map[string]interface {}",
            Self::List(_) => "slice",
        }
    }

    /// A field or key of this value.
    ///
    /// # Errors
    /// When a record has no such field, or the value has no fields at all.
    pub fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Strings(map) => Ok(Self::text(map.get(name).map_or("", String::as_str))),
            Self::Map(map) => Ok(map.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Record(map) => {
                map.get(name).cloned().ok_or_else(|| format!("can't evaluate field {name} in this value"))
            }
            Self::Nil => Err(format!("nil pointer evaluating .{name}")),
            other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }

    /// As `{{ … }}` prints it.
    pub fn print(&self) -> String {
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => format_default(*f),
            Self::Text(t) => t.to_string(),
            Self::Strings(map) => print_map(map.iter().map(|(k, v)| (k, v.clone()))),
            Self::Map(map) => print_map(map.iter().map(|(k, v)| (k, v.print()))),
            Self::Record(map) => {
                let fields: Vec<String> = map.values().map(Self::print).collect();
                format!("{{{}}}", fields.join(" "))
            }
            Self::List(list) => {
                let items: Vec<String> = list.iter().map(Self::print).collect();
                format!("[{}]", items.join(" "))
            }
        }
    }
}

fn print_map<'a>(entries: impl Iterator<Item = (&'a String, String)>) -> String {
    let entries: Vec<String> = entries.map(|(k, v)| format!("{k}:{v}")).collect();
    format!("map[{}]", entries.join(" "))
}
