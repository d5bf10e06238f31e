//! `castmq` as a process of its own, so that it may end, and so that its memory is its own.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::Duration,
};

/// Killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) broker: SocketAddr,
    pub(crate) nameserver: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// On free ports, with data and log in `dir`. `settings` are variables, `CASTMQ_` put before them.
    pub(crate) fn start(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let log = dir.join("castmq.log");
        let child = Command::new(env!("CARGO_BIN_EXE_castmq"))
            .args(["--namesrv-port", "0", "--broker-port", "0", "--store"])
            .arg(dir.join("store"))
            .env("CASTMQ_BIND_ADDRESS", "127.0.0.1")
            .env("CASTMQ_BROKER_IP1", "127.0.0.1")
            .envs(settings.iter().map(|(key, value)| (format!("CASTMQ_{key}"), *value)))
            .env_remove("NAMESRV_ADDR")
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, broker: nowhere, nameserver: nowhere, log };
        while !process.log().contains("castmq is up") {
            assert!(process.child.try_wait().unwrap().is_none(), "castmq does not start: {}", process.log());
            thread::sleep(Duration::from_millis(2));
        }
        let text = process.log();
        let behind = |what| {
            let (_, rest) = text.split_once(what).unwrap();
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        process.broker = behind("known as ");
        process.nameserver = behind("nameserver: listening on ");
        process
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Memory of its own, without mapped files, MiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
