//! The JSON form.

use super::*;

/// The members of a good answer, as JSON text each; `with` replaces or adds some, `None` leaves one out.
fn answer_with(with: &[(&str, Option<&str>)]) -> String {
    let mut members = vec![
        ("KeyId", format!("\"{ARN}\"")),
        ("ImportToken", format!("\"{}\"", base64(&token()))),
        ("PublicKey", format!("\"{}\"", base64(&real_spki()))),
        ("ParametersValidTo", "1795423260.123".to_owned()),
    ];
    for (name, value) in with {
        members.retain(|(known, _)| known != name);
        members.extend(value.map(|value| (*name, value.to_owned())));
    }
    let lines: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("    \"{name}\": {value}"))
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

pub(super) fn good() -> String {
    answer_with(&[])
}

fn parse_with(name: &str, value: Option<&str>) -> Result<ImportParameters> {
    parse("eu.json", answer_with(&[(name, value)]).as_bytes())
}

#[track_caller]
fn refused_text(text: impl AsRef<[u8]>, what: &str) -> Error {
    let what = format!("eu.json: {what}");
    refused(parse("eu.json", text.as_ref()), Exit::Usage, &what)
}

#[test]
fn the_answer_is_read_whole() {
    let text = good();
    let parameters = parse("eu.json", text.as_bytes()).unwrap();
    assert_eq!(parameters.form, Form::Json);
    assert_eq!(parameters.key_arn.unwrap().as_str(), ARN);
    assert_eq!(parameters.wrapping_key.spki_der(), real_spki());
    assert_eq!(parameters.import_token, token());
    assert_eq!(parameters.wrapping_algorithm, None);
    assert_eq!(parameters.wrapping_key_spec, None);
    let [file] = parameters.files.as_slice() else {
        panic!("one file");
    };
    assert_eq!(file.name, "eu.json");
    assert_eq!(file.sha256, words::sha256(text.as_bytes()));
}

#[test]
fn every_spelling_of_the_deadline_is_the_same_time() {
    for (value, time) in [
        ("1795423260", "2026-11-23T08:41:00Z"),
        ("1795423260.0", "2026-11-23T08:41:00Z"),
        ("1795423260.123", "2026-11-23T08:41:00.123Z"),
        ("1.79542326E9", "2026-11-23T08:41:00Z"),
        (
            "\"2026-11-23T09:41:00.123000+01:00\"",
            "2026-11-23T08:41:00.123Z",
        ),
        ("\"2026-11-23T08:41:00Z\"", "2026-11-23T08:41:00Z"),
        ("\"2026-11-23T08:41:00+00:00\"", "2026-11-23T08:41:00Z"),
    ] {
        let parameters = parse_with("ParametersValidTo", Some(value)).unwrap();
        assert_eq!(parameters.valid_to, Some(time.parse().unwrap()), "{value}");
    }
    // Local time, milliseconds, words, nothing.
    for value in [
        "\"2026-11-23T08:41:00\"",
        "1795423260123",
        "\"tomorrow\"",
        "\"\"",
        "-1e300",
    ] {
        let result = parse_with("ParametersValidTo", Some(value));
        let error = refused(result, Exit::Usage, "`ParametersValidTo` is not a time");
        assert!(error.hints.concat().contains("seconds since 1970"));
    }
}

#[test]
fn text_encodings_of_other_shells_are_read() {
    let text = good().replace('\n', "\r\n");
    let utf16 = |mark: u16, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let units = std::iter::once(mark).chain(text.encode_utf16());
        units.flat_map(bytes).collect()
    };
    let bom = [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat();
    let le = utf16(0xfeff, u16::to_le_bytes);
    let be = utf16(0xfeff, u16::to_be_bytes);
    for bytes in [text.as_bytes(), &bom, &le, &be] {
        let parameters = parse("eu.json", bytes).unwrap();
        assert_eq!(parameters.import_token, token());
        // The digest is over the file, not over what it means.
        assert_eq!(parameters.files[0].sha256, words::sha256(bytes));
    }
    refused_text(&le[..le.len() - 1], "is neither JSON nor a zip");
    refused_text(b"{\"KeyId\": \"\xff\"}", "is neither JSON nor a zip");
}

