//! A whole ceremony of N data keys against a bare program that makes the same PKCS#11 calls in the
//! same order and writes and fsyncs the same files: `cargo bench --bench ceremony`.
//!
//! Both are processes of their own, measured from outside in turns, each
//! on a token that was fresh a moment before. docs/benchmark.md says how to read the table.
//!
//! - `BYOK_TEST_SOFTHSM`: SoftHSM's module, where it is not Debian's.
//! - `BYOK_BENCH_DIRECTORY`: where tokens and records are written, where it is not cargo's target
//!   directory. In memory (/dev/shm) the disk's waits, the same for both, hide nothing.
//! - `BYOK_TEST_PROXY`: the module of tests/modules/proxy; with it the PKCS#11 calls of both programs
//!   are logged, outside the measured runs, and compared line by line.

#[path = "ceremony/bare.rs"]
mod bare;
#[path = "ceremony/measure.rs"]
mod measure;
#[path = "ceremony/scene.rs"]
mod scene;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measure::{Run, median};
use scene::Scene;

/// Whatever goes wrong ends the benchmark.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How many data keys, and how often each program runs with so many. A control key takes anything from
/// a moment to half a second, which a few data keys do not hide: few data keys, many runs.
const SIZES: [(usize, usize); 4] = [(1, 15), (10, 11), (100, 15), (300, 9)];

/// What a ceremony of 100 data keys may take, in times of the bare program.
const LIMIT: (usize, f64) = (100, 1.15);

/// How much the ratio may seem to grow from 100 to 300 data keys: what two noisy cores make of it.
const NOISE: f64 = 0.05;

