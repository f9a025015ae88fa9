//! What is printed: the script of a ceremony before it, and the report in its record. Both are read as
//! text, and printed to PDF by a browser, page by page.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};

use byok::crypto::escrow::package::Package;
use byok::evidence::previous::{Previous, read_package_file};
use byok::evidence::transcript::{Line, Torn};
use byok::ground::strict_json::Json;
use byok::paper::report::Report;
use byok::paper::script::Script;
use byok::plan::Plan;
use support::paper::{Paper, Printed, print, qr_codes};
use support::story::{Grade, Story};
use support::{Kind, PIN, Room, refused, sha256, stderr, stdout};

const CUSTODIANS: [&str; 3] = ["Security", "Audit", "Vorstand Zürich"];
const NEVER: &str = "never left";

/// A report made from what a record and the one before it hold, as anybody can who has both.
fn made_again(record: &Path, previous: Option<&Path>) -> String {
    let plan = Plan::read(&record.join("plan.toml")).unwrap();
    let bytes = fs::read(record.join("transcript.jsonl")).unwrap();
    let lines = before_the_report(Torn::read(&bytes).unwrap().lines);
    let package = record.join("escrow-package.json");
    let package = package
        .exists()
        .then(|| read_package_file(&package).unwrap());
    let previous = previous.map(|record| Previous::load(record, None).unwrap());
    let report = Report {
        plan: &plan,
        lines: &lines,
        package: package.as_ref(),
        previous: previous.as_ref(),
    };
    report.render()
}

fn before_the_report(lines: Vec<Line>) -> Vec<Line> {
    let others = lines.into_iter();
    others
        .take_while(|line| {
            let path = (
                "path".to_owned(),
                Json::String("transcript.html".to_owned()),
            );
            !line.members().contains(&path)
        })
        .collect()
}

/// What no page may hold: addresses, programs, anything from elsewhere.
#[track_caller]
fn stands_alone(html: &str) {
    assert!(
        html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")
    );
    for never in [
        "http://", "https://", "<script", "<img", "<link", "<iframe", "@import", "url(", "src=",
        "href=", "onload", "<form",
    ] {
        assert!(!html.contains(never), "{never}");
    }
}

fn report_of(room: &Room, record: &str) -> String {
    fs::read_to_string(room.path(record).join("transcript.html")).unwrap()
}

#[test]
fn every_record_has_a_report_that_can_be_made_again_byte_for_byte() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let transcript = room.run_with_escrow(2, &CUSTODIANS);
    let html = report_of(&room, "records/one");
    assert_eq!(html, made_again(&room.path("records/one"), None));
    stands_alone(&html);
    let named = transcript.events("output-written");
    let last = named.last().unwrap();
    assert_eq!(last["path"], "transcript.html");
    assert_eq!(last["sha256"], sha256(html.as_bytes()).as_str());
    for told in [
        "software HSM",
        "PRODUCTION",
        transcript.event("key-generated")["kcv"].as_str().unwrap(),
        "any 2 of 3 shares",
        "Vorstand Zürich",
        "accepted by KMS",
        "proved in KMS",
        "AES-KW, 40 bytes",
    ] {
        assert!(html.contains(told), "{told}");
    }
    assert!(!html.contains(NEVER));
    let readme = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    assert!(readme.contains("transcript.html"));
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));

    let edited = html.replacen("software HSM", "never left the HSM in clear", 1);
    fs::write(room.path("records/one/transcript.html"), edited).unwrap();
    let output = room.byok(&["verify", "records/one"]).output().unwrap();
    refused(&output, 4, &["transcript.html"]);
}

/// The record as a version of byok without reports would have written it.
fn take_report_away(record: &Path) {
    fs::remove_file(record.join("transcript.html")).unwrap();
    let text = fs::read_to_string(record.join("transcript.jsonl")).unwrap();
    let kept = text
        .lines()
        .filter(|line| !line.contains("\"transcript.html\""));
    let (mut chain, mut prev) = (String::new(), "0".repeat(64));
    for (at, line) in kept.enumerate() {
        let rest = &line[line.find(",\"at\"").unwrap()..];
        let (before, after) = rest.split_once("\"prev\":\"").unwrap();
        let line = format!(
            "{{\"seq\":{}{before}\"prev\":\"{prev}{}",
            at + 1,
            &after[64..]
        );
        prev = sha256(line.as_bytes());
        chain += &format!("{line}\n");
    }
    fs::write(record.join("transcript.jsonl"), &chain).unwrap();
    let sums = fs::read_to_string(record.join("SHA256SUMS")).unwrap();
    let sums = sums
        .lines()
        .filter(|line| !line.ends_with("transcript.html"));
    let anew = sums.map(|line| match line.split_once("  ") {
        Some((_, "transcript.jsonl")) => {
            format!("{}  transcript.jsonl\n", sha256(chain.as_bytes()))
        }
        _ => format!("{line}\n"),
    });
    fs::write(record.join("SHA256SUMS"), anew.collect::<String>()).unwrap();
}

#[test]
fn a_record_without_a_report_stays_valid() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.record_more = "signer = \"none\"\n".into(); // as the first versions wrote records
    room.run_well();
    take_report_away(&room.path("records/one"));
    let head = sha256(&fs::read(room.path("records/one/transcript.jsonl")).unwrap());
    let verified = room
        .byok(&["verify", "--head", &head, "records/one"])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("authentic"));
}

