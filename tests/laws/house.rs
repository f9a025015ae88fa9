//! How the house is built: its wings and the arrows between them, and the figures of its size.
//!
//! `cargo test --test laws house:: -- --nocapture` prints both. A room is a file with all that is below the folder of its
//! name; what a file says of its own rooms (declared, shown again) is no arrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From the ground up: each knows only those before it.
const WINGS: [&str; 9] = [
    "ground",
    "crypto",
    "hsm",
    "plan",
    "evidence",
    "paper",
    "ceremony",
    "rehearsal",
    "cli",
];

/// What whoever trusts the process that sees the HSM reads: these wings, and the writing half of evidence.
const SECRET_PATH: [&str; 8] = [
    "ground",
    "crypto",
    "hsm",
    "plan",
    "ceremony",
    "evidence/record",
    "evidence/transcript",
    "evidence/previous",
];

/// A file of `src` by its room, such as `["hsm", "keys"]`, with its code: no blanks, comments and tests.
struct File {
    room: Vec<String>,
    code: Vec<String>,
}

fn house() -> Vec<File> {
    let mut files = Vec::new();
    below(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &[],
        &mut files,
    );
    files
}

fn below(directory: &Path, room: &[String], files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let room = [room, std::slice::from_ref(&stem)].concat();
        if path.is_dir() && stem != "tests" {
            below(&path, &room, files);
        } else if path.extension().is_some_and(|e| e == "rs") && stem != "tests" {
            let code = code(&fs::read_to_string(&path).unwrap());
            files.push(File { room, code });
        }
    }
}

/// Without blank lines, comments, and what stands behind `#[cfg(test)]`.
fn code(text: &str) -> Vec<String> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let mut item = lines.next().unwrap_or_default();
            while item.trim_start().starts_with("#[") {
                item = lines.next().unwrap_or_default();
            }
            let indent = &item[..item.len() - item.trim_start().len()];
            let end = format!("{indent}}}");
            let whole = item.trim_end().ends_with(';')
                || item.contains('{') && item.trim_end().ends_with('}');
            if !whole {
                lines
                    .by_ref()
                    .take_while(|line| !line.starts_with(&end))
                    .for_each(drop);
            }
        } else if !line.trim().is_empty() && !line.trim_start().starts_with("//") {
            kept.push(line.to_owned());
        }
    }
    kept
}

/// Every path that the code names from `crate`, `super` or `self`, or by a room below it; groups are taken apart.
fn paths(file: &File, all: &BTreeSet<Vec<String>>) -> Vec<Vec<String>> {
    let text = file.code.join("\n");
    let mut found = Vec::new();
    let uses: Vec<&str> = text
        .match_indices("use ")
        .filter(|(at, _)| text[..*at].ends_with(['\n', ' ', ')']) || *at == 0)
        .map(|(at, _)| text[at + 4..].split(';').next().unwrap())
        .collect();
    for tree in &uses {
        apart(tree, &[], &mut found);
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let path: String = text[at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || "_:".contains(*c))
                .collect();
            found.push(
                path.split("::")
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
            );
        }
    }
    found
        .into_iter()
        .filter_map(|path| resolved(file, &path, all))
        .collect()
}

fn apart(tree: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let mut depth = 0;
    let parts = tree.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (path, group) = match part.split_once('{') {
            Some((path, group)) => (path, Some(group.trim_end().trim_end_matches('}'))),
            None => (part.split(" as ").next().unwrap(), None),
        };
        let steps = path
            .split("::")
            .map(str::trim)
            .filter(|step| !step.is_empty());
        let path = [before, &steps.map(str::to_owned).collect::<Vec<_>>()].concat();
        match group {
            Some(group) => apart(group, &path, found),
            None => found.push(path),
        }
    }
}

/// The room that a path leads into.
fn resolved(file: &File, path: &[String], all: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let up = path.iter().take_while(|step| *step == "super").count();
    let room = &file.room;
    let whole = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [room, &path[1..]].concat(),
        "super" => [&room[..room.len().checked_sub(up)?], &path[up..]].concat(),
        _ => return None,
    };
    (1..=whole.len())
        .rev()
        .map(|len| whole[..len].to_vec())
        .find(|room| all.contains(room))
}

