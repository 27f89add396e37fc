//! Starting and ending processes.
//!
//! A replica gets a session of its own through setsid(1) (part of every Debian base system): the program is executed in
//! the same process, so that its number is known, and neither Ctrl-C nor a closed terminal reaches it. `pre_exec` would
//! need `unsafe`, and `process_group(0)` alone leaves the replica attached to Tidewatch's terminal; it is the fallback where
//! there is no setsid(1).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::proc_files::{self, TOKEN_VARIABLE};
use super::spec::ProcessService;
use super::table::{ProcessKey, Row};

/// Where setsid(1) is.
const SETSID: &str = "/usr/bin/setsid";
/// Variables of Tidewatch's own environment that a replica gets; others may be secrets.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "USER", "TMPDIR"];
/// A replica's output file is emptied when it is larger than this, in bytes.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Starts a replica; its port must have been chosen.
pub(crate) fn start(spec: &ProcessService, row: &Row, output_dir: &Path) -> io::Result<Child> {
    let fill = |text: &String| {
        let port = row.port.map(|p| p.to_string()).unwrap_or_default();
        text.replace("{port}", &port).replace("{replica}", &row.id).replace("{service}", &spec.name)
    };
    let words: Vec<String> = spec.command.iter().map(fill).collect();
    let (program, args) = words.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let program = resolve(program, spec.working_dir.as_deref())?;
    let output = open_output(&output_path(output_dir, &row.id))?;
    let mut command = if Path::new(SETSID).exists() {
        let mut command = Command::new(SETSID);
        command.arg(&program);
        command
    } else {
        let mut command = Command::new(&program);
        command.process_group(0);
        command
    };
    command.args(args).env_clear().stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in &spec.env {
        command.env(name, fill(value));
    }
    command.env(TOKEN_VARIABLE, &row.token);
    if let Some(dir) = &spec.working_dir {
        command.current_dir(dir);
    }
    command.spawn()
}

/// Finds the program as a shell would, so that a missing one is told before anything is started.
fn resolve(program: &str, working_dir: Option<&Path>) -> io::Result<PathBuf> {
    let found = if program.contains('/') {
        let path = PathBuf::from(program);
        let path = match working_dir {
            Some(dir) if path.is_relative() => dir.join(path),
            _ => fs::canonicalize(&path).unwrap_or(path),
        };
        path.is_file().then_some(path)
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
    };
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("program {program:?} is not there")))
}

fn output_path(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{}.log", id.replace('/', "_")))
}

fn open_output(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Empties a replica's output file when it has grown too large. The file is written in append mode, so that the replica
/// goes on at its new end.
pub(crate) fn bound_output(dir: &Path, id: &str) -> io::Result<()> {
    let path = output_path(dir, id);
    match fs::metadata(&path) {
        Ok(meta) if meta.len() > OUTPUT_BYTES_MAX => OpenOptions::new().write(true).open(&path)?.set_len(0),
        _ => Ok(()),
    }
}

/// Removes the output file of a replica that is gone.
pub(crate) fn remove_output(dir: &Path, id: &str) {
    // It may never have been written.
    let _missing = fs::remove_file(output_path(dir, id));
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((ProcessService::host(), 0))?.local_addr()?.port())
}

/// Whether nobody listens on a port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((ProcessService::host(), port)).is_ok()
}

/// Sends a signal to a replica and what it started, if it is still that very process.
pub(crate) fn signal(key: &ProcessKey, boot_id: &str, signal: Signal) {
    if !proc_files::is_alive(key, boot_id) {
        return;
    }
    let Ok(pid) = i32::try_from(key.pid).map(Pid::from_raw) else { return };
    let leads_group = proc_files::stat(key.pid).is_some_and(|s| s.group == key.pid);
    let sent = if leads_group { killpg(pid, signal) } else { kill(pid, signal) };
    if let Err(error) = sent {
        tracing::debug!(pid = key.pid, %signal, %error, "a process ended before its signal came");
    }
}

/// Takes the end of an adopted process, in case it is a child of this very Tidewatch (handed over at a reload): nobody else
/// would, and it would stay a zombie.
pub(crate) fn reap(key: &ProcessKey) {
    if let Ok(pid) = i32::try_from(key.pid) {
        // An error says that it is nobody's child here.
        let _foreign = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
}
