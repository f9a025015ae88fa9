//! What holds for every input, shown with many that nobody chose: shares, the chain of a transcript, the
//! plan, the token's URI. `src/crypto/escrow/slip39/tests.rs` holds shares to the published vectors.

use std::path::Path;
use std::sync::OnceLock;

use byok::crypto::escrow::slip39::words::{RADIX, Words};
use byok::crypto::escrow::slip39::{self, NotASecret, Share};
use byok::crypto::escrow::{UntrustedShares, share_words};
use byok::evidence::transcript::Chain;
use byok::ground::token_uri::TokenUri;
use byok::ground::words;
use byok::plan::Plan;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// How many shares are needed and dealt.
fn quorum() -> impl Strategy<Value = (u8, u8)> {
    (2..=6_u8).prop_flat_map(|threshold| (Just(threshold), threshold..=8))
}

/// A secret, who was dealt it, and which of them come together, in which order.
fn deal() -> impl Strategy<Value = ([u8; 32], u8, u8, Vec<u8>)> {
    quorum().prop_flat_map(|(threshold, count)| {
        let all: Vec<u8> = (0..count).collect();
        let some = subsequence(all, usize::from(threshold)).prop_shuffle();
        (any::<[u8; 32]>(), Just(threshold), Just(count), some)
    })
}

fn picked<'a>(shares: &'a [Share], which: &[u8]) -> Vec<&'a Share> {
    which.iter().map(|at| &shares[usize::from(*at)]).collect()
}

/// The words of a share with one of them replaced.
fn altered(share: &Share, at: usize, by: u16) -> Words {
    let mut words = share.words().unwrap();
    let at = at % words.len();
    words.set(at, (words.number(at) + by) % RADIX);
    words
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_quorum_in_any_order_brings_the_secret_back((secret, threshold, count, some) in deal()) {
        let shares = slip39::deal(&secret, 1, &[(threshold, count)]).unwrap();
        let back = slip39::combine(&picked(&shares, &some), b"").unwrap();
        prop_assert_eq!(&back[..], &secret[..]);
    }

    #[test]
    fn fewer_shares_than_needed_or_one_twice_never_give_a_secret((secret, threshold, count, some) in deal()) {
        let shares = slip39::deal(&secret, 1, &[(threshold, count)]).unwrap();
        let few = picked(&shares, &some[1..]);
        prop_assert_eq!(slip39::combine(&few, b"").err(), Some(NotASecret::TooFew));
        let mut twice = few.clone();
        twice.push(few[0]);
        prop_assert_eq!(slip39::combine(&twice, b"").err(), Some(NotASecret::Repeated));
    }

    /// A forger knows the checksum. The digest within the secret still finds a share of the same set that was
    /// never dealt out: it is never a silent other secret.
    #[test]
    fn a_share_from_another_deal_never_gives_another_secret_silently(
        (secret, threshold, count, some) in deal(),
        other in any::<[u8; 32]>(),
    ) {
        prop_assume!(secret != other);
        let shares = slip39::deal(&secret, 1, &[(threshold, count)]).unwrap();
        let mut forged = slip39::deal(&other, 1, &[(threshold, count)]).unwrap();
        let at = usize::from(some[0]);
        forged[at].set = shares[at].set; // the checksum is made anew with the words
        let forged = Share::from_words(&forged[at].words().unwrap()).unwrap();
        let mut mixed = picked(&shares, &some);
        mixed[0] = &forged;
        prop_assert_eq!(slip39::combine(&mixed, b"").err(), Some(NotASecret::Digest));
        let mut untrusted = UntrustedShares::default();
        for (at, share) in mixed.iter().enumerate() {
            let again = Share::from_words(&share.words().unwrap()).unwrap();
            let added = untrusted.add(&format!("custodian {at}"), again).is_ok();
            prop_assert!(added);
        }
        prop_assert!(untrusted.validate().is_err());
    }

    #[test]
    fn a_share_reads_back_from_its_words_whole_or_shortened((secret, threshold, count, some) in deal()) {
        let shares = slip39::deal(&secret, 1, &[(threshold, count)]).unwrap();
        let words = shares[usize::from(some[0])].words().unwrap();
        let spelled: Vec<&str> = (0..words.len()).map(|at| words.word(at)).collect();
        let short: Vec<String> = spelled.iter().map(|word| word[..4].to_uppercase()).collect();
        for text in [spelled.join(" "), short.join("  ")] {
            let read = share_words(format!("byok share 1\n\n{text}\n").as_bytes()).unwrap();
            prop_assert!(read.numbers().eq(words.numbers()));
        }
    }
}

