//! A transcript that holds, and each way in which one does not. `tests/laws/laws.rs` has the many that nobody chose.

use super::super::event::Exception;
use super::*;

/// A line without its line feed.
fn raw(seq: usize, at: &str, prev: &str, rest: &str) -> String {
    format!(r#"{{"seq":{seq},"at":"{at}","prev":"{prev}",{rest}}}"#)
}

/// Lines with these members behind `prev`, chained, a second apart.
fn chained(members: &[&str]) -> Vec<u8> {
    let mut prev = "0".repeat(64);
    let mut all = String::new();
    for (at, rest) in members.iter().enumerate() {
        let line = raw(at + 1, &format!("2026-11-22T12:00:{at:02}Z"), &prev, rest);
        prev = words::hex(&words::sha256(line.as_bytes()));
        all += &line;
        all.push('\n');
    }
    all.into_bytes()
}

const OPENED: &str = r#""event":"ceremony-opened","format":"byok-transcript-v1","ceremony":"00112233445566778899aabbccddeeff","title":"t","kind":"generate","rehearsal":false,"byok":"0.1.0","byok_sha256":"ab","plan_sha256":"cd""#;
const SEALED: &str =
    r#""event":"sealed","outcome":"done","exposure":"software HSM","exceptions":0"#;
const ABORTED: &str = r#""event":"aborted","step":4,"exit":3,"error":"e","state":[],"removed":[]"#;

fn exception(what: &str) -> String {
    format!(r#""event":"exception","step":4,"what":"{what}""#)
}

fn data_key(event: &str, label: &str, id: &str, spec: &str) -> String {
    format!(
        r#""event":"{event}","label":"{label}","spec":"{spec}","cka_id":"{id}","fingerprint":"ef","attributes":{{"CKA_TOKEN":true,"CKA_COPYABLE":"not reported"}}"#
    )
}

/// These members behind an opening, and then `end`.
fn whole(members: &[&str], end: &str) -> Vec<u8> {
    chained(&[&[OPENED], members, &[end]].concat())
}

fn refused(bytes: &[u8]) -> String {
    Chain::read(bytes).err().unwrap().to_string()
}

/// The same text with `old` replaced, once, by as many other bytes or by any.
fn with(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(old), "no {old}");
    text.replacen(old, new, 1).into_bytes()
}

fn torn(members: &[&str]) -> Torn {
    Torn::read(&chained(&[&[OPENED], members].concat())).unwrap()
}

const ID_A: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
const ID_B: &str = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b";

fn key(event: &str, label: &str, id: &str) -> String {
    format!(
        r#""event":"{event}","label":"{label}","cka_id":"{id}","spec":"SYMMETRIC_DEFAULT","objects":1,"why":"w""#
    )
}

fn pair(label: &str, id: &str) -> (String, KeyId) {
    (label.to_owned(), KeyId::from_hex(id).unwrap())
}

#[test]
fn a_whole_transcript_is_read_with_its_head() {
    let bytes = whole(
        &[
            &exception("a"),
            &data_key("key-generated", "one", ID_A, "SYMMETRIC_DEFAULT"),
            &data_key("key-found", "two", ID_A, "SYMMETRIC_DEFAULT"),
            &format!("{},\"typed\":true,\"new\":[1]", exception("b")),
            &data_key("key-recovered", "three", ID_A, "SYMMETRIC_DEFAULT"),
            r#""event":"of-a-later-version","step":"seven""#,
        ],
        SEALED,
    );
    let chain = Chain::read(&bytes).unwrap();
    assert_eq!(chain.head, words::sha256(&bytes));
    let numbers: Vec<_> = chain.lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(chain.opening().title, "t");
    assert_eq!(chain.end().name, "sealed");
    assert_eq!(chain.end().at, time("2026-11-22T12:00:07Z").unwrap());
    let exceptions = chain.events::<Exception>();
    let exceptions: Vec<_> = exceptions.map(|e| (e.what.clone(), e.typed)).collect();
    assert_eq!(exceptions, [("a".into(), false), ("b".into(), true)]);
    let keys: Vec<_> = chain.data_keys().map(|key| key.label.clone()).collect();
    assert_eq!(keys, ["one", "two", "three"]);
    let later = &chain.lines[6];
    assert!(matches!(later.event, Event::Unknown) && later.misfit.is_none());
    assert_eq!(later.name, "of-a-later-version");
    let step = ("step".to_owned(), Json::String("seven".into()));
    assert!(later.members().contains(&step), "all of it can be shown");
}

#[test]
fn an_event_whose_members_are_not_those_of_its_name_counts_as_unknown_and_is_named() {
    for misfit in [
        r#""event":"exception""#,
        r#""event":"exception","step":"4","what":"a""#,
        r#""event":"exception","step":256,"what":"a""#,
        r#""event":"exception","step":4,"what":null"#,
    ] {
        let chain = Chain::read(&whole(&[misfit], SEALED)).unwrap();
        assert_eq!(chain.events::<Exception>().count(), 0, "{misfit}");
        assert!(chain.lines[1].misfit.is_some(), "{misfit}");
    }
    let machine = r#""event":"machine-checked","network":"forbidden","kernel":"k","core_dumps_off":true,"interfaces_up":[],"swap":[],"record_file_system":"ext4","clock":"c""#;
    let key = data_key("key-found", "one", ID_A, "SYMMETRIC_DEFAULT");
    let closed = r#","sockets_denied":true,"no_new_privileges":true,"umask":"077","descriptors_closed":0,"variables_hidden":0,"loader_variables":[]"#;
    let whole_one = format!("{machine}{closed}");
    for (members, why) in [
        (machine.to_owned(), None),
        (whole_one.clone(), None),
        (whole_one.replace("true", "null"), Some("null")),
        (format!("{machine},\"umask\":null"), Some("are missing")),
        (
            key.replace("\"CKA_TOKEN\":true", "\"CKA_TOKEN\":[true]"),
            Some("CKA_TOKEN is an array"),
        ),
        (
            r#""event":"preflight-passed","checks":[{"check":"CONTROL","wrapping":"w","wrapped_in":{"hsm":null},"wrapping_key_spec":"s"}]"#.to_owned(),
            Some("expected a string"),
        ),
        (
            r#""event":"same-material","label":"l","fingerprint":"f","previous_head":"x","anchor":"none"#.to_owned() + "\"",
            Some("not 64 hex digits"),
        ),
        (
            DEALT.replacen(
                r#"{"share":1,"custodian":"Audit","share_sha256":"1"}"#,
                r#"[1,"Audit",null,"1"]"#,
                1,
            ),
            Some("a list contains a list"),
        ),
    ] {
        let chain = Chain::read(&whole(&[&members], SEALED)).unwrap();
        let misfit = chain.lines[1].misfit.as_deref();
        assert_eq!(misfit.is_some(), why.is_some(), "{members}: {misfit:?}");
        assert!(
            misfit.unwrap_or_default().contains(why.unwrap_or_default()),
            "{misfit:?}"
        );
    }
    for (of, members) in [
        ("\"kind\":\"generate\"", "\"kind\":{\"generate\":null}"),
        ("\"cd\"", "\"cd\",\"previous_head\":\"\""),
        ("\"cd\"", "\"cd\",\"previous_head\":\"0a0b\""),
        ("\"cd\"", "\"cd\",\"previous_receipts_head\":\"none\""),
    ] {
        let opening = OPENED.replace(of, members);
        let refused = refused(&chained(&[&opening, SEALED]));
        assert!(refused.contains("\"ceremony-opened\" are not"), "{refused}");
    }
    let opening = OPENED.replace("\"title\":\"t\",", "");
    assert_eq!(
        refused(&chained(&[&opening, SEALED])),
        r#"line 1: the members of "ceremony-opened" are not those that byok writes: missing field `title`"#
    );
}

/// As the page says of every member marked *(sometimes)*.
#[test]
fn a_member_that_does_not_apply_may_be_null() {
    let machine = r#""event":"machine-checked","network":"forbidden","kernel":"k","core_dumps_off":true,"interfaces_up":[],"swap":[],"record_file_system":"ext4","clock":"c","on_battery":null,"clock_offset_seconds":null"#;
    let roll_call = r#""event":"roll-call","operator":"not asked","present":null"#;
    let noted = exception("a") + ",\"typed\":null";
    let opening = OPENED.to_owned() + ",\"previous_head\":null,\"attempts\":null";
    let end = ABORTED.to_owned() + ",\"may_be_left\":null,\"signer_destroyed\":null";
    let chain = Chain::read(&chained(&[&opening, machine, roll_call, &noted, &end])).unwrap();
    for line in &chain.lines {
        assert_eq!(line.misfit, None, "{}", line.name);
    }
    assert!(!chain.events::<Exception>().any(|noted| noted.typed));
}

/// What is written is what is read, member by member.
#[test]
fn an_event_comes_back_as_it_was_written() {
    let (bytes, count) = (whole(&[&exception("a"), DEALT, BACK], ABORTED), 5);
    let chain = Chain::read(&bytes).unwrap();
    assert_eq!(chain.lines.len(), count);
    for line in &chain.lines {
        let written = serde_json::to_string(&line.event).unwrap();
        let (_, members) = line.raw.split_once(&"\"event\"".to_owned()).unwrap();
        assert_eq!(written, format!("{{\"event\"{members}"));
    }
}

#[test]
fn a_transcript_ends_once_with_sealed_or_aborted_and_a_line_feed() {
    assert!(Chain::read(&whole(&[], SEALED)).is_ok());
    assert!(Chain::read(&whole(&[], ABORTED)).is_ok());
    let unfinished = refused(&whole(&[], &exception("a")));
    assert_eq!(
        unfinished,
        r#"line 2: the transcript ends with "exception", neither sealed nor aborted"#
    );
    let bytes = whole(&[], SEALED);
    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(refused(cut), "line 2: it does not end with a line feed");
    assert_eq!(refused(b"{"), "line 1: it does not end with a line feed");
    assert_eq!(refused(b""), "the transcript is empty");
    for early in [SEALED, ABORTED] {
        let refused = refused(&whole(&[early], SEALED));
        assert!(refused.starts_with("line 2: "), "{refused}");
        assert!(refused.ends_with("is before the end"), "{refused}");
    }
}

#[test]
fn a_ceremony_finished_or_was_aborted_and_never_both() {
    let ends = |end| {
        let chain = Chain::read(&whole(&[], end)).unwrap();
        let sealed = chain.sealed().map(|sealed| sealed.outcome.clone());
        let aborted = chain.aborted().map(|aborted| aborted.error.clone());
        (sealed, aborted, chain.is_aborted())
    };
    assert_eq!(ends(SEALED), (Some("done".into()), None, false));
    assert_eq!(ends(ABORTED), (None, Some("e".into()), true));
}

#[test]
fn only_the_first_line_opens() {
    let none = refused(&chained(&[&exception("a"), SEALED]));
    assert_eq!(none, r#"line 1: "exception" is in the wrong place"#);
    let twice = refused(&whole(&[OPENED], SEALED));
    assert_eq!(twice, r#"line 2: "ceremony-opened" is in the wrong place"#);
}

#[test]
fn time_may_stand_still_and_never_goes_back() {
    let first = raw(1, "2026-11-22T12:00:05Z", &"0".repeat(64), OPENED);
    let prev = words::hex(&words::sha256(first.as_bytes()));
    let two = |at: &str| format!("{first}\n{}\n", raw(2, at, &prev, SEALED));
    assert!(Chain::read(two("2026-11-22T12:00:05Z").as_bytes()).is_ok());
    let back = refused(two("2026-11-22T12:00:04Z").as_bytes());
    assert_eq!(back, "line 2: its time is before the line above");
}

#[test]
fn a_changed_line_is_named_as_far_as_can_be_told() {
    let good = whole(&[&exception("one"), &exception("two")], SEALED);
    assert_eq!(
        refused(&with(&good, "one", "0ne")),
        "line 2: it was changed: its digest is not the prev of line 3"
    );
    // the line itself was changed where it names the line above
    let first = good.split(|byte| *byte == b'\n').next().unwrap();
    let second_prev = words::hex(&words::sha256(first));
    assert_eq!(
        refused(&with(&good, &second_prev, &"1".repeat(64))),
        "line 2: it was changed: line 3 has the digest of other bytes"
    );
    // nothing follows that could tell
    assert_eq!(
        refused(&with(&good, "two", "2wo")),
        "line 3: its digest is not the prev of line 4: one of the two was changed"
    );
    assert_eq!(
        refused(&with(&good, &"0".repeat(64), &"1".repeat(64))),
        "line 1: prev is not 64 zeros"
    );
}

#[test]
fn a_line_is_compact_json_with_number_time_and_event() {
    let good = whole(&[&exception("one")], SEALED);
    for (old, new, why) in [
        (r#""seq":1"#, r#""seq":2"#, "line 1: seq is not 1: "),
        (r#""seq":1,"#, r#""seq":"1","#, "line 1: seq is not 1: "),
        (
            r#""seq":1,"#,
            r#""seq": 1,"#,
            "line 1: it is not compact JSON",
        ),
        (
            r#"one"}"#,
            "one\u{202e}\"}",
            "line 2: it has a character that cannot",
        ),
        (
            r#""one"}"#,
            "1.5}",
            "line 2: it has a character that cannot",
        ),
        (
            r#":00Z","prev"#,
            r#":00+00:00","prev"#,
            "line 1: at is not a time",
        ),
        (r#""at":"#, r#""on":"#, "line 1: at is not a time"),
        (
            r#""event":"exc"#,
            r#""even":"exc"#,
            "line 2: it has no event",
        ),
        (r#""one"}"#, r#""one""#, "line 2: "),
    ] {
        let refused = refused(&with(&good, old, new));
        assert!(refused.starts_with(why), "{new}: {refused}");
    }
}

#[test]
fn a_line_longer_than_any_is_refused_before_it_is_parsed() {
    let prev = "0".repeat(64);
    let of = |len: usize| {
        let text = |len: usize| format!(r#"{OPENED},"text":"{}""#, "x".repeat(len));
        let around = raw(1, "2026-11-22T12:00:00Z", &prev, &text(0)).len();
        raw(1, "2026-11-22T12:00:00Z", &prev, &text(len - around)) + "\n"
    };
    let longest = of(4 * 1024 * 1024);
    assert_eq!(Torn::read(longest.as_bytes()).unwrap().lines.len(), 1);
    let longer = Torn::read(of(4 * 1024 * 1024 + 1).as_bytes());
    assert_eq!(
        longer.err().unwrap().to_string(),
        "line 1: it is longer than any line that byok writes"
    );
}

#[test]
fn a_time_has_one_spelling() {
    assert!(time("2026-11-22T11:42:03Z").is_some());
    for other in [
        "2026-11-22T11:42:03.5Z",
        "2026-11-22t11:42:03z",
        "2026-11-22 11:42:03Z",
        "2026-11-22T11:42:03+00:00",
        "+002026-11-22T11:42:03Z",
        "-000026-11-22T11:42:03Z",
        "2026-11-31T11:42:03Z",
        "",
    ] {
        assert_eq!(time(other), None, "{other}");
    }
}

#[test]
fn whole_lines_of_a_torn_transcript_are_read_and_the_rest_is_not() {
    let mut bytes = whole(&[], &exception("a"));
    bytes.extend(b"{\"seq\":3,\"a");
    assert_eq!(Torn::read(&bytes).unwrap().lines.len(), 2);
    assert!(Torn::read(b"").unwrap().lines.is_empty());
    assert!(Torn::read(&with(&bytes, r#""seq":2"#, r#""seq":3"#)).is_err());
}

#[test]
fn what_was_intended_and_not_destroyed_may_be_left() {
    let (one, two) = (
        key("key-intended", "one", ID_A),
        key("key-intended", "two", ID_B),
    );
    let signer = key("signer-intended", "byok-signer", ID_B);
    let gone = key("key-destroyed", "one", ID_A);
    assert_eq!(torn(&[]).intended(false), []);
    assert_eq!(
        torn(&[&one, &two]).intended(false),
        [pair("one", ID_A), pair("two", ID_B)]
    );
    assert_eq!(
        torn(&[&one, &signer, &gone]).intended(false),
        [pair("byok-signer", ID_B)]
    );
    // another object of the same label, or of the same CKA_ID, is another object
    let other = key("key-destroyed", "one", ID_B);
    assert_eq!(torn(&[&one, &other]).intended(false), [pair("one", ID_A)]);
    let nothing = key("key-intended", "one", "0a0b");
    assert_eq!(torn(&[&nothing]).intended(false), []);
}

#[test]
fn a_sealed_run_left_nothing_and_an_aborted_one_what_it_says() {
    let one = key("key-intended", "one", ID_A);
    assert_eq!(torn(&[&one, SEALED]).intended(false), []);
    assert_eq!(torn(&[&one, ABORTED]).intended(false), []);
    let left = format!(
        r#"{ABORTED},"may_be_left":[{{"label":"two","cka_id":"{ID_B}"}},{{"label":"none","cka_id":"zz"}}]"#
    );
    assert_eq!(torn(&[&one, &left]).intended(false), [pair("two", ID_B)]);
    assert_eq!(torn(&[&one, &left]).intended(true), [pair("two", ID_B)]);
}

#[test]
fn a_transcript_is_sealed_by_its_last_line_and_without_it_the_run_was_cut_off() {
    let one = key("key-intended", "one", ID_A);
    assert!(torn(&[&one, SEALED]).is_sealed());
    assert!(!torn(&[SEALED, &one]).is_sealed());
    assert!(!torn(&[&one, ABORTED]).is_sealed());
    assert!(!torn(&[]).is_sealed());
    let cut_off = torn(&[&one, SEALED]).unsealed();
    assert_eq!(cut_off.intended(false), [pair("one", ID_A)]);
    assert_eq!(
        torn(&[&one]).unsealed().lines.len(),
        torn(&[&one]).lines.len()
    );
}

#[test]
fn a_signer_that_an_aborted_run_destroys_last_may_be_left_until_the_record_has_its_name() {
    let signer = key("signer-intended", "byok-signer", ID_A);
    let destroyed = format!(r#"{ABORTED},"signer_destroyed":true"#);
    assert_eq!(
        torn(&[&signer, &destroyed]).intended(false),
        [pair("byok-signer", ID_A)]
    );
    assert_eq!(torn(&[&signer, &destroyed]).intended(true), []);
    assert_eq!(torn(&[&signer, ABORTED]).intended(false), []);
}

#[test]
fn an_object_is_a_private_key_where_its_own_intention_says_so() {
    let aes = key("key-intended", "one", ID_A);
    let ec = key("key-intended", "two", ID_B).replace("SYMMETRIC_DEFAULT", "ECC_NIST_P256");
    let found = data_key("key-found", "one", ID_A, "ECC_NIST_P256");
    let torn = torn(&[&aes, &ec, &found]);
    let id = |text| KeyId::from_hex(text).unwrap();
    assert!(torn.is_private(id(ID_B)));
    assert!(!torn.is_private(id(ID_A)));
    assert!(!torn.is_private(id(&"0c".repeat(16))));
}

const DEALT: &str = r#""event":"escrow-dealt","threshold":2,"shares":[{"share":1,"custodian":"Audit","share_sha256":"1"},{"share":2,"custodian":"Legal","share_sha256":"2"},{"share":3,"custodian":"Treasury","share_sha256":"3"}],"labels":["one"],"package_sha256":"p""#;
const BACK: &str = r#""event":"share-handed-out","share":1,"custodian":"Audit","share_sha256":"1","typed_back":true"#;

fn void(share: u64, custodian: &str, handed_out: bool) -> VoidShare {
    VoidShare {
        share,
        custodian: custodian.to_owned(),
        handed_out,
    }
}

#[test]
fn shares_of_an_interrupted_run_are_void_up_to_the_one_on_the_screen() {
    let shares = |members: &[&str]| torn(members).void_shares();
    assert_eq!(shares(&[]), None);
    let first = shares(&[DEALT]).unwrap();
    assert_eq!(first.ceremony, "00112233445566778899aabbccddeeff");
    assert_eq!(first.shares, [void(1, "Audit", false)]);
    let second = shares(&[DEALT, BACK]).unwrap();
    let both = [void(1, "Audit", true), void(2, "Legal", false)];
    assert_eq!(second.shares, both);
    for end in [SEALED, ABORTED] {
        assert_eq!(shares(&[DEALT, BACK, end]), None);
    }
}

#[test]
fn void_shares_are_shown_only_as_a_plan_could_have_said_them() {
    let shares = |dealt: &str| torn(&[dealt]).void_shares().map(|void| void.shares);
    let of = |number: u64, custodian: &str| {
        format!(
            r#""event":"escrow-dealt","threshold":2,"shares":[{{"share":{number},"custodian":"{custodian}","share_sha256":"1"}},{{"share":1,"custodian":"Legal","share_sha256":"2"}}],"labels":[],"package_sha256":"p""#
        )
    };
    let good = shares(&of(32, "Audit"));
    assert_eq!(good, Some(vec![void(32, "Audit", false)]));
    for none in [of(0, "Audit"), of(33, "Audit"), of(1, " ")] {
        assert_eq!(shares(&none), Some(vec![]), "{none}");
    }
    assert_eq!(shares(r#""event":"escrow-dealt""#), None);
    for ceremony in ["", "0011", &"z".repeat(32), &"0".repeat(64)] {
        let opened = OPENED.replace("00112233445566778899aabbccddeeff", ceremony);
        let torn = Torn::read(&chained(&[&opened, DEALT])).unwrap();
        assert_eq!(torn.void_shares(), None, "{ceremony}");
    }
}
