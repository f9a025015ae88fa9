use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::crypto::escrow::Policy;
use crate::crypto::spec::HmacHash;
use crate::crypto::wrapping::{Fingerprint, WrappingAlgorithm};
use crate::ground::anchor::Anchor;
use crate::ground::token_uri::TokenUri;
use crate::plan::kms::{KeyArn, KmsKey};
use crate::plan::roles::Apart;
use crate::plan::{EscrowPlan, HsmPlan, InToken, Keep, Kind, Network, RecoverPlan, WrapIn};

/// As it is read again, but for its bytes.
fn read_again(plan: &Plan) -> Plan {
    let text = plan.written(&everything_told());
    let read = Plan::parse(&plan.path, text.clone().into_bytes());
    let read = read.unwrap_or_else(|e| panic!("{}\n{text}", e.for_people()));
    assert_eq!(read.bytes, text.into_bytes());
    Plan {
        bytes: plan.bytes.clone(),
        sha256: plan.sha256,
        ..read
    }
}

/// A note at fields of every table, which looks as much like TOML as it can.
fn everything_told() -> Notes {
    let wild = "title = \"x\"\n[hsm]\r\nkind = 1\u{2028}spec = 2\n";
    let mut notes = Notes::default();
    let above = [
        "title",
        "signer",
        "reason",
        "machine.network",
        "hsm.pin",
        "key.label",
        "key.1.keep",
        "key.import.expires",
        "key.0.import.0.description",
        "escrow",
        "escrow.threshold",
        "escrow.groups",
        "roles",
        "roles.apart",
        "recover",
        "recover.package",
        "record.witnesses",
        "record.signer",
    ];
    for at in above {
        notes.above(at, wild);
        notes.beside(at, wild);
    }
    notes
}

fn words() -> impl Strategy<Value = String> {
    select(vec![
        "a",
        "two words",
        "Zürich \"7\"",
        "back\\slash",
        "# no comment",
        "支払い",
        "x = [1]",
    ])
    .prop_map(str::to_owned)
}

fn path(base: &'static str) -> impl Strategy<Value = PathBuf> {
    select(vec![
        "a",
        "../b/c",
        "/media/usb 1/d",
        "record",
        "typed",
        "./e",
        "f\"g\\h",
        "hsm",
    ])
    .prop_map(move |path| Path::new(base).join(path))
}

fn spec() -> impl Strategy<Value = Spec> {
    let hmac = (select(vec![HmacHash::Sha224, HmacHash::Sha384]), 0_usize..4);
    let hmac = hmac.prop_map(|(hash, more)| Spec::Hmac {
        hash,
        bytes: hash.bytes() + more,
    });
    let others = [
        "AES_128",
        "AES_256",
        "ECC_NIST_P256",
        "ED25519",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "RSA_2048",
        "RSA_4096",
    ];
    let others = select(others.to_vec()).prop_map(|name| Spec::parse(name).unwrap());
    prop_oneof![2 => Just(Spec::DEFAULT), 1 => hmac, 1 => others]
}

fn time() -> impl Strategy<Value = Timestamp> {
    select(vec!["2027-11-20T00:00:00Z", "2027-01-02T03:04:05.678Z"])
        .prop_map(|text| text.parse().unwrap())
}

