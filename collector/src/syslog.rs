//! Receives syslog over UDP, so that HAProxy and others can log straight to Tidewatch.
//!
//! Datagrams that come faster than the store takes them wait in a bounded queue; what does not fit is dropped and counted, as
//! UDP itself would.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vocab::LogRecord;

use crate::config::SyslogConfig;
use crate::log_sink::{BATCH_RECORDS_MAX, LogSink, RecordShape};
use crate::parse_line::LineFormat;
use crate::shared::Shared;
use crate::ticker;

/// The source's name.
pub(crate) const NAME: &str = "syslog";
/// Largest datagram: the largest that UDP carries.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams that wait: about ten seconds of a busy HAProxy.
const QUEUE_MAX: usize = 20_000;
/// How long records are gathered to one batch.
const GATHER: Duration = Duration::from_millis(200);
/// Pause before the address is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(5);

/// Receives until the source is stopped.
pub(crate) async fn run(shared: Arc<Shared>, config: SyslogConfig, stop: CancellationToken) {
    let entry = shared.sources.open(NAME, "logs", &format!("udp {}", config.listen));
    let socket = loop {
        match UdpSocket::bind(config.listen).await {
            Ok(socket) => break socket,
            Err(error) => {
                let problem = format!("cannot listen on {}: {error}: choose another syslog.listen", config.listen);
                if entry.failed(&problem) {
                    tracing::warn!(problem = %problem, "no syslog is received");
                }
                if !ticker::sleep(&shared.clock, &stop, BIND_PAUSE).await {
                    return shared.sources.close(NAME, &entry);
                }
            }
        }
    };
    if let Ok(address) = socket.local_addr() {
        entry.reading(&format!("udp {address}"));
    }
    let shape = RecordShape { source: "syslog", service: config.service, labels: config.labels };
    let sink = LogSink::new(&shared, Arc::clone(&entry), NAME, shape, &stop);
    let (send, inbox) = mpsc::channel(QUEUE_MAX);
    tokio::join!(receive(&shared, &socket, &stop, send), write(&sink, inbox));
    shared.sources.close(NAME, &entry);
}

/// Takes datagrams off the socket; ends, and with it the queue, when the source is stopped.
async fn receive(shared: &Shared, socket: &UdpSocket, stop: &CancellationToken, send: mpsc::Sender<String>) {
    let mut buffer = vec![0u8; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            received = socket.recv(&mut buffer) => received,
        };
        // An ICMP answer to something else shows up here as an error; the next datagram is not affected.
        let Ok(count) = received else { continue };
        let text = String::from_utf8_lossy(&buffer[..count]);
        let text = text.trim_end_matches(['\n', '\r', '\0']);
        if !text.is_empty() && send.try_send(text.to_owned()).is_err() {
            shared.metrics.syslog_dropped.inc();
        }
    }
}

async fn write(sink: &LogSink, mut inbox: mpsc::Receiver<String>) {
    let mut lines = Vec::with_capacity(BATCH_RECORDS_MAX);
    while inbox.recv_many(&mut lines, BATCH_RECORDS_MAX).await > 0 {
        if lines.len() < BATCH_RECORDS_MAX && !sink.stop.is_cancelled() {
            // A little patience makes larger batches.
            ticker::sleep(&sink.shared.clock, &sink.stop, GATHER).await;
            while lines.len() < BATCH_RECORDS_MAX
                && let Ok(line) = inbox.try_recv()
            {
                lines.push(line);
            }
        }
        let records: Vec<LogRecord> =
            lines.drain(..).map(|line| sink.record_of_line(&line, LineFormat::Syslog, "")).collect();
        if !sink.write(records, None).await {
            return;
        }
    }
}