#[test]
fn no_share_and_no_pin_stands_on_any_paper() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_with_escrow(2, &CUSTODIANS);
    let script = script(&room, &[]);
    let report = report_of(&room, "records/one");
    let shares = support::escrow::shares(&room.path("shares"));
    assert_eq!(shares.len(), 3);
    for html in [script, report] {
        assert!(!html.contains(PIN) && !html.contains("file:pin"));
        for (_, words) in &shares {
            assert!(!html.contains(words));
            for telling in support::escrow::telling(words) {
                let telling = String::from_utf8(telling).unwrap();
                assert!(!html.contains(&telling), "{telling}");
            }
        }
    }
}

#[test]
fn the_report_of_an_end_tells_what_was_destroyed_and_the_record_before() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let made = room.run_well();
    let head = sha256(&made.bytes);
    room.plan.kind = "destroy".into();
    room.plan.imported = false;
    room.plan.directory = "records/two".into();
    room.plan.top_more = format!(
        "previous = \"records/one\"\nprevious_head = \"{head}\"\nreason = \"end of life\"\n"
    );
    let output = room.run();
    assert!(output.status.success(), "{}", stderr(&output));
    let html = report_of(&room, "records/two");
    assert_eq!(
        html,
        made_again(&room.path("records/two"), Some(&room.path("records/one")))
    );
    assert!(html.contains("destroyed in the HSM: end of life"));
    assert!(html.contains(&format!("{} {}", &head[..4], &head[4..8])));
}

fn rendered(story: &Story) -> String {
    let lines = story.lines();
    let plan = story.plan();
    let package: Option<Package> = story.package();
    let report = Report {
        plan: &plan,
        lines: &lines,
        package: package.as_ref(),
        previous: None,
    };
    report.render()
}

#[test]
fn each_grade_of_exposure_stands_first_and_says_no_more_than_is_true() {
    let grades = [
        (Grade::Never, "never left the HSM in clear"),
        (Grade::EscrowKey, "escrow key was in this computer"),
        (Grade::Quorum, "escrow key was in this computer"),
        (Grade::Bytes, "bytes were in this computer"),
        (Grade::BytesAndEscrowKey, "bytes were in this computer"),
        (Grade::Software, "software HSM"),
    ];
    for (grade, said) in grades {
        let html = rendered(&Story::of(grade));
        let exposure = html.find(&format!("<p class=\"grade\">{said}</p>"));
        let exposure = exposure.unwrap_or_else(|| panic!("{grade:?}: {said}"));
        assert!(exposure < html.find("data keys</td>").unwrap());
        assert_eq!(html.matches("class=\"grade\"").count(), 1);
        let sign = match grade {
            Grade::Never => "not exposed",
            Grade::EscrowKey | Grade::Quorum => "exposed in part",
            Grade::Bytes | Grade::BytesAndEscrowKey | Grade::Software => "exposed",
        };
        let sign = html.find(&format!("aria-label=\"{sign}\"")).unwrap();
        assert!(sign < exposure, "{grade:?}: the sign is seen first");
        let tile = |name: &str, is: bool| {
            let (class, said) = match is {
                true => (" class=\"applies\"", "YES"),
                false => ("", "no"),
            };
            let tile = format!("<div{class}>{name}: <b>{said}</b></div>");
            assert!(html.contains(&tile), "{grade:?}: {tile}");
        };
        tile("the HSM is software", grade == Grade::Software);
        tile("a data key came from elsewhere", false);
        assert!(!html.contains("is not known here"), "{grade:?}");
        tile("a network was allowed", false);
        assert_eq!(html.contains(NEVER), grade == Grade::Never, "{grade:?}");
        let escrow_key = "The escrow key was in this computer";
        let escrowed = [Grade::EscrowKey, Grade::Quorum, Grade::BytesAndEscrowKey];
        assert_eq!(
            html.contains(escrow_key),
            escrowed.contains(&grade),
            "{grade:?}"
        );
        let bytes = "bytes of data keys were in this computer's";
        let in_host = [Grade::Bytes, Grade::BytesAndEscrowKey];
        assert_eq!(html.contains(bytes), in_host.contains(&grade), "{grade:?}");
        tile(
            "the escrow key was in this computer",
            escrowed.contains(&grade),
        );
        tile(
            "bytes of data keys were outside the HSM",
            in_host.contains(&grade),
        );
        stands_alone(&html);
    }
}

#[test]
fn the_report_shows_the_time_of_its_imports_and_when_the_next_ceremony_is_prepared() {
    let html = rendered(&Story::of(Grade::EscrowKey));
    for date in [
        "made <b>2026-11-22</b>",
        "wrapped <b>2026-11-22</b>",
        "import before <b>2026-11-23 09:41 UTC</b>",
        "plan the ceremony <b>2027-09-21</b>",
        "print the script, invite people <b>2027-11-06</b>",
        "get the import parameters <b>2027-11-19</b>",
        "the KMS deletes the material <b>2027-11-20 00:00 UTC</b>",
    ] {
        assert!(html.contains(date), "{date}");
    }
    assert!(
        !html.contains("height=\"9\" fill=\"#000\""),
        "no receipt says that a KMS took it"
    );
    // imports with the same dates share a picture
    let large = rendered(&Story::large());
    let (row, _) = large.split_once("and 6 more</b>, no receipt").unwrap();
    assert!(row.ends_with("eu-west-1-5 "), "{row}");
    assert_eq!(large.matches("class=\"timeline\"").count(), 1);
}

