//! What each KMS says of one of its keys and of its import parameters.

use super::*;
use crate::crypto::wrapping::key::tests::crafted;
use crate::ground::clock;
use crate::ground::error::Exit;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// A KMS, and what it should say.
struct Says {
    word: &'static str,
    name: &'static str,
    /// A key of it.
    key: &'static str,
    place: &'static str,
    /// What has the wrapping key.
    owner: &'static str,
    /// The program that prints import parameters.
    command: &'static str,
    /// The script of the online half, and what it is asked for import parameters.
    script: &'static str,
    source: &'static str,
    /// Lengths of its wrapping keys.
    bits: &'static [usize],
    /// An algorithm that it takes for AES, of those an HSM has that knows SHA-1 alone if possible.
    wrapping: WrappingAlgorithm,
    hours: Option<i64>,
    /// Words of what having no deadline means, and of what nobody compares.
    endless: &'static str,
    guard: &'static str,
    doubts: bool,
    decrypts: fn(Spec) -> bool,
    beside: &'static [&'static str],
}

const TRANSIT: Says = Says {
    word: "openbao",
    name: "OpenBao",
    key: "https://bao.example:8200/v1/transit/keys/payments",
    place: "https://bao.example:8200",
    owner: "https://bao.example:8200/v1/transit",
    command: "bao",
    script: "transit.sh",
    source: "https://bao.example:8200/v1/transit/keys/payments",
    bits: &[4096],
    wrapping: WrappingAlgorithm::RsaAesKeyWrapSha1,
    hours: None,
    endless: "as long as that engine is mounted",
    guard: "OpenBao takes any material under a free name",
    doubts: false,
    decrypts: Spec::is_aes,
    beside: &["WrappedKeyMaterial.b64", "import.sh"],
};

const EACH: [Says; 5] = [
    TRANSIT,
    Says {
        word: "vault",
        name: "Vault",
        command: "vault",
        script: "transit.sh --vault",
        guard: "Vault takes any material under a free name",
        ..TRANSIT
    },
    Says {
        word: "azure",
        name: "Azure Managed HSM",
        key: "https://a-hsm.managedhsm.azure.net/keys/payments",
        place: "https://a-hsm.managedhsm.azure.net",
        owner: "https://a-hsm.managedhsm.azure.net",
        command: "az",
        script: "azure.sh",
        source: "https://a-hsm.managedhsm.azure.net/keys/KEK",
        bits: &[2048, 3072, 4096],
        endless: "as long as the KEK exists",
        guard: "Azure Managed HSM takes any material, as the next version",
        beside: &["<name>.byok", "import.sh"],
        ..TRANSIT
    },
    Says {
        word: "google",
        name: "Google Cloud KMS",
        key: "projects/a-project/locations/europe-west6/keyRings/ring/cryptoKeys/payments",
        place: "europe-west6",
        owner: "projects/a-project/locations/europe-west6/keyRings/ring",
        command: "gcloud",
        script: "google.sh",
        source: "projects/a-project/locations/europe-west6/keyRings/ring/importJobs/JOB",
        bits: &[3072, 4096],
        hours: Some(72),
        guard: "Google Cloud KMS takes any material as a new version",
        decrypts: |spec| matches!(spec, Spec::Aes { .. }),
        beside: &["import.sh"],
        ..TRANSIT
    },
    Says {
        word: "oci",
        name: "OCI Vault",
        key: "https://a-management.kms.us-ashburn-1.oraclecloud.com/ocid1.compartment.oc1..a/payments",
        place: "https://a-management.kms.us-ashburn-1.oraclecloud.com",
        owner: "https://a-management.kms.us-ashburn-1.oraclecloud.com",
        command: "oci",
        script: "oci.sh",
        source: "https://a-management.kms.us-ashburn-1.oraclecloud.com",
        wrapping: WrappingAlgorithm::RsaAesKeyWrapSha256,
        endless: "as long as the vault exists",
        guard: "OCI Vault takes any material, and shows nothing of an AES key",
        doubts: true,
        decrypts: |_| false,
        beside: &["wrapped-import-key.json", "import.sh"],
        ..TRANSIT
    },
];

fn keys() -> impl Iterator<Item = (Says, KmsKey)> {
    EACH.into_iter().map(|says| {
        let key = KmsKey::parse(Some(says.word), None, Some(says.key)).unwrap();
        (says, key)
    })
}

