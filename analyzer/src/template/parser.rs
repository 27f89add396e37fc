//! Nodes of a template and how they are read.

use std::collections::BTreeMap;

use super::lexer::{Piece, Token, pieces};
use super::{DEPTH_MAX, Template};

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Literal text.
    Text(String),
    /// `{{ pipeline }}`, printed unless it sets a variable.
    Print(Pipeline),
    /// `{{ if }} … {{ else }} … {{ end }}`
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ with }}`
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ range }}`
    Range(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{ template "name" pipeline }}`
    Call(String, Option<Pipeline>),
    /// `{{ break }}`
    Break,
    /// `{{ continue }}`
    Continue,
}

/// Commands joined by `|`, with the variables they set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline {
    /// Variable names; two only in `range`.
    pub(crate) variables: Vec<String>,
    /// `:=` rather than `=`.
    pub(crate) declares: bool,
    /// Each command's operands.
    pub(crate) commands: Vec<Vec<Operand>>,
}

/// An operand of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    /// `.a.b`, or `.`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    /// A function by name.
    Function(String),
    /// `( pipeline ).a.b`
    Nested(Box<Pipeline>, Vec<String>),
    /// A string.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// `true`, `false`
    Bool(bool),
    /// `nil`
    Nil,
}

pub(super) fn parse(text: &str) -> Result<Template, String> {
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter().peekable(),
        defined: BTreeMap::new(),
        variables: ["", "labels", "externalLabels", "externalURL", "value"].map(str::to_owned).to_vec(),
        depth: 0,
        in_range: 0,
    };
    let (body, end) = parser.nodes()?;
    match end {
        None => Ok(Template { body, defined: parser.defined }),
        Some((words, line)) => Err(format!("line {line}: unexpected {{{{{}}}}}", words.word())),
    }
}

struct Parser {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
    defined: BTreeMap<String, Vec<Node>>,
    variables: Vec<String>,
    depth: usize,
    in_range: usize,
}

/// What ends a list of nodes: `end`, or `else` with what follows it.
enum Ending {
    End,
    Else(Tokens),
}

impl Ending {
    fn word(&self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Else(_) => "else",
        }
    }
}

type Branches = (Vec<Node>, Vec<Node>);
/// Nodes, and what ended them on which line; `None` at the end of the text.
type Nodes = (Vec<Node>, Option<(Ending, usize)>);

impl Parser {
    fn nodes(&mut self) -> Result<Nodes, String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens, line) => (tokens, line),
            };
            let mut tokens = Tokens { tokens: tokens.into_iter().peekable(), line };
            let keyword = match tokens.tokens.peek() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            if matches!(
                keyword.as_str(),
                "end" | "else" | "if" | "with" | "range" | "define" | "block" | "template" | "break" | "continue"
            ) {
                tokens.tokens.next();
            }
            match keyword.as_str() {
                "end" => return Ok((nodes, Some((Ending::End, line)))),
                "else" => return Ok((nodes, Some((Ending::Else(tokens), line)))),
                "if" => nodes.push(self.branch(&mut tokens, "if")?),
                "with" => nodes.push(self.branch(&mut tokens, "with")?),
                "range" => nodes.push(self.branch(&mut tokens, "range")?),
                "define" => self.define(&mut tokens)?,
                "block" => {
                    let name = tokens.text("block")?;
                    let argument = self.pipeline(&mut tokens, false)?;
                    tokens.finished()?;
                    self.definition(name.clone(), line)?;
                    nodes.push(Node::Call(name, Some(argument)));
                }
                "template" => {
                    let name = tokens.text("template")?;
                    let argument =
                        if tokens.tokens.peek().is_some() { Some(self.pipeline(&mut tokens, false)?) } else { None };
                    tokens.finished()?;
                    nodes.push(Node::Call(name, argument));
                }
                "break" | "continue" if self.in_range == 0 => {
                    return Err(format!("line {line}: {{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                _ => {
                    let pipeline = self.pipeline(&mut tokens, false)?;
                    tokens.finished()?;
                    nodes.push(Node::Print(pipeline));
                }
            }
        }
        Ok((nodes, None))
    }

    fn define(&mut self, tokens: &mut Tokens) -> Result<(), String> {
        let name = tokens.text("define")?;
        tokens.finished()?;
        self.definition(name, tokens.line)
    }

    fn definition(&mut self, name: String, line: usize) -> Result<(), String> {
        // A definition sees no variables but its own `$`.
        let outer = std::mem::replace(&mut self.variables, vec![String::new()]);
        let in_range = std::mem::take(&mut self.in_range);
        let (nodes, end) = self.nested(line, Self::nodes)?;
        (self.variables, self.in_range) = (outer, in_range);
        match end {
            Some((Ending::End, _)) => {
                self.defined.insert(name, nodes);
                Ok(())
            }
            _ => Err(format!("line {line}: definition of {name:?} has no {{{{end}}}}")),
        }
    }

    fn branch(&mut self, tokens: &mut Tokens, kind: &str) -> Result<Node, String> {
        let line = tokens.line;
        let scope = self.variables.len();
        let pipeline = self.pipeline(tokens, kind == "range")?;
        tokens.finished()?;
        self.in_range += usize::from(kind == "range");
        let (body, end) = self.nested(line, Self::nodes)?;
        self.in_range -= usize::from(kind == "range");
        self.variables.truncate(scope.max(1));
        let (body, otherwise): Branches = match end {
            Some((Ending::End, _)) => (body, Vec::new()),
            Some((Ending::Else(mut rest), _)) => {
                let chained = match rest.tokens.peek() {
                    Some(Token::Word(word)) if word == kind && kind != "range" => true,
                    None => false,
                    Some(_) => return Err(format!("line {}: unexpected tokens after else", rest.line)),
                };
                if chained {
                    rest.tokens.next();
                    (body, vec![self.nested(line, |p| p.branch(&mut rest, kind))?])
                } else {
                    let (otherwise, end) = self.nested(line, Self::nodes)?;
                    match end {
                        Some((Ending::End, _)) => (body, otherwise),
                        _ => return Err(format!("line {line}: {{{{{kind}}}}} has no {{{{end}}}}")),
                    }
                }
            }
            None => return Err(format!("line {line}: {{{{{kind}}}}} has no {{{{end}}}}")),
        };
        self.variables.truncate(scope.max(1));
        Ok(match kind {
            "if" => Node::If(pipeline, body, otherwise),
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    fn nested<T>(&mut self, line: usize, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("line {line}: nested deeper than {DEPTH_MAX}"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn pipeline(&mut self, tokens: &mut Tokens, in_range: bool) -> Result<Pipeline, String> {
        let (variables, declares) = tokens.variables(in_range)?;
        if !declares && let Some(unknown) = variables.iter().find(|v| !self.variables.contains(v)) {
            return Err(format!("line {}: undefined variable \"${unknown}\"", tokens.line));
        }
        let mut commands = Vec::new();
        loop {
            let command = self.command(tokens)?;
            if command.is_empty() {
                return Err(format!("line {}: missing value in pipeline", tokens.line));
            }
            if !commands.is_empty()
                && !matches!(
                    command[0],
                    Operand::Function(_) | Operand::Field(_) | Operand::Variable(..) | Operand::Nested(..)
                )
            {
                return Err(format!("line {}: a constant cannot follow | in a pipeline", tokens.line));
            }
            commands.push(command);
            if tokens.tokens.next_if_eq(&Token::Symbol('|')).is_none() {
                break;
            }
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands })
    }

    fn command(&mut self, tokens: &mut Tokens) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        while let Some(token) = tokens.tokens.peek() {
            if matches!(token, Token::Symbol('|' | ')')) {
                break;
            }
            let line = tokens.line;
            let Some(token) = tokens.tokens.next() else { break };
            operands.push(match token {
                Token::Word(word) => match word.as_str() {
                    "true" => Operand::Bool(true),
                    "false" => Operand::Bool(false),
                    "nil" => Operand::Nil,
                    _ if super::functions::is_known(&word) => Operand::Function(word),
                    _ => return Err(format!("line {line}: function {word:?} not defined")),
                },
                Token::Field(names) => Operand::Field(names),
                Token::Variable(name) => {
                    if !self.variables.contains(&name) {
                        return Err(format!("line {line}: undefined variable \"${name}\""));
                    }
                    Operand::Variable(name, tokens.fields())
                }
                Token::Text(text) => Operand::Text(text),
                Token::Int(value) => Operand::Int(value),
                Token::Float(value) => Operand::Float(value),
                Token::Symbol('(') => {
                    let inner = self.nested(line, |p| p.pipeline(tokens, false))?;
                    if tokens.tokens.next_if_eq(&Token::Symbol(')')).is_none() {
                        return Err(format!("line {line}: unclosed left paren"));
                    }
                    Operand::Nested(Box::new(inner), tokens.fields())
                }
                Token::Symbol(c) => return Err(format!("line {line}: unexpected {c:?} in operand")),
                Token::Declare => return Err(format!("line {line}: unexpected := in operand")),
            });
        }
        Ok(operands)
    }
}

struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    line: usize,
}

impl Tokens {
    fn text(&mut self, what: &str) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(format!("line {}: {what} needs a name in quotes", self.line)),
        }
    }

    fn finished(&mut self) -> Result<(), String> {
        match self.tokens.next() {
            None => Ok(()),
            Some(Token::Symbol(')')) => Err(format!("line {}: unexpected right paren", self.line)),
            Some(_) => Err(format!("line {}: unexpected tokens at the end of an action", self.line)),
        }
    }

    /// Field names joined to what was just read.
    fn fields(&mut self) -> Vec<String> {
        if self.tokens.next_if_eq(&Token::Symbol('.')).is_some()
            && let Some(Token::Field(names)) = self.tokens.next_if(|t| matches!(t, Token::Field(_)))
        {
            return names;
        }
        Vec::new()
    }

    /// `$a :=`, `$a =`, `$a, $b :=`; nothing is taken when there is none.
    fn variables(&mut self, in_range: bool) -> Result<(Vec<String>, bool), String> {
        let mut ahead = self.tokens.clone();
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = ahead.next_if(|t| matches!(t, Token::Variable(_))) {
            names.push(name);
            if ahead.next_if_eq(&Token::Symbol(',')).is_none() {
                break;
            }
        }
        let declares = match ahead.next() {
            Some(Token::Declare) => true,
            Some(Token::Symbol('=')) => false,
            _ => return Ok((Vec::new(), true)),
        };
        if names.is_empty() || names.len() > if in_range { 2 } else { 1 } {
            return Err(format!("line {}: too many or no variables before the assignment", self.line));
        }
        self.tokens = ahead;
        Ok((names, declares))
    }
}