/// How often the short commands run.
const STARTS: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bare::ARGUMENT, module, directory] => {
            bare::run(Path::new(module), Path::new(directory)).map(|()| true)
        }
        [scene::ARGUMENT, module] => scene::make_token(Path::new(module)).map(|()| true),
        _ if arguments.iter().any(|argument| argument == "--bench") => benchmark(),
        _ => {
            println!("not measured: run it with `cargo bench --bench ceremony`");
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("the benchmark ended: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The runs with one number of data keys.
struct Measured {
    keys: usize,
    ceremony: Vec<Run>,
    bare: Vec<Run>,
    /// `byok verify` of such a record, seconds.
    verify: f64,
}

/// Measures everything and prints the table. `false` where the limit does not hold.
fn benchmark() -> Result<bool> {
    let module = env::var_os("BYOK_TEST_SOFTHSM").map_or_else(
        || PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"),
        PathBuf::from,
    );
    if !module.is_file() {
        println!(
            "skipped: no SoftHSM at {}; set BYOK_TEST_SOFTHSM",
            module.display()
        );
        return Ok(true);
    }
    let proxy = env::var_os("BYOK_TEST_PROXY").map(PathBuf::from);
    let room = env::var_os("BYOK_BENCH_DIRECTORY")
        .map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from)
        .join("bench-ceremony");
    let mut measured = Vec::new();
    let mut same_calls = Vec::new();
    for (keys, runs) in SIZES {
        let scene = Scene::set(&room.join(keys.to_string()), &module, keys)?;
        if let Some(proxy) = proxy.as_deref().filter(|_| keys <= 10) {
            same_calls.push(compare_calls(&scene, proxy)?);
        }
        measured.push(measure_size(&scene, runs)?);
        scene.strike()?;
    }
    let version = median(times(STARTS, || {
        scene::byok(&["--version".as_ref()]).run()
    })?);
    println!("{}", table(&measured));
    println!(
        "`byok --version`: {} ms, the median of {STARTS}.",
        ms(version)
    );
    if same_calls.is_empty() {
        println!("PKCS#11 calls not compared: BYOK_TEST_PROXY names no proxy module.");
    }
    same_calls.iter().for_each(|line| println!("{line}"));
    Ok(judge(&measured))
}

fn measure_size(scene: &Scene, runs: usize) -> Result<Measured> {
    let (mut ceremony, mut bare) = (Vec::new(), Vec::new());
    for at in 0..runs {
        eprintln!("N = {}: run {} of {runs}", scene.keys, at + 1);
        // Each is the first of its pair as often as the other.
        for ceremony_now in [at % 2 == 0, at % 2 != 0] {
            scene.freshen()?;
            match ceremony_now {
                true => ceremony.push(scene.ceremony().run()?),
                false => bare.push(scene.bare()?.run()?),
            }
        }
    }
    scene.freshen()?;
    scene.ceremony().run()?;
    let verify = median(times(STARTS, || scene.verify().run())?);
    Ok(Measured {
        keys: scene.keys,
        ceremony,
        bare,
        verify,
    })
}

fn times(times: usize, mut run: impl FnMut() -> Result<Run>) -> Result<Vec<f64>> {
    (0..times).map(|_| Ok(run()?.wall)).collect()
}

/// Whether both programs make the same PKCS#11 calls with the same results, in words.
fn compare_calls(scene: &Scene, proxy: &Path) -> Result<String> {
    let (ceremony, bare) = scene.logged(proxy)?;
    let keys = scene.keys;
    let differ = ceremony.iter().zip(&bare).position(|(c, b)| c != b);
    let at = differ.or((ceremony.len() != bare.len()).then(|| ceremony.len().min(bare.len())));
    match at {
        None => Ok(format!(
            "PKCS#11 calls, N = {keys}: {} by each program, the same in the same order.",
            ceremony.len()
        )),
        Some(at) => Err(format!(
            "N = {keys}: PKCS#11 call {} is {:?} in the ceremony and {:?} in the bare program",
            at + 1,
            ceremony.get(at),
            bare.get(at)
        )
        .into()),
    }
}

impl Measured {
    /// What a step takes when nothing disturbs it: the least of all runs.
    fn step(&self, step: usize) -> (f64, f64) {
        let least = |runs: &[Run]| {
            let taken = runs.iter().map(|run| run.step(step));
            taken.fold(f64::INFINITY, f64::min)
        };
        (least(&self.ceremony), least(&self.bare))
    }

    /// The sum of such steps: a whole run that nothing disturbed.
    fn undisturbed(&self, with: impl Fn(usize) -> bool) -> (f64, f64) {
        let steps = (0..=LAST_STEP).filter(|step| with(*step));
        steps.fold((0.0, 0.0), |sum, step| {
            let taken = self.step(step);
            (sum.0 + taken.0, sum.1 + taken.1)
        })
    }

    fn whole(&self) -> (f64, f64) {
        self.undisturbed(|_| true)
    }

    /// Without step 6, in which the control key is made: its luck is not byok's doing.
    fn without_preflight(&self) -> (f64, f64) {
        self.undisturbed(|step| step != 6)
    }

    fn medians(&self, of: impl Fn(&Run) -> f64 + Copy) -> (f64, f64) {
        let middle = |runs: &[Run]| median(runs.iter().map(of).collect());
        (middle(&self.ceremony), middle(&self.bare))
    }
}

fn wall(run: &Run) -> f64 {
    run.wall
}

fn ratio((ceremony, bare): (f64, f64)) -> f64 {
    ceremony / bare
}

/// A column for each number of data keys; where two values stand: ceremony / bare program.
fn table(measured: &[Measured]) -> String {
    let row = |name: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells: Vec<String> = measured.iter().map(cell).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let both = |name: &str, show: fn(f64) -> String, of: &dyn Fn(&Measured) -> (f64, f64)| {
        row(name, &|m| format!("{} / {}", show(of(m).0), show(of(m).1)))
    };
    let ratios = |name: &str, of: &dyn Fn(&Measured) -> (f64, f64)| {
        row(name, &|m| format!("{:.2}", ratio(of(m))))
    };
    let mut text = row("ceremony / bare program", &|m| format!("N = {}", m.keys));
    text += &row("---", &|_| "---:".into());
    text += &row("runs of each", &|m| m.ceremony.len().to_string());
    text += &both("undisturbed, s", s, &|m| m.whole());
    text += &ratios("**ratio**", &|m| m.whole());
    text += &both("without step 6, s", s, &|m| m.without_preflight());
    text += &ratios("**ratio without step 6**", &|m| m.without_preflight());
    text += &both("median run, s", s, &|m| m.medians(wall));
    text += &ratios("ratio of the medians", &|m| m.medians(wall));
    text += &both("processor time, median, s", s, &|m| {
        m.medians(|run| run.cpu)
    });
    text += &both("peak memory, median, MiB", mib, &|m| {
        m.medians(|run| run.peak)
    });
    text += &both("before step 1, ms", ms, &|m| m.step(0));
    for (step, name) in STEPS {
        text += &both(&format!("step {step}, {name}, ms"), ms, &|m| m.step(step));
    }
    text += &row("`byok verify` of the record, ms", &|m| ms(m.verify));
    text
}

const LAST_STEP: usize = 12;

/// The steps that take time unattended. Step 12 here is everything to the end of the process.
const STEPS: [(usize, &str); 10] = [
    (1, "open the record"),
    (2, "roll call"),
    (3, "look at the machine"),
    (4, "open the HSM"),
    (5, "read the import parameters"),
    (6, "preflight"),
    (7, "generate"),
    (8, "wrap"),
    (11, "write the outputs"),
    (12, "seal"),
];

/// Says whether the limit holds and whether the ratio grows.
fn judge(measured: &[Measured]) -> bool {
    let worst = |keys: usize| {
        let of = measured.iter().find(|m| m.keys == keys);
        of.map_or(f64::NAN, |m| {
            ratio(m.whole()).max(ratio(m.without_preflight()))
        })
    };
    let (at, limit) = LIMIT;
    let most = SIZES[SIZES.len() - 1].0;
    let held = worst(at) <= limit;
    let flat = worst(most) <= worst(at) + NOISE;
    let verdict = |good| if good { "held" } else { "NOT HELD" };
    println!(
        "Limit of {limit} at N = {at}: {}. No growth from N = {at} to N = {most}: {}.",
        verdict(held),
        verdict(flat)
    );
    held && flat
}

fn s(seconds: f64) -> String {
    format!("{seconds:.2}")
}

fn ms(seconds: f64) -> String {
    match seconds * 1e3 {
        few if few < 9.95 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

fn mib(bytes: f64) -> String {
    format!("{:.1}", bytes / f64::from(1 << 20))
}
