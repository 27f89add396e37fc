//! One command over the runtime socket.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::config::HaproxyEndpoint;
use crate::error::SourceError;

/// Sends a command and reads the answer up to the end of the connection.
pub(super) async fn ask(endpoint: &HaproxyEndpoint, command: &str, bytes_max: u64) -> Result<String, SourceError> {
    match endpoint {
        HaproxyEndpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|e| SourceError::read(path, e))?;
            exchange(stream, command, bytes_max).await.map_err(|e| SourceError::read(path, e))
        }
        HaproxyEndpoint::Tcp(address) => {
            let read = |e| SourceError::Read { path: address.clone(), source: e };
            let stream = TcpStream::connect(address).await.map_err(read)?;
            exchange(stream, command, bytes_max).await.map_err(read)
        }
        HaproxyEndpoint::Prometheus(url) | HaproxyEndpoint::Csv(url) => {
            Err(SourceError::Malformed(format!("{url} is not a runtime socket")))
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    command: &str,
    bytes_max: u64,
) -> std::io::Result<String> {
    stream.write_all(command.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(bytes_max).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
