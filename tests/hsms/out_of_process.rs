//! An HSM in another process: SoftHSM behind `p11-kit server`, byok with the p11-kit client as its
//! module. Then byok's whole memory is read, as only root can, and searched: the data keys were
//! never there, and of the PIN there are no more copies than any login leaves.

use crate::support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use support::pty::Pty;
use support::{Kind, PATIENCE, PIN, Room, base64, hex, openssl_check_values, sha256, skip};

const CLIENTS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
];
const LABELS: [&str; 3] = ["payments-2026", "payments-2027", "payments-2028"];

/// A token in another process.
struct Remote {
    room: Room,
    client: PathBuf,
    server: Child,
    address: String,
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Remote {
    /// `None` after saying what is not here.
    fn new() -> Option<Self> {
        let mut room = Room::new(Kind::SoftHsm)?;
        let Some(client) = CLIENTS.iter().map(Path::new).find(|path| path.exists()) else {
            skip("p11-kit-client.so is not there");
            return None;
        };
        let spawned = Command::new("p11-kit")
            .args(["server", "--foreground", "--name"])
            .arg(room.path("socket"))
            .arg("--provider")
            .arg(&room.module)
            .arg("pkcs11:")
            .envs(room.env.iter().cloned())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut server) = spawned else {
            skip("p11-kit is not there");
            return None;
        };
        let mut told = String::new();
        let mut lines = BufReader::new(server.stdout.take().unwrap());
        lines.read_line(&mut told).unwrap();
        let address = told.strip_prefix("P11_KIT_SERVER_ADDRESS=");
        let address = address.and_then(|rest| rest.split(';').next());
        let address = address.unwrap_or_else(|| panic!("p11-kit server: {told}"));
        room.plan.module = client.display().to_string();
        room.plan.more = LABELS[1..].iter().map(|label| another(label)).collect();
        room.plan.more = room.plan.more.replace("DIGEST", &room.kms.sha256());
        for (at, _) in LABELS.iter().enumerate().skip(1) {
            let json = room.kms.parameters(&arn(at), support::now() + 86_000);
            fs::write(room.path(&format!("inputs/{at}.json")), json).unwrap();
        }
        Some(Self {
            client: client.to_owned(),
            address: address.to_owned(),
            server,
            room,
        })
    }

    /// A program of the tests that sees the token's server and nothing of the token itself.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.room.dir.path()).env_clear();
        command.env("P11_KIT_SERVER_ADDRESS", &self.address);
        command
    }

    fn byok(&self, args: &[&str]) -> Command {
        let mut byok = self.command(Path::new(support::program()));
        byok.args(args);
        byok
    }

    /// Every data key, opened by openssl with the KMS's private key.
    fn keys(&self) -> Vec<Vec<u8>> {
        let wrapped = |label| format!("records/one/{label}/eu-west-1/WrappedKeyMaterial.bin");
        let keys: Vec<_> = LABELS
            .iter()
            .map(|label| self.room.openssl_opens(&wrapped(label)))
            .collect();
        for key in &keys {
            assert_eq!(key.len(), 32);
        }
        keys
    }
}

fn arn(at: usize) -> String {
    format!("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-00000000000{at}")
}

/// One more data key in the plan, so that there is something to do between two looks at the memory.
fn another(label: &str) -> String {
    let at = LABELS.iter().position(|known| *known == label).unwrap();
    format!(
        "[[key]]\nlabel = \"{label}\"\nspec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n\
         [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{}\"\nparameters = \"inputs/{at}.json\"\n\
         wrapping = \"RSAES_OAEP_SHA_1\"\nwrap_in = \"hsm\"\nexpires = \"never\"\n\
         wrapping_key_sha256 = \"DIGEST\"\n",
        arn(at)
    )
}

/// Whether this process may read the memory of one that is not dumpable. Where it may not, the test
/// runs again inside a user namespace, where it may, or is skipped.
fn may_read_memory(test: &str) -> bool {
    if geteuid().is_root() {
        return true;
    }
    let namespace = || {
        let mut unshare = Command::new("unshare");
        unshare.arg("-Ur");
        unshare
    };
    if !namespace().arg("true").status().is_ok_and(|s| s.success()) {
        skip("neither root nor a user namespace of its own");
        return false;
    }
    let again = namespace()
        .arg(std::env::current_exe().unwrap())
        .args([&format!("out_of_process::{test}"), "--exact", "--nocapture"])
        .status();
    assert!(again.unwrap().success(), "in a user namespace");
    false
}

/// Everything that a process can write to or read from, copied while it stands still.
struct Memory {
    when: &'static str,
    areas: Vec<Vec<u8>>,
}

