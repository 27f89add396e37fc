//! Tenants: every row, series and query belongs to exactly one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, PortError};

/// Longest accepted tenant name, in bytes.
pub const TENANT_NAME_BYTES_MAX: usize = 128;

/// A valid tenant name: `[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}`. Safe as a folder name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Checks and wraps a tenant name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the name does not have the documented form.
    pub fn new(name: &str) -> Result<Self, PortError> {
        let ok_first = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let bytes = name.as_bytes();
        let valid = bytes.len() <= TENANT_NAME_BYTES_MAX
            && bytes.first().is_some_and(|&c| ok_first(c))
            && bytes.iter().all(|&c| ok_first(c) || c == b'.');
        if valid {
            Ok(Self(name.into()))
        } else {
            Err(PortError::new(
                ErrorKind::Invalid,
                format!("invalid tenant name {name:?}: want 1 to 128 of A-Z a-z 0-9 _ - . and no leading dot"),
            ))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = PortError;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_folder_names_are_tenants() {
        for good in ["default", "team-a", "a.b", "_x", "-y", "0"] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "..", "a/b", "a b", "é", &"x".repeat(129)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }
}