#[test]
fn report_and_script_show_the_same_picture_of_what_together_opens_the_data_keys() {
    let picture = |html: &str| {
        let (_, rest) = html.split_once("<table class=\"ways\">").unwrap();
        rest.split_once("</table>").unwrap().0.to_owned()
    };
    let both = |story: &Story| {
        let plan = story.plan();
        let script = Script {
            plan: &plan,
            practice: false,
            previous: None,
        };
        let shown = picture(&rendered(story));
        assert_eq!(picture(&script.render()), shown);
        shown
    };
    let shared = both(&Story::of(Grade::EscrowKey));
    let count = |what: &str| shared.matches(what).count();
    assert_eq!(
        (count("r=\"4.5\" fill=\"#000\""), count("r=\"4.5\"")),
        (3, 5)
    );
    for says in [
        "<b>any 3 of 5 shares</b>",
        "<span class=\"seat\">5 Operations</span>",
        "<b>the escrow package</b>",
        "<b>the HSM token</b>",
        "<b>the PIN</b>",
        "whoever has token and PIN can wrap it again",
        "<b>AWS KMS</b>",
    ] {
        assert!(shared.contains(says), "{says}");
    }
    let alone = both(&Story::of(Grade::Never));
    assert!(alone.contains("NONE: if the HSM is lost, so is this data key"));
    assert!(alone.contains("<b>the HSM token</b>") && !alone.contains("<circle"));
}

fn ways(html: &str) -> Vec<&str> {
    let (_, picture) = html.split_once("<table class=\"ways\">").unwrap();
    let (picture, _) = picture.split_once("</table>").unwrap();
    picture.split("<tr>").skip(1).collect()
}

/// The one row with a box of this name, and whether it has an arrow.
#[track_caller]
fn way<'a>(html: &'a str, name: &str) -> (&'a str, bool) {
    let ways = ways(html).into_iter();
    let mut found = ways.filter(|way| way.contains(&format!("<b>{name}</b>")));
    let way = found.next().unwrap_or_else(|| panic!("{name}: {html}"));
    assert!(found.next().is_none(), "{name} twice");
    (way, way.contains("M1 8H21M14"))
}

fn plan_text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    fs::read_to_string(path.join(name)).unwrap()
}

/// The script and the report of a plan whose previous record is not at hand.
fn both_pages(text: String) -> [String; 2] {
    let plan = Plan::parse(Path::new("plan.toml"), text.into_bytes()).unwrap();
    let script = Script {
        plan: &plan,
        practice: false,
        previous: None,
    };
    let report = Report {
        plan: &plan,
        lines: &Story::of(Grade::Never).lines(),
        package: None,
        previous: None,
    };
    [script.render(), report.render()]
}

#[test]
fn no_picture_crosses_out_shares_that_were_dealt_before() {
    for (name, deals) in [
        ("recover.toml", false),
        ("reimport.toml", false),
        ("new-shares.toml", true),
    ] {
        for html in both_pages(plan_text(name)) {
            let (earlier, opens) = way(&html, "a quorum of earlier shares");
            assert!(opens, "{name}: {earlier}");
            assert!(earlier.contains("as far as they exist, until people destroy them"));
            assert!(earlier.contains("every data key in that package"), "{name}");
            assert_eq!(html.contains("<b>any 3 of 5 shares</b>"), deals, "{name}");
            let stay = earlier.contains("the old shares stay in use: the same custodians keep");
            assert_eq!(stay, name == "recover.toml", "{earlier}");
        }
    }
}

#[test]
fn shares_of_the_record_before_are_drawn_as_long_as_they_open_its_package() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.run_with_escrow(2, &CUSTODIANS);
    room.plan.kind = "recover".into();
    room.plan.directory = "records/two".into();
    let recover = "[recover]\nshares = \"typed\"\npackage = \"record\"\n";
    for deals in [false, true] {
        room.plan.top_more = "previous = \"records/one\"\n".into();
        room.plan.more = recover.into();
        match deals {
            false => room.plan.top_more += "reuse_escrow = \"a test\"\n",
            true => room.plan.more += &support::escrow::table(3, 5, "screen"),
        }
        let html = script(&room, &[]);
        let (before, opens) = way(&html, "any 2 of 3 shares");
        assert!(opens && before.contains("Vorstand Zürich"), "{before}");
        assert_eq!(before.contains("until people destroy both"), deals);
        assert_eq!(
            before.contains("the old shares stay in use: a test"),
            !deals
        );
        assert_eq!(html.contains("<b>any 3 of 5 shares</b>"), deals);
        assert!(!html.contains("earlier shares</b>"), "the records name all");
    }
}

#[test]
fn whoever_may_have_a_data_key_from_elsewhere_stands_in_the_picture() {
    for html in both_pages(plan_text("existing-material.toml")) {
        let (file, opens) = way(&html, "the file that the data key came from");
        assert!(opens && file.contains("<b>tokens-2026</b>"), "{file}");
        assert!(file.contains("until people remove it and every copy"));
        let (copy, opens) = way(&html, "any copy from before this ceremony");
        assert!(opens && copy.contains("<b>signing-2026</b>"), "{copy}");
        assert!(copy.contains("nobody knows who made it or who else has it"));
        assert!(!html.contains("no box does alone"), "a file does");
    }
    // a sealed data key is in its file as before
    let sealed = plan_text("existing-material.toml").replace(
        "\"extractable\"\nsource = \"file",
        "\"sealed\"\nsource = \"file",
    ) + &support::escrow::table(2, 3, "screen");
    let sealed = sealed.replace("pin    = \"file:pin\"", "pin    = \"prompt\"");
    for html in both_pages(sealed) {
        assert!(!ways(&html).concat().contains("only a quorum"), "{html}");
    }
}

