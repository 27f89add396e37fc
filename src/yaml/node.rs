//! A YAML tree that keeps each scalar's text and each node's line.
//!
//! Text stays text: a label value `1.10` is `1.10` when a text is wanted, and a number only when a number is wanted.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Most nodes of a file, aliases expanded: aliases of aliases must not fill the memory.
const NODES_MAX: usize = 1_000_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 100;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Its line, from 1; 0 for what stands nowhere.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Kind {
    /// Nothing was written.
    #[default]
    Null,
    /// A text; `plain` when it stands without quotes and may mean a number or a boolean.
    Scalar {
        /// The text.
        text: String,
        /// Whether it stands without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Pairs in the order they stand.
    Mapping(Vec<(String, Node)>),
}

/// A mistake while reading: line and sentence.
pub type Mistake = (usize, String);

impl Node {
    /// Parses a text of one document.
    ///
    /// # Errors
    /// The syntax mistake with its line.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        Loader { parser: Parser::new_from_str(text), anchors: HashMap::new(), num_nodes: 0 }.document()
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping(pairs) => pairs.iter().find(|p| p.0 == key).map(|p| &p.1),
            _ => None,
        }
    }

    /// The node at a key path such as `scrape_configs[0].job_name`, or the nearest parent that exists.
    pub fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in steps(path) {
            let next = match &node.kind {
                Kind::Mapping(_) => node.get(step),
                Kind::Sequence(list) => step.parse::<usize>().ok().and_then(|i| list.get(i)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The node at a key path, to change it.
    pub fn at_mut(&mut self, path: &str) -> Option<&mut Self> {
        steps(path).try_fold(self, |node, step| match &mut node.kind {
            Kind::Mapping(pairs) => pairs.iter_mut().find(|p| p.0 == step).map(|p| &mut p.1),
            Kind::Sequence(list) => list.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

/// The steps of a key path.
pub fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty())
}

struct Loader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    num_nodes: usize,
}

impl Loader<'_> {
    fn next(&mut self) -> Result<Option<(Event<'_>, usize)>, Mistake> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err((error.marker().line(), error.info().to_owned())),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok(Some((event, span.start.line()))),
            }
        }
    }

    fn document(mut self) -> Result<Node, Mistake> {
        let mut root = None;
        while let Some((event, line)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => return Err((line, "one document is expected, another one begins here".into())),
                event => {
                    let event = owned(event);
                    root = Some(self.node(event, line, 0)?);
                }
            }
        }
        Ok(root.unwrap_or_default())
    }

    fn node(&mut self, event: Token, line: usize, depth: usize) -> Result<Node, Mistake> {
        self.num_nodes += 1;
        if self.num_nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err((
                line,
                format!("the file has more than {NODES_MAX} nodes or is nested deeper than {DEPTH_MAX}"),
            ));
        }
        let (kind, anchor) = match event {
            Token::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or((line, "an alias without its anchor".to_owned()))?;
                self.num_nodes += count(&node);
                return Ok(node);
            }
            Token::Scalar(text, plain, anchor) => {
                let null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                (if null { Kind::Null } else { Kind::Scalar { text, plain } }, anchor)
            }
            Token::Sequence(anchor) => {
                let mut list = Vec::new();
                while let Some((event, line)) = self.next()? {
                    let event = owned(event);
                    if event == Token::End {
                        break;
                    }
                    list.push(self.node(event, line, depth + 1)?);
                }
                (Kind::Sequence(list), anchor)
            }
            Token::Mapping(anchor) => (Kind::Mapping(self.pairs(depth)?), anchor),
            Token::End => (Kind::Null, 0),
        };
        let node = Node { line, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Mistake> {
        let mut pairs: Vec<(String, Node)> = Vec::new();
        let mut merged = Vec::new();
        while let Some((event, line)) = self.next()? {
            let event = owned(event);
            if event == Token::End {
                break;
            }
            let Node { kind: Kind::Scalar { text: key, .. }, .. } = self.node(event, line, depth + 1)? else {
                return Err((line, "a key must be a text".into()));
            };
            let Some((value, value_line)) = self.next()? else { break };
            let value = owned(value);
            let mut value = self.node(value, value_line, depth + 1)?;
            if key == "<<" {
                merged.push(value);
                continue;
            }
            if pairs.iter().any(|p| p.0 == key) {
                return Err((line, format!("the key `{key}` stands twice")));
            }
            // The key's line is where a reader looks.
            value.line = line;
            pairs.push((key, value));
        }
        for node in merged {
            let maps = if let Kind::Sequence(list) = node.kind { list } else { vec![node] };
            for (key, value) in
                maps.into_iter().filter_map(|m| if let Kind::Mapping(p) = m.kind { Some(p) } else { None }).flatten()
            {
                if pairs.iter().all(|p| p.0 != key) {
                    pairs.push((key, value));
                }
            }
        }
        Ok(pairs)
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Sequence(list) => list.iter().map(count).sum(),
        Kind::Mapping(pairs) => pairs.iter().map(|p| count(&p.1)).sum(),
        _ => 0,
    }
}

/// An event without the parser's borrow.
#[derive(Debug, PartialEq)]
enum Token {
    Scalar(String, bool, usize),
    Sequence(usize),
    Mapping(usize),
    Alias(usize),
    End,
}

fn owned(event: Event<'_>) -> Token {
    match event {
        Event::Scalar(text, style, anchor, _) => Token::Scalar(text.into_owned(), style == ScalarStyle::Plain, anchor),
        Event::SequenceStart(_, anchor, _) => Token::Sequence(anchor),
        Event::MappingStart(_, anchor, _) => Token::Mapping(anchor),
        Event::Alias(id) => Token::Alias(id),
        _ => Token::End,
    }
}

/// serde's error for trees: a sentence.
pub type DecodeError = serde::de::value::Error;

impl<'de> IntoDeserializer<'de, DecodeError> for Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// What a plain scalar means when nobody says what is wanted.
fn visit_plain<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, DecodeError> {
    if let Some(flag) = boolean(text) {
        return visitor.visit_bool(flag);
    }
    if let Ok(number) = text.parse::<u64>() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if numeric => visitor.visit_f64(number),
        _ => visitor.visit_str(text),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "on" => Some(true),
        "false" | "False" | "FALSE" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Scalar { text, plain: true } => visit_plain(&text, visitor),
            Kind::Scalar { text, plain: false } => visitor.visit_string(text),
            Kind::Sequence(list) => {
                let mut access = SeqDeserializer::new(list.into_iter());
                let value = visitor.visit_seq(&mut access)?;
                access.end()?;
                Ok(value)
            }
            Kind::Mapping(pairs) => {
                let mut access = MapDeserializer::new(pairs.into_iter());
                let value = visitor.visit_map(&mut access)?;
                access.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.kind {
            Kind::Scalar { text, .. } => visitor.visit_string(text),
            Kind::Null => visitor.visit_str(""),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.kind {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.kind {
            // `section:` with nothing behind it means the section with its defaults.
            Kind::Null => visitor.visit_map(MapDeserializer::new(std::iter::empty::<(String, Node)>())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.kind {
            Kind::Null => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Node>())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.kind {
            Kind::Scalar { text, .. } => visitor.visit_enum(text.into_deserializer()),
            Kind::Mapping(pairs) => visitor
                .visit_enum(serde::de::value::MapAccessDeserializer::new(MapDeserializer::new(pairs.into_iter()))),
            _ => Err(DecodeError::custom("a word is expected here")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}
