//! Secrets in the memory of byok, looked for in every call to an HSM in another process and at every
//! question to people: while they are needed they stand in locked memory alone, and afterwards nowhere.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use byok::crypto::escrow::slip39::gf256;
use byok::crypto::escrow::slip39::words::number_of;
use p256::pkcs8::DecodePrivateKey as _;
use rsa::traits::PrivateKeyParts as _;
use rustix::process::geteuid;
use support::escrow::{head, shares, table, telling, wrapped};
use support::memory::{Hit, Look, Looks};
use support::pty::{APPROVE, Pty};
use support::remote::Remote;
use support::{Kind, PIN, Room, base64, hex, sha256, skip, stderr};

/// Whether everything is tried, or what a few seconds allow.
fn exhaustive() -> bool {
    std::env::var_os("BYOK_TEST_ALL").is_some()
}

/// When a secret may be in memory, by what is known at a look.
type When = fn(&Look) -> bool;

const NEVER: When = |_| false;

/// What is looked for.
struct Secret {
    name: String,
    /// In each form it could stand somewhere; parts too, for what is overwritten in part.
    forms: Vec<Vec<u8>>,
    may: When,
    /// Where it must be found, or the search proves nothing.
    must: Option<When>,
}

impl Secret {
    fn new(name: &str, forms: Vec<Vec<u8>>, may: When, must: Option<When>) -> Self {
        let name = name.to_owned();
        Self {
            name,
            forms,
            may,
            must,
        }
    }
}

/// Bytes as they are, in hex and base64, in parts, and as a big number lies in this computer.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (first, last) = (&bytes[..16], &bytes[bytes.len() - 16..]);
    let reversed = |part: &[u8]| part.iter().rev().copied().collect::<Vec<u8>>();
    vec![
        first.to_vec(),
        last.to_vec(),
        reversed(first),
        reversed(last),
        hex(first).into_bytes(),
        hex(first).to_uppercase().into_bytes(),
        hex(last).into_bytes(),
        base64(&bytes[..15]).into_bytes(),
    ]
}

/// Words of a share as text and as numbers, four and more at a time, and its value.
fn share_forms(share: &str) -> Vec<Vec<u8>> {
    let mut forms = telling(share);
    let numbers: Vec<u16> = share.split(' ').map(number).collect();
    for some in numbers[4..].chunks_exact(4) {
        forms.push(some.iter().flat_map(|n| n.to_le_bytes()).collect());
        forms.push(some.iter().flat_map(|n| n.to_be_bytes()).collect());
        forms.push(
            some.iter()
                .flat_map(|n| u32::from(*n).to_le_bytes())
                .collect(),
        );
    }
    let value = value(share);
    forms.extend([value[..16].to_vec(), value[16..].to_vec()]);
    forms
}

fn number(word: &str) -> u16 {
    number_of(word.as_bytes()).unwrap()
}

/// The 32 bytes of a share: 4 words stand before them, 4 bits fill up, 3 words follow (SLIP-0039).
fn value(share: &str) -> Vec<u8> {
    let numbers: Vec<u16> = share.split(' ').map(number).collect();
    let bit = |at: usize| numbers[at / 10] >> (9 - at % 10) & 1;
    let byte = |at: usize| (0..8).fold(0, |byte, n| byte << 1 | bit(44 + at * 8 + n) as u8);
    (0..32).map(byte).collect()
}

/// What the shares' polynomial is at the point of the secret: the escrow key before its last round.
fn dealt_secret(shares: &[String]) -> Vec<u8> {
    let values: Vec<(u8, Vec<u8>)> = shares
        .iter()
        .map(|share| {
            (
                (number(share.split(' ').nth(3).unwrap()) >> 4 & 15) as u8,
                value(share),
            )
        })
        .collect();
    let points: Vec<_> = values.iter().map(|(x, value)| (*x, &value[..])).collect();
    let mut secret = vec![0; 32];
    gf256::interpolate(&points, 255, &mut secret);
    secret
}

