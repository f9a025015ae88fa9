//! A real plan, moved into the rehearsal. What decides what people see and type stays as it is; only what binds the
//! plan to the real world is replaced: HSM, import parameters, directories, the previous record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Works;
use crate::crypto::escrow::package;
use crate::ground::anchor::Anchor;
use crate::ground::words::Digest;
use crate::paper::plan::Notes;
use crate::plan::{
    Deliver, HsmPlan, KeyPlan, PackageSource, PinSource, Plan, RecoverPlan, ShareSource,
    SignerPlan, Source,
};
use crate::rehearsal;

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
    /// Fingerprint of each data key, by label, if it was made before.
    pub fingerprints: BTreeMap<String, crate::crypto::wrapping::Fingerprint>,
}

impl Replaced<'_> {
    /// The stand-in for the previous record.
    pub(crate) const PREVIOUS: &'static str = "previous";
    /// Where the practised ceremony puts share files.
    pub(crate) const SHARES: &'static str = "shares";
    /// Where the practice share forms are that people bring to a recovery.
    pub(crate) const FORMS: &'static str = "practice-forms";
    /// The practised ceremony's record.
    pub(crate) const RECORD: &'static str = "record";
}

/// The practice plan's text.
pub(crate) fn practice_plan(plan: &Plan, with: &Replaced) -> String {
    let mut practised = plan.clone();
    practised.path = PathBuf::new();
    practised.previous = plan.previous.as_ref().map(|_| Replaced::PREVIOUS.into());
    let heads = plan.previous_head.as_ref().zip(with.previous_head);
    practised.previous_head = heads.map(|(_, head)| Anchor::whole(&head));
    practised.signer = SignerPlan::Any; // a named one is in the real HSM
    practised.hsm = HsmPlan {
        pin: pin(&plan.hsm.pin),
        env: rehearsal::ENVIRONMENT.map(str::to_owned).into(),
        ..HsmPlan::draft(with.module, rehearsal::token(with.token))
    };
    for key in &mut practised.keys {
        replace_key(key, with);
    }
    if let Some(escrow) = &mut practised.escrow
        && escrow.deliver != Deliver::Screen
    {
        escrow.deliver = Deliver::Files(Replaced::SHARES.into());
    }
    if let Some(recover) = &mut practised.recover {
        replace_recover(recover);
    }
    practised.directory = Replaced::RECORD.into();
    practised.written(&Notes::default())
}

fn replace_recover(recover: &mut RecoverPlan) {
    if recover.shares != ShareSource::Typed {
        recover.shares = ShareSource::Files(Replaced::FORMS.into());
    }
    if let PackageSource::File(path) = &mut recover.package {
        *path = Path::new(Replaced::PREVIOUS).join(package::JSON_FILE);
    }
}

/// The data keys of a plan that come from somewhere in the real room, by label.
pub(crate) fn from_elsewhere(plan: &Plan) -> Vec<String> {
    let elsewhere = plan.keys.iter().filter(|key| key.source != Source::Hsm);
    elsewhere.map(|key| key.label.clone()).collect()
}

/// Practice material is made here, wherever the real material comes from.
fn replace_key(key: &mut KeyPlan, with: &Replaced) {
    let made_before = with.fingerprints.get(&key.label).cloned();
    let is_made = key.source == Source::Hsm;
    let fingerprint = key.fingerprint.take().filter(|_| is_made);
    key.fingerprint = fingerprint.map(|told| made_before.unwrap_or(told));
    (key.source, key.reason) = (Source::Hsm, None);
    let real = key.spec;
    key.spec = with.works.played(real);
    for import in &mut key.imports {
        let (wrapping, wrap_in) = (import.wrapping, import.wrap_in);
        (import.wrapping, import.wrap_in) =
            with.works.how(real, wrapping, wrap_in, &import.kms_key);
        import.parameters = format!("inputs/{}.{}.json", key.label, import.name).into();
        import.parameters_valid_to = None; // the stand-in's parameters carry their own
        let told = import.wrapping_key_sha256;
        import.wrapping_key_sha256 = told.map(|_| with.wrapping_key_sha256);
    }
}

/// If people type the PIN, they do so here too; any other source of it is replaced.
fn pin(source: &PinSource) -> PinSource {
    match source {
        PinSource::PromptHalves => PinSource::PromptHalves,
        PinSource::Prompt | PinSource::PinPad => PinSource::Prompt,
        PinSource::File(_) | PinSource::Descriptor(_) => PinSource::File("pin".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::spec::Spec;
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
        works.wraps(Spec::DEFAULT, RsaesOaepSha1);
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
        let text = practice_plan(real, &with);
        Plan::parse(Path::new("/room/plan.toml"), text.into_bytes()).unwrap()
    }

    #[test]
    fn what_people_see_and_type_stays_and_what_is_real_goes() {
        let real = Plan::parse(Path::new("/real/plan.toml"), REAL.into()).unwrap();
        let practice = practised(&real);
        assert_eq!(from_elsewhere(&real), [""; 0]);
        assert_eq!(practice.title, real.title);
        assert_eq!(practice.kind, real.kind);
        assert_eq!(practice.network, real.network);
        assert_eq!(practice.escrow, real.escrow);
        assert_eq!(practice.screen_recorded, real.screen_recorded);
        assert_eq!(practice.hsm.pin, real.hsm.pin);
        let (key, import) = practice.imports().next().unwrap();
        let (_, of_real) = real.imports().next().unwrap();
        assert_eq!(import.kms_key, of_real.kms_key);
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
        assert_eq!(from_elsewhere(&real), ["a"]);
        let key = practised(&real).keys.remove(0);
        assert_eq!(
            (key.source, key.reason, key.fingerprint),
            (Source::Hsm, None, None)
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
}