/// An import of this data key, by its number and its own.
fn import(
    base: &'static str,
    spec: Spec,
    key: usize,
    nth: usize,
) -> impl Strategy<Value = ImportPlan> {
    let arn =
        format!("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-{key:06}{nth:06}");
    let arn = KmsKey::from(KeyArn::parse(&arn).unwrap());
    let url = format!("https://bao.example:8200/v1/a/b/keys/k{key}-{nth}");
    let azure = format!("https://of-a-test.managedhsm.azure.net/keys/k{key}-{nth}");
    let google = format!("projects/of-a-test/locations/global/keyRings/r/cryptoKeys/k{key}-{nth}");
    let oci = format!(
        "https://of-a-test-management.kms.eu-zurich-1.oraclecloud.com/ocid1.compartment.oc1..a/k{key}-{nth}"
    );
    let elsewhere = [
        ("openbao", &url),
        ("vault", &url),
        ("azure", &azure),
        ("google", &google),
        ("oci", &oci),
    ];
    let elsewhere = elsewhere.map(|(kms, name)| KmsKey::parse(Some(kms), None, Some(name)));
    let taken = move |into: &KmsKey| {
        WrappingAlgorithm::ALL
            .iter()
            .any(|way| into.takes(spec, *way).is_ok())
    };
    let kms_keys = [arn.clone(), arn].into_iter();
    let kms_keys = kms_keys.chain(elsewhere.into_iter().map(|key| key.unwrap()));
    let kms_keys: Vec<KmsKey> = kms_keys.filter(taken).collect();
    let into_one = select(kms_keys).prop_flat_map(move |into| {
        let mut fitting = WrappingAlgorithm::ALL.to_vec();
        fitting.retain(|way| into.takes(spec, *way).is_ok());
        (Just(into), select(fitting))
    });
    let symmetric = spec == Spec::DEFAULT;
    let how = (into_one, any::<bool>(), path(base));
    let times = (of(time()), of(time()), of(any::<[u8; 32]>()));
    let told = (
        of(words()),
        any::<bool>(),
        of(select(vec!["Made 2026: a/b_c.d-e"])),
    );
    (how, times, told).prop_map(move |(((into, wrapping), host, parameters), times, told)| {
        let (expires, parameters_valid_to, wrapping_key_sha256) = times;
        let (other_kms_key, new, description) = told;
        let is_aws = into.arn().is_some();
        ImportPlan {
            wrap_in: if host { WrapIn::Host } else { WrapIn::Hsm },
            expires: expires.filter(|_| is_aws),
            parameters_valid_to: parameters_valid_to.filter(|_| is_aws),
            wrapping_key_sha256,
            other_kms_key,
            import_as: (new && symmetric && is_aws).then_some(ImportAs::New),
            description: description
                .filter(|_| symmetric && is_aws)
                .map(str::to_owned),
            ..ImportPlan::draft(&format!("i{nth}"), into, &parameters, wrapping)
        }
    })
}

fn key(base: &'static str, at: usize) -> impl Strategy<Value = KeyPlan> {
    let keep = select(vec![Keep::Extractable, Keep::Sealed, Keep::None]);
    let what = (spec(), keep, any::<bool>(), 0_u8..4, words());
    what.prop_flat_map(move |(spec, keep, known, from, reason)| {
        let imports: Vec<_> = (0..2).map(|nth| import(base, spec, at, nth)).collect();
        imports.prop_map(move |imports| {
            let source = match from {
                0 => Source::File(Path::new(base).join(format!("key {at}"))),
                1 => Source::Token(InToken::Label),
                2 => Source::Token(InToken::Id(vec![0x0a, at as u8])),
                _ => Source::Hsm,
            };
            let in_token = matches!(source, Source::Token(_));
            KeyPlan {
                keep: if in_token { Keep::Extractable } else { keep },
                reason: matches!(source, Source::File(_)).then(|| reason.clone()),
                source,
                fingerprint: known.then(|| Fingerprint::new(&vec![7; spec.fingerprint_len()])),
                imports,
                ..KeyPlan::draft(&format!("key-{at}"), spec)
            }
        })
    })
}

fn hsm(base: &'static str) -> impl Strategy<Value = HsmPlan> {
    let pin = prop_oneof![
        Just(PinSource::Prompt),
        Just(PinSource::PromptHalves),
        Just(PinSource::PinPad),
        (3_i32..99).prop_map(PinSource::Descriptor),
        path(base).prop_map(PinSource::File),
    ];
    let uri = (of(words()), of(words()));
    let env = vec(
        select(vec!["SOFTHSM2_CONF", "X Y"]).prop_map(str::to_owned),
        0..3,
    );
    (path(base), uri, pin, env, of(words())).prop_map(|(module, uri, pin, env, hardware)| {
        let (token, serial) = uri;
        let token = TokenUri {
            token: token.or(Some("t".into())),
            serial,
            ..TokenUri::default()
        };
        HsmPlan {
            pin,
            env,
            hardware,
            ..HsmPlan::draft(&module, token)
        }
    })
}

