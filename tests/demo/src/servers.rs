//! Child processes that are ended by their own id, whatever happens.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A child that is stopped when dropped: SIGTERM, a while, SIGKILL.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    grace: Duration,
}

impl Server {
    /// Starts a program with its output in `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path, grace: Duration) -> Result<Self> {
        let out = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name} ({:?})", command.get_program()))?;
        Ok(Self { name: name.to_owned(), child, grace })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit code, if it has ended.
    pub fn exited(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(|s| s.code().unwrap_or(-1))
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, waits, and gives its exit code.
    ///
    /// # Errors
    /// When it had to be killed.
    #[allow(clippy::disallowed_methods, reason = "waiting for a real child process")]
    pub fn stop(&mut self) -> Result<i32> {
        if let Some(code) = self.exited() {
            return Ok(code);
        }
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM)?;
        let started = Instant::now();
        while started.elapsed() < self.grace {
            if let Some(code) = self.exited() {
                return Ok(code);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill()?;
        bail!("{} did not stop within {:?} and was killed", self.name, self.grace)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _result = self.stop();
    }
}

/// A TCP port that was free a moment ago.
///
/// # Errors
/// When no port can be bound.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits for a condition.
///
/// # Errors
/// When `within` passes first; the error says what was awaited.
#[allow(clippy::disallowed_methods, reason = "waiting for real servers")]
pub async fn wait_for<F, Fut>(what: &str, within: Duration, mut condition: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let started = Instant::now();
    while started.elapsed() < within {
        if condition().await {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{what}: not within {within:?}")
}
