//! Signatures of a record, made by stock `ssh-keygen` over records that are forged by hand: what the
//! script of stock tools says of them, and byok.

use crate::support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha512};
use support::verifiers::{Records, has_jq, rule, script_agrees};
use support::{Kind, Room, stderr, stdout, well};

const ONE: &str = "records/one";
const REAL: &str = "byok-ceremony";
const PRACTICE: &str = "byok-rehearsal";
const OTHER_HEAD: &str = "not the record of that head: transcript.jsonl: its head is ";
const NOBODY: &str = "not by a listed signer: signatures/: no listed key signed this record";
const HSM: &str = "signatures/hsm.sig";

fn room() -> Option<&'static Room> {
    static MADE: OnceLock<Option<Room>> = OnceLock::new();
    let make = || {
        if !has_jq() {
            return None;
        }
        let room = Room::new(Kind::SoftHsm)?;
        room.run_well();
        Some(room)
    };
    MADE.get_or_init(make).as_ref()
}

/// A copy of a record that names a signer, with the keys of that signer and of others beside it.
struct Signed(Records);

impl Signed {
    /// Signed by the key `signer`, as its transcript says.
    fn new() -> Option<Self> {
        let signed = Self::unsigned()?;
        signed.name_signer("signer");
        signed.sign("signer", REAL, HSM);
        Some(signed)
    }

    /// No signer is named, nothing is signed.
    fn unsigned() -> Option<Self> {
        let signed = Self(Records::of(room()?.dir.path(), ONE));
        for key in ["signer", "other", "witness"] {
            signed.make_key(key);
        }
        let _ = fs::remove_dir_all(signed.0.path("signatures"));
        let mut lines = signed.0.lines("transcript.jsonl");
        lines.retain(|line| !line.contains("\"event\":\"transcript-signer\""));
        signed.0.chain_anew(&lines);
        Some(signed)
    }

    fn key(&self, name: &str) -> PathBuf {
        self.0.dir.path().join(name)
    }

    fn make_key(&self, name: &str) {
        self.make_key_of(name, "ecdsa", "256");
    }

    fn make_key_of(&self, name: &str, kind: &str, bits: &str) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f"]);
        well(&command.arg(self.key(name)).output().unwrap());
    }

    /// `ecdsa-sha2-nistp256 AAAA…`
    fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.key(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn fingerprint(&self, name: &str) -> String {
        let mut command = Command::new("ssh-keygen");
        let output = command
            .args(["-l", "-f"])
            .arg(self.key(name))
            .output()
            .unwrap();
        stdout(&output).split(' ').nth(1).unwrap().to_owned()
    }

    /// Adds the event that names this key as the signer, before the last line.
    fn name_signer(&self, name: &str) {
        let mut lines = self.0.lines("transcript.jsonl");
        let last = lines.pop().unwrap();
        let beginning = &last[..last.find("\"event\"").unwrap()];
        lines.push(format!(
            "{beginning}\"event\":\"transcript-signer\",\"origin\":\"found in the HSM\",\"label\":\"byok-transcript-signer\",\"attributes\":{{}},\
             \"cka_id\":\"{}\",\"public_key\":\"{}\",\"fingerprint\":\"{}\"}}",
            "0".repeat(32),
            self.public(name),
            self.fingerprint(name)
        ));
        lines.push(last);
        self.0.chain_anew(&lines);
    }

    fn sign(&self, key: &str, namespace: &str, into: &str) {
        let transcript = self.0.path("transcript.jsonl");
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(self.key(key));
        well(&command.arg(&transcript).output().unwrap());
        let made = fs::read(self.0.path("transcript.jsonl.sig")).unwrap();
        fs::remove_file(self.0.path("transcript.jsonl.sig")).unwrap();
        self.0.write(into, made);
    }

    /// A file of allowed signers with this key.
    fn signers(&self, name: &str, options: &str) -> String {
        let file = format!("{name}.signers");
        let line = format!("{name}@example.com {options}{}\n", self.public(name));
        fs::write(self.key(&file), line).unwrap();
        file
    }

    /// What the script says; byok must say the same.
    #[track_caller]
    fn verify(&self, args: &[&str]) -> Output {
        let args = [args, &[ONE]].concat();
        let mut byok = Command::new(support::program());
        byok.arg("verify")
            .args(&args)
            .current_dir(self.0.dir.path());
        let byok = byok.env_clear().output().unwrap();
        script_agrees(self.0.dir.path(), &args, &byok).unwrap()
    }

    #[track_caller]
    fn says(&self, args: &[&str], verdict: &str) {
        let output = self.verify(args);
        let text = stdout(&output) + &stderr(&output);
        assert!(text.starts_with(verdict), "{verdict}: {text}");
        let against = ["broken", OTHER_HEAD, NOBODY]
            .iter()
            .any(|of| verdict.starts_with(of));
        let exit = if against { 4 } else { 0 };
        assert_eq!(output.status.code(), Some(exit), "{text}");
    }
}