fn names(of: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    assert!(of.iter().all(|(_, meaning)| meaning.len() > 20), "{of:?}");
    of.iter().map(|(name, _)| *name).collect()
}

#[test]
fn each_kms_says_what_it_is_and_what_it_asks() {
    for (says, key) in keys() {
        assert_eq!((key.word, key.kms), (Some(says.word), says.name));
        assert_eq!((key.as_str(), &*key.place()), (says.key, says.place));
        assert_eq!(key.to_string(), says.key);
        assert_eq!((&*key.owner(), key.to_fill_in()), (says.owner, None));
        let best = key.algorithms(Spec::DEFAULT).next();
        assert_eq!(best, key.usual(Spec::DEFAULT).ok());
        assert!(best.is_some());
        assert_eq!(key.script, says.script);
        let command = format!("bash {} parameters {} --out", says.script, says.source);
        assert_eq!(key.parameters(), Some(command.clone()));
        let fetch = format!("fetch them on the online side: {command} FILE");
        assert_eq!(key.fetch(), fetch);
        assert_eq!(key.wrapping_key_bits, says.bits);
        assert_eq!(key.binds_algorithm, says.hours.is_some());
        match key.lifetime {
            Lifetime::Hours(hours) => assert_eq!(Some(hours), says.hours),
            Lifetime::Endless(means) => {
                assert_eq!(None, says.hours);
                assert!(means.contains(says.endless), "{means}");
            }
        }
        assert!(key.no_guard().unwrap().contains(says.guard));
        for wrapping in WrappingAlgorithm::ALL {
            let doubt = key.doubt(wrapping).unwrap_or_default();
            let doubts = says.doubts && wrapping.is_rsa_aes();
            assert_eq!(doubt.starts_with("NOT ESTABLISHED: "), doubts, "{wrapping}");
            assert_eq!(doubt.is_empty(), !doubts);
            let wide =
                [2048, 3072, 4096].map(|bits| key.fits(Spec::DEFAULT, wrapping, bits).is_ok());
            assert_eq!(wide, [true; 3]);
        }
        for spec in Spec::ALL {
            assert_eq!(
                (key.proves_by_decrypting)(spec),
                (says.decrypts)(spec),
                "{spec:?}"
            );
        }
        assert_eq!(names(key.beside), says.beside);
        assert!(key.arn().is_none() && !key.is_multi_region() && !key.is_replica_of(ARN));
    }
    let aws = KmsKey::parse(None, Some(ARN), None).unwrap();
    assert_eq!((aws.word, aws.kms), (None, "AWS KMS"));
    assert_eq!((aws.as_str(), &*aws.place()), (ARN, "eu-west-1"));
    assert_eq!((&*aws.owner(), aws.parameters()), (ARN, None));
    assert_eq!(aws.arn().unwrap().as_str(), ARN);
    assert!(aws.fetch().contains("aws kms get-parameters-for-import"));
    assert!(aws.no_guard().is_none() && aws.practice(&crafted(2048), EACH[0].wrapping).is_none());
    assert!(aws.doubt(EACH[0].wrapping).is_none() && !(aws.proves_by_decrypting)(Spec::DEFAULT));
    assert!(matches!(aws.lifetime, Lifetime::Hours(24)));
    assert_eq!(aws.wrapping_key_bits, [2048, 3072, 4096]);
}

#[test]
fn parts_of_one_multi_region_key_are_known_by_their_arns() {
    let part = |region: &str| {
        ARN.replace("eu-west-1", region).replace(
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
        )
    };
    let key = |arn: &str| KmsKey::parse(Some("aws"), Some(arn), None).unwrap();
    let (here, there) = (part("eu-west-1"), part("us-east-1"));
    assert!(key(&here).is_multi_region() && !key(ARN).is_multi_region());
    assert!(key(&there).is_replica_of(&here));
    assert!(!key(&there).is_replica_of(ARN) && !key(ARN).is_replica_of(&here));
}