/// The tick says that nobody had the data key; the record must know it.
#[test]
fn a_data_key_that_was_in_the_hsm_before_never_gets_the_tick() {
    let sign = |html: &str| {
        let (_, sign) = html.split_once("<div class=\"box exposure").unwrap();
        let (sign, _) = sign.split_once("class=\"tiles\"").unwrap();
        sign.to_owned()
    };
    let unknown = "What happened to a data key from elsewhere before this ceremony is not known";
    for grade in [Grade::Never, Grade::EscrowKey] {
        let mut story = Story::of(grade);
        assert!(!sign(&rendered(&story)).contains(unknown));
        story.change("key-generated", "source", "token".into());
        story.change("key-generated", "event", "key-found".into());
        let html = rendered(&story);
        let sign = sign(&html);
        let label = match grade {
            Grade::Never => "not known before this ceremony",
            _ => "exposed in part",
        };
        assert!(sign.contains(&format!("aria-label=\"{label}\"")), "{sign}");
        assert!(
            sign.contains(unknown) && !sign.starts_with(" fine"),
            "{sign}"
        );
        let held = html.contains("No byte of a data key, and no key that opens one");
        assert_eq!(held, grade == Grade::Never, "that stays true");
    }
}

#[test]
fn a_data_key_of_which_no_record_tells_the_origin_never_gets_the_tick() {
    let mut story = Story::of(Grade::Never);
    story.change("key-generated", "event", "key-found".into());
    let html = rendered(&story);
    for text in [
        "aria-label=\"not known before this ceremony\"",
        "<p>Where these data keys came from is not known here: payments-2026.",
        "class=\"applies\">a data key came from elsewhere: <b>not known</b>",
        "no record here tells where it came from",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("class=\"box exposure fine\""), "{html}");
}

#[test]
fn a_place_of_wrapping_of_a_later_version_counts_as_this_computer() {
    let mut story = Story::of(Grade::Never);
    story.change("key-wrapped", "wrapped_in", "cloud".into());
    let html = rendered(&story);
    assert!(html.contains("<p class=\"grade\">bytes were in this computer</p>"));
    assert!(html.contains("IN THIS COMPUTER&#39;S MEMORY"));
}

#[test]
fn an_hsm_that_only_the_plan_calls_hardware_is_seen_at_a_glance() {
    let mut story = Story::of(Grade::Never);
    let tile = |html: &str| {
        let name = "the HSM is hardware by the plan's word only";
        let name = name.replace('\'', "&#39;");
        let (before, said) = html.split_once(&format!("{name}: <b>")).unwrap();
        (
            before.ends_with("<div class=\"applies\">"),
            said[..3].to_owned(),
        )
    };
    assert_eq!(tile(&rendered(&story)), (false, "no<".to_owned()));
    story.change("hsm-opened", "judged_by", "plan".into());
    story.change(
        "hsm-opened",
        "hardware_reason",
        "a card without the flag".into(),
    );
    assert_eq!(tile(&rendered(&story)), (true, "YES".to_owned()));
}

#[test]
fn an_exception_is_told_with_the_number_of_its_step() {
    let html = rendered(&Story::of(Grade::EscrowKey));
    assert!(html.contains("step 3, look at the machine"));
    assert!(html.contains("<div class=\"applies\">exceptions up to step 11: <b>1</b></div>"));
    assert!(html.contains("the cable was found plugged in &amp; taken out"));
}

#[test]
fn what_an_event_of_a_later_version_adds_is_shown_and_never_as_html() {
    let mut story = Story::of(Grade::Never);
    story.change(
        "roll-call",
        "witnesses",
        serde_json::json!(["<b>Eve</b>", "Ann"]),
    );
    story.add(serde_json::json!({"event": "lamp-lit", "by": "<i>x</i>"}));
    let html = rendered(&story);
    assert!(html.contains("&lt;b&gt;Eve&lt;/b&gt;, Ann"));
    assert!(html.contains("lamp-lit") && !html.contains("<i>x"));
}

#[test]
fn the_report_tells_what_happened_in_sentences_with_the_name_of_each_event_beside() {
    let mut story = Story::of(Grade::EscrowKey);
    story.add(serde_json::json!({"event": "lamp-lit"}));
    let html = rendered(&story);
    for (sentence, name) in [
        ("The plan was approved.", "plan-approved"),
        ("The HSM made a data key.", "key-generated"),
        (
            "A share was handed out to its custodian.",
            "share-handed-out",
        ),
        ("An event of a later version of byok.", "lamp-lit"),
    ] {
        let row = format!("<td>{sentence} <code class=\"name\">{name}</code><td>");
        assert!(html.contains(&row), "{row}");
    }
    let events = html.matches("<code class=\"name\">").count();
    assert_eq!(html.matches(". <code class=\"name\">").count(), events);
}

#[test]
fn who_sat_where_is_a_table_in_the_report() {
    let mut story = Story::of(Grade::Never);
    let present = serde_json::json!([
        {"role": "custodian", "seat": "Audit", "name": "<i>Ann</i>"},
        {"role": "witness", "seat": "witness 1", "name": "Ben"},
    ]);
    story.change("roll-call", "present", present);
    let html = rendered(&story);
    for row in [
        "<th>role</th><th>seat</th><th>name</th>",
        "<td><span class=\"any\">custodian</span></td><td><span class=\"any\">Audit</span></td>",
        "&lt;i&gt;Ann&lt;/i&gt;",
    ] {
        assert!(html.contains(row), "{row}");
    }
    assert!(html.contains("Ann Ådén") && !html.contains("role custodian"));
}