proptest! {
    // Few: where no word explains the fault all of them are tried.
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// One to three changed words are no share; that is what the checksum promises.
    #[test]
    fn a_share_with_a_few_changed_words_is_none(
        (secret, threshold, count, some) in deal(),
        changes in vec((0..33_usize, 1..RADIX), 1..=3),
    ) {
        let shares = slip39::deal(&secret, 1, &[(threshold, count)]).unwrap();
        let share = &shares[usize::from(some[0])];
        let mut words = share.words().unwrap();
        for (at, by) in &changes {
            let number = words.number(*at);
            words.set(*at, (number + by) % RADIX);
        }
        prop_assume!(!words.numbers().eq(share.words().unwrap().numbers()));
        prop_assert!(Share::from_words(&words).is_err());
        let one = altered(share, changes[0].0, changes[0].1);
        prop_assert!(Share::from_words(&one).is_err());
    }
}

/// Members of an event as a transcript may hold them.
fn lines() -> impl Strategy<Value = Vec<(String, u64)>> {
    vec(("[ -!#-\\[\\]-~äé支]{0,40}", 0..1_000_000_000_u64), 1..12)
}

/// The name and the members of a first line, as they stand between the quotes of `"event":"…"`.
const OPENED: &str = r#"ceremony-opened","format":"byok-transcript-v1","ceremony":"00","title":"t","kind":"generate","rehearsal":false,"byok":"0.1.0","byok_sha256":"ab","plan_sha256":"cd"#;

/// A transcript of these, sealed.
fn transcript(members: &[(String, u64)]) -> Vec<u8> {
    let mut prev = "0".repeat(64);
    let mut all = String::new();
    let last = members.len() - 1;
    for (at, (text, number)) in members.iter().enumerate() {
        let event = match at {
            0 => OPENED,
            _ if at == last => "sealed",
            _ => "exception",
        };
        let line = format!(
            "{{\"seq\":{},\"at\":\"2026-11-22T12:00:{at:02}Z\",\"prev\":\"{prev}\",\"event\":\"{event}\",\"text\":\"{text}\",\"number\":{number}}}",
            at + 1
        );
        prev = words::hex(&words::sha256(line.as_bytes()));
        all += &line;
        all.push('\n');
    }
    all.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_byte_changed_added_or_taken_anywhere_in_a_transcript_is_found(
        mut members in lines(),
        at in any::<Index>(),
        change in 1..=255_u8,
        how in 0..3_u8,
    ) {
        members.insert(0, (String::new(), 0));
        let good = transcript(&members);
        let head = Chain::read(&good).map(|chain| chain.head);
        prop_assert_eq!(head, Ok(words::sha256(&good)));
        let mut bad = good.clone();
        let at = at.index(bad.len());
        match how {
            0 => bad[at] ^= change,
            1 => bad.insert(at, change),
            _ => drop(bad.remove(at)),
        }
        // What the last line says is bound by the head digest alone: whatever still reads has another.
        let last_line = good[..good.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        match Chain::read(&bad) {
            Err(_) => {}
            Ok(chain) => {
                prop_assert!(at >= last_line, "a change at {at} of line 1 to {} is not found", members.len() - 1);
                prop_assert_ne!(chain.head, words::sha256(&good));
            }
        }
    }

    #[test]
    fn lines_dropped_doubled_or_exchanged_are_found(
        mut members in lines(),
        a in any::<Index>(),
        b in any::<Index>(),
        how in 0..3_u8,
    ) {
        members.insert(0, (String::new(), 0));
        let good = transcript(&members);
        let mut lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        match how {
            0 => drop(lines.remove(a)),
            1 => lines.insert(b, lines[a]),
            _ => lines.swap(a, b),
        }
        let bad = lines.concat();
        prop_assert!(bad == good || Chain::read(&bad).is_err());
    }
}

/// A plan that is one.
fn good_plan() -> &'static str {
    static PLAN: OnceLock<String> = OnceLock::new();
    PLAN.get_or_init(|| {
        "title = \"Payments\"\nkind = \"generate\"\n[machine]\nnetwork = \"forbidden\"\n[hsm]\nmodule = \"/m.so\"\n\
         token = \"pkcs11:token=ceremony\"\npin = \"prompt\"\nenv = [\"SOFTHSM2_CONF\"]\n[[key]]\nlabel = \"payments\"\n\
         spec = \"SYMMETRIC_DEFAULT\"\nkeep = \"extractable\"\n[[key.import]]\nname = \"eu\"\n\
         key_arn = \"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\"\n\
         parameters = \"eu.json\"\nwrapping = \"RSAES_OAEP_SHA_256\"\nexpires = \"never\"\n[escrow]\nthreshold = 2\n\
         custodians = [\"A\", \"B\", \"C\"]\ndeliver = \"screen\"\n[record]\ndirectory = \"records/one\"\nwitnesses = [\"W\"]\n"
            .to_owned()
    })
}