#[test]
fn a_key_in_the_record_is_no_anchor_and_a_signer_from_outside_is_one() {
    let Some(signed) = Signed::new() else { return };
    signed.says(&[], "consistent, not authenticated\n");
    signed.says(&["--head", &signed.0.head()], "authentic\n");
    let signers = signed.signers("signer", "");
    signed.says(&["--signers", &signers], "authentic\n");
    signed.says(
        &["--signers", &signers, "--head", &signed.0.head()],
        "authentic\n",
    );
    signed.says(
        &["--signers", &signers, "--head", &"0".repeat(64)],
        OTHER_HEAD,
    );
    let for_real = signed.signers("signer", "namespaces=\"byok-ceremony\" ");
    signed.says(&["--signers", &for_real], "authentic\n");
    let for_practice = signed.signers("signer", "namespaces=\"byok-rehearsal\" ");
    signed.says(&["--signers", &for_practice], NOBODY);
    signed.says(&["--signers", &signed.signers("other", "")], NOBODY);
}

#[test]
fn a_witness_who_is_listed_vouches_too() {
    let Some(signed) = Signed::new() else { return };
    let signers = signed.signers("witness", "");
    signed.says(&["--signers", &signers], NOBODY);
    signed.sign("witness", REAL, "signatures/internal-audit.sig");
    signed.says(&[], "consistent, not authenticated\n");
    signed.says(&["--signers", &signers], "authentic\n");
    // Also of a record from before there were signers.
    let Some(old) = Signed::unsigned() else {
        return;
    };
    old.says(&[], "consistent, not authenticated\n");
    old.sign("witness", REAL, "signatures/w.sig");
    old.says(&["--signers", &old.signers("witness", "")], "authentic\n");
}

#[test]
fn a_transcript_that_names_a_signer_is_signed_by_that_key_alone() {
    let Some(signed) = Signed::new() else { return };
    let good = signed.0.read(HSM);
    fs::remove_file(signed.0.path(HSM)).unwrap();
    signed.says(&[], "broken: signatures/hsm.sig: ");
    fs::remove_dir(signed.0.path("signatures")).unwrap();
    signed.says(&[], "broken: signatures/hsm.sig: ");

    signed.sign("other", REAL, HSM);
    signed.says(&[], "broken: signatures/hsm.sig: ");
    signed.sign("signer", PRACTICE, HSM);
    signed.says(&[], "broken: signatures/hsm.sig: ");
    for at in [40, good.len() / 2, good.len() - 40] {
        let mut changed = good.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        signed.0.write(HSM, changed);
        signed.says(&[], "broken: signatures/hsm.sig: ");
    }
    signed.0.write(HSM, "");
    signed.says(&[], "broken: signatures/hsm.sig: ");
    signed.0.write(HSM, &good);
    signed.says(&[], "consistent, not authenticated\n");

    // The transcript chained again: its signature is another's.
    signed.0.chain_anew_with("not asked", "Ada Lovelace");
    signed.says(&[], "broken: signatures/hsm.sig: ");
}