/// bash runs it in the tests of the online half; here it is seen to be about exactly the files of the slip.
#[test]
fn the_command_of_the_slip_checks_the_files_and_shows_the_digest_of_their_list() {
    let command = slip_command("inputs/a");
    for part in [
        "(cd inputs/a && ",
        "sha256sum -c SHA256SUMS",
        "sha256sum < SHA256SUMS | cut -c 1-64",
    ] {
        assert!(command.contains(part), "{command}");
    }
}

/// What a rehearsal puts in the place of the online side's file is what the reader of that KMS takes, and no other.
#[test]
fn practice_parameters_are_those_of_their_kms_alone() {
    let wrapping_key = crafted(4096);
    let dir = tempfile::tempdir().unwrap();
    for (says, key) in keys() {
        let text = key.practice(&wrapping_key, says.wrapping).unwrap();
        let path = dir.path().join("parameters.json");
        std::fs::write(&path, &text).unwrap();
        let wanted = Wanted {
            path: &path,
            wrapping: says.wrapping,
            valid_to: None,
        };
        let given = key.read(&wanted).unwrap();
        assert!(given.wrapping_key == wrapping_key && given.token.is_none());
        assert_eq!(given.files.len(), 1);
        assert_eq!(given.files[0].name, "parameters.json");
        assert_eq!(given.valid_to, key.deadline(&wanted));
        let left = |at: Timestamp| at.duration_since(clock::now()).as_secs();
        let hours = given.valid_to.map(|at| (left(at) + 60) / 3600);
        assert_eq!(hours, says.hours, "{}", says.word);
        let engine = ["openbao", "vault"].contains(&says.word); // the two answer the same
        for (other, key) in keys().filter(|(other, _)| other.command != says.command) {
            let same_engine = engine && ["openbao", "vault"].contains(&other.word);
            let wanted = Wanted {
                wrapping: other.wrapping,
                ..wanted
            };
            assert_eq!(
                key.read(&wanted).is_ok(),
                same_engine,
                "{} read as {}",
                says.word,
                other.word
            );
        }
        let read = by_each_reader(text.as_bytes())
            .filter(Result::is_ok)
            .count();
        assert_eq!(read, 1 + usize::from(engine));
        let absent = Wanted {
            path: &dir.path().join("absent"),
            ..wanted
        };
        let error = key.read(&absent).err().unwrap();
        assert_eq!((error.exit, key.deadline(&absent)), (Exit::Usage, None));
        let error = key
            .read(&Wanted {
                path: dir.path(),
                ..wanted
            })
            .err()
            .unwrap();
        assert!(error.what.ends_with("is a directory"), "{}", error.what);
        assert!(error.hints.concat().contains(says.command));
    }
}

#[test]
fn a_label_becomes_a_name_that_its_kms_takes() {
    for (says, key) in keys() {
        let (row, name) = key.elsewhere().unwrap();
        for label in ["Payments_2026-", &"k".repeat(64), "k"] {
            let last = (row.labelled)(label);
            let named = row.shape.beside(name, &last.replace(FILL_IN, "filled-in"));
            let read = KmsKey::parse(Some(says.word), None, Some(named.as_str()));
            assert_eq!(read.unwrap().as_str(), named.as_str());
            let begins = label[..1].to_lowercase();
            let of_label = last.rsplit('/').next().unwrap().to_lowercase();
            assert!(of_label.starts_with(&begins), "{last}");
        }
    }
}

/// Elsewhere `FILL-IN` could be a name like any other.
#[test]
fn a_name_that_people_have_to_fill_in_is_none() {
    for (says, key) in keys() {
        let name = key.as_str().replace("payments", FILL_IN);
        let error = KmsKey::parse(Some(says.word), None, Some(&name)).unwrap_err();
        let told = format!("key {name:?} is not filled in");
        assert_eq!((error.exit, error.what), (Exit::Usage, told));
        let (row, name) = key.elsewhere().unwrap();
        let open = (row.key)(row.shape.beside(name, FILL_IN));
        assert_eq!(open.to_fill_in(), Some(row.example));
        assert_eq!(key.to_fill_in(), None);
    }
}

#[test]
fn each_kind_of_key_of_each_kms_is_known() {
    let words: Vec<_> = each_kind().iter().map(|key| key.word).collect();
    assert_eq!(words[0], None);
    assert!(EACH.iter().all(|says| words.contains(&Some(says.word))));
}

