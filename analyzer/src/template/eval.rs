//! Runs a parsed template.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::functions;
use super::parser::{Node, Operand, Pipeline};
use super::value::Value;
use super::{DEPTH_MAX, Input, OUTPUT_BYTES_MAX, STEPS_MAX, Template, TemplateError};

/// How a list of nodes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Run<T> = Result<T, TemplateError>;

pub(super) struct Runner<'a> {
    pub(super) input: &'a Input<'a>,
    template: &'a Template,
    out: String,
    variables: Vec<(String, Value)>,
    steps: usize,
    depth: usize,
}

pub(super) fn run(template: &Template, input: &Input<'_>) -> Run<String> {
    let root = Value::Record(Rc::new(BTreeMap::from([
        ("Labels".to_owned(), Value::labels(&input.labels)),
        ("ExternalLabels".to_owned(), Value::labels(&input.external_labels)),
        ("ExternalURL".to_owned(), Value::text(input.external_url)),
        ("Value".to_owned(), Value::Float(input.value)),
    ])));
    let named = |name: &str, field: &str| (name.to_owned(), root.field(field).unwrap_or(Value::Nil));
    let variables = vec![
        (String::new(), root.clone()),
        named("labels", "Labels"),
        named("externalLabels", "ExternalLabels"),
        named("externalURL", "ExternalURL"),
        named("value", "Value"),
    ];
    let mut runner = Runner { input, template, out: String::new(), variables, steps: 0, depth: 0 };
    runner.nodes(&template.body, &root)?;
    Ok(runner.out)
}

pub(super) fn failed<T>(message: impl Into<String>) -> Run<T> {
    Err(TemplateError::Run(message.into()))
}

impl Runner<'_> {
    fn step(&mut self) -> Run<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX { failed(format!("template takes more than {STEPS_MAX} steps")) } else { Ok(()) }
    }

    fn write(&mut self, text: &str) -> Run<()> {
        if self.out.len() + text.len() > OUTPUT_BYTES_MAX {
            return failed(format!("result is longer than {OUTPUT_BYTES_MAX} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Run<T>) -> Run<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return failed(format!("nested deeper than {DEPTH_MAX}"));
        }
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Run<Flow> {
        for node in nodes {
            self.step()?;
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Run<Flow> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&value.print())?;
                }
            }
            Node::If(condition, body, otherwise) => {
                let scope = self.variables.len();
                let chosen = if self.pipeline(condition, dot)?.is_true() { body } else { otherwise };
                let flow = self.nested(|r| r.nodes(chosen, dot))?;
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::With(value, body, otherwise) => {
                let scope = self.variables.len();
                let value = self.pipeline(value, dot)?;
                let flow = if value.is_true() {
                    self.nested(|r| r.nodes(body, &value))?
                } else {
                    self.nested(|r| r.nodes(otherwise, dot))?
                };
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Range(over, body, otherwise) => {
                let scope = self.variables.len();
                let flow = self.range(over, body, otherwise, dot)?;
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Call(name, argument) => {
                let dot = match argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                self.call(name, dot)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// Runs a defined template with `dot`; it sees none of the caller's variables.
    fn call(&mut self, name: &str, dot: Value) -> Run<()> {
        let template = self.template;
        let Some(body) = template.defined.get(name) else {
            return failed(format!("template {name:?} not defined"));
        };
        let outer = std::mem::replace(&mut self.variables, vec![(String::new(), dot.clone())]);
        let result = self.nested(|r| r.nodes(body, &dot));
        self.variables = outer;
        result.map(|_| ())
    }

    /// The text of a defined template, for `tmpl`.
    pub(super) fn rendered(&mut self, name: &str, dot: Value) -> Run<String> {
        let before = std::mem::take(&mut self.out);
        let result = self.call(name, dot);
        let text = std::mem::replace(&mut self.out, before);
        result.map(|()| text)
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Run<Flow> {
        let value = self.commands(over, dot)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::List(list) => (0i64..).map(Value::Int).zip(list.iter().cloned()).collect(),
            Value::Strings(map) => map.iter().map(|(k, v)| (Value::text(k), Value::text(v))).collect(),
            Value::Map(map) => map.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            Value::Int(n) => (0..(*n).min(STEPS_MAX as i64)).map(|i| (Value::Int(i), Value::Int(i))).collect(),
            Value::Nil => Vec::new(),
            other => return failed(format!("range can't iterate over {}", other.print())),
        };
        if items.is_empty() {
            return self.nested(|r| r.nodes(otherwise, dot));
        }
        for (key, item) in items {
            self.step()?;
            let scope = self.variables.len();
            match over.variables.as_slice() {
                [one] => self.set(one, item.clone(), over.declares)?,
                [first, second] => {
                    self.set(first, key, over.declares)?;
                    self.set(second, item.clone(), over.declares)?;
                }
                _ => {}
            }
            let flow = self.nested(|r| r.nodes(body, &item))?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) -> Run<()> {
        if declares {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|v| v.0 == name) {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => failed(format!("undefined variable: ${name}")),
        }
    }

    pub(super) fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Run<Value> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline.declares)?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Run<Value> {
        let mut piped: Option<Value> = None;
        for command in &pipeline.commands {
            self.step()?;
            piped = Some(self.command(command, piped.take(), dot)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(&mut self, operands: &[Operand], piped: Option<Value>, dot: &Value) -> Run<Value> {
        let Some((first, rest)) = operands.split_first() else { return failed("empty command") };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return failed("can't give argument to non-function");
            }
            return self.operand(first, dot);
        };
        if let Some(stop_at) = functions::short_circuit(name) {
            // `and` and `or` look no further than they must.
            let mut last = None;
            for operand in rest {
                let value = self.operand(operand, dot)?;
                if value.is_true() == stop_at {
                    return Ok(value);
                }
                last = Some(value);
            }
            return match piped.or(last) {
                Some(value) => Ok(value),
                None => failed(format!("wrong number of args for {name}: want at least 1 got 0")),
            };
        }
        let mut args = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(piped);
        functions::call(self, name, &args).map_err(|error| match error {
            TemplateError::Run(message) => TemplateError::Run(format!("error calling {name}: {message}")),
            other => other,
        })
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Run<Value> {
        let fields = |value: Value, names: &[String]| {
            names.iter().try_fold(value, |value, name| value.field(name)).map_err(TemplateError::Run)
        };
        match operand {
            Operand::Field(names) => fields(dot.clone(), names),
            Operand::Variable(name, names) => {
                let value = self.variables.iter().rev().find(|v| v.0 == *name).map(|v| v.1.clone());
                match value {
                    Some(value) => fields(value, names),
                    None => failed(format!("undefined variable: ${name}")),
                }
            }
            Operand::Function(name) => self.command(&[Operand::Function(name.clone())], None, dot),
            Operand::Nested(pipeline, names) => {
                let value = self.nested(|r| r.pipeline(pipeline, dot))?;
                fields(value, names)
            }
            Operand::Text(text) => Ok(Value::text(text)),
            Operand::Int(value) => Ok(Value::Int(*value)),
            Operand::Float(value) => Ok(Value::Float(*value)),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Nil => Ok(Value::Nil),
        }
    }
}
