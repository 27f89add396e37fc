//! PromQL: lexer, parser, planner and evaluation over the Querier port.