#[test]
fn base64_may_be_broken_into_lines_but_not_otherwise() {
    let whole = base64(&token());
    let lines: Vec<&str> = whole
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    for end in ["\\n", "\\r\\n"] {
        let value = format!("\"{}{end}\"", lines.join(end));
        let parameters = parse_with("ImportToken", Some(&value)).unwrap();
        assert_eq!(parameters.import_token, token());
    }
    for value in ["\"AQ\"", "\"A?==\"", "\"AQ==x\"", "\"A_-=\"", "\"AR==\""] {
        for name in ["ImportToken", "PublicKey"] {
            let what = format!("`{name}` is not padded base64");
            refused(parse_with(name, Some(value)), Exit::Usage, &what);
        }
    }
    let empty = parse_with("ImportToken", Some("\"\""));
    refused(empty, Exit::Usage, "the import token is empty");
}

#[test]
fn a_named_algorithm_and_size_must_be_known_and_true() {
    let name = "WrappingAlgorithm";
    let parameters = parse_with(name, Some("\"RSA_AES_KEY_WRAP_SHA_256\"")).unwrap();
    let expected = Some(WrappingAlgorithm::RsaAesKeyWrapSha256);
    assert_eq!(parameters.wrapping_algorithm, expected);
    for (value, why) in [
        ("\"RSAES_PKCS1_V1_5\"", "has refused it since October 2023"),
        ("\"SM2PKE\"", "byok cannot use SM2"),
        ("\"ROT13\"", "it is not a known algorithm"),
    ] {
        refused(parse_with(name, Some(value)), Exit::Usage, why);
    }
    let parameters = parse_with("WrappingKeySpec", Some("\"RSA_2048\"")).unwrap();
    assert_eq!(parameters.wrapping_key_spec.as_deref(), Some("RSA_2048"));
    let result = parse_with("WrappingKeySpec", Some("\"RSA_4096\""));
    let what = "`WrappingKeySpec` says `RSA_4096`, but the public key is RSA_2048";
    let error = refused(result, Exit::Mismatch, what);
    assert_eq!(error.check, Some("WRAPPING-KEY-SPEC"));
}

#[test]
fn what_is_missing_or_of_another_kind_is_named() {
    for name in ["KeyId", "ImportToken", "PublicKey"] {
        let what = format!("eu.json: has no `{name}`");
        refused(parse_with(name, None), Exit::Usage, &what);
        refused(parse_with(name, Some("null")), Exit::Usage, &what);
    }
    for absent in [None, Some("null")] {
        let parameters = parse_with("ParametersValidTo", absent).unwrap();
        assert_eq!(parameters.valid_to, None); // the plan then has to give it
    }
    let number = parse_with("PublicKey", Some("5"));
    refused(number, Exit::Usage, "`PublicKey` is a number, not a string");
    let list = parse_with("ParametersValidTo", Some("[]"));
    refused(
        list,
        Exit::Usage,
        "`ParametersValidTo` is an array, not a time",
    );
    let bool = parse_with("WrappingAlgorithm", Some("true"));
    refused(
        bool,
        Exit::Usage,
        "`WrappingAlgorithm` is true or false, not a string",
    );
    assert!(parse_with("SomethingNew", Some("{\"a\":[1]}")).is_ok());
    assert!(parse_with("KeyUsage", Some("\"ENCRYPT_DECRYPT\"")).is_ok());
}

#[test]
fn a_key_id_that_does_not_say_which_key_is_refused() {
    for (value, why) in [
        (
            "\"1234abcd-12ab-34cd-56ef-1234567890ab\"",
            "is a key id alone",
        ),
        ("\"alias/payments\"", "is an alias; account, Region"),
    ] {
        let error = refused(parse_with("KeyId", Some(value)), Exit::Usage, why);
        assert!(error.what.starts_with("eu.json: KeyId: `"), "{error}");
        assert!(error.hints.concat().contains("aws kms describe-key"));
    }
}

#[test]
fn the_public_key_is_judged() {
    let key = |der: &[u8]| format!("\"{}\"", base64(der));
    let small = parse_with("PublicKey", Some(&key(&crafted_spki(1024))));
    refused(small, Exit::Mismatch, "the wrapping key has 1024 bits");
    let spki = real_spki();
    let cut = parse_with("PublicKey", Some(&key(&spki[..100])));
    refused(cut, Exit::Usage, "the wrapping key is cut short");
    let pem = "-----BEGIN PUBLIC KEY-----\\nMIIB\\n-----END PUBLIC KEY-----\\n";
    let inside = parse_with("PublicKey", Some(&format!("\"{pem}\"")));
    refused(inside, Exit::Usage, "the wrapping key is PEM text");
    let twice = parse_with("PublicKey", Some(&key(pem.replace("\\n", "\n").as_bytes())));
    refused(twice, Exit::Usage, "the wrapping key is PEM text");
    let swapped = format!("\"{}\"", base64(&spki));
    let swapped = parse_with("ImportToken", Some(&swapped));
    refused(swapped, Exit::Usage, "the import token is a public key");
}

