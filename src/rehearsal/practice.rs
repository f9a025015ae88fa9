//! A real plan, moved into the rehearsal. What decides what people see and type stays as it is; only what
//! binds the plan to the real world is replaced: HSM, import parameters, directories, the record before it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};

use super::Works;
use crate::crypto::escrow::package;
use crate::crypto::spec::Spec;
use crate::ground::error::{Error, Result};
use crate::ground::words::{self, Digest};
use crate::plan::{
    Deliver, ImportPlan, KeyPlan, PackageSource, PinSource, Plan, RecoverPlan, ShareSource, Source,
};

/// What stands in for the real world. Directories are names below the rehearsal's own.
pub(crate) struct Replaced<'a> {
    /// The soft HSM's module.
    pub module: &'a Path,
    /// Label of the practice token.
    pub token: &'static str,
    /// What the soft HSM does by itself.
    pub works: &'a Works,
    /// The digest of the stand-in KMS's wrapping key.
    pub wrapping_key_sha256: Digest,
    /// The head of the stand-in for the previous record.
    pub previous_head: Option<Digest>,
    /// Fingerprint of each data key, by label, where it was made before.
    pub fingerprints: BTreeMap<String, crate::crypto::wrapping::Fingerprint>,
}

impl Replaced<'_> {
    /// The stand-in for the previous record.
    pub(crate) const PREVIOUS: &'static str = "previous";
    /// Where the practised ceremony puts share files.
    pub(crate) const SHARES: &'static str = "shares";
    /// Where practice share forms lie that people bring to a recovery.
    pub(crate) const FORMS: &'static str = "practice-forms";
    /// The practised ceremony's record.
    pub(crate) const RECORD: &'static str = "record";
}

/// The practice plan's text.
///
/// # Errors
/// Exit 2 where the plan's bytes are no TOML; whoever has a [`Plan`] knows that they are.
pub(crate) fn practice_plan(plan: &Plan, with: &Replaced) -> Result<String> {
    let mut top = read(plan)?;
    replace_if(&mut top, "previous", || Replaced::PREVIOUS.to_owned());
    if let Some(head) = with.previous_head {
        replace_if(&mut top, "previous_head", || words::hex(&head));
    }
    top.remove("signer"); // it names a signing key in the real HSM
    if let Some(hsm) = table(&mut top, "hsm") {
        replace_hsm(hsm, &plan.hsm.pin, with);
    }
    for (raw, key) in tables(&mut top, "key").zip(&plan.keys) {
        if let Some(fingerprint) = with.fingerprints.get(&key.label) {
            replace_if(raw, "fingerprint", || words::hex(fingerprint));
        }
        replace_key(raw, key, with);
        for (raw, import) in tables(raw, "import").zip(&key.imports) {
            replace_import(raw, key, import, with);
        }
    }
    if let (Some(escrow), Some(raw)) = (&plan.escrow, table(&mut top, "escrow"))
        && escrow.deliver != Deliver::Screen
    {
        set(raw, "deliver", &format!("files:{}", Replaced::SHARES));
    }
    if let (Some(recover), Some(raw)) = (&plan.recover, table(&mut top, "recover")) {
        replace_recover(raw, recover);
    }
    if let Some(record) = table(&mut top, "record") {
        set(record, "directory", Replaced::RECORD);
        record.remove("signer");
    }
    Ok(written(&top))
}

fn read(plan: &Plan) -> Result<Table> {
    let cannot = |e: String| Error::usage(format!("the plan {}: {e}", plan.path.display()));
    let text = std::str::from_utf8(&plan.bytes).map_err(|e| cannot(e.to_string()))?;
    toml::from_str(text).map_err(|e| cannot(e.message().to_owned()))
}

fn replace_hsm(raw: &mut Table, source: &PinSource, with: &Replaced) {
    set(raw, "module", &with.module.to_string_lossy());
    set(raw, "token", &format!("pkcs11:token={}", with.token));
    set(raw, "pin", pin(source));
    let env = Value::Array(vec![Value::String("SOFTHSM2_CONF".into())]);
    raw.insert("env".into(), env);
    raw.remove("hardware"); // the soft HSM is none
}

