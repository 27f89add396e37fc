//! Prometheus' relabelling: a list of steps that rewrites or drops a label set.

use std::fmt;

use md5::{Digest, Md5};
use regex::Regex;
use vocab::{LabelsBuilder, Problems};

use crate::config::RawRelabel;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

/// Most bytes of one compiled pattern.
const REGEX_COMPILED_BYTES_MAX: usize = 8 << 20;
/// Prometheus' default pattern: everything.
const REGEX_DEFAULT: &str = "(.*)";

/// One checked step.
#[derive(Clone)]
pub struct RelabelStep {
    source_labels: Vec<String>,
    separator: String,
    target_label: String,
    pattern: String,
    regex: Regex,
    modulus: u64,
    replacement: String,
    action: Action,
}

impl PartialEq for RelabelStep {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action
            && self.pattern == other.pattern
            && self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.target_label == other.target_label
            && self.modulus == other.modulus
            && self.replacement == other.replacement
    }
}

impl fmt::Debug for RelabelStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?} =~ {:?} -> {})", self.action, self.source_labels, self.pattern, self.target_label)
    }
}

/// Runs the steps; `false` means that the target or sample is dropped.
pub fn apply(labels: &mut LabelsBuilder, steps: &[RelabelStep]) -> bool {
    steps.iter().all(|step| step.apply(labels))
}

impl RelabelStep {
    fn joined(&self, labels: &LabelsBuilder) -> String {
        let mut joined = String::new();
        for (index, name) in self.source_labels.iter().enumerate() {
            if index > 0 {
                joined.push_str(&self.separator);
            }
            joined.push_str(labels.get(name).unwrap_or(""));
        }
        joined
    }

    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        match self.action {
            Action::Keep => return self.regex.is_match(&self.joined(labels)),
            Action::Drop => return !self.regex.is_match(&self.joined(labels)),
            Action::KeepEqual => return labels.get(&self.target_label).unwrap_or("") == self.joined(labels),
            Action::DropEqual => return labels.get(&self.target_label).unwrap_or("") != self.joined(labels),
            Action::Replace => self.replace(labels),
            Action::Lowercase => {
                let value = self.joined(labels).to_lowercase();
                labels.set(&self.target_label, &value);
            }
            Action::Uppercase => {
                let value = self.joined(labels).to_uppercase();
                labels.set(&self.target_label, &value);
            }
            Action::HashMod => {
                let digest = Md5::digest(self.joined(labels));
                // Prometheus takes the last eight bytes of the digest, big endian.
                let tail = digest.iter().skip(8).fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
                labels.set(&self.target_label, &(tail % self.modulus).to_string());
            }
            Action::LabelMap => {
                let pairs: Vec<_> = labels.pairs().iter().filter(|p| self.regex.is_match(&p.0)).cloned().collect();
                for (name, value) in pairs {
                    let renamed = self.regex.replace(&name, self.replacement.as_str());
                    labels.set(&renamed, &value);
                }
            }
            Action::LabelDrop => self.remove_names(labels, true),
            Action::LabelKeep => self.remove_names(labels, false),
        }
        true
    }

    fn remove_names(&self, labels: &mut LabelsBuilder, matching: bool) {
        let names: Vec<_> =
            labels.pairs().iter().map(|p| p.0.clone()).filter(|n| self.regex.is_match(n) == matching).collect();
        for name in names {
            labels.remove(&name);
        }
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        let joined = self.joined(labels);
        let Some(captures) = self.regex.captures(&joined) else { return };
        let mut target = String::new();
        captures.expand(&self.target_label, &mut target);
        if target.is_empty() {
            return;
        }
        let mut value = String::new();
        captures.expand(&self.replacement, &mut value);
        labels.set(&target, &value);
    }
}

/// Checks a list of steps; those with mistakes are left out.
pub(crate) fn check_steps(raw: &[RawRelabel], path: &str, problems: &mut Problems) -> Vec<RelabelStep> {
    raw.iter()
        .enumerate()
        .filter_map(|(index, step)| {
            let at = format!("{path}[{index}]");
            for key in &step.unknown {
                problems.add(format!("{at}.{key}"), format!("unknown key `{key}`"));
            }
            match check_step(step) {
                Ok(step) => Some(step),
                Err((key, message)) => {
                    problems.add(if key.is_empty() { at } else { format!("{at}.{key}") }, message);
                    None
                }
            }
        })
        .collect()
}

