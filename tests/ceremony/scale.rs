//! Three hundred data keys in one plan: one approval, one record, memory that does not grow with what passes
//! through, and a failure in the middle that leaves nothing behind.

use crate::support;

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use support::pty::{APPROVE, Pty, approval};
use support::{Kind, Room, now, openssl, refused, sha256, stderr, verifiers};

const MANY: usize = 300;

fn label(at: usize) -> String {
    format!("payments-{at:04}")
}

/// A room whose plan has this many data keys, each with an import into a KMS key of its own: most symmetric,
/// every tenth for HMAC, every fifth in another account and Region.
fn room(keys: usize) -> Option<Room> {
    let mut room = Room::new(Kind::SoftHsm)?;
    let mut more = String::new();
    let arn = |at: usize| {
        let (account, region) = match at % 5 {
            0 => ("444455556666", "us-east-1"),
            _ => ("111122223333", "eu-west-1"),
        };
        format!("arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-{at:012}")
    };
    room.plan.label = label(0);
    room.plan.key_arn = arn(0);
    room.write_parameters();
    for at in 1..keys {
        let parameters = room.kms.parameters(&arn(at), now() + 86_000);
        fs::write(room.path(&format!("inputs/{at}.json")), parameters).unwrap();
        let spec = if at % 10 == 1 {
            "HMAC_256"
        } else {
            "SYMMETRIC_DEFAULT"
        };
        let _ = write!(
            more,
            "[[key]]\nlabel = \"{}\"\nspec = \"{spec}\"\nkeep = \"extractable\"\n\
             [[key.import]]\nname = \"kms\"\nkey_arn = \"{}\"\nparameters = \"inputs/{at}.json\"\n\
             wrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
            label(at),
            arn(at),
            room.kms.sha256()
        );
    }
    room.plan.more = more;
    Some(room)
}