fn escrow(base: &'static str) -> impl Strategy<Value = EscrowPlan> {
    let deliver = prop_oneof![
        Just(Deliver::Screen),
        Just(Deliver::Files(Path::new(base).join("shares of \"5\""))),
    ];
    let names = |names: [&str; 3]| Vec::from(names.map(str::to_owned));
    let group = move |name: &str, threshold, custodians| Group {
        name: name.to_owned(),
        threshold,
        custodians: names(custodians),
    };
    let any =
        move |threshold| Policy::any(threshold, names(["Security", "Revision \"Süd\"", "A, B"]));
    let of_groups = move |needed| {
        let board = group("the board \"}]", 2, ["A", "B # c", "C"]);
        Policy::of_groups(needed, vec![board, group("IT", 3, ["D", "E", "F"])])
    };
    let policy = prop_oneof![(2_u8..4).prop_map(any), (1_u8..3).prop_map(of_groups)];
    (policy, deliver).prop_map(|(policy, deliver)| EscrowPlan {
        policy: policy.unwrap(),
        deliver,
    })
}

fn recover(base: &'static str) -> impl Strategy<Value = RecoverPlan> {
    let shares = prop_oneof![
        Just(ShareSource::Typed),
        path(base).prop_map(ShareSource::Files)
    ];
    let package = prop_oneof![
        Just(PackageSource::Record),
        path(base).prop_map(|path| {
            let is_a_word = [Path::new("record"), Path::new("typed")].contains(&path.as_path());
            PackageSource::File(if is_a_word {
                Path::new(".").join(path)
            } else {
                path
            })
        })
    ];
    (shares, package).prop_map(|(shares, package)| RecoverPlan { shares, package })
}

fn signer() -> impl Strategy<Value = SignerPlan> {
    prop_oneof![
        Just(SignerPlan::Any),
        Just(SignerPlan::Nobody),
        any::<[u8; 32]>().prop_map(SignerPlan::Named)
    ]
}

/// Any plan, of any kind, with all that may stand in one of that kind.
fn plan() -> impl Strategy<Value = Plan> {
    let kind = select(vec![
        Kind::Generate,
        Kind::Reimport,
        Kind::Recover,
        Kind::Destroy,
    ]);
    (
        kind,
        select(vec!["plan.toml", "/plans/plan.toml", "plans/one/plan.toml"]),
    )
        .prop_flat_map(|(kind, place)| {
            let base = Path::new(place).parent().unwrap().to_str().unwrap();
            let network = select(vec![Network::Forbidden, Network::Hsm, Network::Allowed]);
            let head = of("[0-9a-f]{24,64}")
                .prop_map(|head| head.map(|head| Anchor::parse(&head).unwrap()));
            let keys = [key(base, 0), key(base, 1)];
            let top = (words(), network, hsm(base), path(base), head);
            let people = (
                escrow(base),
                any::<bool>(),
                of(words()),
                words(),
                0_usize..3,
            );
            let rest = (
                recover(base),
                signer(),
                select(vec!["records/r 1", "/r/s", "../t"]),
            );
            (keys, top, people, rest).prop_map(move |(keys, top, people, rest)| {
                let (title, network, hsm, previous, head) = top;
                let (escrow, deals, recorded, reason, witnesses) = people;
                let (recover, signer, directory) = rest;
                let seats = ["Internal audit", "Bank: \"Nord\""];
                let mut plan = Plan {
                    path: place.into(),
                    network,
                    keys: keys.to_vec(),
                    witnesses: seats[..witnesses]
                        .iter()
                        .map(|seat| (*seat).to_owned())
                        .collect(),
                    apart: vec![Apart::OperatorAndWitness; witnesses.min(1)],
                    signer,
                    ..Plan::draft(&title, kind, hsm, &Path::new(base).join(directory))
                };
                let keeps = plan.keys.iter().any(|key| key.keep != Keep::Extractable);
                if kind != Kind::Destroy && (deals || kind == Kind::Generate && keeps) {
                    plan.escrow = Some(escrow);
                }
                if kind != Kind::Generate {
                    (plan.previous, plan.previous_head) = (Some(previous), head);
                }
                match kind {
                    Kind::Recover => plan.recover = Some(recover),
                    Kind::Destroy => plan.reason = Some(reason.clone()),
                    Kind::Generate | Kind::Reimport => {}
                }
                if kind == Kind::Recover && plan.escrow.is_none() {
                    plan.reuse_escrow = Some(reason);
                }
                plan.screen_recorded = recorded.filter(|_| plan.shares_at_screen());
                plan.keys.iter_mut().for_each(|key| as_of(kind, key));
                plan
            })
        })
}