fn replace_recover(raw: &mut Table, recover: &RecoverPlan) {
    if recover.shares != ShareSource::Typed {
        set(raw, "shares", &format!("files:{}", Replaced::FORMS));
    }
    if let PackageSource::File(_) = recover.package {
        let package = format!("{}/{}", Replaced::PREVIOUS, package::JSON_FILE);
        set(raw, "package", &package);
    }
}

/// Where a data key comes from is of the real HSM: here it is made.
const SOURCE: [&str; 2] = ["source", "reason"];

/// The data keys of a plan that come from somewhere in the real room, by label.
///
/// # Errors
/// As [`practice_plan`].
pub(crate) fn from_elsewhere(plan: &Plan) -> Result<Vec<String>> {
    let mut top = read(plan)?;
    let keys = tables(&mut top, "key").zip(&plan.keys);
    let elsewhere = keys.filter(|(raw, _)| {
        let source = raw.get("source").and_then(Value::as_str);
        source.is_some_and(|source| source != "hsm")
    });
    Ok(elsewhere.map(|(_, key)| key.label.clone()).collect())
}

fn replace_key(raw: &mut Table, key: &KeyPlan, with: &Replaced) {
    if key.source != Source::Hsm {
        raw.remove("fingerprint"); // practice material is made: it is another
    }
    SOURCE.iter().for_each(|field| {
        raw.remove(*field);
    });
    let played = with.works.played(key.spec);
    if let (Spec::Hmac { bytes, .. }, true) = (played, played != key.spec) {
        let bits = i64::try_from(bytes * 8).unwrap_or_default();
        raw.insert("bits".into(), Value::Integer(bits));
    }
}

fn replace_import(raw: &mut Table, key: &KeyPlan, import: &ImportPlan, with: &Replaced) {
    let (wrapping, wrap_in) = with.works.how(key.spec, import.wrapping, import.wrap_in);
    let parameters = format!("inputs/{}.{}.json", key.label, import.name);
    set(raw, "parameters", &parameters);
    set(raw, "wrapping", wrapping.name());
    set(raw, "wrap_in", &wrap_in.to_string());
    raw.remove("parameters_valid_to"); // the stand-in's parameters carry their own
    replace_if(raw, "wrapping_key_sha256", || {
        words::hex(&with.wrapping_key_sha256)
    });
}

/// Who types the PIN stays; where it comes from otherwise does not.
fn pin(source: &PinSource) -> &'static str {
    match source {
        PinSource::PromptHalves => "prompt-halves",
        PinSource::Prompt | PinSource::PinPad => "prompt",
        PinSource::File(_) | PinSource::Descriptor(_) => "file:pin",
    }
}

fn set(table: &mut Table, name: &str, text: &str) {
    table.insert(name.to_owned(), Value::String(text.to_owned()));
}

fn replace_if(table: &mut Table, name: &str, text: impl FnOnce() -> String) {
    if table.contains_key(name) {
        set(table, name, &text());
    }
}

fn table<'a>(of: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    of.get_mut(name).and_then(Value::as_table_mut)
}

fn tables<'a>(of: &'a mut Table, name: &str) -> impl Iterator<Item = &'a mut Table> {
    let values = of.get_mut(name).and_then(Value::as_array_mut);
    values.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// A table as TOML: plain values first, then what has a heading of its own.
fn written(top: &Table) -> String {
    let mut text = String::new();
    write_table(&mut text, "", top);
    text
}

fn write_table(text: &mut String, place: &str, table: &Table) {
    let below = |name: &str| match place {
        "" => quoted(name),
        _ => format!("{place}.{}", quoted(name)),
    };
    for (name, value) in table.iter().filter(|(_, value)| !has_heading(value)) {
        let _ = writeln!(text, "{} = {}", quoted(name), plain(value));
    }
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                let _ = write!(text, "\n[{}]\n", below(name));
                write_table(text, &below(name), inner);
            }
            Value::Array(entries) if has_heading(value) => {
                for inner in entries.iter().filter_map(Value::as_table) {
                    let _ = write!(text, "\n[[{}]]\n", below(name));
                    write_table(text, &below(name), inner);
                }
            }
            _ => {}
        }
    }
}

