//! The objects that make a cluster ask Tidewatch for its metrics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{CUSTOM, EXTERNAL};

/// APIServices of both groups, the Service behind them and the right to read who the API server's proxy is, as YAML. `authority` is
/// the PEM authority of the server's certificate, whose name must be `<service>.<namespace>.svc`; without it the API server would have to
/// trust anyone, so it must be given.
pub fn manifest(service: &str, namespace: &str, port: u16, authority: &[u8]) -> String {
    let bundle = BASE64.encode(authority);
    let api = |full: &str| {
        let (group, version) = full.split_once('/').unwrap_or((full, ""));
        format!(
            "---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: {version}.{group}
spec:
  group: {group}
  version: {version}
  groupPriorityMinimum: 100
  versionPriority: 100
  caBundle: {bundle}
  service:
    name: {service}
    namespace: {namespace}
    port: 443
"
        )
    };
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {service}
  namespace: {namespace}
spec:
  selector:
    app.kubernetes.io/name: tidewatch
  ports:
    - name: https
      port: 443
      targetPort: {port}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {service}-extension-apiserver-authentication-reader
  namespace: kube-system
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: extension-apiserver-authentication-reader
subjects:
  - kind: ServiceAccount
    name: tidewatch
    namespace: {namespace}
{}{}",
        api(EXTERNAL),
        api(CUSTOM)
    )
}
