//! A private PostgreSQL: own data folder, own socket, stopped when dropped.
//!
//! Nothing of it can be reached from elsewhere: it listens on a socket in its own folder and on no port.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a machine without PostgreSQL is told.
const MISSING: &str = "PostgreSQL is missing: apt-get install postgresql";
/// Where Debian and Ubuntu keep the programs of each version.
const VERSIONS_DIR: &str = "/usr/lib/postgresql";
/// Part of the socket's name; nothing listens on it.
const PORT: &str = "5432";
/// How long a start or a stop may take before it counts as hanging.
const WITHIN: Duration = Duration::from_secs(60);
/// How often a start or a stop is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// From this version on a database can order texts as people do, which nothing may depend on.
const ICU_SINCE: u32 = 15;

/// Servers of this process, for the names of their folders.
static SERVERS: AtomicU32 = AtomicU32::new(0);

/// A running server. Its one user needs no password; the database `postgres` is empty.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    /// Holds data, socket and log; goes away with this.
    dir: PathBuf,
    /// PostgreSQL refuses to run as root: then it runs as this user.
    user: Option<String>,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster with the newest PostgreSQL that is installed, and starts it.
    ///
    /// # Errors
    /// A sentence that says what is missing or holds the end of the log.
    pub fn start() -> Result<Self, String> {
        let (version, programs) = newest(Path::new(VERSIONS_DIR)).ok_or(MISSING)?;
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("tidewatch-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        let is_root = std::fs::metadata(&dir).is_ok_and(|made| made.uid() == 0);
        let user = is_root.then(|| "postgres".to_owned());
        let mut server = Self { programs, dir, user, child: None };
        if let Some(user) = &server.user {
            let id = |flag: &str| number_of(Command::new("id").args([flag, user]));
            let (owner, group) = (id("-u").ok_or(MISSING)?, id("-g").ok_or(MISSING)?);
            chown(&server.dir, Some(owner), Some(group)).map_err(|e| format!("cannot give the folder away: {e}"))?;
        }
        let mut init = server.command("initdb");
        init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"]);
        init.arg(server.data());
        if version >= ICU_SINCE {
            init.args(["--locale-provider=icu", "--icu-locale=en-US"]);
        }
        let made = init.output().map_err(|e| format!("initdb cannot be started: {e}"))?;
        if !made.status.success() {
            return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr)));
        }
        server.start_again()?;
        Ok(server)
    }

    /// Where it answers, as a URL of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost:{PORT}/postgres?host={}", self.dir.display())
    }

    /// Starts it after [`Self::stop`], with what it held before.
    ///
    /// # Errors
    /// The end of its log when it does not come up.
    pub fn start_again(&mut self) -> Result<(), String> {
        let log = std::fs::File::create(self.dir.join("log")).map_err(|e| format!("cannot write its log: {e}"))?;
        let errors = log.try_clone().map_err(|e| format!("cannot write its log: {e}"))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", PORT, "-c", "listen_addresses=", "-k"]).arg(&self.dir);
        // What a crash of the machine would lose is of no interest here; a crash of the server loses nothing.
        command.args(["-c", "fsync=off"]).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().map_err(|e| format!("postgres cannot be started: {e}"))?);
        let mut answers = self.command("pg_isready");
        answers.args(["-q", "-p", PORT, "-h"]).arg(&self.dir);
        if wait(|| answers.status().is_ok_and(|status| status.success())) {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        Err(format!("postgres does not come up; its log says: {log}"))
    }

    /// Stops it as an operator would: what is under way is broken off.
    pub fn stop(&mut self) {
        self.signal("CONT");
        self.signal("INT");
        let Some(mut child) = self.child.take() else { return };
        if !wait(|| !matches!(child.try_wait(), Ok(None))) {
            // Its parts notice and end too.
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }

    /// Makes it fall silent, as a machine or a network that hangs: connections stay, and nothing answers.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Sends a signal to it; those that hold it up go to all its parts.
    fn signal(&self, name: &str) {
        let Some(child) = &self.child else { return };
        let pid = child.id();
        let mut pids = vec![pid.to_string()];
        if matches!(name, "STOP" | "CONT") {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().map(str::to_owned));
        }
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -s \"$0\" \"$@\"", name]).args(pids);
        // A part may have ended meanwhile.
        let _sent = kill.stderr(Stdio::null()).status();
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match &self.user {
            // It becomes the program itself, so that its process id is the server's.
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--init-groups", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(&self.dir);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _removed = std::fs::remove_dir_all(&self.dir);
    }
}

/// The highest version below a folder, and where its programs are.
fn newest(dir: &Path) -> Option<(u32, PathBuf)> {
    let versions = std::fs::read_dir(dir).ok()?.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("initdb").exists().then_some((version, programs))
    });
    versions.max()
}

fn number_of(command: &mut Command) -> Option<u32> {
    String::from_utf8(command.output().ok()?.stdout).ok()?.trim().parse().ok()
}

#[allow(clippy::disallowed_methods, reason = "waits for a real server")]
fn wait(mut is_done: impl FnMut() -> bool) -> bool {
    for _ in 0..WITHIN.as_millis() / LOOK_AGAIN.as_millis() {
        if is_done() {
            return true;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_taken_as_a_number() {
        let dir = std::env::temp_dir().join(format!("tidewatch-versions-{}", std::process::id()));
        for version in ["9", "10", "17", "18", "doc"] {
            std::fs::create_dir_all(dir.join(version).join("bin")).expect("made");
        }
        for version in ["9", "10", "17", "doc"] {
            std::fs::write(dir.join(version).join("bin/initdb"), "").expect("written");
        }
        let found = newest(&dir);
        std::fs::remove_dir_all(&dir).expect("removed");
        // 18 has no server.
        assert_eq!(found, Some((17, dir.join("17/bin"))));
        assert_eq!(newest(&dir), None);
    }
}
