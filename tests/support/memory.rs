//! What stands in the memory of another process: copied while it waits, searched when the secrets are known.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// In what the memory is kept and compared, in bytes.
const PAGE: usize = 4096;

/// One look at a process.
pub struct Look {
    /// The call that it waits in, or the question that it asks.
    pub when: String,
    /// The events of its transcript so far.
    pub events: Vec<String>,
    /// Soft and hard limit, as the kernel says.
    pub core_dumps_off: bool,
    areas: Vec<Area>,
}

struct Area {
    from: usize,
    name: String,
    locked: bool,
    pages: Vec<usize>,
}

/// Where a secret was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Which of those that were looked for.
    pub which: usize,
    pub address: usize,
    /// Whether the page is locked (`lo` of proc_pid_smaps(5)).
    pub locked: bool,
    pub area: String,
}

/// Looks at one process, one after the other. What did not change is kept once.
pub struct Looks {
    pid: i32,
    transcript: PathBuf,
    pages: Vec<Arc<[u8]>>,
    known: HashMap<Arc<[u8]>, usize>,
    last: HashMap<usize, usize>,
    pub looks: Vec<Look>,
}

impl Look {
    /// How often an event of this name was recorded so far.
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|name| *name == event).count()
    }

    pub fn has(&self, event: &str) -> bool {
        self.count(event) > 0
    }
}

impl Looks {
    pub fn new(pid: i32, transcript: PathBuf) -> Self {
        Self {
            pid,
            transcript,
            pages: Vec::new(),
            known: HashMap::new(),
            last: HashMap::new(),
            looks: Vec::new(),
        }
    }

    /// Copies everything that the process can read, but for mapped files that it cannot write to: what stands
    /// there, such as its own text, came from no ceremony.
    pub fn look(&mut self, when: &str) {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.pid)).unwrap();
        let core = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"));
        let core: Vec<&str> = core.unwrap().split_whitespace().collect();
        let memory = File::open(format!("/proc/{}/mem", self.pid)).unwrap();
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", self.pid)).unwrap();
        let mut areas: Vec<Area> = Vec::new();
        let mut buffer = Vec::new();
        for line in smaps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                if let Some(area) = areas.last_mut() {
                    area.locked = flags.split_whitespace().any(|flag| flag == "lo");
                }
                continue;
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            let Some((from, to)) = fields[0].split_once('-') else {
                continue;
            };
            let name = fields.get(5).copied().unwrap_or("anonymous").to_owned();
            let mut area = Area {
                from: usize::from_str_radix(from, 16).unwrap(),
                name,
                locked: false,
                pages: Vec::new(),
            };
            let to = usize::from_str_radix(to, 16).unwrap();
            let of_file = area.name.starts_with('/');
            let wanted = fields[1].starts_with("rw") || fields[1].starts_with('r') && !of_file;
            if wanted && !area.name.starts_with("[v") {
                buffer.resize(to - area.from, 0);
                // past the end of a mapped file there is nothing to read
                if memory.read_exact_at(&mut buffer, area.from as u64).is_ok() {
                    area.pages = self.keep(area.from, &buffer);
                } else {
                    assert!(area.name.starts_with('/'), "{line}");
                }
            }
            areas.push(area);
        }
        self.looks.push(Look {
            when: when.to_owned(),
            events: self.events(),
            core_dumps_off: core == ["0", "0", "bytes"],
            areas,
        });
    }

    fn keep(&mut self, from: usize, bytes: &[u8]) -> Vec<usize> {
        let each = bytes.chunks(PAGE).enumerate();
        each.map(|(at, page)| {
            let address = from + at * PAGE;
            if let Some(last) = self.last.get(&address)
                && &self.pages[*last][..] == page
            {
                return *last;
            }
            let number = match self.known.get(page) {
                Some(number) => *number,
                None => {
                    let page: Arc<[u8]> = page.into();
                    self.pages.push(Arc::clone(&page));
                    self.known.insert(page, self.pages.len() - 1);
                    self.pages.len() - 1
                }
            };
            self.last.insert(address, number);
            number
        })
        .collect()
    }

    fn events(&self) -> Vec<String> {
        // after the last rename it is elsewhere, and nothing is undone
        let Ok(text) = fs::read_to_string(&self.transcript) else {
            let last = self.looks.last();
            return last.map(|look| look.events.clone()).unwrap_or_default();
        };
        let name = |line: &str| {
            let (_, rest) = line.split_once("\"event\":\"")?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        text.lines().filter_map(name).collect()
    }

    /// How many bytes were read in all, and how many of them were new.
    pub fn size(&self) -> (usize, usize) {
        let pages = |look: &Look| {
            look.areas
                .iter()
                .map(|area| area.pages.len())
                .sum::<usize>()
        };
        let all: usize = self.looks.iter().map(pages).sum();
        (all * PAGE, self.pages.len() * PAGE)
    }

    /// Every place where one of these stands, for each look. Each is two bytes at least, a page at most.
    pub fn find(&self, wanted: &[Vec<u8>]) -> Vec<Vec<Hit>> {
        let mut search = Search::new(wanted);
        let of_look = |look: &Look| {
            let mut hits = Vec::new();
            for area in &look.areas {
                for (at, page) in area.pages.iter().enumerate() {
                    let next = area.pages.get(at + 1).copied();
                    for (which, offset) in search.in_page(&self.pages, *page, next) {
                        hits.push(Hit {
                            which: *which,
                            address: area.from + at * PAGE + offset,
                            locked: area.locked,
                            area: area.name.clone(),
                        });
                    }
                }
            }
            hits
        };
        self.looks.iter().map(of_look).collect()
    }
}

type PageAndNext = (usize, Option<usize>);
/// Which of those that were looked for, and where in the page.
type Found = (usize, usize);

/// What was looked for, and in which pages it was found already.
struct Search<'a> {
    wanted: &'a [Vec<u8>],
    beginnings: Vec<Vec<usize>>,
    done: HashMap<PageAndNext, Vec<Found>>,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a [Vec<u8>]) -> Self {
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (which, what) in wanted.iter().enumerate() {
            beginnings[usize::from(what[0]) << 8 | usize::from(what[1])].push(which);
        }
        Self {
            wanted,
            beginnings,
            done: HashMap::new(),
        }
    }

    /// Which begins where in a page; it may end in the next.
    fn in_page(&mut self, pages: &[Arc<[u8]>], page: usize, next: Option<usize>) -> &[Found] {
        let Self {
            wanted,
            beginnings,
            done,
        } = self;
        done.entry((page, next)).or_insert_with(|| {
            let mut bytes = pages[page].to_vec();
            if let Some(next) = next {
                bytes.extend_from_slice(&pages[next]);
            }
            let mut found = Vec::new();
            let pairs = bytes.windows(2).take(PAGE).enumerate();
            for (at, pair) in pairs {
                for which in &beginnings[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                    if bytes[at..].starts_with(&wanted[*which]) {
                        found.push((*which, at));
                    }
                }
            }
            found
        })
    }
}
