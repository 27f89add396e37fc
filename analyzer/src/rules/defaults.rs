//! The built-in group `tidewatch-defaults`: a few safe alerts about this machine, on when no rule file is configured.

use vocab::Problems;

use super::file::RuleFile;

/// The group's name.
pub const GROUP: &str = "tidewatch-defaults";

const TEXT: &str = include_str!("defaults.yml");

/// The built-in rules.
///
/// # Errors
/// Never in a built program: a test reads the text.
pub fn rules() -> Result<RuleFile, Problems> {
    RuleFile::parse("built-in", TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_good() {
        let file = rules().expect("the built-in text");
        assert_eq!(file.groups[0].name, GROUP);
        assert!(file.groups[0].rules.len() >= 4);
    }
}
