//! The plain HTTP client of this crate.

use reqwest::ClientBuilder;

/// A builder for a client that talks to replicas and engines directly. The HTTP library refuses to build any client before a
/// cryptography provider is chosen; the program chooses one at its start, and where nobody has (a test), the same is taken.
pub(crate) fn client() -> ClientBuilder {
    // An error only says that one was chosen already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}
