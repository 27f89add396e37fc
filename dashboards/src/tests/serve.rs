//! A real socket.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vocab::MemoryBudget;
use vocab::telemetry::Telemetry;

use super::Bench;
use crate::config::ServerConfig;
use crate::server::{Server, ServerError};

/// Far more than any step takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_drains_and_says_when_the_address_is_taken() {
    let bench = Bench::new();
    let bind = async |listen: &str| {
        let config = ServerConfig::new(listen.parse().expect("an address"));
        let budget = MemoryBudget::new(1 << 26, &[("queries", 0.5), ("ingest", 0.5)]);
        Server::bind(config, bench.app.ports.clone(), Arc::new(bench.clock.clone()), &Telemetry::new(), &budget).await
    };
    let server = bind("127.0.0.1:0").await.expect("a free port");
    let address = server.local_addr();
    let taken = bind(&address.to_string()).await.expect_err("taken");
    assert!(matches!(taken, ServerError::InUse(a) if a == address), "{taken}");
    assert!(taken.to_string().contains("--listen"), "{taken}");

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async move {
        let _sender_gone = stopped.await;
    }));
    let talk = async {
        let mut plain = TcpStream::connect(address).await.expect("connects");
        plain.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.expect("sent");
        let mut text = String::new();
        plain.read_to_string(&mut text).await.expect("read");
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("Tidewatch is alive.\n"), "{text}");

        // A client that follows live updates does not hold up the end.
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("read");
        assert_eq!(&head, b"HTTP/1.1 200");
        stop.send(()).expect("it serves");
        serving.await.expect("ran").expect("ended well");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    };
    tokio::time::timeout(DEADLINE, talk).await.expect("in time");
}
