//! `ceremony-scripts/policies`: who may do what, judged by a reader of policies that knows the
//! operators used there, against the actions that the installed AWS CLI knows, and taken by a KMS.

use crate::kms_on_loopback;
use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kms_on_loopback::{ACCOUNT, LoopbackKms};
use serde_json::Value;
use support::{skip, stderr};

const ROLES: [&str; 9] = [
    "administrator",
    "auditor",
    "destroyer",
    "importer",
    "importer-no-expiry",
    "parameters",
    "prover",
    "rotator",
    "watcher",
];
const KEY_POLICIES: [&str; 2] = ["key-policy", "key-policy-no-expiry"];

/// The condition keys that stand in the policies, and the actions that know them, by the service
/// authorization reference of AWS. `kms:KeyOrigin` is known to every action on a KMS key.
const CONDITION_KEYS: [(&str, &[&str]); 13] = [
    ("kms:KeyOrigin", ON_A_KEY),
    (
        "kms:EncryptionContext:byok",
        &["kms:Encrypt", "kms:Decrypt"],
    ),
    (
        "kms:BypassPolicyLockoutSafetyCheck",
        &["kms:CreateKey", "kms:PutKeyPolicy"],
    ),
    ("kms:WrappingAlgorithm", &["kms:GetParametersForImport"]),
    ("kms:WrappingKeySpec", &["kms:GetParametersForImport"]),
    ("kms:ExpirationModel", &["kms:ImportKeyMaterial"]),
    ("kms:ValidTo", &["kms:ImportKeyMaterial"]),
    ("kms:ReplicaRegion", &["kms:ReplicateKey"]),
    (
        "kms:ScheduleKeyDeletionPendingWindowInDays",
        &["kms:ScheduleKeyDeletion"],
    ),
    (
        "aws:TagKeys",
        &["kms:CreateKey", "kms:TagResource", "kms:UntagResource"],
    ),
    ("cloudwatch:AlarmActions", &["cloudwatch:PutMetricAlarm"]),
    ("events:source", &["events:PutRule"]),
    ("events:TargetArn", &["events:PutTargets"]),
];
/// Known to every action of every service.
const EVERYWHERE: [&str; 2] = ["aws:PrincipalArn", "aws:SourceAccount"];
const SERVICE_ROLES: (&str, &str) = ("iam:AWSServiceName", "iam:CreateServiceLinkedRole");
const ON_A_KEY: &[&str] = &[
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateKey",
    "kms:Decrypt",
    "kms:DeleteAlias",
    "kms:DeleteImportedKeyMaterial",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:Encrypt",
    "kms:GenerateMac",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetParametersForImport",
    "kms:GetPublicKey",
    "kms:ImportKeyMaterial",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ReplicateKey",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ceremony-scripts/policies")
}

fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").expect("only JSON").to_owned())
        .collect();
    names.sort();
    names
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()
}

fn policy(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn statements(policy: &Value) -> &[Value] {
    policy["Statement"].as_array().expect("statements")
}

/// One text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|text| text.as_str().unwrap()).collect(),
        Value::Null => vec![],
        other => panic!("{other}"),
    }
}

/// Operator, condition key, wanted values.
fn conditions(statement: &Value) -> Vec<(&str, &str, Vec<&str>)> {
    let Some(operators) = statement["Condition"].as_object() else {
        return vec![];
    };
    let each = operators.iter().flat_map(|(operator, keys)| {
        let keys = keys.as_object().unwrap().iter();
        keys.map(move |(key, wanted)| (operator.as_str(), key.as_str(), texts(wanted)))
    });
    each.collect()
}

#[test]
fn every_policy_is_well_formed_and_short_enough() {
    let mut expected: Vec<String> = ROLES
        .iter()
        .chain(&KEY_POLICIES)
        .chain(&["topic-policy"])
        .map(|name| (*name).to_owned())
        .collect();
    expected.sort();
    assert_eq!(names(), expected);
    for name in names() {
        let policy = policy(&name);
        assert_eq!(policy["Version"], "2012-10-17", "{name}");
        let limit = if ROLES.contains(&name.as_str()) {
            6144
        } else {
            32 * 1024
        };
        assert!(policy.to_string().len() <= limit, "{name} is too long");
        let mut sids = BTreeSet::new();
        for statement in statements(&policy) {
            let sid = statement["Sid"].as_str().unwrap();
            let plain = sid.chars().all(|c| c.is_ascii_alphanumeric());
            assert!(plain && sids.insert(sid), "{name}: {sid}");
            assert!(
                ["Allow", "Deny"].contains(&statement["Effect"].as_str().unwrap()),
                "{sid}"
            );
            assert!(!texts(&statement["Action"]).is_empty(), "{sid}");
            assert!(!texts(&statement["Resource"]).is_empty(), "{sid}");
            let of_resource = !ROLES.contains(&name.as_str());
            assert_eq!(statement["Principal"].is_object(), of_resource, "{sid}");
        }
    }
}