/// The private numbers of a PKCS#8.
fn private_numbers(spec: &str, pkcs8: &[u8]) -> Vec<Vec<u8>> {
    if spec == "ECC_NIST_P256" {
        return vec![
            p256::SecretKey::from_pkcs8_der(pkcs8)
                .unwrap()
                .to_bytes()
                .to_vec(),
        ];
    }
    let key = rsa::PrivateKey::from_pkcs8_der(pkcs8).unwrap();
    let mut numbers = vec![key.d().to_be_bytes().to_vec()];
    numbers.extend(
        key.primes()
            .iter()
            .map(|prime| prime.to_be_bytes().to_vec()),
    );
    numbers.push(key.dp().unwrap().to_be_bytes().to_vec());
    numbers.push(key.dq().unwrap().to_be_bytes().to_vec());
    // as they stand behind each other in the PKCS#8, piece by piece
    let (d, end) = (&numbers[0], pkcs8.len());
    let d = &d[d.iter().position(|byte| *byte != 0).unwrap()..]; // DER has no zeros before it
    let start = pkcs8.windows(16).position(|at| at == &d[..16]).unwrap();
    numbers.extend(pkcs8[start..end].chunks_exact(64).map(<[u8]>::to_vec));
    numbers
}

/// A room whose HSM is in another process, and who may look into the memory of this one's children.
fn room() -> Option<(Room, Remote)> {
    if !geteuid().is_root() {
        skip("only root reads the memory of a process that is not dumpable");
        return None;
    }
    let mut room = Room::new(Kind::SoftHsm)?;
    let remote = Remote::before(&mut room)?;
    Some((room, remote))
}

