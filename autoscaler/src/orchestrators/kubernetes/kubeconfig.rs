//! How a cluster is reached: from a kubeconfig, or from inside a pod.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::config::KubernetesConfig;
use crate::orchestrators::rest::{Auth, plain_base};
use crate::orchestrators::secret::Secret;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Largest kubeconfig: one with a thousand clusters has some megabytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// All that is needed to talk to a cluster.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The API server's address.
    pub(crate) server: String,
    /// Namespace of objects that name none.
    pub(crate) namespace: String,
    /// Authorities to trust, PEM; `None` for the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Client certificate and key, PEM.
    pub(crate) identity: Option<Vec<u8>>,
    /// How requests say who they are from.
    pub(crate) auth: Auth,
    /// Whether the server's certificate is not checked.
    pub(crate) is_insecure: bool,
    /// The name in the server's certificate, when it is not the address's.
    pub(crate) server_name: Option<String>,
    /// A program that gives credentials.
    pub(crate) exec: Option<Exec>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to {} ({:?}, client certificate: {})", self.server, self.auth, self.identity.is_some())
    }
}

/// A credential plugin.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exec {
    /// `client.authentication.k8s.io/v1`.
    pub(crate) api_version: String,
    /// The program.
    pub(crate) command: String,
    /// Its arguments.
    #[serde(default)]
    pub(crate) args: Option<Vec<String>>,
    /// Its environment.
    #[serde(default)]
    pub(crate) env: Option<Vec<ExecVariable>>,
}

/// A variable of a plugin's environment.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ExecVariable {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Deserialize, Default)]
struct Kubeconfig {
    #[serde(default, rename = "current-context")]
    current_context: Option<String>,
    #[serde(default)]
    clusters: Option<Vec<Named<Cluster>>>,
    #[serde(default)]
    users: Option<Vec<Named<User>>>,
    #[serde(default)]
    contexts: Option<Vec<Named<Context>>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    value: Option<T>,
    #[serde(skip)]
    base: PathBuf,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "auth-provider")]
    auth_provider: Option<serde_json::Value>,
    exec: Option<Exec>,
}

#[derive(Deserialize, Clone)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
    namespace: Option<String>,
}

/// Finds and reads what a configuration asks for.
///
/// # Errors
/// A sentence that says what is wrong and where; no credential stands in it.
pub(crate) fn load(config: &KubernetesConfig) -> Result<Connection, String> {
    if let Some(path) = &config.kubeconfig {
        return from_files(std::slice::from_ref(path), config);
    }
    if let Some(connection) = in_cluster(config, Path::new(SERVICE_ACCOUNT))? {
        return Ok(connection);
    }
    let named = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty());
    let paths: Vec<PathBuf> = match named {
        Some(list) => std::env::split_paths(&list).filter(|p| p.exists()).collect(),
        None => std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")).into_iter().collect(),
    };
    from_files(&paths, config).map_err(|e| format!("{e} (neither a service account nor `kubeconfig` is there)"))
}