#[test]
fn a_forgery_that_the_same_hsm_key_signs_again_is_found_out_by_the_paper_alone() {
    let Some(signed) = Signed::new() else { return };
    let (paper, signers) = (signed.0.head(), signed.signers("signer", ""));
    signed.0.chain_anew_with("not asked", "Ada Lovelace");
    signed.sign("signer", REAL, HSM);
    signed.says(&["--signers", &signers], "authentic\n");
    signed.says(&["--head", &paper], OTHER_HEAD);
    signed.says(&["--signers", &signers, "--head", &paper], OTHER_HEAD);
}

#[test]
fn a_rehearsal_is_signed_under_its_own_namespace() {
    let Some(signed) = Signed::new() else { return };
    signed
        .0
        .chain_anew_with("\"rehearsal\":false", "\"rehearsal\":true");
    signed.sign("signer", REAL, HSM);
    signed.says(&[], "broken: signatures/hsm.sig: ");
    signed.sign("signer", PRACTICE, HSM);
    signed.says(&[], "consistent, not authenticated\n");
    // A rehearsal that poses as real, chained again, still has the signature of a rehearsal.
    signed
        .0
        .chain_anew_with("\"rehearsal\":true", "\"rehearsal\":false");
    signed.says(&[], "broken: signatures/hsm.sig: ");
    signed.sign("signer", PRACTICE, HSM);
    signed.says(&[], "broken: signatures/hsm.sig: ");
}

#[test]
fn one_line_names_the_signer_and_a_signature_of_the_hsm_needs_it() {
    let Some(signed) = Signed::unsigned() else {
        return;
    };
    signed.sign("signer", REAL, HSM);
    signed.says(&[], "broken: signatures/hsm.sig: ");
    fs::remove_file(signed.0.path(HSM)).unwrap();
    signed.name_signer("signer");
    signed.name_signer("signer");
    signed.sign("signer", REAL, HSM);
    signed.says(&[], "broken: transcript.jsonl: ");

    // An aborted ceremony may have had no HSM to sign with; what is there must fit.
    let Some(aborted) = Signed::unsigned() else {
        return;
    };
    aborted.name_signer("signer");
    aborted.0.chain_anew_with(
        "\"event\":\"sealed\"",
        "\"event\":\"aborted\",\"step\":4,\"exit\":3,\"error\":\"\",\"state\":[],\"removed\":[]",
    );
    aborted.says(&[], "consistent, not authenticated\n");
    aborted.sign("other", REAL, HSM);
    aborted.says(&[], "broken: signatures/hsm.sig: ");
    aborted.sign("signer", REAL, HSM);
    aborted.says(&[], "consistent, not authenticated\n");
}

#[test]
fn nothing_but_signatures_of_this_transcript_lies_among_them() {
    let Some(signed) = Signed::new() else { return };
    for name in ["a.sig", "Z_9-b.sig", &format!("{}.sig", "n".repeat(64))] {
        let path = format!("signatures/{name}");
        signed.sign("witness", REAL, &path);
        signed.says(&[], "consistent, not authenticated\n");
        signed.sign("witness", PRACTICE, &path);
        signed.says(&[], "broken: signatures/");
        signed.0.write(&path, "no signature\n");
        signed.says(&[], "broken: signatures/");
        fs::remove_file(signed.0.path(&path)).unwrap();
    }
    for name in [
        "note.txt",
        ".a.sig",
        "-a.sig",
        "a b.sig",
        "more/a.sig",
        "é.sig",
        &format!("{}.sig", "n".repeat(65)),
    ] {
        let path = format!("signatures/{name}");
        signed.sign("witness", REAL, &path);
        signed.says(&[], "broken: signatures/");
        fs::remove_file(signed.0.path(&path)).unwrap();
    }
    // What is left is an empty directory.
    signed.says(&[], "broken: signatures/more/: an empty directory");
    fs::remove_dir(signed.0.path("signatures/more")).unwrap();
    signed.says(&[], "consistent, not authenticated\n");
}