/// Takes out of a data key what a ceremony of the kind refuses.
fn as_of(kind: Kind, key: &mut KeyPlan) {
    if kind != Kind::Generate {
        (key.source, key.reason) = (Source::Hsm, None);
    } else if key.source == Source::Hsm {
        key.fingerprint = None;
    }
    if kind == Kind::Destroy {
        key.imports.clear();
    }
    if kind == Kind::Generate {
        key.imports
            .iter_mut()
            .for_each(|import| import.other_kms_key = None);
    }
    // one of them proves the other
    if let [first, second] = key.imports.as_mut_slice()
        && key.spec == Spec::DEFAULT
        && first.parameters != second.parameters
        && first.kms_key.arn().is_some()
        && second.kms_key.arn().is_some()
    {
        second.kms_key = first.kms_key.clone();
        second.witness_of = Some(first.name.clone());
        second.import_as = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// The law: what was written is read as the same plan.
    #[test]
    fn a_plan_that_was_written_is_read_as_the_same(plan in plan()) {
        prop_assert_eq!(read_again(&plan), plan);
    }
}

#[test]
fn every_plan_that_was_kept_is_written_as_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = fs::read_dir(root.join("tests/records/0.1.0")).unwrap();
    let kept = records.map(|record| record.unwrap().path().join("plan.toml"));
    let fuzzed = fs::read_dir(root.join("fuzz/corpus/plan")).unwrap();
    let fuzzed = fuzzed.map(|file| file.unwrap().path());
    let mut count = 0;
    for path in kept.chain(fuzzed) {
        let Ok(plan) = Plan::read(&path) else {
            continue; // many of the fuzzers' are none
        };
        assert_eq!(read_again(&plan), plan, "{}", path.display());
        count += 1;
    }
    assert!(count > 6, "only {count} plans");
}

#[test]
fn a_note_stands_above_its_field_or_in_its_place_and_is_never_a_field() {
    let hsm = HsmPlan::draft(Path::new("m"), TokenUri::default());
    let plan = Plan {
        keys: vec![
            KeyPlan::draft("a", Spec::DEFAULT),
            KeyPlan::draft("b", Spec::DEFAULT),
        ],
        ..Plan::draft("t", Kind::Generate, hsm, Path::new("r"))
    };
    let mut notes = Notes::of(&[("key.keep", "each")], &[("kind", "new")]);
    notes.above("key.1.keep", "the second\nkeep = \"none\"");
    notes.above("key.source", "source = \"hsm\"");
    notes.above("escrow", "[escrow]");
    let text = plan.written(&notes);
    assert!(
        text.contains("\n# each\nkeep  = \"extractable\"\n# source = \"hsm\"\n\n[[key]]\n"),
        "{text}"
    );
    let second = "# each\n# the second\n# keep = \"none\"\nkeep  = \"extractable\"\n# source = \"hsm\"\n\n# [escrow]\n\n";
    assert!(text.contains(second), "{text}");
    assert!(
        text.starts_with(
            "title = \"t\"\nkind  = \"generate\"                 # new\n\n[machine]\n"
        ),
        "{text}"
    );
}
