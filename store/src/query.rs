//! Answers queries from the head and the blocks together.

pub(crate) mod decode;
pub(crate) mod extent;
pub(crate) mod gather;
pub(crate) mod labels;
pub(crate) mod postings;
pub(crate) mod run;