#[test]
fn witnesses_sign_with_keys_of_any_type_and_those_that_byok_knows_vouch() {
    let Some(signed) = Signed::new() else { return };
    let kinds = [
        ("ed", "ed25519", "256", true),
        ("ec", "ecdsa", "256", true),
        ("rsa", "rsa", "2048", true),
        ("p384", "ecdsa", "384", false),
        ("p521", "ecdsa", "521", false),
    ];
    // Newer versions of OpenSSH make no DSA keys.
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "dsa", "-N", "", "-f"])
        .arg(signed.key("dsa"))
        .output()
        .unwrap();
    let dsa = made
        .status
        .success()
        .then_some(("dsa", "dsa", "1024", false));
    for (name, kind, bits, known) in kinds.into_iter().chain(dsa) {
        if kind != "dsa" {
            signed.make_key_of(name, kind, bits);
        }
        let path = format!("signatures/{name}.sig");
        let signers = signed.signers(name, "namespaces=\"byok-ceremony\" ");
        signed.says(&["--signers", &signers], NOBODY);
        signed.sign(name, REAL, &path);
        let by_list = if known { "authentic\n" } else { NOBODY };
        signed.says(&["--signers", &signers], by_list);
        signed.says(&[], "consistent, not authenticated\n");
        // Of another type it is not judged, good or bad: but for its form and its purpose.
        let good = signed.0.text(&path);
        let broken = format!("broken: {path}: ");
        let end = good.rfind("\n-----END").unwrap();
        let at = end - 40;
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
        for (text, judged_by_all) in [
            (changed, false),
            (format!("{}{}", &good[..end - 4], &good[end..]), true),
            (good.replacen("U1NI", "U2NI", 1), true),
            (good.replace('\n', "\r\n"), true),
            (format!("\u{feff}{good}"), true),
            (format!("{good}{}", "\n".repeat(64 << 10)), true),
            (good.replace("-----END", "----END"), true),
        ] {
            signed.0.write(&path, text);
            let bad = known || judged_by_all;
            let says = if bad {
                &broken
            } else {
                "consistent, not authenticated\n"
            };
            signed.says(&[], says);
        }
        let padded = format!("{good}{}", "\n".repeat((64 << 10) - good.len()));
        signed.0.write(&path, padded);
        signed.says(&[], "consistent, not authenticated\n");
        signed
            .0
            .write(&path, [good.as_bytes(), b"\xff\xfe"].concat());
        signed.says(&["--signers", &signers], &broken);
        // Of other text.
        let transcript = signed.0.read("transcript.jsonl");
        signed.0.write("transcript.jsonl", "other text\n");
        signed.sign(name, REAL, &path);
        signed.0.write("transcript.jsonl", transcript);
        signed.says(
            &["--signers", &signers],
            if known { &broken } else { NOBODY },
        );
        signed.sign(name, PRACTICE, &path);
        signed.says(&[], &broken);
        fs::remove_file(signed.0.path(&path)).unwrap();
    }
}