/// The most memory that a process has had, in KiB (VmHWM), looked at until it ends.
fn peak(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// Runs the room's plan to its end; says the most memory that it had, in KiB, and what it told.
fn run_measured(room: &Room) -> (u64, String) {
    let plan = room.write_plan();
    let approved = sha256(&fs::read(plan).unwrap());
    let mut command = room.byok(&["run", "plan.toml", "--approve", &approved]);
    let told = fs::File::create(room.path("told")).unwrap();
    let mut child = command.stderr(told).stdout(Stdio::null()).spawn().unwrap();
    let peak = peak(&mut child);
    let mut said = String::new();
    let mut told = fs::File::open(room.path("told")).unwrap();
    told.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    (peak, said)
}

fn size(room: &Room, path: &str) -> u64 {
    fs::metadata(room.path(path)).unwrap().len()
}

#[test]
fn the_check_values_of_more_keys_than_a_screen_holds_are_read_page_by_page() {
    let Some(room) = room(30) else {
        return;
    };
    room.write_plan();
    let mut pty = Pty::start(room.byok(&["run", "plan.toml"]));
    pty.answer(APPROVE, "Yes");
    pty.answer("Who is at the keyboard? Name: ", "Ada Lovelace");
    let screen = pty.end().screen;
    let (before, _) = screen.split_once("Write the KCV of each data key").unwrap();
    // Each was told as it was made; then all of them again, to be written down.
    let told = &before[before.rfind("payments-0000").unwrap()..];
    assert!(told.matches(" Page ").count() >= 1, "not in pages:\n{told}");
    for at in 0..30 {
        assert!(told.contains(&label(at)), "{at}:\n{told}");
    }
    for page in told.split(" Page ") {
        assert!(page.lines().count() <= 24, "it scrolls:\n{page}");
    }
}

#[test]
fn three_hundred_data_keys_are_one_ceremony_in_the_memory_of_its_record() {
    let (Some(few), Some(many)) = (room(MANY / 10), room(MANY)) else {
        return;
    };
    let (little, _) = run_measured(&few);
    let (peak, said) = run_measured(&many);
    for told in [
        "25 of 300 made",
        "275 of 300 wrapped",
        "all 300 made",
        "all 300 wrapped",
    ] {
        let line = format!("      {told}\n");
        assert_eq!(said.matches(&line).count(), 1, "{told}:\n{said}");
    }
    assert!(!said.contains(&label(7)), "no single one is told:\n{said}");
    assert!(said.lines().count() < 100, "{said}");
    // What may grow is what the record needs: transcript and report in memory once, the transcript's lines as
    // values besides, and for each data key the plan, its parameters and what was wrapped.
    let record = |room: &Room| {
        size(room, "records/one/transcript.jsonl") + size(room, "records/one/transcript.html")
    };
    let grown = (record(&many) - record(&few)) / 1024;
    let each = (MANY - MANY / 10) as u64 * 32; // KiB
    let bound = little + 8 * grown + each;
    eprintln!("VmHWM {little} KiB, then {peak} KiB; the bound is {bound} KiB");
    assert!(little > 1000 && peak < bound, "{little}, {peak}, {bound}");
    let transcript = many.transcript("records/one");
    assert_eq!(transcript.events("key-generated").len(), MANY);
    assert_eq!(transcript.events("key-wrapped").len(), MANY);
    assert_eq!(transcript.events("plan-approved").len(), 1);
    assert_eq!(many.objects().len(), MANY);
    let verified = verifiers::both(many.dir.path(), &["records/one"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn the_approval_of_three_hundred_data_keys_counts_all_that_matters_on_one_screen() {
    let Some(mut room) = room(MANY) else {
        return;
    };
    let soon = jiff::Timestamp::from_second((now() / 86_400 + 100) as i64 * 86_400).unwrap();
    room.plan.more = room.plan.more.replacen(
        "\"RSAES_OAEP_SHA_1\"",
        "\"RSAES_OAEP_SHA_256\"\nwrap_in = \"host\"",
        3,
    );
    room.plan.more =
        room.plan
            .more
            .replacen("expires = \"never\"", &format!("expires = \"{soon}\""), 2);
    let screen = approval(&room);
    let text = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "make 300 data keys, inside the HSM 270 × SYMMETRIC_DEFAULT, 32 bytes; 30 × HMAC_256, 32 bytes (256 bits)",
        "the first is payments-0000, the last payments-0299",
        "for 300 imports into 300 KMS keys 240 × account 1111 2222 3333, eu-west-1; 60 × account 4444 5555 6666, us-east-1",
        "wrap 297 × inside the HSM, RSAES_OAEP_SHA_1; 3 × IN THIS COMPUTER'S MEMORY, RSAES_OAEP_SHA_256",
        &format!(
            "expires 298 × never; 2 × {}",
            soon.strftime("%Y-%m-%d 00:00 UTC")
        ),
        "keep in the HSM, extractable",
        "escrow NONE",
        "each one is in the printed script",
        "row 8",
    ] {
        assert!(text.contains(told), "{told}:\n{screen}");
    }
    assert!(
        screen.lines().count() <= 36,
        "{} lines:\n{screen}",
        screen.lines().count()
    );
}

#[test]
fn the_approval_of_many_imports_counts_those_into_a_kms_without_deadline_and_comparison() {
    let Some(mut room) = room(14) else {
        return;
    };
    let options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"];
    let private = openssl(&[&["genpkey"][..], &options].concat(), b"");
    let public = openssl(&["pkey", "-pubout"], &private);
    let der = openssl(&["pkey", "-pubin", "-outform", "DER"], &public);
    for at in [2, 3] {
        fs::write(room.path(&format!("inputs/{at}.json")), &public).unwrap();
        let of_aws = format!(
            "key_arn = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{at:012}\"\n\
             parameters = \"inputs/{at}.json\"\nwrapping = \"RSAES_OAEP_SHA_1\"\nexpires = \"never\"\n\
             wrapping_key_sha256 = \"{}\"",
            room.kms.sha256()
        );
        let of_engine = format!(
            "kms = \"openbao\"\nkey = \"https://bao.example:8200/v1/transit/keys/{at}\"\n\
             parameters = \"inputs/{at}.json\"\nwrapping = \"RSA_AES_KEY_WRAP_SHA_1\"\nexpires = \"never\"\n\
             wrapping_key_sha256 = \"{}\"",
            sha256(&der)
        );
        assert!(room.plan.more.contains(&of_aws), "{}", room.plan.more);
        room.plan.more = room.plan.more.replace(&of_aws, &of_engine);
    }
    let screen = approval(&room);
    let text = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "2 × OpenBao at https://bao.example:8200",
        "deadline 2 of the imports: NONE: whoever may import there",
        "compared 2 of the imports: by byok alone: OpenBao takes any material under a free name",
    ] {
        assert!(text.contains(told), "{told}:\n{screen}");
    }
}

/// The HSM fails in the middle: everything is taken back, and the same plan then comes to its end.
fn fails_in_the_middle(rule: &str, event: &str, made: usize) {
    let Some(mut room) = room(MANY) else {
        return;
    };
    if room.behind_proxy(rule).is_none() {
        return;
    }
    refused(
        &room.run(),
        3,
        &[
            "CKR_DEVICE_ERROR",
            &format!(
                "no data key was left in the HSM by this run: the {made} it made were destroyed"
            ),
            "nothing was written except",
        ],
    );
    assert_eq!(room.objects(), [""; 0], "left in the token");
    let aborted = room.aborted();
    let got = aborted.events(event).len();
    assert!(
        (150..=250).contains(&got),
        "not the middle: {got} × {event}"
    );
    assert_eq!(aborted.events("key-generated").len(), made);
    assert_eq!(aborted.events("key-destroyed").len(), made);
    assert!(
        aborted
            .events("output-written")
            .iter()
            .all(|line| line["path"] == "plan.toml")
    );
    room.without_proxy();
    let transcript = room.run_well();
    assert_eq!(transcript.events("key-wrapped").len(), MANY);
    assert_eq!(room.objects().len(), MANY);
}

#[test]
fn an_hsm_that_fails_while_it_makes_the_two_hundredth_data_key_is_left_empty() {
    fails_in_the_middle(
        "fail:C_GenerateKey:202:CKR_DEVICE_ERROR",
        "key-generated",
        199,
    );
}

#[test]
fn an_hsm_that_fails_while_it_wraps_the_two_hundredth_data_key_is_left_empty() {
    fails_in_the_middle("fail:C_WrapKey:502:CKR_DEVICE_ERROR", "key-wrapped", MANY);
}
