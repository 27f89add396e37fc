//! Mistakes in a configuration: collected, so that a user sees all of them at once.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// The file it stands in; empty when the text did not come from a file.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: usize,
    /// The path of the key: `scrape_configs[0].scrape_interval`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.file.is_empty() || self.line > 0 {
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The mistakes in the order they were found.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Notes a mistake at a key path such as `scrape_configs[0].job_name`; file and line are filled in by whoever
    /// knows the text (see [`Problems::locate`]).
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.list.push(Problem { file: String::new(), line: 0, path: path.into(), message: message.into() });
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Fills in the file and, through `line_of(path)`, the line of every mistake that has none yet.
    pub fn locate(&mut self, file: &str, line_of: impl Fn(&str) -> usize) {
        for problem in self.list.iter_mut().filter(|p| p.file.is_empty()) {
            file.clone_into(&mut problem.file);
            if problem.line == 0 {
                problem.line = line_of(&problem.path);
            }
        }
    }

    /// `Ok(value)` when nothing is wrong, else the mistakes.
    ///
    /// # Errors
    /// The mistakes themselves.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