#[test]
fn both_read_a_list_of_signers_alike() {
    let Some(signed) = Signed::new() else { return };
    let key = signed.public("signer");
    let other = signed.public("other");
    // The second of the last line, which is over by now: 20261122114203Z.
    let lines = signed.0.lines("transcript.jsonl");
    let (_, at) = lines.last().unwrap().split_once("\"at\":\"").unwrap();
    let end = at[..20].replace(['-', ':', 'T'], "");
    let lists = [
        (
            format!("# ours\n\n  hsm,second {key} a comment with one \"\n"),
            "authentic\n",
        ),
        (format!("*@example.com,x?y! {key}"), "authentic\n"),
        (format!("\u{a0}a\u{a0}b\u{b}{key}\u{c}\n"), "authentic\n"),
        (format!("a valid-before=\"{end}\" {key}\n"), "authentic\n"),
        (
            format!("a valid-after=\"{end}\",valid-before=\"{end}\" {key}\n"),
            "authentic\n",
        ),
        (format!("\"two words\" {key}\r\n"), "authentic\n"),
        (
            format!("a {other}\nb namespaces=\"git,byok-*\" {key}\n"),
            "authentic\n",
        ),
        (
            format!("a NAMESPACES=\"byok-ceremon?\",valid-after=\"20200101Z\" {key}\n"),
            "authentic\n",
        ),
        (
            format!("a valid-before=\"99991230Z\" {key}\n"),
            "authentic\n",
        ),
        (format!("a namespaces=\"!byok-ceremony,*\" {key}\n"), NOBODY),
        (
            format!("a namespaces=\"Byok-ceremony,[b]yok-ceremony\" {key}\n"),
            NOBODY,
        ),
        (format!("a valid-after=\"209001011200Z\" {key}\n"), NOBODY),
        (
            format!("a valid-before=\"20200101000000Z\" {key}\n"),
            NOBODY,
        ),
        (format!("a {other}\n"), NOBODY),
        // What byok does not understand is nobody's list.
        (format!("a cert-authority {key}\n"), ""),
        (format!("a {key}\nb cert-authority {other}\n"), ""),
        (format!("a namespaces=\"\" {key}\n"), ""),
        (format!("a \"\" {key}\n"), ""),
        (format!("a namespaces=\"git\",namespaces=\"*\" {key}\n"), ""),
        (
            format!("a valid-after=\"20200101Z\",VALID-AFTER=\"20200101Z\" {key}\n"),
            "",
        ),
        (format!("a namespaces=\"*\", {key}\n"), ""),
        (format!("a ,namespaces=\"*\" {key}\n"), ""),
        (format!("a namespaces=\"*\"\"*\" {key}\n"), ""),
        (format!("a namespaces=\"*,\\\\\" {key}\n"), ""),
        (format!("*@example.com,!x {key}\n"), ""),
        (format!("\"!x\" {key}\n"), ""),
        (format!("a\"b c\"d {key}\n"), ""),
        (format!("\"\"a\"\" {key}\n"), ""),
        (format!("\u{a0}# nobody\na {key}\n"), ""),
        (format!("a {key}\0\n"), ""),
        (format!("a {key}\nb touch-required {key}\n"), ""),
        (format!("a valid-after=\"20261122\" {key}\n"), ""),
        (format!("a valid-after=\"20261322Z\" {key}\n"), ""),
        (format!("a valid-after=20261122Z {key}\n"), ""),
        (format!("a namespaces=\"x {key}\n"), ""),
        (format!("\"\" {key}\n"), ""),
        (format!("{key}\n"), ""),
        ("a\n".to_owned(), ""),
        ("a ssh-ed25519 AAAA\n".to_owned(), ""),
        ("# nobody\n".to_owned(), ""),
        (String::new(), ""),
    ];
    for (list, says) in lists {
        fs::write(signed.key("list"), &list).unwrap();
        println!("{list}");
        if says.is_empty() {
            let output = signed.verify(&["--signers", "list"]);
            assert_eq!(output.status.code(), Some(2), "{list}: {}", stdout(&output));
        } else {
            signed.says(&["--signers", "list"], says);
        }
    }
}

#[test]
fn a_signer_whose_key_or_fingerprint_is_not_what_it_should_be_is_refused() {
    let Some(signed) = Signed::new() else { return };
    signed.make_key_of("p384", "ecdsa", "384");
    signed.make_key_of("ed", "ed25519", "256");
    let lines = signed.0.lines("transcript.jsonl");
    for (from, to) in [
        (signed.fingerprint("signer"), signed.fingerprint("other")),
        (
            signed.public("signer"),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
        ),
        (
            signed.public("signer"),
            format!("{} comment", signed.public("signer")),
        ),
        (signed.public("signer"), String::new()),
        (signed.public("signer"), signed.public("p384")),
        (signed.public("signer"), signed.public("ed")),
    ] {
        signed.0.chain_anew(&lines);
        signed.0.chain_anew_with(&from, &to);
        signed.sign("signer", REAL, HSM);
        signed.says(&[], "broken: transcript.jsonl: line ");
    }
    // A key of another type, with its fingerprint and a good signature by it, is none of an HSM's either.
    for name in ["p384", "ed"] {
        signed.0.chain_anew(&lines);
        signed
            .0
            .chain_anew_with(&signed.public("signer"), &signed.public(name));
        signed
            .0
            .chain_anew_with(&signed.fingerprint("signer"), &signed.fingerprint(name));
        signed.sign(name, REAL, HSM);
        signed.says(&[], "broken: transcript.jsonl: line ");
    }
}