impl Memory {
    /// `None` after saying that the kernel does not let us.
    fn of(pid: Pid, when: &'static str) -> Option<Self> {
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = until(|| state(pid) == 'T');
        assert!(stopped, "it does not stop");
        let number = pid.as_raw_nonzero();
        let memory = match File::open(format!("/proc/{number}/mem")) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                skip("the kernel does not let root read /proc/PID/mem here");
                return None;
            }
            opened => opened.unwrap(),
        };
        let maps = fs::read_to_string(format!("/proc/{number}/maps")).unwrap();
        assert!(!maps.contains("softhsm"), "the HSM is in this very process");
        let mut areas = Vec::new();
        for map in maps.lines().filter(|map| !map.contains("[v")) {
            let fields: Vec<&str> = map.split_whitespace().collect();
            if !fields[1].starts_with('r') {
                continue;
            }
            let (from, to) = fields[0].split_once('-').unwrap();
            let address = |hex| u64::from_str_radix(hex, 16).unwrap();
            let (from, to) = (address(from), address(to));
            let mut area = vec![0; usize::try_from(to - from).unwrap()];
            let read = memory.read_exact_at(&mut area, from);
            // Past the end of a mapped file there is nothing to read.
            assert!(read.is_ok() || fields.len() == 6, "{map}: {read:?}");
            areas.push(area);
        }
        kill_process(pid, Signal::CONT).unwrap();
        Some(Self { when, areas })
    }

    fn count(&self, what: &[u8]) -> usize {
        self.counts(&[what.to_vec()])[0]
    }

    /// How often each of these is found, in one pass.
    fn counts(&self, wanted: &[Vec<u8>]) -> Vec<usize> {
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (at, what) in wanted.iter().enumerate() {
            beginnings[usize::from(what[0]) << 8 | usize::from(what[1])].push(at);
        }
        let mut counts = vec![0; wanted.len()];
        for area in &self.areas {
            for (at, pair) in area.windows(2).enumerate() {
                for which in &beginnings[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                    counts[*which] += usize::from(area[at..].starts_with(&wanted[*which]));
                }
            }
        }
        counts
    }

    #[track_caller]
    fn must_hold(&self, what: &[u8], name: &str) {
        assert!(
            self.count(what) > 0,
            "{}: {name} is not found, so the search proves nothing",
            self.when
        );
    }
}

/// The letter of /proc/PID/stat: `T` stands still.
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    stat.rsplit(')')
        .next()
        .unwrap()
        .trim_start()
        .chars()
        .next()
        .unwrap()
}

fn until(mut what: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    false
}

/// The forms in which key bytes could stand in memory; halves too, for what is overwritten in part.
fn forms(key: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex(key);
    vec![
        key[..16].to_vec(),
        key[16..].to_vec(),
        hex.as_bytes()[..32].to_vec(),
        hex.as_bytes()[32..].to_vec(),
        hex[..32].to_uppercase().into_bytes(),
        base64(key).as_bytes()[..20].to_vec(),
    ]
}

/// How many copies of the PIN a bare login through the same client leaves. One that holds its PIN in
/// its arguments must show more, or the search does not find PINs.
fn copies_of_a_bare_login(remote: &Remote) -> Option<usize> {
    let bare = copies_of_a_login(remote, "-")?;
    let careless = copies_of_a_login(remote, PIN)?;
    assert!(
        careless > bare,
        "{careless} copies, {bare} after a bare login"
    );
    Some(bare)
}

fn copies_of_a_login(remote: &Remote, pin: &str) -> Option<usize> {
    let program = remote.room.token_command(&[]);
    let mut bare = remote
        .command(Path::new(program.get_program()))
        .arg(&remote.client)
        .args(["sleep", "ceremony", pin])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = bare.stdin.as_mut().unwrap();
    input.write_all(format!("{PIN}\n").as_bytes()).unwrap();
    let mut ready = String::new();
    let mut told = BufReader::new(bare.stdout.take().unwrap());
    told.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let memory = Memory::of(Pid::from_child(&bare), "after a bare login");
    drop(bare.stdin.take());
    assert!(bare.wait().unwrap().success());
    let memory = memory?;
    memory.must_hold(remote.address.as_bytes(), "the address of the server");
    Some(memory.count(PIN.as_bytes()))
}

#[test]
fn a_ceremony_before_an_hsm_in_another_process_comes_to_its_end() {
    let Some(remote) = Remote::new() else {
        return;
    };
    let plan = fs::read(remote.room.write_plan()).unwrap();
    let approved = sha256(&plan);
    let output = remote
        .byok(&["run", "plan.toml", "--approve", &approved])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", support::stderr(&output));
    let transcript = remote.room.transcript("records/one");
    for (generated, key) in transcript.events("key-generated").iter().zip(remote.keys()) {
        assert_eq!(generated["kcv"], openssl_check_values(&key).0.as_str());
        // every attribute came through, none was taken on trust
        for (name, value) in generated["attributes"].as_object().unwrap() {
            assert!(value.is_boolean(), "{name} is {value}");
        }
    }
}

#[test]
fn no_data_key_is_ever_in_the_memory_of_byok() {
    if !may_read_memory("no_data_key_is_ever_in_the_memory_of_byok") {
        return;
    }
    for _ in 0..20 {
        let Some(remote) = Remote::new() else {
            return;
        };
        match looked_at(&remote) {
            Looked::Passed => {} // it was faster than the looks: once more
            Looked::NotAllowed => return,
            Looked::At(memories) => return search(&remote, &memories),
        }
    }
    panic!("byok was always faster than the looks at it");
}

