//! One process, measured from outside: nothing is built into `byok` for it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Result;

/// How often the peak of memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// In which Linux tells processor times to programs: USER_HZ, 100 on every machine of today.
const TICKS: f64 = 100.0;

/// A program to be run once.
pub struct Program(pub Command);

/// What one run took. Seconds and bytes.
pub struct Run {
    /// From just before the process was made to just after it ended.
    pub wall: f64,
    /// User and system time.
    pub cpu: f64,
    /// Most memory resident at once (VmHWM), as last seen; a process of a moment shows none.
    pub peak: f64,
    /// When each step was announced; the start is step 0, the end has no number.
    begun: Vec<(usize, f64)>,
}

impl Run {
    /// How long a step took.
    pub fn step(&self, number: usize) -> f64 {
        let at = self.begun.iter().position(|(step, _)| *step == number);
        at.map_or(0.0, |at| {
            let end = self.begun.get(at + 1).map_or(self.wall, |(_, next)| *next);
            end - self.begun[at].1
        })
    }
}

impl Program {
    /// Runs it to its end.
    pub fn run(mut self) -> Result<Run> {
        self.0.stdin(Stdio::null()).stdout(Stdio::null());
        self.0.stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = self.0.spawn()?;
        let over = AtomicBool::new(false);
        let id = child.id();
        let (peak, watched) = thread::scope(|scope| {
            let peak = scope.spawn(|| watch_memory(id, &over));
            let watched = watch(&mut child, start);
            over.store(true, Ordering::Relaxed);
            (peak.join().unwrap_or_default(), watched)
        });
        let (mut run, words) = watched?;
        run.peak = peak;
        match child.wait()?.success() {
            true => Ok(run),
            false => Err(format!("{:?} failed:\n{words}", self.0).into()),
        }
    }
}

/// Reads what the process says, with the time, until it ends. It is not waited for: what the kernel
/// knows of it is read first.
fn watch(child: &mut Child, start: Instant) -> Result<(Run, String)> {
    let (mut begun, mut words) = (vec![(0, 0.0)], String::new());
    for line in BufReader::new(child.stderr.take().ok_or("no stderr")?).lines() {
        let (line, now) = (line?, start.elapsed().as_secs_f64());
        if let Some(step) = announced(&line) {
            begun.push((step, now));
        }
        words += &line;
        words.push('\n');
    }
    let pid = Pid::from_raw(child.id().try_into()?).ok_or("no process")?;
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let run = Run {
        wall: start.elapsed().as_secs_f64(),
        cpu: cpu(child.id())?,
        peak: 0.0,
        begun,
    };
    Ok((run, words))
}

/// The number in ` step  7 of 13  generate`.
fn announced(line: &str) -> Option<usize> {
    let (number, rest) = line.trim_start().strip_prefix("step")?.split_once(" of ")?;
    rest.starts_with("13").then(|| number.trim().parse().ok())?
}

/// User and system time of a process that ended and was not waited for (proc_pid_stat(5)).
fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("/proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).ok_or("no field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// The peak never falls, so the last look is the best one.
fn watch_memory(pid: u32, over: &AtomicBool) -> f64 {
    let mut peak: f64 = 0.0;
    while !over.load(Ordering::Relaxed) {
        peak = peak.max(resident_peak(pid).unwrap_or_default());
        thread::sleep(LOOK);
    }
    peak
}

fn resident_peak(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

/// The middle value; of an even number the mean of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match values.is_empty() {
        true => f64::NAN,
        false => (values[low] + values[high]) / 2.0,
    }
}
