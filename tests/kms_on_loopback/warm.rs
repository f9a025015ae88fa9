//! Programs in Python that are begun without reading all their modules anew: see `warm.py`.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

const SERVER: &str = include_str!("warm.py");
const AWS: &str = include_str!("warm_aws.py");

/// A process that has read its modules, and the directory of its socket, which it removes at its end.
struct Warm {
    place: PathBuf,
    /// Its standard input is held open until this program ends.
    _process: Child,
}

impl Warm {
    fn begin(venv: &Path, what: &str, env: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().expect("a private folder").keep();
        let mut process = Command::new(venv.join("bin/python3"))
            .args(["-X", "utf8", "-c", SERVER])
            .arg(place.join("socket"))
            .arg(what)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &place)
            .envs(env.iter().copied())
            .current_dir(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("Python in BYOK_TEST_VENV");
        while !place.join("socket").exists() {
            let ended = process.try_wait().expect("its state");
            assert!(ended.is_none(), "{what}: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            place,
            _process: process,
        }
    }
}

/// The directory of an `aws` for this program of the tests.
pub fn aws(venv: &Path) -> PathBuf {
    static WARM: OnceLock<Warm> = OnceLock::new();
    let begin = || {
        let warm = Warm::begin(venv, "aws", &[]);
        let python = venv.join("bin/python3");
        let text = format!("#!{} -IS\n{AWS}", python.display());
        symlink(venv.join("bin/aws"), warm.place.join("real")).expect("a link");
        let path = warm.place.join("aws");
        fs::write(&path, text).expect("a file in a private folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        // Another user finds it too, and is told that it is not for him.
        fs::set_permissions(&warm.place, fs::Permissions::from_mode(0o755)).expect("its mode");
        warm
    };
    WARM.get_or_init(begin).place.clone()
}

/// Begins ministack with this home and environment; it ends when what is returned is dropped.
pub fn ministack(venv: &Path, services: &str, home: &str, env: &[(&str, &str)]) -> UnixStream {
    static WARM: Mutex<Option<HashMap<String, Warm>>> = Mutex::new(None);
    let mut warm = WARM.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let warm = warm
        .get_or_insert_default()
        .entry(services.to_owned())
        .or_insert_with(|| {
            Warm::begin(
                venv,
                "ministack",
                &[("SERVICES", services), ("LOG_LEVEL", "WARNING")],
            )
        });
    let variables = env.iter().map(|(name, value)| format!("{name}={value}"));
    let mut words = [home, "022", "1", "ministack"].map(str::to_owned).to_vec();
    words.extend(variables);
    let mut server = UnixStream::connect(warm.place.join("socket")).expect("warm.py");
    server
        .write_all(format!("{}\0\0", words.join("\0")).as_bytes())
        .expect("a request");
    server
}

/// Whether what was begun is no more.
pub fn has_ended(mut server: &UnixStream) -> bool {
    server.set_nonblocking(true).expect("a socket");
    let read = server.read(&mut [0; 16]);
    !read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