enum Looked {
    At(Vec<Memory>),
    Passed,
    NotAllowed,
}

/// Runs a ceremony and looks at its memory while data keys exist, and before it ends.
fn looked_at(remote: &Remote) -> Looked {
    let plan = fs::read(remote.room.write_plan()).unwrap();
    let screen = remote.room.path("screen");
    let (mut reader, writer) = full_pipe();
    let mut byok = remote
        .byok(&["run", "plan.toml", "--approve", &sha256(&plan)])
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(File::create(&screen).unwrap())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&byok);
    let transcript = remote.room.path("records/one.incomplete/transcript.jsonl");
    let events = |name: &str| {
        let text = fs::read_to_string(&transcript).unwrap_or_default();
        text.matches(&format!("\"event\":\"{name}\"")).count()
    };
    let sealed = || remote.room.path("records/one").exists();
    let mut memories = Vec::new();
    let mut passed = false;
    for (when, event, many) in [
        ("after the first data key was made", "key-generated", 1),
        ("after the last data key was made", "key-generated", 3),
        ("after the first wrapping", "key-wrapped", 1),
        ("after the last wrapping", "key-wrapped", 3),
    ] {
        assert!(until(|| events(event) >= many
            || sealed()
            || byok.try_wait().unwrap().is_some()));
        if byok.try_wait().unwrap().is_some() {
            panic!("{}", fs::read_to_string(&screen).unwrap());
        }
        let Some(memory) = Memory::of(pid, when) else {
            let _ = byok.kill();
            let _ = byok.wait();
            return Looked::NotAllowed;
        };
        passed |= sealed();
        memories.push(memory);
    }
    // Its last words do not fit into the pipe: it waits with everything done and let go of.
    let last_words = "This screen again";
    assert!(until(|| fs::read_to_string(&screen)
        .unwrap()
        .contains(last_words)));
    let Some(memory) = Memory::of(pid, "before the end") else {
        return Looked::NotAllowed;
    };
    memories.push(memory);
    assert!(byok.try_wait().unwrap().is_none(), "it did not wait");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(byok.wait().unwrap().success());
    if passed {
        return Looked::Passed;
    }
    Looked::At(memories)
}

fn search(remote: &Remote, memories: &[Memory]) {
    let Some(bare) = copies_of_a_bare_login(remote) else {
        return;
    };
    let wrapped = format!("records/one/{}/eu-west-1/WrappedKeyMaterial.bin", LABELS[0]);
    let wrapped = fs::read(remote.room.path(&wrapped)).unwrap();
    let wanted: Vec<_> = remote.keys().iter().flat_map(|key| forms(key)).collect();
    for memory in memories {
        memory.must_hold(remote.room.plan.title.as_bytes(), "the plan's title");
        if memory.when.ends_with("wrapping") {
            memory.must_hold(&wrapped[64..96], "the wrapped data key");
        }
        let found = memory.counts(&wanted);
        assert_eq!(found, vec![0; wanted.len()], "{}", memory.when);
        let copies = memory.count(PIN.as_bytes());
        assert!(
            copies <= bare,
            "{}: {copies} copies of the PIN, {bare} after a bare login",
            memory.when
        );
    }
}

/// A pipe into which nothing more fits.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn a_pin_that_was_typed_leaves_no_more_copies_than_a_bare_login() {
    if !may_read_memory("a_pin_that_was_typed_leaves_no_more_copies_than_a_bare_login") {
        return;
    }
    let Some(mut remote) = Remote::new() else {
        return;
    };
    remote.room.plan.pin = "prompt".into();
    remote.room.plan.wrapping_key_sha256 = None;
    remote.room.write_plan();
    let mut pty = Pty::start(remote.byok(&["run", "plan.toml"]));
    pty.answer("Type Yes to approve, anything else to stop: ", "Yes");
    pty.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    let asked = "PIN of the HSM token \"ceremony\" (nothing is shown while you type): ";
    let wrong = "not-the-pin-of-the-tests";
    pty.answer(asked, wrong);
    pty.expect("That PIN was wrong.");
    pty.answer(asked, PIN);
    pty.expect("8 hex digits or 4 words: ");
    let (Some(memory), Some(bare)) = (
        Memory::of(pty.pid(), "after the login"),
        copies_of_a_bare_login(&remote),
    ) else {
        return;
    };
    memory.must_hold(remote.room.plan.title.as_bytes(), "the plan's title");
    for pin in [PIN, wrong] {
        let copies = memory.count(pin.as_bytes());
        assert!(
            copies <= bare,
            "{copies} copies of {pin}, {bare} after a bare login"
        );
    }
    pty.keys(&[support::pty::CTRL_C]);
    pty.answer("Enter to go on: ", "STOP");
    assert_eq!(pty.end().code, Some(1));
}
