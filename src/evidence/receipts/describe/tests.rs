//! The JSON of DescribeKey and CreateKey.

use super::*;
use crate::ground::error::Exit;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[track_caller]
fn refused(result: Result<KeyMetadata>, exit: Exit, what: &str) -> Error {
    let error = result.unwrap_err();
    assert!(error.what.contains(what), "{} / {what}", error.what);
    assert_eq!(error.exit, exit, "{error}");
    error
}

fn describe(with: &[(&str, Option<&str>)]) -> String {
    let mut members = vec![
        ("Arn", format!("\"{ARN}\"")),
        ("KeyId", "\"1234abcd-12ab-34cd-56ef-1234567890ab\"".into()),
        ("KeySpec", "\"SYMMETRIC_DEFAULT\"".into()),
        ("KeyUsage", "\"ENCRYPT_DECRYPT\"".into()),
        ("Origin", "\"EXTERNAL\"".into()),
        ("KeyState", "\"PendingImport\"".into()),
        ("MultiRegion", "false".into()),
        ("CreationDate", "1795423260.1".into()),
    ];
    for (name, value) in with {
        members.retain(|(known, _)| known != name);
        members.extend(value.map(|value| (*name, value.to_owned())));
    }
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{\"KeyMetadata\":{{{}}}}}", members.join(","))
}

fn describe_with(name: &str, value: Option<&str>) -> Result<KeyMetadata> {
    describe_key(describe(&[(name, value)]).as_bytes())
}

#[test]
fn key_metadata_is_read() {
    let metadata = describe_with("Description", Some("\"Payments\"")).unwrap();
    assert_eq!(metadata.arn.as_str(), ARN);
    assert_eq!(metadata.key_spec, "SYMMETRIC_DEFAULT");
    assert_eq!(metadata.key_usage, "ENCRYPT_DECRYPT");
    assert_eq!(metadata.origin, "EXTERNAL");
    assert_eq!(metadata.key_state, "PendingImport");
    assert!(!metadata.multi_region);
    assert_eq!(metadata.description.as_deref(), Some("Payments"));
    let old = describe(&[
        ("KeySpec", None),
        ("CustomerMasterKeySpec", Some("\"RSA_2048\"")),
    ]);
    assert_eq!(describe_key(old.as_bytes()).unwrap().key_spec, "RSA_2048");
}

#[test]
fn metadata_that_is_not_whole_or_not_consistent_is_refused() {
    for name in ["Arn", "KeySpec", "KeyUsage", "Origin", "KeyState"] {
        let result = describe_with(name, None);
        let error = refused(result, Exit::Usage, &format!("has no `{name}`"));
        assert_eq!(
            error.hints,
            ["online: aws kms describe-key --key-id KEY_ARN --output json"]
        );
    }
    for (name, value, what) in [
        ("KeyId", "\"another\"", "`KeyId` is `another`"),
        ("MultiRegion", "true", "`MultiRegion` is true"),
        (
            "CustomerMasterKeySpec",
            "\"RSA_2048\"",
            "`CustomerMasterKeySpec` is `RSA_2048`",
        ),
    ] {
        refused(describe_with(name, Some(value)), Exit::Mismatch, what);
    }
    let kind = describe_with("MultiRegion", Some("1"));
    refused(
        kind,
        Exit::Usage,
        "`MultiRegion` is a number, not true or false",
    );
    let parameters = describe_key(b"{\"ImportToken\":\"\"}");
    refused(
        parameters,
        Exit::Usage,
        "is import parameters, not an answer of DescribeKey",
    );
    refused(describe_key(b"{}"), Exit::Usage, "has no `KeyMetadata`");
    let text = describe_key(b"{\"KeyMetadata\":\"x\"}");
    refused(
        text,
        Exit::Usage,
        "`KeyMetadata` is a string, not an object",
    );
    let text = describe_key(b"KEYMETADATA\t111122223333\tarn:aws\n");
    refused(text, Exit::Usage, "in the format `text`, not JSON");
}
