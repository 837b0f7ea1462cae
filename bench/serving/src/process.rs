//! Server processes: what they use of the machine, and their end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// A server's process; it ends with this value.
pub struct Process {
    child: Child,
    /// Its first line on standard output, by which it says that it serves.
    pub said: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing that needs a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a server and waits for its first line.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut process = Self { child, said: String::new() };
        BufReader::new(output).read_line(&mut process.said)?;
        ensure!(!process.said.is_empty(), "the server did not start");
        Ok(process)
    }

    /// CPU that the process has used, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.child.id())
    }

    /// Memory that it holds, in bytes.
    pub fn rss(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("VmRSS")?.trim().parse::<u64>()? * 1024)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// CPU that a process has used, in seconds.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(')').context("/proc/…/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / TICKS_A_SECOND)
}