fn parse(text: &[u8]) -> Result<Plan, byok::ground::error::Error> {
    Plan::parse(Path::new("plan.toml"), text.to_vec())
}

/// What parses has the digest of exactly its bytes; what does not is exit 2 and shown on lines of its own.
fn judged(text: &[u8]) -> Result<bool, TestCaseError> {
    match parse(text) {
        Ok(plan) => {
            prop_assert_eq!(plan.sha256, words::sha256(text));
            prop_assert_eq!(&plan.bytes, text);
            Ok(true)
        }
        Err(error) => {
            prop_assert!(error.exit as u8 == 2 || error.exit as u8 == 4);
            prop_assert!(error.for_people().lines().all(words::is_printable));
            Ok(false)
        }
    }
}

#[test]
fn the_plan_of_these_laws_is_a_plan() {
    assert!(parse(good_plan().as_bytes()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_plan_panic(text in "(?s).{0,400}") {
        judged(text.as_bytes())?;
    }

    #[test]
    fn no_bytes_make_the_plan_panic(bytes in vec(any::<u8>(), 0..400)) {
        judged(&bytes)?;
    }

    #[test]
    fn a_plan_with_changed_bytes_is_refused_or_another_plan(
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = good_plan().as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        judged(&bytes)?;
        let same = bytes == good_plan().as_bytes();
        prop_assert_eq!(same, words::sha256(&bytes) == words::sha256(good_plan().as_bytes()));
    }

    /// In every table, at whatever place a line can stand.
    #[test]
    fn a_field_that_is_not_known_is_refused(name in "[a-z][a-z_0-9]{0,30}", at in any::<Index>()) {
        let known = [
            "title", "kind", "previous", "previous_head", "reason", "reuse_escrow", "screen_recorded", "signer",
            "machine", "hsm", "key", "escrow", "recover", "record", "network", "module", "token", "pin", "env",
            "label", "spec", "keep", "fingerprint", "bits", "source", "import", "name", "key_arn", "parameters",
            "wrapping", "wrap_in", "expires", "parameters_valid_to", "wrapping_key_sha256", "other_kms_key",
            "witness_of", "import_type", "description", "threshold", "custodians", "deliver", "directory",
            "witnesses",
        ];
        prop_assume!(!known.contains(&name.as_str()));
        let mut lines: Vec<&str> = good_plan().lines().collect();
        let field = format!("{name} = 1");
        lines.insert(at.index(lines.len() + 1), &field);
        let refused = parse(lines.join("\n").as_bytes()).err().map(|error| error.line());
        prop_assert!(refused.as_ref().is_some_and(|line| line.contains(&name)), "{refused:?}");
    }

    #[test]
    fn a_token_s_uri_reads_back_as_it_was_written(
        token in proptest::option::of("[^\\p{C}]{1,32}"),
        serial in "[^\\p{C}]{1,16}",
        manufacturer in proptest::option::of("[^\\p{C}]{1,32}"),
        model in proptest::option::of("[ -~]{1,16}"),
    ) {
        let uri = TokenUri { token, serial: Some(serial), manufacturer, model };
        let written = uri.to_string();
        prop_assert!(written.is_ascii() && !written.contains(' '));
        let values = [&uri.token, &uri.serial, &uri.manufacturer, &uri.model];
        // What cannot be shown is refused, and what may be a PIN, whatever it is.
        let refused = values.into_iter().flatten().any(|text| {
            !words::is_printable(text) || text.to_lowercase().contains("pin")
        });
        match TokenUri::parse(&written) {
            Ok(read) => prop_assert_eq!(read, uri),
            Err(error) => prop_assert!(refused, "{}", error.line()),
        }
    }

    #[test]
    fn whatever_is_taken_for_a_uri_is_written_so_that_it_reads_the_same(text in "pkcs11:(token|serial|model|manufacturer|slot-id|x)=[ -~%é]{0,20}(;(token|serial)=[ -~%]{0,12})?") {
        if let Ok(uri) = TokenUri::parse(&text) {
            prop_assert_eq!(TokenUri::parse(&uri.to_string()).ok(), Some(uri));
        }
    }
}
