//! PromQL: lexer, parser, planner and evaluation over the Querier port.
//!
//! A text becomes an [`ast::Expr`] through [`parse`]; [`ast`] prints itself ([`pretty`] over several lines).

pub mod ast;
mod error;
pub mod functions;
mod lexer;
mod number;
mod parser;
mod printer;

pub use ast::Expr;
pub use error::{ParseError, QueryError, position};
pub use number::format_value;
pub use parser::{DEPTH_MAX, ParseOptions, QUERY_BYTES_MAX, parse, parse_metric_selector, unquote};
pub use printer::{pretty, pretty_width};
