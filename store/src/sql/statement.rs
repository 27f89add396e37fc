//! Which statements are let through: one, and only one that reads.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use vocab::PortError;

use super::error::of_datafusion;

/// Longest accepted query in bytes.
const QUERY_BYTES_MAX: usize = 256 * 1024;

/// A statement that only reads.
#[derive(Debug)]
pub(super) struct ReadStatement {
    /// The statement.
    pub(super) statement: Statement,
    /// Whether it only shows a plan and touches no rows.
    pub(super) only_explains: bool,
    /// Whether it shows a plan, of a query that may run or not.
    pub(super) explains: bool,
}

/// Parses a query and refuses what is not a single reading statement.
pub(super) fn parse(query: &str) -> Result<ReadStatement, PortError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(PortError::invalid(format!(
            "query of {} bytes is over the limit of {QUERY_BYTES_MAX}",
            query.len()
        )));
    }
    let mut statements = DFParserBuilder::new(query)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|e| of_datafusion(&e))?;
    let statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(PortError::invalid("the query is empty: a SELECT is expected")),
        (Some(_), more) => return Err(PortError::invalid(format!("one statement is expected, not {}", more + 1))),
    };
    let only_explains = match &statement {
        Statement::Explain(explain) => {
            check(&explain.statement)?;
            !explain.options.analyze
        }
        other => {
            check(other)?;
            false
        }
    };
    let explains = matches!(statement, Statement::Explain(_));
    Ok(ReadStatement { statement, only_explains, explains })
}

fn check(statement: &Statement) -> Result<(), PortError> {
    let reads = match statement {
        Statement::Statement(statement) => matches!(
            **statement,
            SqlStatement::Query(_)
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
                | SqlStatement::ShowVariable { .. }
                | SqlStatement::ShowFunctions { .. }
        ),
        Statement::Explain(_) | Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    };
    if reads {
        return Ok(());
    }
    let text = statement.to_string();
    let begins: Vec<&str> = text.split_whitespace().take(2).collect();
    Err(PortError::invalid(format!(
        "SQL is read only: SELECT, WITH, EXPLAIN, DESCRIBE and SHOW are possible, not {}",
        begins.join(" ")
    )))
}