fn arrows() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let house = house();
    let all: BTreeSet<_> = house.iter().map(|file| file.room.clone()).collect();
    let mut arrows = BTreeMap::new();
    for file in &house {
        if !["main", "lib"].contains(&file.room[0].as_str()) {
            let to = paths(file, &all).into_iter();
            let to: BTreeSet<_> = to.filter(|to| !to.starts_with(&file.room)).collect();
            arrows.insert(file.room.clone(), to);
        }
    }
    arrows
}

fn wing(room: &[String]) -> usize {
    let found = WINGS.iter().position(|wing| *wing == room[0]);
    found.unwrap_or_else(|| panic!("{room:?} is in no wing"))
}

/// Where `tests/mutants/ROOM.rs` has a file of the house, and where it has something in its place.
fn of_mutants(text: &str) -> (BTreeSet<Vec<String>>, BTreeSet<Vec<String>>) {
    let (mut files, mut replaced) = (BTreeSet::new(), BTreeSet::new());
    let mut place: Vec<String> = Vec::new();
    for line in text.lines() {
        let indent = (line.len() - line.trim_start().len()) / 4;
        if let Some((_, name)) = line.split_once("mod ").filter(|_| !line.contains("//")) {
            place.truncate(indent);
            let name = name.trim_end_matches([';', '{', ' ']);
            let path = [&place[..], &[name.to_owned()]].concat();
            if line.ends_with(';') {
                files.insert(path);
            } else {
                place.clone_from(&path);
                replaced.insert(path);
            }
        }
    }
    (files, replaced)
}

/// Otherwise a room does not compile, and nothing is tried there.
#[test]
fn what_the_mutants_are_made_of_has_all_that_it_names() {
    let arrows = arrows();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let (files, replaced) = of_mutants(&fs::read_to_string(&path).unwrap());
        assert!(files.len() > 4, "{}", path.display());
        let is_there = |room: &[String]| (1..=room.len()).any(|end| files.contains(&room[..end]));
        for (from, to) in arrows.iter().filter(|(from, _)| is_there(from)) {
            for to in to.iter().filter(|to| !is_there(to)) {
                let named = format!(
                    "{}: {} names {}",
                    path.display(),
                    from.join("::"),
                    to.join("::")
                );
                assert!(replaced.contains(to), "{named}");
            }
        }
    }
}

#[test]
fn no_arrow_leads_up() {
    let arrows = arrows();
    let mut between = BTreeMap::<(usize, usize), usize>::new();
    let mut up = Vec::new();
    for (from, to) in arrows
        .iter()
        .flat_map(|(from, all)| all.iter().map(move |to| (from, to)))
    {
        *between.entry((wing(from), wing(to))).or_default() += 1;
        if wing(to) > wing(from) {
            up.push(format!("{} -> {}", from.join("::"), to.join("::")));
        }
    }
    println!("{:>10}  files that name files of the wing below", "");
    for (from, name) in WINGS.iter().enumerate().rev() {
        let told = between
            .iter()
            .filter(|((of, to), _)| *of == from && to < of);
        let told = told.map(|((_, to), count)| format!("{} {count}", WINGS[*to]));
        println!("{name:>10}  {}", told.collect::<Vec<_>>().join(", "));
    }
    assert!(between.len() > 20, "is the search right?");
    assert!(up.is_empty(), "arrows up:\n{}", up.join("\n"));
}

/// Reading a plan, evidence and paper never depends on the room: no HSM, and no computer that is closed for one.
#[test]
fn plan_evidence_and_paper_know_no_hsm() {
    let hsm = wing(&["hsm".to_owned()]);
    let readers = ["plan", "evidence", "paper"];
    for (from, to) in arrows() {
        let reads = readers.contains(&from[0].as_str());
        let found: Vec<_> = to.iter().filter(|to| wing(to) == hsm).collect();
        assert!(!reads || found.is_empty(), "{from:?} knows {found:?}");
    }
}