#[test]
fn every_account_number_is_the_one_to_be_replaced() {
    for name in names() {
        let text = text(&name);
        let digits: Vec<&str> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|run| run.len() == 12)
            .collect();
        assert!(digits.iter().all(|run| *run == ACCOUNT), "{name}");
        for role in text.split(":role/").skip(1) {
            let known = role.starts_with("byok-") || role.starts_with("aws-service-role/");
            assert!(known, "{name}: {role:.40}");
        }
    }
}

/// The operations of each service that the installed AWS CLI knows.
fn known_operations() -> Option<BTreeMap<String, BTreeSet<String>>> {
    let venv = std::env::var_os("BYOK_TEST_VENV").filter(|path| !path.is_empty())?;
    let script = "import json, sys\n\
        import botocore.session\n\
        s = botocore.session.get_session()\n\
        print(json.dumps({n: s.get_service_model(n).operation_names for n in sys.argv[1:]}))";
    let output = Command::new(PathBuf::from(venv).join("bin/python"))
        .args(["-c", script])
        .args(["kms", "cloudwatch", "events", "sns", "cloudtrail", "iam"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_action_is_one_that_the_aws_cli_knows() {
    let Some(known) = known_operations() else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let is_known = |action: &str| {
        let (service, operation) = action.split_once(':').unwrap();
        known.get(service).is_some_and(|o| o.contains(operation))
    };
    assert!(!is_known("kms:ImportMaterial") && !is_known("s3:GetObject"));
    for name in names() {
        for statement in statements(&policy(&name)) {
            for action in texts(&statement["Action"]) {
                let whole_account = name.starts_with("key-policy") && action == "kms:*";
                assert!(whole_account || is_known(action), "{name}: {action}");
            }
        }
    }
}

#[test]
fn every_condition_key_applies_to_every_action_that_it_stands_with() {
    let mut seen = BTreeSet::new();
    for name in names() {
        let policy = policy(&name);
        for statement in statements(&policy) {
            for (_, key, wanted) in conditions(statement) {
                assert!(!wanted.is_empty(), "{name}: {key}");
                for action in texts(&statement["Action"]) {
                    let listed = CONDITION_KEYS
                        .iter()
                        .any(|(known, actions)| *known == key && actions.contains(&action));
                    let applies =
                        listed || EVERYWHERE.contains(&key) || (key, action) == SERVICE_ROLES;
                    assert!(applies, "{name}: {action} does not know {key}");
                }
                seen.insert(key.to_owned());
            }
        }
    }
    for (key, _) in CONDITION_KEYS {
        assert!(seen.contains(key), "no policy needs {key}");
    }
}

/// A request as KMS sees it: who, what, on what, with which parameters.
#[derive(Clone)]
struct Request {
    principal: String,
    action: &'static str,
    resource: &'static str,
    context: BTreeMap<&'static str, &'static str>,
}

/// What a request carries: condition keys and their values.
type Context = [(&'static str, &'static str)];

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn request(who: &str, action: &'static str, context: &Context) -> Request {
    let mut context: BTreeMap<_, _> = context.iter().copied().collect();
    context.entry("kms:KeyOrigin").or_insert("EXTERNAL");
    Request {
        principal: format!("arn:aws:iam::{ACCOUNT}:{who}"),
        action,
        resource: KEY,
        context,
    }
}

impl Request {
    fn value(&self, key: &str) -> Option<&str> {
        match key {
            "aws:PrincipalArn" => Some(&self.principal),
            key => self.context.get(key).copied(),
        }
    }

    /// Whether a condition holds; a value that the request does not carry meets a negation, what asks only if
    /// it exists, and every `ForAllValues`.
    fn meets(&self, operator: &str, key: &str, wanted: &[&str]) -> bool {
        if operator == "Null" {
            return wanted
                == [if self.value(key).is_some() {
                    "false"
                } else {
                    "true"
                }];
        }
        let for_all = operator.strip_prefix("ForAllValues:");
        let operator = for_all.unwrap_or(operator);
        let if_exists = operator.strip_suffix("IfExists");
        let operator = if_exists.unwrap_or(operator);
        let Some(value) = self.value(key) else {
            return operator.contains("Not") || for_all.is_some() || if_exists.is_some();
        };
        let number = |text: &str| text.parse::<f64>().unwrap();
        match operator {
            "StringEquals" | "Bool" => wanted.contains(&value),
            "StringLike" | "ArnLike" => wanted.iter().any(|pattern| is_like(value, pattern)),
            "ArnNotEquals" => !wanted.contains(&value),
            "NumericLessThanEquals" => number(value) <= number(wanted[0]),
            "NumericGreaterThanEquals" => number(value) >= number(wanted[0]),
            other => panic!("the reader of policies does not know {other}"),
        }
    }

    fn is_met_by(&self, statement: &Value) -> bool {
        let account = format!("arn:aws:iam::{ACCOUNT}:root");
        let principal = match statement["Principal"]["AWS"].as_str() {
            None | Some("*") => true,
            Some(named) => named == self.principal && named != account,
        };
        let action = texts(&statement["Action"])
            .iter()
            .any(|action| *action == self.action || *action == "kms:*");
        let resource = texts(&statement["Resource"])
            .iter()
            .any(|pattern| is_like(self.resource, pattern));
        let conditions = conditions(statement);
        let met =
            |(operator, key, wanted): &(&str, &str, Vec<&str>)| self.meets(operator, key, wanted);
        principal && action && resource && conditions.iter().all(met)
    }

    /// By this key policy together with these IAM policies of the caller: the key policy lets the
    /// account decide by IAM policies, so either may allow, and whatever denies wins.
    fn is_allowed(&self, key_policy: &str, of_the_caller: &[&str]) -> bool {
        let on_the_key = policy(key_policy);
        let own: Vec<Value> = of_the_caller.iter().map(|name| policy(name)).collect();
        let all = || own.iter().chain([&on_the_key]).flat_map(statements);
        let some = |effect: &str| all().any(|s| s["Effect"] == effect && self.is_met_by(s));
        let is_root = self.principal.ends_with(":root");
        (is_root || some("Allow")) && !some("Deny")
    }
}

/// `*` stands for any run of characters.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && is_like(&rest[at..], tail))
}

const EXPIRES: [(&str, &str); 2] = [
    ("kms:ExpirationModel", "KEY_MATERIAL_EXPIRES"),
    ("kms:ValidTo", "1800000000"),
];
const NEVER: [(&str, &str); 1] = [("kms:ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")];
const PARAMETERS: [(&str, &str); 2] = [
    ("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256"),
    ("kms:WrappingKeySpec", "RSA_4096"),
];

/// The role called `byok-NAME` with the policy NAME, on a key with the usual key policy.
fn may(role: &str, action: &'static str, context: &Context) -> bool {
    request(&format!("role/byok-{role}"), action, context).is_allowed("key-policy", &[role])
}

#[test]
fn each_role_may_do_its_own_work_and_nobody_elses() {
    let days: &[(&str, &str)] = &[("kms:ScheduleKeyDeletionPendingWindowInDays", "30")];
    let work: [(&str, &'static str, &Context); 11] = [
        ("administrator", "kms:CreateKey", &[]),
        ("administrator", "kms:PutKeyPolicy", &[]),
        ("administrator", "kms:DisableKey", &[]),
        (
            "administrator",
            "kms:ReplicateKey",
            &[("kms:ReplicaRegion", "eu-central-1")],
        ),
        ("parameters", "kms:GetParametersForImport", &PARAMETERS),
        ("importer", "kms:ImportKeyMaterial", &EXPIRES),
        (
            "prover",
            "kms:Decrypt",
            &[("kms:EncryptionContext:byok", "round-trip")],
        ),
        ("prover", "kms:GenerateMac", &[]),
        ("rotator", "kms:RotateKeyOnDemand", &[]),
        ("destroyer", "kms:DeleteImportedKeyMaterial", &[]),
        ("destroyer", "kms:ScheduleKeyDeletion", days),
    ];
    for (its, action, context) in work {
        for role in ROLES.iter().filter(|role| **role != "importer-no-expiry") {
            assert_eq!(may(role, action, context), *role == its, "{role} {action}");
        }
    }
}

#[test]
fn conditions_bind_even_who_has_the_role() {
    assert!(!may("parameters", "kms:GetParametersForImport", &[]));
    assert!(
        !may("prover", "kms:Decrypt", &[]),
        "what was encrypted without prove's context"
    );
    for (key, other) in [
        ("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_1"),
        ("kms:WrappingAlgorithm", "RSAES_PKCS1_V1_5"),
        ("kms:WrappingKeySpec", "RSA_2048"),
    ] {
        let mut context = PARAMETERS;
        context.iter_mut().find(|(k, _)| *k == key).unwrap().1 = other;
        assert!(
            !may("parameters", "kms:GetParametersForImport", &context),
            "{other}"
        );
    }
    assert!(!may("importer", "kms:ImportKeyMaterial", &NEVER));
    let too_long = [EXPIRES[0], ("kms:ValidTo", "1900000000")];
    assert!(!may("importer", "kms:ImportKeyMaterial", &too_long));
    let soon = [("kms:ScheduleKeyDeletionPendingWindowInDays", "7")];
    assert!(!may("destroyer", "kms:ScheduleKeyDeletion", &soon));
    let made_by_kms = [("kms:KeyOrigin", "AWS_KMS")];
    assert!(!may("administrator", "kms:CreateKey", &made_by_kms));
    assert!(!may(
        "destroyer",
        "kms:DeleteImportedKeyMaterial",
        &made_by_kms
    ));
    let unchecked = [("kms:BypassPolicyLockoutSafetyCheck", "true")];
    assert!(!may("administrator", "kms:PutKeyPolicy", &unchecked));
    assert!(!may("administrator", "kms:CreateKey", &unchecked));
}

#[test]
fn the_watcher_sets_no_alarm_and_no_rule_that_tells_nobody() {
    const NAMED: &str = "arn:aws:sns:eu-west-1:111122223333:byok-expiry";
    const OTHER: &str = "arn:aws:sns:eu-west-1:111122223333:elsewhere";
    for (action, resource, key, good, bad) in [
        (
            "cloudwatch:PutMetricAlarm",
            "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:byok-expiry",
            "cloudwatch:AlarmActions",
            NAMED,
            OTHER,
        ),
        (
            "events:PutRule",
            "arn:aws:events:eu-west-1:111122223333:rule/byok-expired",
            "events:source",
            "aws.kms",
            "aws.ec2",
        ),
        (
            "events:PutTargets",
            "arn:aws:events:eu-west-1:111122223333:rule/byok-expired",
            "events:TargetArn",
            NAMED,
            OTHER,
        ),
    ] {
        let may = |context: &Context| {
            let mut asked = request("role/byok-watcher", action, context);
            asked.resource = resource;
            asked.is_allowed("key-policy", &["watcher"])
        };
        assert!(may(&[(key, good)]), "{action}");
        assert!(!may(&[(key, bad)]), "{action}");
        assert!(!may(&[]), "{action} that names nobody");
    }
}

#[test]
fn the_administrator_tags_no_key_of_another_origin() {
    let tag = |more: &Context| {
        let context = [&[("aws:TagKeys", "purpose")], more].concat();
        may("administrator", "kms:TagResource", &context)
    };
    assert!(tag(&[]));
    assert!(!tag(&[("kms:KeyOrigin", "AWS_KMS")]));
    assert!(!tag(&[("aws:TagKeys", "owner")]));
}

#[test]
fn the_policies_without_expiry_differ_in_the_import_alone() {
    let by = |key_policy: &str, role: &str, context: &Context| {
        request("role/byok-importer", "kms:ImportKeyMaterial", context)
            .is_allowed(key_policy, &[role])
    };
    assert!(by("key-policy-no-expiry", "importer-no-expiry", &NEVER));
    assert!(!by("key-policy-no-expiry", "importer-no-expiry", &EXPIRES));
    assert!(
        by("key-policy", "importer-no-expiry", &NEVER),
        "either may allow: the weaker counts"
    );
    let [expiring, never] = KEY_POLICIES.map(policy);
    let differing: Vec<&str> = statements(&expiring)
        .iter()
        .zip(statements(&never))
        .filter(|(one, other)| one != other)
        .map(|(one, _)| one["Action"].as_str().unwrap())
        .collect();
    assert_eq!(differing, ["kms:ImportKeyMaterial"]);
    assert_eq!(statements(&expiring).len(), statements(&never).len());
}

#[test]
fn an_administrator_of_the_whole_account_cannot_import_or_destroy_but_can_repair_the_key_policy() {
    for key_policy in KEY_POLICIES {
        for who in ["root", "user/somebody"] {
            // somebody is allowed everything by IAM, as root is
            let mut all = request(who, "kms:PutKeyPolicy", &[]);
            let allowed = |request: &Request| {
                let denied = statements(&policy(key_policy))
                    .iter()
                    .any(|s| s["Effect"] == "Deny" && request.is_met_by(s));
                !denied
            };
            for action in ["kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:DescribeKey"] {
                all.action = action;
                assert!(allowed(&all), "{who} is locked out of {action}");
            }
            for action in [
                "kms:DeleteImportedKeyMaterial",
                "kms:ScheduleKeyDeletion",
                "kms:ImportKeyMaterial",
                "kms:GetParametersForImport",
            ] {
                all.action = action;
                assert!(!allowed(&all), "{who}: {action}");
            }
        }
        let policy = policy(key_policy);
        let account = format!("arn:aws:iam::{ACCOUNT}:root");
        let delegates = |s: &&Value| {
            s["Principal"]["AWS"] == account.as_str()
                && s["Action"] == "kms:*"
                && s["Effect"] == "Allow"
                && s["Condition"].is_null()
        };
        assert_eq!(statements(&policy).iter().filter(delegates).count(), 1);
    }
}

#[test]
fn the_auditor_only_reads() {
    let policy = policy("auditor");
    for statement in statements(&policy) {
        for action in texts(&statement["Action"]) {
            let verb = action.split_once(':').unwrap().1;
            let reads = ["Get", "List", "Describe", "Lookup"];
            assert!(reads.iter().any(|r| verb.starts_with(r)), "{action}");
            assert_ne!(action, "kms:GetParametersForImport");
        }
    }
}

#[test]
fn a_kms_takes_the_key_policies_and_an_account_the_others() {
    let Some(kms) = LoopbackKms::start_with("kms,sts,iam,sns") else {
        return skip("BYOK_TEST_VENV is not set");
    };
    let file = |name: &str| format!("file://{}", folder().join(format!("{name}.json")).display());
    for name in KEY_POLICIES {
        let with = ["--origin", "EXTERNAL", "--policy", &file(name)];
        let made = kms.aws_text(&[&["kms", "create-key"], &with[..]].concat());
        let made: Value = serde_json::from_str(&made).unwrap();
        let arn = made["KeyMetadata"]["Arn"].as_str().unwrap();
        let other = kms.create_external_key("SYMMETRIC_DEFAULT");
        let put = ["--key-id", &other, "--policy-name", "default", "--policy"];
        kms.aws_text(&[&["kms", "put-key-policy"], &put[..], &[&file(name)]].concat());
        for key in [arn, &other] {
            let told = kms.aws_text(&["kms", "get-key-policy", "--key-id", key]);
            let told: Value = serde_json::from_str(&told).unwrap();
            let told: Value = serde_json::from_str(told["Policy"].as_str().unwrap()).unwrap();
            assert_eq!(told, policy(name));
        }
    }
    for role in ROLES {
        let name = format!("byok-{role}");
        let with = ["--policy-name", &name, "--policy-document", &file(role)];
        kms.aws_text(&[&["iam", "create-policy"], &with[..]].concat());
    }
}

/// Whose work each verb of `online.sh` is.
const WHOSE: [(&str, &str); 16] = [
    ("create", "administrator"),
    ("parameters", "parameters"),
    ("import", "importer"),
    ("prove", "prover"),
    ("replicate", "administrator"),
    ("rotate", "rotator"),
    ("alias", "administrator"),
    ("status", "watcher"),
    ("alarm", "watcher"),
    ("evidence", "watcher"),
    ("disable", "administrator"),
    ("enable", "administrator"),
    ("delete-material", "destroyer"),
    ("schedule-deletion", "destroyer"),
    ("cancel-deletion", "administrator"),
    ("slip", ""),
];

/// The permissions that the help of a verb names.
fn needed(verb: &str) -> BTreeSet<String> {
    let script = folder().parent().unwrap().join("online.sh");
    let output = Command::new("bash")
        .arg(script)
        .args([verb, "--help"])
        .output()
        .unwrap();
    let help = support::stdout(&output);
    let (_, needs) = help.split_once("\nNeeds: ").expect(verb);
    let (needs, _) = needs.split_once("\nDoes not:").expect(verb);
    let words = needs.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
    words
        .filter(|word| word.contains(':'))
        .map(|word| word.trim_end_matches(':').to_owned())
        .collect()
}

#[test]
fn the_policy_of_each_role_covers_what_its_verbs_say_they_need() {
    for (verb, role) in WHOSE {
        let needed = needed(verb);
        if role.is_empty() {
            assert!(needed.is_empty(), "{verb}: {needed:?}");
            continue;
        }
        assert!(!needed.is_empty(), "{verb}");
        let policy = policy(role);
        let allows = statements(&policy)
            .iter()
            .filter(|s| s["Effect"] == "Allow");
        let allowed: BTreeSet<_> = allows.flat_map(|s| texts(&s["Action"])).collect();
        for action in needed {
            assert!(
                allowed.contains(action.as_str()),
                "{verb} needs {action}, {role}.json does not allow it"
            );
        }
    }
}