// ---- the script ----

fn script(room: &Room, args: &[&str]) -> String {
    room.write_plan();
    let output = room
        .byok(&[&["script", "plan.toml"], args].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_script_has_the_plan_s_digest_the_steps_and_a_form_for_each_custodian() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.title = "Payments <b>& more</b>".into();
    room.plan.more = support::escrow::table(3, 5, "screen");
    let html = script(&room, &[]);
    stands_alone(&html);
    let plan = sha256(&fs::read(room.path("plan.toml")).unwrap());
    for row in 0..8 {
        let row = &plan[row * 8..row * 8 + 8];
        assert!(html.contains(&format!("<td>{} {}</td>", &row[..4], &row[4..])));
    }
    for step in byok::ground::error::Step::ALL {
        let named = format!("Step {} of 13: {}", step.number(), step.name());
        assert!(html.contains(&named), "{named}");
    }
    for (at, name) in support::escrow::CUSTODIANS[..5].iter().enumerate() {
        assert!(html.contains(&format!("<h1>Share {} of 5: {name}</h1>", at + 1)));
    }
    assert_eq!(html.matches("<b>33</b>").count(), 5);
    assert_eq!(
        html.matches("What AWS KMS encrypted opens only there")
            .count(),
        5
    );
    assert!(html.contains("Payments &lt;b&gt;&amp; more&lt;/b&gt;"));
    for said in [
        "T-7",
        "T-1",
        "T-0",
        "24 h after the download",
        "T+1",
        "yearly",
        "about 40 minutes",
        "expected",
    ] {
        assert!(html.contains(said), "{said}");
    }
    assert!(html.contains("PRODUCTION") && !html.contains("PRACTICE"));
    let (_, step) = html.split_once("Step 4 of 13").unwrap();
    let (step, _) = step.split_once("Step 5 of 13").unwrap();
    let place = "fingerprint: SHA256:<u class=\"long\"></u>";
    assert_eq!(step.matches(place).count(), 1, "{step}");
    let practice = script(&room, &["--practice"]);
    assert!(practice.contains("PRACTICE") && !practice.contains("PRODUCTION"));
    assert!(practice.contains("byok rehearse plan.toml"));
}

#[test]
fn a_script_takes_from_the_record_before_what_is_known_and_leaves_the_rest_blank() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let made = room.run_with_escrow(2, &CUSTODIANS);
    let kcv = made.event("key-generated")["kcv"]
        .as_str()
        .unwrap()
        .to_owned();
    let head = sha256(&made.bytes);
    room.plan.kind = "recover".into();
    room.plan.directory = "records/two".into();
    room.plan.top_more = "previous = \"records/one\"\nreuse_escrow = \"a test\"\n".into();
    room.plan.more = "[recover]\nshares = \"typed\"\npackage = \"record\"\n".into();
    let html = script(&room, &[]);
    assert!(html.contains(&kcv));
    assert!(html.contains(&format!("<td>{} {}</td>", &head[..4], &head[4..8])));
    let signer = made.event("transcript-signer")["fingerprint"]
        .as_str()
        .unwrap();
    let (_, before) = html.split_once("<h1>The previous record</h1>").unwrap();
    let (before, _) = before.split_once("<table class=\"sheet\">").unwrap();
    assert!(before.contains(signer), "{before}");
    assert!(html.contains("Step 7 of 13: the data keys (here: brought back by a quorum)"));
    assert!(html.contains("Shares that are brought") && html.contains("<td>Vorstand Zürich</td>"));
    for step in [9, 10] {
        assert!(html.contains(&format!("Step {step} of 13")));
    }
    assert!(html.contains("prove the escrow. Not in this ceremony."));

    let kept = kept("script-recover.html", &html, &room.path("."));
    if let Some(printed) = print(&kept, Paper::A4) {
        clean(&printed, "PRODUCTION", 10..=20);
    }

    // Printed elsewhere, without the record.
    fs::rename(room.path("records/one"), room.path("records/away")).unwrap();
    let output = room.byok(&["script", "plan.toml"]).output().unwrap();
    assert!(output.status.success());
    assert!(
        stderr(&output).contains("stay blank"),
        "{}",
        stderr(&output)
    );
    assert!(!stdout(&output).contains(&kcv));
    // A broken one is not taken for nothing.
    fs::rename(room.path("records/away"), room.path("records/one")).unwrap();
    fs::write(room.path("records/one/README.txt"), "other").unwrap();
    let output = room.byok(&["script", "plan.toml"]).output().unwrap();
    refused(&output, 4, &["README.txt"]);
}