fn has_heading(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(entries) => !entries.is_empty() && entries.iter().all(Value::is_table),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => basic(text),
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(plain).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Table(table) => {
            let members: Vec<String> = table
                .iter()
                .map(|(name, value)| format!("{} = {}", quoted(name), plain(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(yes) => yes.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}

/// A bare name where it can be one.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => basic(name),
    }
}

pub(super) fn basic(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::wrapping::WrappingAlgorithm::RsaesOaepSha1;

    const REAL: &str = r#"
title = "Payments \"eu\""
kind = "recover"
previous = "records/one"
previous_head = "000102030405060708090a0b"
screen_recorded = "a policy"
[machine]
network = "hsm"
[hsm]
module = "/opt/vendor/pkcs11.so"
token = "pkcs11:token=ceremony;serial=1"
pin = "prompt-halves"
env = ["VENDOR_CONF"]
[[key]]
label = "a"
spec = "SYMMETRIC_DEFAULT"
keep = "sealed"
fingerprint = "0000000000000000000000000000000000000000000000000000000000000000"
[[key.import]]
name = "i"
key_arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
parameters = "inputs/i.json"
parameters_valid_to = "2026-11-23T00:00:00Z"
wrapping = "RSAES_OAEP_SHA_256"
expires = "2027-11-20T00:00:00Z"
other_kms_key = "moved"
wrapping_key_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[recover]
shares = "files:/media/usb1"
package = "/media/usb2/escrow-package.json"
[escrow]
threshold = 2
custodians = ["Security", "Audit"]
deliver = "screen"
[record]
directory = "records/two"
"#;

    fn practised(real: &Plan) -> Plan {
        let mut works = Works::default();
        works.wraps(Spec::AES_256, RsaesOaepSha1);
        practised_with(real, &works)
    }

    fn practised_with(real: &Plan, works: &Works) -> Plan {
        let len = match real.keys[0].spec {
            Spec::Hmac { hash, .. } => hash.bytes(),
            _ => 32,
        };
        let with = Replaced {
            module: Path::new("/soft.so"),
            token: "practice",
            works,
            wrapping_key_sha256: [1; 32],
            previous_head: Some([2; 32]),
            fingerprints: BTreeMap::from([(
                "a".to_owned(),
                crate::crypto::wrapping::Fingerprint::new(&vec![3; len]),
            )]),
        };
        let text = practice_plan(real, &with).unwrap();
        Plan::parse(Path::new("/room/plan.toml"), text.into_bytes()).unwrap()
    }

    #[test]
    fn what_people_see_and_type_stays_and_what_is_real_goes() {
        let real = Plan::parse(Path::new("/real/plan.toml"), REAL.into()).unwrap();
        let practice = practised(&real);
        assert_eq!(practice.title, real.title);
        assert_eq!(practice.kind, real.kind);
        assert_eq!(practice.network, real.network);
        assert_eq!(practice.escrow, real.escrow);
        assert_eq!(practice.screen_recorded, real.screen_recorded);
        assert_eq!(practice.hsm.pin, real.hsm.pin);
        let (key, import) = practice.imports().next().unwrap();
        let (_, of_real) = real.imports().next().unwrap();
        assert_eq!(import.key_arn, of_real.key_arn);
        assert_eq!(import.expires, of_real.expires);
        assert_eq!(import.other_kms_key, of_real.other_kms_key);

        assert_eq!(
            key.fingerprint,
            Some(crate::crypto::wrapping::Fingerprint::new(&[3; 32]))
        );
        assert_eq!(import.wrapping, RsaesOaepSha1);
        assert_eq!(import.wrapping_key_sha256, Some([1; 32]));
        assert_eq!(import.parameters_valid_to, None);
        assert_eq!(practice.hsm.env, ["SOFTHSM2_CONF"]);
        let text = String::from_utf8(practice.bytes).unwrap();
        for real in [
            "/opt/vendor",
            "serial=1",
            "/media/",
            "records/",
            "inputs/i.json",
            "00010203",
        ] {
            assert!(!text.contains(real), "{real}:\n{text}");
        }
    }

    #[test]
    fn material_that_is_there_already_is_not_touched_but_made_for_practice() {
        let (top, rest) = REAL.split_once("previous = ").unwrap();
        let (_, rest) = rest.split_once("screen_recorded").unwrap();
        let (rest, _) = rest.split_once("[recover]").unwrap();
        let source = "keep = \"sealed\"\nsource = \"file:/real/key\"\nreason = \"old\"";
        let text = format!("{top}screen_recorded{rest}")
            .replace("\"recover\"", "\"generate\"")
            .replace("keep = \"sealed\"", source)
            .replace("other_kms_key = \"moved\"\n", "");
        let escrow = REAL.split_once("[escrow]").unwrap().1;
        let text = format!("{text}[escrow]{escrow}");
        let real = Plan::parse(Path::new("/real/plan.toml"), text.into()).unwrap();
        assert_eq!(real.keys[0].source, Source::File("/real/key".into()));
        let key = practised(&real).keys.remove(0);
        assert_eq!(
            (key.source, key.reason, key.fingerprint),
            (Source::Hsm, None, None)
        );
    }

    #[test]
    fn a_data_key_from_elsewhere_is_made_anew_and_named() {
        let mut real = Plan::parse(Path::new("/real/plan.toml"), REAL.into()).unwrap();
        assert_eq!(from_elsewhere(&real).unwrap(), [""; 0]);
        let mut text = String::from_utf8(real.bytes).unwrap();
        let source = "source = \"file:/media/usb1/key.bin\"\nreason = \"it exists\"\n";
        text = text.replace("keep = ", &format!("{source}keep = "));
        real.bytes = text.into_bytes();
        assert_eq!(from_elsewhere(&real).unwrap(), ["a"]);
        let practised = String::from_utf8(practised(&real).bytes).unwrap();
        assert!(
            !practised.contains("source") && !practised.contains("usb1"),
            "{practised}"
        );
    }

    #[test]
    fn an_hmac_key_that_the_soft_hsm_cannot_escrow_gets_other_bits() {
        let real = REAL.replace("SYMMETRIC_DEFAULT", "HMAC_224");
        let fingerprint = format!("fingerprint = \"{}\"", "0".repeat(64));
        let real = real.replace(
            &fingerprint,
            &format!("fingerprint = \"{}\"", "0".repeat(56)),
        );
        let real = Plan::parse(Path::new("/real/plan.toml"), real.into()).unwrap();
        let [short, long] = [28, 32].map(|bytes| Spec::Hmac {
            hash: crate::crypto::spec::HmacHash::Sha224,
            bytes,
        });
        let mut works = Works::default();
        assert_eq!(practised_with(&real, &works).keys[0].spec, short);
        works.plays(short, long);
        assert_eq!(practised_with(&real, &works).keys[0].spec, long);
    }

    #[test]
    fn a_table_that_was_written_reads_back_the_same() {
        let text = "title = \"a \\\"b\\\" \\\\ \\t\\u007F \u{e9}\"\nn = 3\nlist = [\"x\", [1, 2]]\nodd = [1.5, true]\n\
                    [a]\nb = { c = 1 }\n[[key]]\nlabel = \"one\"\n[[key.import]]\nx = 1979-05-27T07:32:00Z\n\
                    [[key.import]]\n\"odd name\" = 2\n[[key]]\nlabel = \"two\"\n";
        let table: Table = toml::from_str(text).unwrap();
        let again: Table = toml::from_str(&written(&table)).unwrap();
        assert_eq!(table, again, "{}", written(&table));
    }
}
