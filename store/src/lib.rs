//! The metric engine, the log engine, the catalog and SQL.