// ---- what ssh-keygen does not judge -------------------------------------------------------------

fn put(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.extend(u32::try_from(string.len()).unwrap().to_be_bytes());
    bytes.extend(string);
}

fn joined(strings: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for string in strings {
        put(&mut bytes, string);
    }
    bytes
}

/// The strings that these bytes are made of (RFC 4251).
fn strings(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (string, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        found.push(string.to_vec());
        bytes = rest;
    }
    found
}

/// A signature file of this key and value.
fn file_of(key: &[u8], value: &[u8]) -> String {
    let mut bytes = b"SSHSIG\0\0\0\x01".to_vec();
    bytes.extend(joined(&[key, REAL.as_bytes(), b"", b"sha512", value]));
    let base64 = Base64::encode_string(&bytes);
    format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n")
}

/// Key and value of a signature that ssh-keygen made.
fn key_and_value(file: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let base64: String = file.lines().filter(|l| !l.starts_with('-')).collect();
    let bytes = Base64::decode_vec(&base64).unwrap();
    let parts = strings(&bytes[10..]);
    (parts[0].clone(), strings(&parts[4]))
}

/// S and the order of the group, which is as good to who only multiplies.
fn plus_order(s: &[u8]) -> Vec<u8> {
    let order = support::unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let add = |(a, b): (&u8, &u8)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    };
    s.iter().zip(&order).map(add).collect()
}

/// An RSA signature that needs no private key: with the exponent 1 it is the padded digest itself.
fn rsa_by_anybody(transcript: &[u8], modulus: &[u8]) -> Vec<u8> {
    let mut signed = b"SSHSIG".to_vec();
    let digest = Sha512::digest(transcript);
    signed.extend(joined(&[REAL.as_bytes(), b"", b"sha512", &digest]));
    let mut info = support::unhex("3051300d060960864801650304020305000440");
    info.extend(Sha512::digest(&signed));
    let len = modulus.len() - usize::from(modulus[0] == 0);
    let padding = vec![0xff; len - info.len() - 3];
    [&[0, 1][..], &padding, &[0], &info].concat()
}

/// A modulus and a signature that need no private key: with the exponent 2, `s` squared less what is padded.
fn rsa_by_squaring(transcript: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let padded = rsa_by_anybody(transcript, &[1; 256]);
    let number = |bits: &[usize]| {
        let mut bytes = vec![0u8; 256];
        for bit in bits {
            bytes[255 - bit / 8] |= 1 << (bit % 8);
        }
        bytes
    };
    // s is 3 * 2^1022, and one more where the modulus would be even
    let (s, mut modulus) = match padded[255] % 2 {
        1 => (number(&[1023, 1022]), number(&[2047, 2044])),
        _ => (
            number(&[1023, 1022, 0]),
            number(&[2047, 2044, 1024, 1023, 0]),
        ),
    };
    let mut borrow = 0;
    for (byte, less) in modulus.iter_mut().zip(padded).rev() {
        let left = i16::from(*byte) - i16::from(less) - borrow;
        borrow = i16::from(left < 0);
        *byte = left.rem_euclid(256) as u8;
    }
    ([&[0], &modulus[..]].concat(), s)
}