/// `kms`, `key_arn` and `key` of a plan, what is wrong with them, and what to do.
#[test]
fn a_key_is_named_as_its_kms_names_keys() {
    let bao = TRANSIT.key;
    for (kms, key_arn, key, why, hint) in [
        (None, None, None, "it has no key_arn", "with `kms`"),
        (
            Some("aws"),
            None,
            Some(bao),
            "it has no key_arn",
            "by its ARN",
        ),
        (
            Some("aws"),
            Some(ARN),
            Some(bao),
            "it has both key_arn and `key`",
            "for AWS KMS alone",
        ),
        (
            Some("openbao"),
            Some(ARN),
            None,
            "kms = \"openbao\" takes `key`, not key_arn",
            "for every other KMS",
        ),
        (
            Some("openbao"),
            None,
            None,
            "it has no `key`",
            "name it by its URL",
        ),
        (
            Some("gcp"),
            None,
            Some(bao),
            "kms \"gcp\" is not one of aws, openbao, vault, azure, google, oci",
            "it is aws",
        ),
        (
            Some("azure"),
            None,
            Some(bao),
            "key \"https://bao.example",
            "identifier without version",
        ),
    ] {
        let error = KmsKey::parse(kms, key_arn, key).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.what.contains(why), "{}", error.what);
        assert!(error.hints.concat().contains(hint), "{:?}", error.hints);
    }
}

/// Whoever is sent to another KMS is not refused there.
#[test]
fn a_kms_to_which_a_hint_sends_a_data_key_takes_it() {
    let mut sent = 0;
    for (key, spec) in each_kind()
        .iter()
        .flat_map(|key| Spec::ALL.map(|spec| (key, spec)))
    {
        let Err(refusal) = key.takes(spec, WrappingAlgorithm::BEST_FIRST[0]) else {
            continue;
        };
        let Some((_, names)) = refusal
            .hint
            .split_once("go to ")
            .or(refusal.hint.split_once("goes to "))
        else {
            continue;
        };
        for name in names.split(", ").flat_map(|names| names.split(" and ")) {
            let mut others = each_kind().into_iter().filter(|other| other.kms == name);
            let other = others
                .next()
                .unwrap_or_else(|| panic!("{name}: {}", refusal.hint));
            assert!(other.usual(spec).is_ok(), "{spec:?}: {}", refusal.hint);
            sent += 1;
        }
    }
    assert!(sent > 10, "{sent}");
}

/// A new variant is found by its word too; a word that is none is AWS KMS's.
#[test]
fn every_row_is_that_of_its_keys() {
    assert_eq!(script(""), "online.sh");
    for row in ELSEWHERE {
        assert_eq!(script(row.facts.word.unwrap()), row.facts.script);
        let of_row = row.kinds.iter().map(|name| row.shape.read(name).unwrap());
        for key in of_row.map(row.key) {
            assert_eq!((key.word, key.script), (row.facts.word, row.facts.script));
        }
    }
}

/// Only a transit engine tells its errors in a member `errors`.
#[test]
fn a_member_that_means_nothing_to_a_kms_takes_nothing_from_its_answer() {
    for (says, key) in keys() {
        let text = key.practice(&crafted(4096), says.wrapping).unwrap();
        let more = text.replacen('{', "{\"errors\": [\"x\"], \"\": 1,", 1);
        let (row, _) = key.elsewhere().unwrap();
        let is_transit = says.script.starts_with("transit.sh");
        assert_eq!(row.parse(more.as_bytes()).is_err(), is_transit, "{key}");
    }
}

/// A place of a part that is none would stay as it is.
#[test]
fn every_place_in_a_text_is_a_part_of_the_name() {
    let keys = each_kind();
    assert_eq!(keys.len(), 1 + 6);
    for key in keys {
        let texts = [
            Some(key.place()),
            Some(key.owner()),
            key.parameters(),
            key.no_guard(),
        ];
        for text in texts.into_iter().flatten() {
            assert!(!text.is_empty() && !text.contains(['{', '}']), "{text}");
        }
        if let Ok((row, name)) = key.elsewhere() {
            let parts = row.shape.parts.iter();
            let without = parts.filter(|(part, ..)| name.part(part).is_empty());
            assert_eq!(without.count(), 0, "{key}");
            assert_eq!(name.part("none"), "");
        }
    }
}