fn check_step(raw: &RawRelabel) -> Result<RelabelStep, (&'static str, String)> {
    let word = raw.action.as_deref().unwrap_or("replace");
    let action = ACTIONS.iter().find(|a| a.0.eq_ignore_ascii_case(word)).map(|a| a.1).ok_or_else(|| {
        let known: Vec<_> = ACTIONS.iter().map(|a| a.0).collect();
        ("action", format!("unknown action {word:?}: want one of {}", known.join(", ")))
    })?;
    let pattern = raw.regex.clone().unwrap_or_else(|| REGEX_DEFAULT.to_owned());
    let regex = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .build()
        .map_err(|e| ("regex", format!("invalid regular expression {pattern:?}: {e}")))?;
    let target_label = raw.target_label.clone().unwrap_or_default();
    use Action as A;
    if target_label.is_empty()
        && matches!(action, A::Replace | A::HashMod | A::Lowercase | A::Uppercase | A::KeepEqual | A::DropEqual)
    {
        return Err(("target_label", format!("action {word} requires a target_label")));
    }
    let modulus = raw.modulus.unwrap_or(0);
    if action == A::HashMod && modulus == 0 {
        return Err(("modulus", "action hashmod requires a modulus above 0".to_owned()));
    }
    let names_only = matches!(action, A::LabelDrop | A::LabelKeep);
    if names_only && (raw.source_labels.is_some() || raw.target_label.is_some() || raw.replacement.is_some()) {
        return Err(("", format!("action {word} takes only a regex")));
    }
    Ok(RelabelStep {
        source_labels: raw.source_labels.clone().unwrap_or_default(),
        separator: raw.separator.clone().unwrap_or_else(|| ";".to_owned()),
        target_label,
        pattern,
        regex,
        modulus,
        replacement: raw.replacement.clone().unwrap_or_else(|| "$1".to_owned()),
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, labels: &[(&str, &str)], expect: Option<&[(&str, &str)]>) {
        let raw: Vec<RawRelabel> = serde_saphyr::from_str(yaml).expect(yaml);
        let mut problems = Problems::default();
        let steps = check_steps(&raw, "relabel_configs", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let mut builder = LabelsBuilder::default();
        for (name, value) in labels {
            builder.set(name, value);
        }
        let kept = apply(&mut builder, &steps);
        let got = kept.then(|| builder.build());
        assert_eq!(got, expect.map(|e| vocab::Labels::from_pairs(e.iter().copied())), "{yaml}");
    }

    #[test]
    fn every_action_does_what_prometheus_does() {
        let a = [("a", "foo"), ("b", "bar"), ("c", "baz")];
        check(
            "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]",
            &a,
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
        );
        check(
            "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}]",
            &a,
            Some(&[("a", "boobam"), ("b", "bar"), ("c", "baz")]),
        );
        check("[{source_labels: [a], regex: 'x', target_label: d}]", &a, Some(&a));
        check(
            "[{regex: '', source_labels: [z], target_label: d, replacement: n}]",
            &[("a", "1")],
            Some(&[("a", "1"), ("d", "n")]),
        );
        check("[{source_labels: [a], regex: 'fo', action: keep}]", &a, None);
        check("[{source_labels: [a], regex: 'foo', action: drop}]", &a, None);
        check("[{source_labels: [a], target_label: b, action: keepequal}]", &a, None);
        check("[{source_labels: [a], target_label: b, action: dropequal}]", &a, Some(&a));
        check(
            "[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]",
            &[("c", "baz")],
            Some(&[("c", "baz"), ("d", "976")]),
        );
        check(
            "[{regex: '(b.*)', replacement: 'x_${1}', action: labelmap}]",
            &[("bar", "1"), ("c", "2")],
            Some(&[("bar", "1"), ("c", "2"), ("x_bar", "1")]),
        );
        check("[{regex: 'a|b', action: labeldrop}]", &a, Some(&[("c", "baz")]));
        check("[{regex: 'a|b', action: LabelKeep}]", &a, Some(&[("a", "foo"), ("b", "bar")]));
        check("[{source_labels: [a], target_label: a, action: uppercase}]", &[("a", "foo")], Some(&[("a", "FOO")]));
        check("[{source_labels: [a], target_label: a, action: lowercase}]", &[("a", "FOO")], Some(&[("a", "foo")]));
        check("[{target_label: a, replacement: ''}]", &a, Some(&[("b", "bar"), ("c", "baz")]));
    }

    #[test]
    fn all_mistakes_are_named() {
        let yaml = "[{action: nope}, {regex: '('}, {action: hashmod, target_label: a}, {sorce_labels: [a], target_label: b}, {action: labeldrop, target_label: a}]";
        let raw: Vec<RawRelabel> = serde_saphyr::from_str(yaml).expect(yaml);
        let mut problems = Problems::default();
        check_steps(&raw, "relabel_configs", &mut problems);
        let paths: Vec<_> = problems.list.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "relabel_configs[0].action",
                "relabel_configs[1].regex",
                "relabel_configs[2].modulus",
                "relabel_configs[3].sorce_labels",
                "relabel_configs[4]"
            ]
        );
    }
}