impl Signed {
    /// Whether stock ssh-keygen calls this file a signature of the transcript.
    fn stock_takes(&self, path: &str) -> bool {
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "check-novalidate", "-n", REAL, "-s"]);
        command.arg(self.0.path(path));
        let transcript = fs::File::open(self.0.path("transcript.jsonl")).unwrap();
        command.stdin(transcript).output().unwrap().status.success()
    }

    /// A list with a key of these bytes.
    fn list_of(&self, kind: &str, key: &[u8]) {
        let line = format!("somebody {kind} {}\n", Base64::encode_string(key));
        fs::write(self.key("list"), line).unwrap();
    }
}

/// `docs/transcript-format.md` names them; OpenSSH takes each.
#[test]
fn what_ssh_keygen_takes_and_byok_does_not_the_script_judges_too() {
    let Some(signed) = Signed::new() else { return };
    signed.make_key_of("ed", "ed25519", "256");
    signed.make_key_of("rsa", "rsa", "2048");
    signed.sign("ed", REAL, "signatures/w.sig");
    let (key, value) = key_and_value(&signed.0.text("signatures/w.sig"));
    let (point, s) = value[1].split_at(32);
    let with_order = [point, &plus_order(s)].concat();

    let one = [&[1][..], &[0; 31]].concat();
    let small_key = joined(&[b"ssh-ed25519", &one]);
    let small = [&one[..], &[0; 32]].concat();

    signed.sign("rsa", REAL, "signatures/w.sig");
    let (rsa, _) = key_and_value(&signed.0.text("signatures/w.sig"));
    let modulus = &strings(&rsa)[2];
    let transcript = signed.0.read("transcript.jsonl");
    let exponent_1 = joined(&[b"ssh-rsa", &[1], modulus]);
    let by_anybody = rsa_by_anybody(&transcript, modulus);
    let (modulus, by_squaring) = rsa_by_squaring(&transcript);
    let exponent_2 = joined(&[b"ssh-rsa", &[2], &modulus]);

    for (name, kind, key, algorithm, value) in [
        ("S + L", "ssh-ed25519", &key, "ssh-ed25519", &with_order),
        (
            "small order",
            "ssh-ed25519",
            &small_key,
            "ssh-ed25519",
            &small,
        ),
        (
            "exponent 1",
            "ssh-rsa",
            &exponent_1,
            "rsa-sha2-512",
            &by_anybody,
        ),
        (
            "an even exponent",
            "ssh-rsa",
            &exponent_2,
            "rsa-sha2-512",
            &by_squaring,
        ),
    ] {
        println!("{name}");
        let value = joined(&[algorithm.as_bytes(), value]);
        signed.0.write("signatures/w.sig", file_of(key, &value));
        assert!(signed.stock_takes("signatures/w.sig"), "{name}");
        signed.list_of(kind, key);
        for args in [&[][..], &["--signers", "list"]] {
            let output = signed.verify(args);
            assert_eq!(rule(&stdout(&output)), "SIGNATURE", "{name}");
        }
    }
}

/// Numbers with leading zeros: as many as OpenSSH reads.
#[test]
fn both_take_as_many_leading_zeros_as_ssh_keygen() {
    let Some(signed) = Signed::new() else { return };
    signed.sign("witness", REAL, "signatures/w.sig");
    let (key, value) = key_and_value(&signed.0.text("signatures/w.sig"));
    let numbers = strings(&value[1]);
    for (len, holds) in [
        (40, true),
        (2048, true),
        (2049, true),
        (2050, false),
        (3032, false),
    ] {
        for at in 0..2 {
            println!("{len} {at}");
            let mut numbers = numbers.clone();
            let zeros = vec![0; len - numbers[at].len()];
            numbers[at].splice(0..0, zeros);
            let numbers = joined(&[&numbers[0], &numbers[1]]);
            let value = joined(&[&value[0], &numbers]);
            signed.0.write("signatures/w.sig", file_of(&key, &value));
            assert_eq!(signed.stock_takes("signatures/w.sig"), holds);
            let says = if holds {
                "consistent, not authenticated\n"
            } else {
                "broken: signatures/w.sig: "
            };
            signed.says(&[], says);
        }
    }
}
