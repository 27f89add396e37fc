//! PromQL: lexer, parser, planner and evaluation over the Querier port.
//!
//! Reading order: a text becomes an [`ast::Expr`] through [`parse`] (`lexer`, `parser`), which prints itself
//! ([`pretty`] over several lines). `plan` finds what a query has to read (`timing` says when its selectors look),
//! [`Engine`] reads it and `eval` computes all steps of a node at a time, columns of [`value`] being passed up;
//! `functions` and `histogram` hold the arithmetic. [`fragment`] is the part of it that stores run where the data is.

mod annotations;
pub mod ast;
mod column;
mod engine;
mod error;
mod eval;
pub mod fragment;
pub mod functions;
mod hash;
mod histogram;
mod info;
mod kahan;
mod lexer;
mod number;
mod output;
mod parser;
mod plan;
mod printer;
mod quantile;
mod stats;
mod timing;
pub mod value;

pub use annotations::{Annotation, Annotations};
pub use ast::Expr;
pub use engine::{Engine, EngineOptions};
pub use error::{ParseError, QueryError, position};
pub use histogram::bounds::exponential_bound;
pub use number::format_value;
pub use parser::{DEPTH_MAX, ParseOptions, QUERY_BYTES_MAX, parse, parse_metric_selector, unquote};
pub use printer::{pretty, pretty_width};
pub use stats::QueryDetail;
pub use value::{QueryOutput, QueryStats, QueryValue, SampleValue, VectorSample};