/// The pod's own service account, when this runs in one.
pub(crate) fn in_cluster(config: &KubernetesConfig, folder: &Path) -> Result<Option<Connection>, String> {
    let (Ok(host), Ok(port)) = (std::env::var("KUBERNETES_SERVICE_HOST"), std::env::var("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(None);
    };
    service_account(config, folder, &host, &port).map(Some)
}

/// A service account's connection from the files that Kubernetes mounts.
pub(crate) fn service_account(
    config: &KubernetesConfig,
    folder: &Path,
    host: &str,
    port: &str,
) -> Result<Connection, String> {
    let authorities = read(&folder.join("ca.crt"))?;
    let namespace = std::fs::read_to_string(folder.join("namespace")).ok().map(|n| n.trim().to_owned());
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Ok(Connection {
        server: plain_base(&format!("https://{host}:{port}"))?,
        namespace: config.namespace.clone().or(namespace).unwrap_or_else(|| "default".to_owned()),
        authorities: Some(authorities),
        identity: None,
        // Read anew for each request: Kubernetes renews it every hour.
        auth: Auth::Scheme { scheme: "Bearer ", secret: Secret::File(folder.join("token")) },
        is_insecure: false,
        server_name: None,
        exec: None,
    })
}

/// Kubeconfigs; where several say something of the same name, the first one counts, as for kubectl.
pub(crate) fn from_files(paths: &[PathBuf], config: &KubernetesConfig) -> Result<Connection, String> {
    let mut all = Kubeconfig::default();
    for path in paths {
        let bytes = read(path)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        // The parser's own words would repeat the line, and credentials stand in lines.
        let mut one: Kubeconfig = serde_saphyr::from_str(&text)
            .map_err(|_| format!("{} is no kubeconfig: want YAML with clusters, users and contexts", path.display()))?;
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        one.clusters.iter_mut().flatten().for_each(|c| c.base.clone_from(&base));
        one.users.iter_mut().flatten().for_each(|u| u.base.clone_from(&base));
        all.current_context = all.current_context.filter(|c| !c.is_empty()).or(one.current_context);
        all.clusters.get_or_insert_default().extend(one.clusters.unwrap_or_default());
        all.users.get_or_insert_default().extend(one.users.unwrap_or_default());
        all.contexts.get_or_insert_default().extend(one.contexts.unwrap_or_default());
    }
    let shown = paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
    let wanted = config.context.clone().or(all.current_context).filter(|c| !c.is_empty());
    let wanted = wanted.ok_or_else(|| format!("{shown} has no current context; name one with `context`"))?;
    let context = find(all.contexts.unwrap_or_default(), &wanted, "context", &shown)?.1;
    let (base, cluster) = find(all.clusters.unwrap_or_default(), &context.cluster, "cluster", &shown)?;
    let (user_base, user) = if context.user.is_empty() {
        (PathBuf::new(), User::default())
    } else {
        find(all.users.unwrap_or_default(), &context.user, "user", &shown)?
    };
    connect(config, &context, (&base, &cluster), (&user_base, user))
}

fn find<T>(list: Vec<Named<T>>, name: &str, what: &str, shown: &str) -> Result<(PathBuf, T), String> {
    let names = list.iter().map(|n| n.name.clone()).collect::<Vec<_>>().join(", ");
    let found = list.into_iter().find(|n| n.name == name).and_then(|n| Some((n.base, n.value?)));
    found.ok_or_else(|| format!("{shown} has no {what} {name:?}; it has {names}"))
}

fn connect(
    config: &KubernetesConfig,
    context: &Context,
    (base, cluster): (&Path, &Cluster),
    (user_base, user): (&Path, User),
) -> Result<Connection, String> {
    if cluster.insecure_skip_tls_verify && !config.allow_insecure_tls {
        return Err(format!(
            "cluster {:?} has insecure-skip-tls-verify; set allow_insecure_tls: true to accept that anyone may answer in its place",
            context.cluster
        ));
    }
    if cluster.proxy_url.as_ref().is_some_and(|p| !p.is_empty()) {
        return Err(format!("cluster {:?} has proxy-url, which is not supported", context.cluster));
    }
    if user.auth_provider.is_some() {
        return Err(format!("user {:?} has auth-provider, which Kubernetes has dropped; use exec", context.user));
    }
    let pem = |base: &Path, data: Option<&String>, file: Option<&String>, what: &str| match (data, file) {
        (Some(data), _) if !data.is_empty() => BASE64
            .decode(data.split_whitespace().collect::<String>())
            .map(Some)
            .map_err(|_| format!("{what}-data is not base64")),
        (_, Some(file)) if !file.is_empty() => read(&base.join(file)).map(Some),
        _ => Ok(None),
    };
    let authorities = pem(
        base,
        cluster.certificate_authority_data.as_ref(),
        cluster.certificate_authority.as_ref(),
        "certificate-authority",
    )?;
    let certificate =
        pem(user_base, user.client_certificate_data.as_ref(), user.client_certificate.as_ref(), "client-certificate")?;
    let key = pem(user_base, user.client_key_data.as_ref(), user.client_key.as_ref(), "client-key")?;
    let identity = match (certificate, key) {
        (Some(mut certificate), Some(key)) => {
            certificate.push(b'\n');
            certificate.extend(key);
            Some(certificate)
        }
        (None, None) => None,
        _ => return Err(format!("user {:?} needs both a client certificate and its key", context.user)),
    };
    let bearer = |secret| Auth::Scheme { scheme: "Bearer ", secret };
    // As kubectl has it: a token file wins over a token, both over a password.
    let auth = match (user.token_file, user.token, user.username) {
        (Some(file), _, _) if !file.is_empty() => bearer(Secret::File(user_base.join(file))),
        (_, Some(token), _) if !token.is_empty() => bearer(Secret::Text(token)),
        (_, _, Some(username)) if !username.is_empty() => {
            Auth::Basic { username, password: Secret::Text(user.password.unwrap_or_default()) }
        }
        _ => Auth::None,
    };
    Ok(Connection {
        server: plain_base(&cluster.server).map_err(|e| format!("cluster {:?}: server: {e}", context.cluster))?,
        namespace: config
            .namespace
            .clone()
            .or_else(|| context.namespace.clone())
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        authorities,
        identity,
        auth,
        is_insecure: cluster.insecure_skip_tls_verify,
        server_name: cluster.tls_server_name.clone().filter(|n| !n.is_empty()),
        exec: user.exec,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |reason: String| format!("{} cannot be read: {reason}", path.display());
    let size = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(fail(format!("{size} bytes are too many")));
    }
    std::fs::read(path).map_err(|e| fail(e.to_string()))
}

impl Exec {
    /// What the program is told about the cluster, and its environment.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let info = serde_json::json!({
            "apiVersion": self.api_version, "kind": "ExecCredential", "spec": {"interactive": false}});
        let mut variables: BTreeMap<String, String> =
            self.env.iter().flatten().map(|v| (v.name.clone(), v.value.clone())).collect();
        variables.insert("KUBERNETES_EXEC_INFO".to_owned(), info.to_string());
        variables
    }
}