/// Runs the plan to its end, looked at in every call.
#[track_caller]
fn run(room: &Room, remote: &Remote) {
    let plan = fs::read(room.write_plan()).unwrap();
    let mut byok = room.byok(&["run", "plan.toml", "--approve", &sha256(&plan)]);
    let byok = byok
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    watch(room, remote, byok.id());
    let output = byok.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn watch(room: &Room, remote: &Remote, pid: u32) {
    let transcript = format!("{}.incomplete/transcript.jsonl", room.plan.directory);
    remote.look_at(pid as i32, room.path(&transcript));
}

/// After C_Login, or before.
const WHILE_LOGGING_IN: When = |look| !look.has("hsm-opened");

fn pin() -> Secret {
    let must: When = |look| look.when == "C_Login 1";
    Secret::new(
        "the PIN",
        vec![PIN.as_bytes().to_vec()],
        WHILE_LOGGING_IN,
        Some(must),
    )
}

/// What the module was given in plain: the escrow key, transport keys.
fn brought_in(remote: &Remote, may: When) -> Vec<Secret> {
    let must: When = |look| look.when.starts_with("C_CreateObject");
    let mut values = remote.seen().values.clone();
    values.sort();
    values.dedup();
    let each = values.iter().enumerate();
    each.map(|(at, value)| Secret::new(&format!("brought in, {at}"), forms(value), may, Some(must)))
        .collect()
}

/// What came of a search, for people.
fn table_of(
    looks: &Looks,
    secrets: &[Secret],
    found: &[Vec<BTreeMap<(bool, String), usize>>],
) -> String {
    let mut text = String::new();
    for (look, of_look) in looks.looks.iter().zip(found) {
        for (secret, places) in secrets.iter().zip(of_look) {
            if !places.is_empty() {
                let last = look.events.last().map_or("", String::as_str);
                let may = if (secret.may)(look) { "" } else { "NOT HERE " };
                text += &format!("{may}{} [{last}] {}: {places:?}\n", look.when, secret.name);
            }
        }
    }
    text
}

/// Everything is searched for everything. Says how much that was.
#[track_caller]
fn search(what: &str, remote: &Remote, secrets: &[Secret], room: &Room) {
    let seen = remote.seen();
    let looks = seen.looks.as_ref().unwrap();
    let mut wanted: Vec<Vec<u8>> = vec![room.plan.title.as_bytes().to_vec()];
    let mut of = vec![usize::MAX];
    for (at, secret) in secrets.iter().enumerate() {
        wanted.extend(secret.forms.iter().cloned());
        of.extend(secret.forms.iter().map(|_| at));
    }
    let hits = looks.find(&wanted);
    let mut wrong = Vec::new();
    let mut during = 0;
    let mut found = Vec::new();
    for (look, hits) in looks.looks.iter().zip(&hits) {
        assert!(
            hits.iter().any(|hit| hit.which == 0),
            "{}: the plan's title is not found",
            look.when
        );
        assert!(look.core_dumps_off, "{}", look.when);
        let mut places = vec![BTreeMap::new(); secrets.len()];
        for hit in hits.iter().filter(|hit| hit.which > 0) {
            let Hit {
                which,
                locked,
                area,
                address,
            } = hit;
            let secret = &secrets[of[*which]];
            *places[of[*which]]
                .entry((*locked, area.clone()))
                .or_insert(0) += 1;
            if !(secret.may)(look) || !locked {
                let (when, name, what) = (&look.when, &secret.name, wanted[*which].escape_ascii());
                wrong.push(format!(
                    "{when}: {name} in {area} at {address:#x}, locked: {locked}: {what}"
                ));
            } else {
                during += 1;
            }
        }
        found.push(places);
    }
    if std::env::var_os("BYOK_TEST_SHOW").is_some() {
        println!("{}", table_of(looks, secrets, &found));
    }
    for (at, secret) in secrets.iter().enumerate() {
        let Some(must) = secret.must else { continue };
        let there = looks.looks.iter().zip(&found);
        let there = there.filter(|(look, places)| must(look) && !places[at].is_empty());
        assert!(
            there.count() > 0,
            "{} is never found: the search proves nothing",
            secret.name
        );
    }
    println!(
        "memory: {what}: {} secrets in {} forms, {} looks, {} MB: {} hits while needed, all locked; {} others",
        secrets.len(),
        wanted.len() - 1,
        looks.looks.len(),
        looks.size().0 >> 20,
        during,
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{what}: {}\n{}",
        wrong.len(),
        wrong[..wrong.len().min(30)].join("\n")
    );
}

/// A share is in memory from the dealing until the escrow is proved.
const IN_ESCROW: When = |look| look.has("key-wrapped") && !look.has("escrow-proved");

/// The escrow key is here until it was dealt, is gone while shares are handed out, and comes back from all
/// of them for the proof. (Before, there is the throw-away one of the preflight.)
fn has_escrow_key(look: &Look, shares: usize) -> bool {
    let handed_out = look.count("share-handed-out") == shares;
    look.has("import-parameters-read")
        && (!look.has("escrow-dealt") || handed_out)
        && !look.has("escrow-proved")
}

#[test]
fn an_escrow_leaves_nothing_of_pin_escrow_key_and_shares() {
    let Some((mut room, remote)) = room() else {
        return;
    };
    room.plan.more = table(2, 3, "files:shares");
    run(&room, &remote);
    let shares: Vec<String> = shares(&room.path("shares"))
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    let mut secrets = vec![pin()];
    secrets.extend(brought_in(&remote, |look| has_escrow_key(look, 3)));
    secrets.push(Secret::new(
        "the secret that was dealt",
        forms(&dealt_secret(&shares[..2])),
        IN_ESCROW,
        None,
    ));
    for (at, share) in shares.iter().enumerate() {
        secrets.push(Secret::new(
            &format!("share {}", at + 1),
            share_forms(share),
            IN_ESCROW,
            None,
        ));
    }
    let key = room.openssl_opens(&wrapped("records/one"));
    secrets.push(Secret::new("the data key", forms(&key), NEVER, None));
    search("generate with escrow", &remote, &secrets, &room);
}

/// The transport key is here from the preflight until this many data keys are wrapped and it is destroyed.
fn is_wrapping(look: &Look, keys: usize) -> bool {
    look.count("key-wrapped") < keys || look.when.starts_with("C_DestroyObject")
}

/// One more data key in the plan, wrapped by this computer.
fn in_the_host(room: &Room, at: usize, spec: &str, wrapping: &str, more: &str) -> String {
    let arn =
        format!("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-00000000000{at}");
    let json = room.kms.parameters(&arn, support::now() + 86_000);
    fs::write(room.path(&format!("inputs/{at}.json")), json).unwrap();
    format!(
        "[[key]]\nlabel = \"host-{at}\"\nspec = \"{spec}\"\nkeep = \"extractable\"\n{more}\
         [[key.import]]\nname = \"eu-west-1\"\nkey_arn = \"{arn}\"\nparameters = \"inputs/{at}.json\"\n\
         wrapping = \"{wrapping}\"\nwrap_in = \"host\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    )
}

#[test]
fn data_keys_that_this_computer_wraps_are_nowhere_before_and_after() {
    let Some((mut room, remote)) = room() else {
        return;
    };
    const RSA_AES: &str = "RSA_AES_KEY_WRAP_SHA_256";
    room.plan.wrapping = "RSAES_OAEP_SHA_256".into();
    room.plan.wrap_in = "host".into();
    let mut specs = vec![
        ("HMAC_384", "RSAES_OAEP_SHA_256", "bits = 512\n"),
        ("ECC_NIST_P256", RSA_AES, ""),
        ("RSA_2048", RSA_AES, ""),
    ];
    if exhaustive() {
        specs.extend([
            ("RSA_4096", RSA_AES, ""),
            ("HMAC_512", "RSAES_OAEP_SHA_1", "bits = 1024\n"),
        ]);
    }
    for (at, (spec, wrapping, more)) in specs.iter().enumerate() {
        room.plan.more += &in_the_host(&room, at, spec, wrapping, more);
    }
    run(&room, &remote);
    let mut secrets = vec![pin()];
    let until_wrapped = match exhaustive() {
        true => |look: &Look| is_wrapping(look, 6),
        false => |look: &Look| is_wrapping(look, 4),
    };
    secrets.extend(brought_in(&remote, until_wrapped));
    let key = room.openssl_opens(&wrapped("records/one"));
    secrets.push(Secret::new("the AES key", forms(&key), NEVER, None));
    for (at, (spec, wrapping, _)) in specs.iter().enumerate() {
        let path = room.path(&format!(
            "records/one/host-{at}/eu-west-1/WrappedKeyMaterial.bin"
        ));
        let key = room.kms.open(&path, wrapping);
        secrets.push(Secret::new(spec, forms(&key), NEVER, None));
        if support::is_private(spec) {
            for number in private_numbers(spec, &key) {
                secrets.push(Secret::new(
                    &format!("a number of {spec}"),
                    forms(&number),
                    NEVER,
                    None,
                ));
            }
            let ephemeral = room.kms.opens_ephemeral(&path);
            secrets.push(Secret::new(
                &format!("the AES key around {spec}"),
                forms(&ephemeral),
                NEVER,
                None,
            ));
        }
    }
    search(
        "generate, wrapped by this computer",
        &remote,
        &secrets,
        &room,
    );
}

/// Words of shares that byok itself has no use for: its texts have some of the list too, and what was said
/// before the first share was shown or typed.
fn words_alone(remote: &Remote, shares: &[Vec<String>], before: When) -> Vec<Vec<u8>> {
    let own = own_texts();
    let mut words: Vec<Vec<u8>> = shares
        .iter()
        .flat_map(|share| &share[4..])
        .filter(|word| word.len() > 5 && !own.contains(*word))
        .map(|word| word.clone().into_bytes())
        .collect();
    words.sort();
    words.dedup();
    let seen = remote.seen();
    let looks = seen.looks.as_ref().unwrap();
    let found = looks.find(&words);
    let known = |which: usize| {
        let of_look = looks.looks.iter().zip(&found);
        let mut before = of_look.filter(|(look, _)| before(look));
        before.any(|(_, hits)| hits.iter().any(|hit| hit.which == which))
    };
    let alone = words.iter().enumerate().filter(|(at, _)| !known(*at));
    let alone: Vec<Vec<u8>> = alone.map(|(_, word)| word.clone()).collect();
    assert!(alone.len() > 5, "{alone:?} of {words:?}");
    alone
}

/// Everything below `src` but the two lists of words.
fn own_texts() -> String {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = support::escrow::files_below(&src);
    let texts = files
        .iter()
        .filter(|path| path.extension().is_none_or(|end| end != "txt"));
    texts
        .map(|path| fs::read_to_string(path).unwrap().to_lowercase())
        .collect()
}

fn words_of(share: &str) -> Vec<String> {
    share.split(' ').map(str::to_owned).collect()
}

/// Types a share, looked at before every word.
#[track_caller]
fn type_share(pty: &mut Pty, remote: &Remote, custodian: &str, words: &[String]) {
    for (at, word) in words.iter().enumerate() {
        let question = format!(" {custodian}, row {:>2} of 33: ", at + 1);
        pty.expect(&question);
        remote.look(&question);
        pty.enter(word);
    }
}

const KEYBOARD: &str = "Who is at the keyboard? Name: ";
const WHO: &str = "Which custodian types a share now? Name: ";
const WRITTEN: &str = "Type written when the form is full: ";

#[track_caller]
fn start(room: &Room, remote: &Remote) -> Pty {
    room.write_plan();
    let mut byok = room.byok(&["run", "plan.toml"]);
    byok.env("TERM", "xterm");
    let mut pty = Pty::start(byok);
    watch(room, remote, pty.pid().as_raw_nonzero().get() as u32);
    pty.answer(APPROVE, "Yes");
    pty.answer(KEYBOARD, "Ada Lovelace");
    pty.seats();
    pty
}

#[test]
fn typed_shares_are_nowhere_once_the_data_key_is_back() {
    let (Some(mut old), Some((mut room, remote))) = (Room::new(Kind::SoftHsm), room()) else {
        return;
    };
    old.run_with_escrow(2, &["Security", "Audit", "Treasury"]);
    room.use_kms_key(old.kms.clone());
    room.plan.kind = "recover".into();
    room.plan.wrapping = "RSAES_OAEP_SHA_256".into();
    room.plan.wrap_in = "host".into();
    room.plan.top_more = format!(
        "previous = \"{}\"\nreuse_escrow = \"a test\"\n",
        old.path("records/one").display()
    );
    room.plan.more = "[recover]\nshares = \"typed\"\npackage = \"record\"\n".into();
    let mut pty = start(&room, &remote);
    let on_paper = head(&old.path("records/one"));
    for row in 1..=3 {
        pty.expect(&format!(
            "Row {row} of the head digest of the previous record"
        ));
        pty.answer("4 words: ", &on_paper[(row - 1) * 8..row * 8]);
    }
    let dealt: Vec<Vec<String>> = shares(&old.path("shares"))
        .into_iter()
        .map(|(_, words)| words_of(&words))
        .collect();
    for (name, words) in ["Security", "Audit"].iter().zip(&dealt) {
        pty.expect(WHO);
        remote.look(&format!("{WHO}{name}"));
        pty.enter(name);
        type_share(&mut pty, &remote, name, words);
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let key = old.openssl_opens(&wrapped("records/one"));
    assert_eq!(room.openssl_opens(&wrapped("records/one")), key);

    const NOT_YET: When = |look| !look.has("key-recovered") && !look.has("same-material");
    let before: When = |look| look.when.ends_with("Name: Security") || look.when.starts_with("C_");
    let typed = &dealt[..2];
    let mut secrets = vec![pin()];
    secrets.extend(brought_in(&remote, |look| is_wrapping(look, 1)));
    secrets.push(Secret::new(
        "words as they were typed",
        words_alone(&remote, typed, before),
        NEVER,
        None,
    ));
    let joined: Vec<String> = typed.iter().map(|words| words.join(" ")).collect();
    secrets.push(Secret::new(
        "the secret that was dealt",
        forms(&dealt_secret(&joined)),
        NOT_YET,
        None,
    ));
    for (at, share) in joined.iter().enumerate() {
        // the last word is typed with all before it in memory
        let must: When = |look| look.when.ends_with("row 33 of 33: ");
        let name = format!("share {}", at + 1);
        secrets.push(Secret::new(&name, share_forms(share), NOT_YET, Some(must)));
    }
    secrets.push(Secret::new("the data key", forms(&key), NEVER, None));
    search("recover with typed shares", &remote, &secrets, &room);
}

#[test]
fn shares_that_were_shown_and_typed_back_are_nowhere_once_the_escrow_is_proved() {
    let Some((mut room, remote)) = room() else {
        return;
    };
    room.plan.pin = "prompt".into();
    room.plan.more = table(2, 2, "screen");
    let mut pty = start(&room, &remote);
    pty.answer("(nothing is shown while you type): ", PIN);
    let mut dealt = Vec::new();
    for custodian in ["Security", "Audit"] {
        let alone = format!("when only {custodian} looks: ");
        let shown = pty.expect(&alone);
        remote.look(&alone);
        pty.enter(&support::share_asked(&shown));
        let shown = pty.expect(WRITTEN);
        remote.look(WRITTEN);
        let words = read_off(&shown);
        pty.enter("written");
        type_share(&mut pty, &remote, custodian, &words);
        dealt.push(words);
    }
    let ended = pty.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);

    let before: When = |look| !look.has("share-handed-out") && !look.when.contains("written");
    let mut secrets = vec![pin()];
    secrets.extend(brought_in(&remote, |look| has_escrow_key(look, 2)));
    let words = words_alone(&remote, &dealt, before);
    let shown: When = |look| look.when == WRITTEN;
    secrets.push(Secret::new(
        "words as they are shown",
        words,
        shown,
        Some(shown),
    ));
    for (at, words) in dealt.iter().enumerate() {
        let must: When = |look| look.when.ends_with("row 33 of 33: ");
        let name = format!("share {}", at + 1);
        secrets.push(Secret::new(
            &name,
            share_forms(&words.join(" ")),
            IN_ESCROW,
            Some(must),
        ));
    }
    let key = room.openssl_opens(&wrapped("records/one"));
    secrets.push(Secret::new("the data key", forms(&key), NEVER, None));
    search("generate, shares at the screen", &remote, &secrets, &room);
}

/// Words 1 to 33 from the screen of a share, as a custodian reads the three columns.
#[track_caller]
fn read_off(screen: &str) -> Vec<String> {
    let mut words = vec![String::new(); 33];
    for line in screen.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let numbered = |cell: &&str| cell.parse::<usize>().is_ok_and(|n| (1..=33).contains(&n));
        if cells.first().is_some_and(numbered) && cells.len().is_multiple_of(2) {
            for pair in cells.chunks(2) {
                words[pair[0].parse::<usize>().unwrap() - 1] = pair[1].to_owned();
            }
        }
    }
    assert!(words.iter().all(|word| !word.is_empty()), "{screen}");
    words
}

#[test]
fn the_same_key_wrapped_again_by_this_computer_is_nowhere_afterwards() {
    let Some((mut room, remote)) = room() else {
        return;
    };
    let module = std::mem::replace(&mut room.plan.module, room.module.display().to_string());
    room.run_well();
    room.plan.module = module;
    room.plan.kind = "reimport".into();
    room.plan.top_more = support::escrow::builds_on(&room, "records/one");
    room.plan.directory = "records/two".into();
    room.plan.wrapping = "RSAES_OAEP_SHA_256".into();
    room.plan.wrap_in = "host".into();
    run(&room, &remote);
    let key = room.openssl_opens(&wrapped("records/two"));
    let mut secrets = vec![pin()];
    secrets.extend(brought_in(&remote, |look| is_wrapping(look, 1)));
    secrets.push(Secret::new("the data key", forms(&key), NEVER, None));
    search(
        "reimport, wrapped by this computer",
        &remote,
        &secrets,
        &room,
    );
}

/// How many copies of the PIN a login leaves in a program of the tests in C.
fn copies_of_a_login(program: &std::path::Path, more: &[&str]) -> Option<usize> {
    let (room, remote) = room()?;
    remote.look_at_nobody();
    let mut login = Command::new(program);
    login.arg(&room.plan.module).args(more).env_clear();
    let login = login.envs(room.env.iter().cloned()).stdin(Stdio::piped());
    let limited = |command: &mut Command| command.stdout(Stdio::piped()).spawn().unwrap();
    let mut login = limited(login);
    let mut input = login.stdin.take().unwrap();
    input.write_all(format!("{PIN}\n").as_bytes()).unwrap();
    let mut ready = String::new();
    BufReader::new(login.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    assert_eq!(ready, "ready\n");
    let mut looks = Looks::new(login.id() as i32, room.path("none"));
    looks.look("after the login");
    drop(input);
    assert!(login.wait().unwrap().success());
    Some(looks.find(&[PIN.as_bytes().to_vec()])[0].len())
}

#[test]
fn a_bare_login_leaves_as_few_copies_of_the_pin_as_byok() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("login");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/login.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Werror", "-o"]).arg(&program);
    assert!(cc.arg(source).arg("-ldl").status().unwrap().success());
    let (Some(bare), Some(careless)) = (
        copies_of_a_login(&program, &[]),
        copies_of_a_login(&program, &["careless"]),
    ) else {
        return;
    };
    assert_eq!(careless, bare + 1, "the search finds a copy that was kept");
    // what the other tests hold byok to
    assert_eq!(bare, 0);
    println!("memory: a bare login in C: {bare} copies of the PIN");
}
