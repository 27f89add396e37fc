//! The words and ports that every room of Tidewatch shares.