#[test]
fn answers_of_other_operations_are_named() {
    for (text, call) in [
        (
            "{\"KeyMetadata\":{}}".to_owned(),
            "DescribeKey or CreateKey",
        ),
        (
            format!("{{\"KeyId\":\"{ARN}\",\"PublicKey\":\"MIIB\",\"KeyUsage\":\"SIGN_VERIFY\"}}"),
            "GetPublicKey",
        ),
        (
            format!("{{\"KeyId\":\"{ARN}\",\"KeyMaterialId\":\"00\"}}"),
            "ImportKeyMaterial",
        ),
    ] {
        refused_text(
            text,
            &format!("is an answer of {call}, not import parameters"),
        );
    }
}

#[test]
fn a_member_inside_another_is_refused_and_so_is_one_that_stands_there_twice() {
    let other = format!("{{\"PublicKey\": \"{}\"}}", base64(&crafted_spki(2048)));
    for nested in [other.clone(), format!("[1, {{\"a\": {other}}}]")] {
        let result = parse_with("SomethingNew", Some(&nested));
        refused(
            result,
            Exit::Usage,
            "has a `PublicKey` inside another member",
        );
    }
    for name in ["PublicKey", "Public\\u004bey"] {
        let twice = good().replacen('{', &format!("{{\"{name}\": \"AAAA\", "), 1);
        refused_text(twice, "can be read in two ways: duplicate key `PublicKey`");
    }
}

#[test]
fn error_messages_of_aws_are_passed_on() {
    let denied = "is an error message of AWS (AccessDeniedException: not you)";
    refused_text(
        r#"{"__type":"AccessDeniedException","message":"not you"}"#,
        denied,
    );
    refused_text(
        r#"{"Error":{"Code":"AccessDeniedException","Message":"not you"}}"#,
        denied,
    );
    refused_text(
        r#"{"message":"not you"}"#,
        "is an error message of AWS (error: not you)",
    );
    let line = "\nAn error occurred (NotFoundException) when calling the GetParametersForImport operation: x\n";
    refused_text(
        line,
        "is an error message of AWS (An error occurred (NotFoundException)",
    );
}

#[test]
fn other_output_formats_of_the_cli_are_named() {
    let text = format!("AQECAHhT\t{ARN}\t1795423260.123\tMIIB\n");
    let yaml = format!("ImportToken: AQECAHhT\nKeyId: {ARN}\nPublicKey: MIIB\n");
    let stream = format!("- ImportToken: AQECAHhT\n  KeyId: {ARN}\n");
    let table = "-----------------\n| get-parameters-for-import |\n+---+---+\n";
    let bordered = "+---+---+\n| a | b |\n";
    for (text, format) in [
        (text.as_str(), "text"),
        (&yaml, "yaml"),
        (&stream, "yaml"),
        (table, "table"),
        (bordered, "table"),
    ] {
        let what = format!("is AWS CLI output in the format `{format}`, not JSON");
        let error = refused_text(text, &what);
        assert!(error.hints.concat().contains("--output json"));
    }
}

#[test]
fn what_is_no_answer_at_all_is_named() {
    refused_text("", "is empty");
    refused_text(" \r\n", "is empty");
    refused_text("\u{feff}", "is empty");
    let pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n";
    refused_text(pem, "is PEM text; the import token is missing");
    refused_text(real_spki(), "is only a DER file");
    refused_text(base64(&real_spki()), "is only base64: one of the two files");
    refused_text("hello there", "is neither JSON nor a zip");
    refused_text(token(), "is neither JSON nor a zip");
    refused_text("[1]", "holds an array, not a JSON object");
    refused_text("\"MIIB\"", "holds a string, not a JSON object");
    refused_text("{'KeyId': 1}", "is not JSON: key must be a string");
    refused_text(good() + "x", "is not JSON: trailing characters");
    let twice = good().replace("\"PublicKey\"", "\"KeyId\"");
    refused_text(twice, "can be read in two ways: duplicate key `KeyId`");
}

#[test]
fn a_cut_answer_is_never_taken() {
    let text = good();
    for cut in (1..text.len() - 2).step_by(7) {
        let error = refused_text(&text[..cut], "is cut short: EOF while parsing");
        assert!(error.hints.concat().contains("copy the file again"));
    }
}