#[test]
fn no_files_go_in_circles() {
    let mut left = arrows();
    let rooms = left.len();
    assert!(rooms > 100, "is the search right?");
    // Whoever names nobody who is left is in no circle.
    loop {
        let still: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, to| to.iter().any(|to| still.contains(to)));
        if left.len() == before {
            break;
        }
    }
    // Nor is whom nobody names who is left.
    loop {
        let named: BTreeSet<_> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|from, _| named.contains(from));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "files in circles: {:#?}", left.keys());
}

/// Every string that the code says where it looks at an event by its name: none.
fn string_reads(house: &[File]) -> usize {
    let ways = [".text(\"", ".is_true(\"", ".events(\"", ".event == \""];
    let reads = |line: &String| {
        ways.iter()
            .map(|way| line.matches(way).count())
            .sum::<usize>()
    };
    house.iter().flat_map(|file| &file.code).map(reads).sum()
}

fn pub_items(house: &[File]) -> usize {
    let is_one = |line: &&String| {
        let rest = line.trim_start().strip_prefix("pub ");
        let word = rest.and_then(|rest| rest.split_whitespace().next());
        let items = [
            "fn", "struct", "enum", "mod", "const", "type", "trait", "static", "use",
        ];
        word.is_some_and(|word| items.contains(&word))
    };
    house
        .iter()
        .flat_map(|file| &file.code)
        .filter(is_one)
        .count()
}

/// The lengths of all functions in code lines, from `fn` to the brace that ends it, shortest first.
fn function_lengths(house: &[File]) -> Vec<usize> {
    let mut lengths = Vec::new();
    for file in house {
        for (at, line) in file.code.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let before = words.iter().position(|word| *word == "fn");
            let declares = before.is_some_and(|at| {
                let known = ["pub", "pub(crate)", "pub(super)", "const", "unsafe"];
                words[..at].iter().all(|word| known.contains(word))
            });
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", &line[..indent]);
            let rest = &file.code[at..];
            let length = match line.trim_end().ends_with('}') {
                true => Some(1),
                false => rest.iter().position(|line| *line == end).map(|n| n + 1),
            };
            lengths.extend(length.filter(|_| declares));
        }
    }
    lengths.sort_unstable();
    lengths
}

#[test]
fn functions_stay_short() {
    let lengths = function_lengths(&house());
    let share = |percent: usize| lengths[(lengths.len() - 1) * percent / 100];
    let longest = *lengths.last().unwrap();
    println!(
        "{:>10}  {:>6} functions: half of them at most {} lines, nine in ten {}, the longest {longest}",
        "",
        lengths.len(),
        share(50),
        share(90)
    );
    assert!(lengths.len() > 1000, "is the search right?");
    assert!(share(50) <= 10 && share(90) <= 28 && longest <= 115);
}

#[test]
fn the_figures_of_the_house() {
    let house = house();
    let lines = |wings: &[&str]| -> usize {
        let within = |file: &&File| {
            wings.iter().any(|wing| {
                let wing: Vec<String> = wing.split('/').map(str::to_owned).collect();
                file.room.starts_with(&wing)
            })
        };
        house
            .iter()
            .filter(within)
            .map(|file| file.code.len())
            .sum()
    };
    let whole: usize = house.iter().map(|file| file.code.len()).sum();
    let script = include_str!("../../ceremony-scripts/verify-record.sh").lines();
    let script =
        script.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    println!("{:>10}  code lines", "");
    for wing in WINGS {
        println!("{wing:>10}  {:>6}", lines(&[wing]));
    }
    println!("{:>10}  {whole:>6} in {} files", "src", house.len());
    println!("{:>10}  {:>6} in the secret path", "", lines(&SECRET_PATH));
    let pub_items = pub_items(&house);
    println!("{:>10}  {pub_items:>6} pub items", "");
    println!("{:>10}  {:>6} in verify-record.sh", "", script.count());
    assert!(
        pub_items <= 300,
        "what only the crate uses is pub(crate): the compiler then tells what nobody uses"
    );
    assert_eq!(
        string_reads(&house),
        0,
        "an event is matched, not read by the names of its members"
    );
}