/// What the paper promises to whoever signs it, and to whoever reads it without knowing the words.
#[test]
fn the_script_has_places_to_sign_one_paper_and_its_words_on_page_one() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.more = support::escrow::table(2, 3, "screen");
    room.plan.record_more = "witnesses = [\"Internal audit\", \"Notary\"]\n".into();
    let html = script(&room, &[]);
    let sheets: Vec<&str> = html.split("<table class=\"sheet\">").collect();
    let sheet = |part: &str| {
        let part = format!("<span class=\"part\">{part}</span>");
        let mut found = sheets.iter().filter(|sheet| sheet.contains(&part));
        let one = found.next().unwrap_or_else(|| panic!("{part}"));
        assert!(found.next().is_none(), "{part} twice");
        *one
    };
    let words = [
        "<b>HSM</b>",
        "<b>KMS</b>",
        "<b>KCV</b>",
        "<b>UTC</b>",
        "<b>SHA-256</b>",
        "<b>RSA, OAEP, AES-KW</b>",
    ];
    let form = [
        "Together they restore",
        "One share alone opens nothing",
        "package.txt",
    ];
    let who = ["<th>name of who is present</th>", "<th>signature</th>"];
    let end = [
        "ended at (UTC)",
        "<th>name</th><th>signature</th>",
        "custodian of share 2",
    ];
    let steps = [
        "package.txt",
        "Internal audit writes all 8, every other witness rows 1 to 3",
    ];
    let paper = [
        "All 8 rows, witness: Internal audit",
        "Rows 1 to 3, witness: Notary",
    ];
    for (part, says) in [
        ("script", &words[..]),
        ("who, where, what to bring", &who),
        ("the paper", &paper),
        ("the end", &end),
        ("steps in the room", &steps),
        ("form 1 of 3, Security", &form),
    ] {
        for says in says {
            assert!(sheet(part).contains(says), "{part}: {says}");
        }
    }
    assert_eq!(sheet("the paper").matches("All 8 rows").count(), 1);
    assert!(!html.contains("This share restores"));
    // The report has no second one.
    room.plan.record_more = String::new();
    room.run_with_escrow(2, &CUSTODIANS);
    let report = report_of(&room, "records/one");
    assert!(!report.contains("<span class=\"part\">head digest"));
    assert!(report.contains("the signed page \"the paper\""));
}

/// What is filled in by hand stays on one page: a table that would break goes over whole.
#[test]
fn a_table_of_bags_is_on_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Story::of(Grade::EscrowKey).plan();
    let script = Script {
        plan: &plan,
        practice: false,
        previous: None,
    };
    for paper in [Paper::A4, Paper::Letter] {
        let name = format!("bags-{}.html", paper.name());
        let Some(printed) = print(&kept(&name, &script.render(), dir.path()), paper) else {
            return;
        };
        let with = |text: &str| {
            let pages = printed.pages.iter();
            pages.filter(|page| page.text().contains(text)).count()
        };
        assert_eq!(with("Tamper-evident bags"), 1);
        assert_eq!(with("bag number before"), 1, "{}", paper.name());
    }
}

/// Paper, screens, pages and the room scripts say the same minutes.
#[test]
fn how_long_things_take_is_told_alike_everywhere() {
    use byok::paper::script::minutes::*;
    let holds = |path: &str, all: &[String]| {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let page = fs::read_to_string(page).unwrap();
        for says in all {
            assert!(page.contains(says), "{path}: {says}");
        }
    };
    let read = PARAMETERS + PREFLIGHT;
    let before = APPROVAL + ROLL_CALL + MACHINE + OPEN_HSM + read;
    holds(
        "docs/escrow.md",
        &[format!(
            "(about {WRITING} minutes), and types them back from it (about {TYPING})"
        )],
    );
    holds(
        "ceremony-scripts/room-generate.md",
        &[
            format!("| before 1 | {APPROVAL} |"),
            format!("| 2 roll call | {ROLL_CALL} |"),
            format!("| 3 look at the machine | {MACHINE} |"),
            format!("| 4 open the HSM | {OPEN_HSM} |"),
            format!("| 5 read the import parameters | {PARAMETERS}, and 1 each |"),
            format!("| 6 preflight | {PREFLIGHT} |"),
            format!("| 7 the data keys | {DATA_KEYS} |"),
            format!("| 9 escrow | {DEALING} each |"),
            format!("| 13 what comes next | {NEXT} |"),
            format!("{DEALING} minutes for each custodian: writing 33 words takes about {WRITING}"),
            format!("typing them back about {TYPING}"),
        ],
    );
    holds(
        "ceremony-scripts/room-reimport.md",
        &[
            format!("| before 1 | {APPROVAL} |"),
            format!("| 2 roll call | {ROLL_CALL} |"),
            format!("4 open the HSM | {} |", MACHINE + OPEN_HSM),
            format!("6 preflight | {read}, and 1 each |"),
            format!("| 7 the data keys | {DATA_KEYS} |"),
            format!("| 13 what comes next | {NEXT} |"),
        ],
    );
    holds(
        "ceremony-scripts/room-recover.md",
        &[
            format!("| before 1 to 6 | {before}, and 1 each import |"),
            format!("| 7 the data keys | {BRINGING} each |"),
            format!("| | {DATA_KEYS_OTHERWISE} | KCV and `same material` |"),
            format!("{BRINGING} minutes for each share; with new shares {DEALING} more"),
            format!("| 13 what comes next | {NEXT} |"),
        ],
    );
}

#[test]
fn a_script_never_overwrites_a_file() {
    let Some(room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.write_plan();
    let args = ["script", "plan.toml", "--out", "script.html"];
    assert!(room.byok(&args).output().unwrap().status.success());
    let written = fs::read(room.path("script.html")).unwrap();
    assert!(written.starts_with(b"<!DOCTYPE html>"));
    refused(
        &room.byok(&args).output().unwrap(),
        2,
        &["give another name, or move that file away first"],
    );
    assert_eq!(fs::read(room.path("script.html")).unwrap(), written);
    refused(
        &room.byok(&["script", "nowhere.toml"]).output().unwrap(),
        2,
        &["nowhere.toml"],
    );
}

// ---- on paper ----

/// Every page says what it is, nothing stands outside the page or on something else.
#[track_caller]
fn clean(printed: &Printed, mode: &str, pages: std::ops::RangeInclusive<usize>) {
    assert!(
        pages.contains(&printed.pages.len()),
        "{} pages",
        printed.pages.len()
    );
    for (at, page) in printed.pages.iter().enumerate() {
        let place = format!("{} page {}", printed.paper.name(), at + 1);
        assert!(page.text().contains(mode), "{place}: no {mode}");
        assert!(
            page.text()
                .contains(&format!("page {} of {}", at + 1, printed.pages.len())),
            "{place}"
        );
        page.nothing_outside(&place);
        page.nothing_overlaps(&place);
    }
}

/// Where the printed files of a test are kept, to be looked at.
fn kept(name: &str, html: &str, dir: &Path) -> PathBuf {
    let dir = std::env::var("BYOK_TEST_KEEP_PAPER").map_or(dir.to_owned(), PathBuf::from);
    let path = dir.join(name);
    fs::write(&path, html).unwrap();
    path
}

#[test]
fn a_page_that_is_not_clean_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let word = |place: &str, text: &str| {
        format!("<div style=\"position: absolute; {place}\">{text}</div>")
    };
    let (middle, edge) = ("top: 50mm; left: 50mm", "top: 1mm; left: 1mm");
    let pages = [
        (
            word(middle, "fine") + &word("top: 70mm; left: 50mm", "too"),
            true,
            true,
        ),
        (word(middle, "first") + &word(middle, "second"), true, false),
        (word(middle, "fine") + &word(edge, "cut"), false, true),
    ];
    for (at, (body, inside, apart)) in pages.into_iter().enumerate() {
        let html = format!("<html><style>@page {{ margin: 0 }}</style><body>{body}</body></html>");
        let Some(printed) = print(
            &kept(&format!("bad-{at}.html"), &html, dir.path()),
            Paper::A4,
        ) else {
            return;
        };
        let page = &printed.pages[0];
        let passes = |check: &dyn Fn()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        assert_eq!(passes(&|| page.nothing_outside("a page")), inside, "{body}");
        assert_eq!(passes(&|| page.nothing_overlaps("a page")), apart, "{body}");
    }
}

#[test]
fn a_script_prints_cleanly_on_a4_and_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, large) = (Story::of(Grade::EscrowKey), Story::large());
    for (story, practice, pages) in [(plain, true, 15..=25), (large, false, 40..=70)] {
        let plan = story.plan();
        let script = Script {
            plan: &plan,
            practice,
            previous: None,
        };
        let mode = if practice { "PRACTICE" } else { "PRODUCTION" };
        for paper in [Paper::A4, Paper::Letter] {
            let name = format!("script-{mode}-{}.html", paper.name());
            let Some(printed) = print(&kept(&name, &script.render(), dir.path()), paper) else {
                return;
            };
            clean(&printed, mode, pages.clone());
            let text = printed.text();
            for number in 1..=13 {
                assert!(text.contains(&format!("Step {number} of 13")), "{number}");
            }
            let last = |count: &usize| text.contains(&format!("Share {count} of {count}"));
            assert!((2..=16).any(|count| last(&count)), "{text}");
        }
    }
}

/// Wherever a head digest stands in rows: the report of a record that builds on another, and the script for it.
#[test]
fn a_phone_reads_from_the_paper_the_head_digest_that_its_rows_say() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    let head = sha256(&room.run_well().bytes);
    let code = format!("QR Code byok head digest {head}");
    room.plan.kind = "reimport".into();
    room.plan.directory = "records/two".into();
    room.plan.top_more = "previous = \"records/one\"\n".into();
    let copy_at_hand = script(&room, &[]);
    room.plan.top_more += &format!("previous_head = \"{head}\"\n");
    room.run_well();
    let report = report_of(&room, "records/two");
    fs::rename(room.path("records/one"), room.path("away")).unwrap();
    let head_in_plan = script(&room, &[]);
    // of a head digest in part there is no code, which would say more than the rows
    room.plan.top_more = room.plan.top_more.replace(&head[24..], "");
    let in_part = script(&room, &[]);
    assert!(in_part.contains(&format!("{} {}", &head[16..20], &head[20..24])));
    for (name, html, expected) in [
        ("qr-report", report, vec![code.clone()]),
        ("qr-script", copy_at_hand, vec![code.clone()]),
        ("qr-script-alone", head_in_plan, vec![code.clone()]),
        ("qr-script-in-part", in_part, vec![]),
    ] {
        stands_alone(&html);
        let kept = kept(&format!("{name}.html"), &html, &room.path("."));
        if print(&kept, Paper::A4).is_none() {
            return;
        }
        let Some(read) = qr_codes(&kept.with_extension("pdf")) else {
            return;
        };
        assert_eq!(read, expected, "{name}");
    }
}

#[test]
fn a_report_prints_cleanly_on_a4_and_letter() {
    let dir = tempfile::tempdir().unwrap();
    let mut rehearsal = Story::of(Grade::EscrowKey);
    rehearsal.change("ceremony-opened", "rehearsal", true.into());
    let stories = [
        (rehearsal, "REHEARSAL", 6..=9),
        (Story::large(), "PRODUCTION", 9..=20),
    ];
    for (story, mode, pages) in stories {
        for paper in [Paper::A4, Paper::Letter] {
            let name = format!("report-{mode}-{}.html", paper.name());
            let Some(printed) = print(&kept(&name, &rendered(&story), dir.path()), paper) else {
                return;
            };
            clean(&printed, mode, pages.clone());
        }
    }
}