/// An import that is one list's third and another's second would get a stranger's wrapping key, and `zip` ends with the
/// shorter list unseen.
#[test]
fn no_import_and_no_data_key_is_found_by_its_place() {
    let rows = [
        "imports", "judged", "proved", "wrapped", "keys", "packed", "expected",
    ];
    let house = house().into_iter();
    // a rehearsal writes the plan that it reads beside it
    for file in house.filter(|file| file.room[0] != "rehearsal") {
        let text = file.code.join("\n");
        let zips = text
            .split([';', '{', '}'])
            .filter(|code| code.contains(".zip("));
        for code in zips {
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let row = words.find(|word| rows.contains(word));
            assert_eq!(row, None, "{}: {code}", file.room.join("::"));
        }
    }
}

/// Where code goes by the wording of a text all the same, and why.
const BY_WORDING: [(&str, &str); 3] = [
    (
        "plan::syntax",
        "the TOML crate tells a wrong type in prose alone",
    ),
    (
        "evidence::receipts::describe",
        "the hint about import parameters gives way to that about a KMS key",
    ),
    (
        "evidence::transcript::event",
        "records say `none…` where nothing vouches; later versions may add to it",
    ),
];

/// What the crate's documentation says to an auditor: a data key has one way out, wrapped.
#[test]
fn nothing_asks_the_hsm_for_a_key_in_clear() {
    let mut ways = BTreeSet::new();
    for file in house() {
        let code: String = file.code.concat().split_whitespace().collect();
        let asks = [
            "AttributeType::Value,",
            "AttributeType::Value]",
            ".decrypt_init(",
            ".derive_key(",
        ];
        for call in asks {
            assert!(!code.contains(call), "{:?}: {call}", file.room);
        }
        for call in ["wrap_key(", "unwrap_key("] {
            let by = ["session.", "inner()."].map(|who| format!("{who}{call}"));
            if by.iter().any(|by| code.contains(by)) {
                ways.insert((file.room.join("::"), call));
            }
        }
    }
    let expected = [
        ("hsm::session", "unwrap_key("),
        ("hsm::session", "wrap_key("),
        ("hsm::unwrap", "unwrap_key("),
        ("hsm::wrap", "wrap_key("),
    ];
    assert_eq!(
        ways,
        expected.map(|(room, call)| (room.to_owned(), call)).into()
    );
}

/// What is said to people is never read again by the code.
#[test]
fn no_text_decides() {
    let told = [
        "what",
        "why",
        "told",
        "message",
        "said",
        "hint",
        "hints",
        "text",
        "to_string()",
        "line()",
        "for_people()",
    ];
    let asks = [
        ".contains(\"",
        ".starts_with(\"",
        ".ends_with(\"",
        " == \"",
        " != text::",
    ];
    let decides = |line: &String| {
        let by = |ask: &&str| {
            line.match_indices(ask).any(|(at, _)| {
                let before = &line[..at];
                let prose = line[at + ask.len()..].split('"').next().unwrap_or_default();
                let is_prose = prose.contains(' ') && prose.contains(char::is_alphabetic)
                    || *ask == " != text::";
                told.iter().any(|told| before.ends_with(told)) && is_prose
            })
        };
        asks.iter().any(by)
    };
    let known: BTreeSet<&str> = BY_WORDING.iter().map(|(room, _)| *room).collect();
    let mut found = Vec::new();
    for file in house() {
        let room = file.room.join("::");
        if !known.contains(room.as_str()) {
            let here = file.code.iter().filter(|line| decides(line));
            found.extend(here.map(|line| format!("{room}: {}", line.trim())));
        }
    }
    assert!(
        found.is_empty(),
        "code that reads prose:\n{}",
        found.join("\n")
    );
}