/// A plan with this many data keys of every kind, each with an import.
fn plan_of(count: usize) -> Plan {
    let kinds = [
        ("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256"),
        ("HMAC_512", "RSAES_OAEP_SHA_256"),
        ("ECC_NIST_P521", "RSA_AES_KEY_WRAP_SHA_256"),
        ("RSA_4096", "RSA_AES_KEY_WRAP_SHA_256"),
    ];
    let mut text = "title = \"Many\"\nkind = \"generate\"\n[hsm]\nmodule = \"/usr/lib/hsm.so\"\n\
        token = \"pkcs11:token=ceremony\"\n"
        .to_owned();
    for at in 0..count {
        let (spec, wrapping) = kinds[at % kinds.len()];
        text += &format!(
            "[[key]]\nlabel = \"{}-{at}\"\nspec = \"{spec}\"\nkeep = \"extractable\"\n[[key.import]]\nname = \"kms\"\n\
             key_arn = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{at:012}\"\n\
             parameters = \"inputs/{at}.json\"\nwrapping = \"{wrapping}\"\nexpires = \"2027-11-20T00:00:00Z\"\n",
            "L".repeat(if at == 3 { 60 } else { 4 })
        );
    }
    text += "[record]\ndirectory = \"records/many\"\n";
    Plan::parse(Path::new("plan.toml"), text.into_bytes()).unwrap()
}

#[test]
fn a_script_of_data_keys_of_every_kind_and_number_prints_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    for (count, pages) in [(4, 12..=18), (13, 12..=18), (60, 16..=28)] {
        let plan = plan_of(count);
        let script = Script {
            plan: &plan,
            practice: false,
            previous: None,
        };
        let html = script.render();
        for at in 0..count {
            assert!(html.contains(&format!("L-{at}<")), "{at} of {count}");
            assert!(html.contains(&format!("56ef-{at:012}")), "{at} of {count}");
        }
        let each = html.contains("KCV (if it has none, the first 8 digits of the fingerprint)");
        assert_eq!(
            each,
            count < 50,
            "the screen shows no single one of {count}"
        );
        let name = format!("script-many-{count}.html");
        let Some(printed) = print(&kept(&name, &html, dir.path()), Paper::A4) else {
            return;
        };
        clean(&printed, "PRODUCTION", pages);
        assert!(printed.text().contains("key pair on P-521"));
    }
}

#[test]
fn what_has_no_kcv_is_told_by_its_fingerprint_and_a_pair_by_its_public_key() {
    let Some(mut room) = Room::new(Kind::SoftHsm) else {
        return;
    };
    room.plan.spec = "HMAC_512".into();
    room.plan.key_more = "bits = 1024\n".into();
    let arn = support::ARN.replace("1234abcd", "00000001");
    let parameters = room.kms.parameters(&arn, support::now() + 86_000);
    fs::write(room.path("inputs/pair.json"), parameters).unwrap();
    room.plan.more = format!(
        "[[key]]\nlabel = \"pair\"\nspec = \"ECC_NIST_P384\"\nkeep = \"extractable\"\n[[key.import]]\nname = \"kms\"\n\
         key_arn = \"{arn}\"\nparameters = \"inputs/pair.json\"\nwrapping = \"RSA_AES_KEY_WRAP_SHA_256\"\n\
         wrap_in = \"host\"\nexpires = \"never\"\nwrapping_key_sha256 = \"{}\"\n",
        room.kms.sha256()
    );
    let made = room.run_well();
    let html = report_of(&room, "records/one");
    assert_eq!(html, made_again(&room.path("records/one"), None));
    for told in [
        "<td>HMAC_512, 128 bytes (1024 bits)</td>",
        "<td>ECC_NIST_P384, key pair on P-384</td>",
        "row 16",
        "<code>pair/public-key.pem</code>",
    ] {
        assert!(html.contains(told), "{told}");
    }
    assert!(!html.contains(" 0 bytes") && !html.contains("<td>KCV</td>"));
    let readme = fs::read_to_string(room.path("records/one/README.txt")).unwrap();
    assert!(readme.contains("public-key.pem") && readme.contains("public-key.der"));
    let verified = room.byok(&["verify", "records/one"]).output().unwrap();
    let said = stdout(&verified);
    let fingerprint = made.events("key-generated")[0]["fingerprint"]
        .as_str()
        .unwrap();
    let (first, second) = fingerprint.split_at(64);
    assert!(
        said.contains(&format!("{first}\n                      {second}\n")),
        "{said}"
    );
    assert!(
        said.contains("HMAC_512  1024 bits") && said.contains("public key  pair/public-key.pem")
    );

    // Printed for the next ceremony, what is known stands there, and nothing is left to write.
    let head = sha256(&made.bytes);
    room.plan.kind = "reimport".into();
    room.plan.directory = "records/two".into();
    room.plan.top_more = format!("previous = \"records/one\"\nprevious_head = \"{head}\"\n");
    let script = script(&room, &[]);
    assert!(script.contains(&format!("<code>{}…</code>", &fingerprint[..8])));
    assert!(script.contains("compares the first 8 digits of the fingerprint of each data key"));
    assert!(!script.contains("filled in at step 7"));
}

#[test]
fn blank_forms_print_cleanly_on_a4_and_letter() {
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(support::program())
        .args(["script", "--blank"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let html = stdout(&output);
    stands_alone(&html);
    for paper in [Paper::A4, Paper::Letter] {
        let name = format!("blank-{}.html", paper.name());
        let Some(printed) = print(&kept(&name, &html, dir.path()), paper) else {
            return;
        };
        clean(&printed, "PRODUCTION / PRACTICE", 4..=6);
        let text = printed.text();
        assert!(text.contains("What AWS KMS encrypted opens only there"));
        assert!(!text.contains("arn:aws"), "{text}");
    }
}
