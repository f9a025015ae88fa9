//! The table: files, and the one verdict of both sides.

use super::made::{Made, answer, ec_spki, quoted, rsa_spki, zip_of};
use crate::support::{ARN, base64, openssl};

/// What both sides say of a case.
#[derive(Clone, Copy)]
pub enum Verdict {
    Taken,
    /// With this exit code.
    Refused(i32),
    /// The room takes it; the online half says these words.
    RoomOnly(&'static str),
}
use Verdict::{Refused, RoomOnly, Taken};

pub struct Case {
    pub name: String,
    /// Below the folder of the online half.
    pub files: Vec<(String, Vec<u8>)>,
    pub links: Vec<(String, String)>,
    /// What the plan names there.
    pub path: String,
    pub verdict: Verdict,
}

impl Case {
    pub fn files(name: &str, files: Vec<(String, Vec<u8>)>, path: &str, verdict: Verdict) -> Self {
        Self {
            name: name.into(),
            files,
            links: Vec::new(),
            path: path.into(),
            verdict,
        }
    }

    pub fn file(path: &str, bytes: Vec<u8>, verdict: Verdict) -> Self {
        Self::files(path, vec![(path.into(), bytes)], path, verdict)
    }

    pub fn json(name: &str, bytes: impl Into<Vec<u8>>, verdict: Verdict) -> Self {
        Self {
            name: name.into(),
            ..Self::file("a.json", bytes.into(), verdict)
        }
    }

    /// A folder `one` of these files.
    fn folder(name: &str, files: &[(&str, &[u8])], verdict: Verdict) -> Self {
        let files = files
            .iter()
            .map(|(path, bytes)| (format!("one/{path}"), bytes.to_vec()));
        Self::files(name, files.collect(), "one", verdict)
    }
}

fn utf_16(text: &str, mark: bool, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xfeff_u16);
    mark.into_iter()
        .chain(text.encode_utf16())
        .flat_map(unit)
        .collect()
}

fn in_lines(text: &str, width: usize, end: &str) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join(end) + end
}

fn certutil(text: &str) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\r\n{}-----END CERTIFICATE-----\r\n",
        in_lines(text, 64, "\r\n")
    )
}

pub fn json_taken(made: &Made) -> Vec<Case> {
    let good = made.json();
    let compact = good.replace(['\n', ' '], "");
    let (key, token) = (base64(&made.spki), base64(&made.token));
    let mut texts: Vec<(&str, Vec<u8>)> = vec![
        ("pretty", good.clone().into()),
        ("compact", compact.clone().into()),
        ("CRLF", good.replace('\n', "\r\n").into()),
        ("blanks around", format!(" \t\r\n{good}\n\n").into()),
        ("BOM", format!("\u{feff}{good}").into()),
        ("UTF-16 LE", utf_16(&good, true, u16::to_le_bytes)),
        ("UTF-16 BE", utf_16(&good, true, u16::to_be_bytes)),
        ("slashes escaped", good.replace(&key, &key.replace('/', "\\/")).replace(&token, &token.replace('/', "\\/")).into()),
        ("plus escaped", good.replace('+', "\\u002B").replace("00\\u002B00", "00+00").into()),
        ("names escaped", good.replace("KeyId", "Key\\u0049d").replace("PublicKey", "P\\u0075blicKey").into()),
        ("last byte DEL in another member", made.with("Note", "\"\u{7f}\"").into()),
        ("unknown members", made.with("ResponseMetadata", "{\"RequestId\": \"x\", \"HTTPHeaders\": {\"date\": [1, -0.5e+3, true, false, null, {}, []]}, \"error\": {}}").into()),
        ("other alphabets", made.with("Note", "\"\\u00e9 é \\ud83d\\ude00 😀 \\u0000 \\b\\f\\n\\r\\t\\\"\\\\\"").into()),
        ("the word None elsewhere", made.with("Note", "\"None\"").into()),
        ("an object called as the usage", made.with("KeyUsage", "\"ENCRYPT_DECRYPT\"").into()),
        ("127 deep", made.with("Deep", &format!("{}{}", "[".repeat(126), "]".repeat(126))).into()),
        ("a large number", made.with("Number", "1e308").into()),
        ("the token in lines", made.with("ImportToken", &quoted(&in_lines(&token, 64, "\\n"))).into()),
        ("the key in lines", made.with("PublicKey", &quoted(&in_lines(&key, 76, "\\r\\n    "))).into()),
        ("blanks in the token", made.with("ImportToken", &quoted(&format!(" {} \\t", token.replace('A', " A ")))).into()),
        ("the token by certutil", made.with("ImportToken", &quoted(&certutil(&token).replace('\r', "\\r").replace('\n', "\\n"))).into()),
        ("a later API", made.with("WrappingKeySpec", "\"RSA_2048\"").into()),
        ("null where nothing is told", made.with("WrappingKeySpec", "null").into()),
    ];
    for algorithm in [
        "RSAES_OAEP_SHA_1",
        "RSAES_OAEP_SHA_256",
        "RSA_AES_KEY_WRAP_SHA_1",
        "RSA_AES_KEY_WRAP_SHA_256",
    ] {
        texts.push((
            algorithm,
            made.with("WrappingAlgorithm", &quoted(algorithm)).into(),
        ));
    }
    for bits in [3072, 4096] {
        texts.push((
            "another size",
            answer(&crate::support::KmsKey::rsa(bits).spki, &made.token).into(),
        ));
    }
    for time in [
        "",
        "null",
        "1795423260",
        "1795423260.123",
        "1.79542326E9",
        "4000000000",
        "0",
        "\"2026-11-23T08:41:00Z\"",
        "\"2026-11-23T08:41:00.123456+00:00\"",
        "\"2026-11-23T08:41:00-01:30\"",
        "\"2096-02-29T08:41:00+0100\"",
        "\"2026-11-23 08:41:00+00:00\"",
        "\"2026-11-23T08:41:00.1234567Z\"",
        "\"2026-11-23T08:41:00-00:00\"",
        "\"1970-01-01T00:00:00Z\"",
    ] {
        texts.push(("a time", made.with("ParametersValidTo", time).into()));
    }
    for arn in [
        "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
        "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-iso-b:kms:us-isob-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-eusc:kms:eusc-de-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-new:kms:xx-new-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ] {
        texts.push((arn, made.with("KeyId", &quoted(arn)).into()));
    }
    numbered(texts, Taken)
}

fn numbered(texts: Vec<(&str, Vec<u8>)>, verdict: Verdict) -> Vec<Case> {
    let each = texts.into_iter().enumerate();
    each.map(|(number, (name, bytes))| Case::json(&format!("{number} {name}"), bytes, verdict))
        .collect()
}

pub fn json_refused(made: &Made) -> Vec<Case> {
    let good = made.json();
    let key = base64(&made.spki);
    let other = format!("\"PublicKey\": {}", quoted(&base64(&rsa_spki(2048, 65537))));
    let before = |member: &str| good.replacen('{', &format!("{{{member}, "), 1);
    let after = |member: &str| good.replacen("\n}", &format!(",{member}\n}}"), 1);
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("blank", b" \r\n".to_vec()),
        ("only a mark", b"\xef\xbb\xbf".to_vec()),
        ("two objects", format!("{good}{good}").into()),
        ("text behind it", format!("{good}x").into()),
        ("a comma behind it", format!("{good},").into()),
        ("cut", good.as_bytes()[..good.len() / 2].to_vec()),
        ("cut before the brace", good.trim_end().trim_end_matches('}').into()),
        ("in an array", format!("[{good}]").into()),
        ("in a string", quoted(&good.replace('"', "\\\"").replace('\n', "\\n")).into()),
        ("a number", b"5".to_vec()),
        ("a zero byte", good.replacen(' ', "\0", 1).into()),
        ("a zero byte in a string", made.with("Note", "\"a\0b\"").into()),
        ("a zero byte behind it", format!("{good}\0").into()),
        ("no UTF-8", good.replacen("KeyId", "KeyId\",\"\u{1}", 1).replace('\u{1}', "x").into_bytes().into_iter().chain([0xff]).collect()),
        ("UTF-16 without a mark", utf_16(&good, false, u16::to_le_bytes)),
        ("UTF-16 of odd length", [utf_16(&good, true, u16::to_le_bytes), vec![0x20]].concat()),
        ("two marks", format!("\u{feff}\u{feff}{good}").into()),
        ("a no-break space before it", format!("\u{a0}{good}").into()),
        ("a form feed before it", format!("\u{c}{good}").into()),
        ("Python's repr", good.replace('"', "'").into()),
        ("a comma too many", good.replace("\n}", ",\n}").into()),
        ("a comment", good.replacen('{', "{ // a comment\n", 1).into()),
        ("names without quotes", good.replace("\"KeyId\"", "KeyId").into()),
        ("NaN", made.with("Number", "NaN").into()),
        ("01", made.with("Number", "01").into()),
        ("+1", made.with("Number", "+1").into()),
        ("1.", made.with("Number", "1.").into()),
        (".5", made.with("Number", ".5").into()),
        ("1e999", made.with("Number", "1e999").into()),
        ("True", made.with("Bool", "True").into()),
        ("a line break in a string", made.with("Note", "\"a\nb\"").into()),
        ("a tab in a string", made.with("Note", "\"a\tb\"").into()),
        ("a broken escape", made.with("Note", "\"\\x41\"").into()),
        ("a short escape", made.with("Note", "\"\\u12\"").into()),
        ("a lone surrogate", made.with("Note", "\"\\ud800\"").into()),
        ("a lone second surrogate", made.with("Note", "\"\\udc00\"").into()),
        ("two first surrogates", made.with("Note", "\"\\ud800\\ud800\"").into()),
        ("128 deep", made.with("Deep", &format!("{}{}", "[".repeat(127), "]".repeat(127))).into()),
        ("very deep", b"[".repeat(20_000)),
        ("a member twice, before", before(&other).into()),
        ("a member twice, after", after(&other).into()),
        ("a member twice, escaped", after(&other.replace("PublicKey", "Public\\u004bey")).into()),
        ("a member twice, spread", after(&other.replace(':', "\n :\n")).into()),
        ("another member twice", after("\"a\": 1, \"a\": 1").into()),
        ("a member twice inside another", after("\"a\": {\"b\": 1, \"b\": 1}").into()),
        ("inside another member too", after(&format!("\"more\": {{{other}}}")).into()),
        ("inside another member, first", before(&format!("\"more\": [1, {{\"x\": {{{other}}}}}]")).into()),
        ("the answer in another", format!("{{\"Response\": {good}}}").into()),
        ("the answer in an array of another", format!("{{\"Responses\": [{good}]}}").into()),
        ("an error of AWS", br#"{"__type": "AccessDeniedException", "message": "no"}"#.to_vec()),
        ("an error in an object", br#"{"Error": {"Code": "AccessDenied", "Message": "no"}}"#.to_vec()),
        ("an error beside it", made.with("Error", "{\"Code\": \"x\"}").into()),
        ("a type beside it", made.with("__type", "\"x\"").into()),
        ("an error as text", b"\nAn error occurred (AccessDeniedException) when calling the GetParametersForImport operation: no\n".to_vec()),
        ("HTML", b"<!DOCTYPE html>\n<html></html>\n".to_vec()),
        ("text of the CLI", format!("{key}\t{ARN}\t1795423260\tAAAA\n").into()),
        ("yaml of the CLI", format!("ImportToken: AAAA\nKeyId: {ARN}\nPublicKey: {key}\n").into()),
        ("a table of the CLI", b"-----------------\n|  GetParametersForImport  |\n+---+\n".to_vec()),
        ("DescribeKey", made.described().into()),
        ("GetPublicKey", format!("{{\"KeyId\": \"{ARN}\", \"PublicKey\": \"{key}\", \"KeyUsage\": \"SIGN_VERIFY\"}}").into()),
        ("ImportKeyMaterial", format!("{{\"KeyId\": \"{ARN}\", \"KeyMaterialId\": \"00\"}}").into()),
        ("a PEM key", b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n".to_vec()),
        ("a DER key", made.spki.clone()),
        ("a key in base64", key.into()),
        ("a token", made.token.clone()),
        ("compressed", [&[0x1f, 0x8b, 8][..], &made.token].concat()),
    ];
    numbered(texts, Refused(2))
}

pub fn members_refused(made: &Made) -> Vec<Case> {
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut put = |name: &str, value: &str| {
        texts.push((format!("{name} {value:.60}"), made.with(name, value).into()))
    };
    for name in ["KeyId", "ImportToken", "PublicKey"] {
        for value in [
            "",
            "null",
            "5",
            "[\"AAAA\"]",
            "{\"a\": 1}",
            "true",
            "\"\"",
            "\" \"",
            "\"None\"",
            "\"null\"",
        ] {
            put(name, value);
        }
    }
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let at = "arn:aws:kms:eu-west-1:111122223333";
    for arn in [
        id.to_owned(),
        "mrk-1234abcd12ab34cd56ef1234567890ab".into(),
        "alias/payments".into(),
        format!("{at}:alias/payments"),
        format!("{at}:key/{}", id.to_uppercase()),
        format!("{at}:key/{id} "),
        format!(" {at}:key/{id}"),
        format!("{at}:key/{id}\\n"),
        format!("{at}:key/mrk-12"),
        format!("{at}:grant/{id}"),
        format!("{at}:key/{id}/x"),
        format!("{at}:key/{id}\\u0000"),
        format!("arn:aws:s3:eu-west-1:111122223333:key/{id}"),
        format!("arn:aws:kms::111122223333:key/{id}"),
        format!("arn:aws:kms:eu-west-1:11112222333:key/{id}"),
        format!("arn:gcp:kms:eu-west-1:111122223333:key/{id}"),
        format!("arn:aws:kms:cn-north-1:111122223333:key/{id}"),
        format!("arn:aws-cn:kms:eu-west-1:111122223333:key/{id}"),
        format!("arn:aws:kms:us-gov-west-1:111122223333:key/{id}"),
        format!("arn:aws-us-gov:kms:us-east-1:111122223333:key/{id}"),
        format!("arn:aws-iso:kms:us-isob-east-1:111122223333:key/{id}"),
        format!("arn:aws:kms:eusc-de-east-1:111122223333:key/{id}"),
        format!("arn:aws:kms:EU-WEST-1:111122223333:key/{id}"),
        format!("arn:aws:kms:eu-west-1:111122223333:key/{id}?"),
        "None".into(),
    ] {
        put("KeyId", &quoted(&arn));
    }
    for (name, bytes) in [("ImportToken", &made.token), ("PublicKey", &made.spki)] {
        let text = base64(bytes);
        let url_safe = text.replace('+', "-").replace('/', "_");
        let padded = base64(&bytes[..bytes.len() - (bytes.len() + 2) % 3]);
        let trimmed = padded.trim_end_matches('=');
        let last_but_two = trimmed.len() - 1;
        let trailing = format!("{}B{}", &trimmed[..last_but_two], &padded[trimmed.len()..]);
        for value in [
            url_safe.as_str(),
            trimmed,
            &trailing,
            &format!("{text}="),
            &format!("{text}===="),
            &text[1..],
            &text.replacen('A', "?", 1),
            &text.replacen('A', "\\u0001", 1),
            &text.replacen('A', "\\f", 1),
            &base64(text.as_bytes()),
        ] {
            put(name, &quoted(value));
        }
        put(
            name,
            &quoted(&format!(
                "-----BEGIN PUBLIC KEY-----\\n{text}\\n-----END PUBLIC KEY-----"
            )),
        );
        put(
            name,
            &quoted(&format!("-----BEGIN CERTIFICATE-----\\n{text}")),
        );
    }
    for spki in [
        ec_spki(),
        made.spki[..200].to_vec(),
        [&made.spki[..], &[0]].concat(),
        made.spki[24..].to_vec(),
        made.token.clone(),
    ] {
        put("PublicKey", &quoted(&base64(&spki)));
    }
    for time in [
        "\"2026-11-23T08:41:00\"",
        "\"tomorrow\"",
        "\"\"",
        "1795423260123",
        "-1e300",
        "1e300",
        "\"1795423260\"",
        "\"1795423260.5\"",
        "[]",
        "{}",
        "true",
        "\"None\"",
        "\"2026-02-30T08:00:00Z\"",
        "\"2026-13-01T08:00:00Z\"",
        "\"2026-00-01T08:00:00Z\"",
        "\"2026-01-00T08:00:00Z\"",
        "\"2025-02-29T08:00:00Z\"",
        "\"2026-11-23T25:00:00Z\"",
        "\"2026-11-23T24:00:00Z\"",
        "\"2026-11-23T08:60:00Z\"",
        "\"2026-11-23T08:41:60Z\"",
        "\"2026-11-23T08:41:00+24:00\"",
        "\"2026-11-23T08:41:00+01:60\"",
        "\"2026-11-23T08:41:00+01\"",
        "\"2026-11-23T08:41:00z\"",
        "\"2026-11-23t08:41:00Z\"",
        "\"2026-11-23T08:41:00.Z\"",
        "\"2026-11-23T08:41:00.1.2Z\"",
        "\"2026-11-23T08:41:00,5Z\"",
        "\"2026-11-23T08:41Z\"",
        "\"20261123T084100Z\"",
        "\"2026-11-23T08:41:00Z[UTC]\"",
        "\"2026-11-23T08:41:00Z \"",
        "\" 2026-11-23T08:41:00Z\"",
        "\"2026-11-23\\n08:41:00Z\"",
        "\"0026-11-23T08:41:00Z\"",
        "\"+002026-11-23T08:41:00Z\"",
        "\"2026-11-23  08:41:00Z\"",
        "\"Mon Nov 23 08:41:00 UTC 2026\"",
        "\"\\/Date(1795423260000)\\/\"",
    ] {
        put("ParametersValidTo", time);
    }
    for algorithm in [
        "\"RSAES_PKCS1_V1_5\"",
        "\"SM2PKE\"",
        "\"ROT13\"",
        "\"\"",
        "\"rsaes_oaep_sha_256\"",
        "\"RSAES_OAEP_SHA_256 \"",
        "5",
        "[]",
        "{}",
        "false",
    ] {
        put("WrappingAlgorithm", algorithm);
    }
    for spec in ["5", "[]", "true", "{}"] {
        put("WrappingKeySpec", spec);
    }
    let mut cases: Vec<Case> = texts
        .into_iter()
        .map(|(name, bytes)| Case::json(&name, bytes, Refused(2)))
        .collect();
    let mut even = made.spki.clone();
    let last = even.len() - 6;
    even[last] &= 0xfe;
    for (name, spki) in [
        ("1024 bits", rsa_spki(1024, 65537)),
        ("exponent 3", rsa_spki(2048, 3)),
        ("another exponent", rsa_spki(2048, 65539)),
        ("an even modulus", even),
    ] {
        cases.push(Case::json(name, answer(&spki, &made.token), Refused(4)));
    }
    for spec in ["RSA_4096", "RSA_3072", "", "rsa_2048", "SM2"] {
        cases.push(Case::json(
            &format!("spec {spec}"),
            made.with("WrappingKeySpec", &quoted(spec)),
            Refused(4),
        ));
    }
    cases
}

pub fn tokens(made: &Made) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, token, _) in made.bad_tokens() {
        cases.push(Case::json(
            &format!("{name}, JSON"),
            answer(&made.spki, &token),
            Refused(2),
        ));
        let pair: [(&str, &[u8]); 2] = [("PublicKey.bin", &made.spki), ("ImportToken.bin", &token)];
        cases.push(Case::folder(&format!("{name}, folder"), &pair, Refused(2)));
        let (key, token) = (base64(&made.spki), base64(&token));
        let pair: [(&str, &[u8]); 2] = [
            ("pkey.b64", key.as_bytes()),
            ("token.b64", token.as_bytes()),
        ];
        cases.push(Case::folder(&format!("{name}, base64"), &pair, Refused(2)));
    }
    let text: [&[u8]; 6] = [
        b"None\n",
        b"null",
        b"\nAn error occurred (AccessDeniedException) when calling it: no\n",
        b"\"AAAA\"\n",
        b"AAAA\n",
        b"<html></html>",
    ];
    for token in text {
        let pair: [(&str, &[u8]); 2] = [("pkey.b64", &made.spki), ("token.b64", token)];
        cases.push(Case::folder(
            &format!("{} as it is", String::from_utf8_lossy(token)),
            &pair,
            Refused(2),
        ));
    }
    cases
}

pub fn folders(made: &Made) -> Vec<Case> {
    let (key, token) = (&made.spki[..], &made.token[..]);
    let (key_64, token_64) = (base64(key), base64(token));
    let (key_64, token_64) = (key_64.as_bytes(), token_64.as_bytes());
    let lines = in_lines(&base64(token), 64, "\r\n");
    let armoured = [certutil(&base64(key)), certutil(&base64(token))];
    let wide = utf_16(&base64(token), true, u16::to_le_bytes);
    let old = |kind: &str| format!("{kind}_1234abcd-12ab-34cd-56ef-1234567890ab_11230941");
    let (old_key, old_token, other) = (
        old("wrappingKey"),
        old("importToken"),
        "importToken_9999abcd_1".to_owned(),
    );
    let pem = openssl(
        &["pkey", "-pubin", "-inform", "DER", "-outform", "PEM"],
        key,
    );
    let certificate =
        b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n-----END CERTIFICATE-----\n";
    let readme: (&str, &[u8]) = ("README.txt", b"Use within 24 hours");
    let mut cases = vec![
        Case::folder(
            "the console's names",
            &[
                ("WrappingPublicKey.bin", key),
                ("ImportToken.bin", token),
                readme,
            ],
            Taken,
        ),
        Case::folder(
            "the documentation's names",
            &[("PublicKey.bin", key), ("ImportToken.bin", token)],
            Taken,
        ),
        Case::folder(
            "the documentation's base64",
            &[("PublicKey.b64", key_64), ("ImportToken.b64", token_64)],
            Taken,
        ),
        Case::folder(
            "the workshops' names",
            &[("pkey.b64", key_64), ("token.b64", token_64)],
            Taken,
        ),
        Case::folder(
            "the console's older names",
            &[
                (&old_key, key),
                (&old_token, token),
                ("README_1234.txt", b"x"),
            ],
            Taken,
        ),
        Case::folder(
            "base64 in lines",
            &[("pkey.b64", key_64), ("token.b64", lines.as_bytes())],
            Taken,
        ),
        Case::folder(
            "base64 called .bin",
            &[("pkey.bin", key_64), ("token.bin", token_64)],
            Taken,
        ),
        Case::folder(
            "bytes called .b64",
            &[("pkey.b64", key), ("token.b64", token)],
            Taken,
        ),
        Case::folder(
            "base64 in UTF-16",
            &[("pkey.b64", key_64), ("token.b64", &wide)],
            Taken,
        ),
        Case::folder(
            "base64 by certutil",
            &[
                ("pkey.b64", armoured[0].as_bytes()),
                ("token.b64", armoured[1].as_bytes()),
            ],
            Taken,
        ),
        Case::folder(
            "certutil's armour called .bin",
            &[
                ("PublicKey.bin", armoured[0].as_bytes()),
                ("ImportToken.bin", armoured[1].as_bytes()),
            ],
            Taken,
        ),
        Case::folder(
            "twins",
            &[
                ("pkey.b64", key_64),
                ("pkey.bin", key),
                ("token.b64", token_64),
                ("token.bin", token),
            ],
            Taken,
        ),
        Case::folder(
            "hidden files beside",
            &[
                ("WrappingPublicKey.bin", key),
                ("ImportToken.bin", token),
                (".DS_Store", b"x"),
                ("._ImportToken.bin", b"x"),
            ],
            Taken,
        ),
        Case::folder(
            "other files beside",
            &[
                ("PublicKey.bin", key),
                ("ImportToken.bin", token),
                ("notes", b"x"),
                ("plan.toml", b"x"),
                ("ImportToken.txt", b"x"),
            ],
            Taken,
        ),
        Case::folder("no token", &[("PublicKey.bin", key)], Refused(2)),
        Case::folder("no key", &[("ImportToken.bin", token), readme], Refused(2)),
        Case::folder("nothing", &[readme], Refused(2)),
        Case::folder(
            "two keys",
            &[
                ("PublicKey.bin", key),
                ("WrappingPublicKey.bin", key),
                ("ImportToken.bin", token),
            ],
            Refused(2),
        ),
        Case::folder(
            "two tokens",
            &[
                ("PublicKey.bin", key),
                ("ImportToken.bin", token),
                ("token.bin", token),
            ],
            Refused(2),
        ),
        Case::folder(
            "three of one",
            &[
                ("PublicKey.bin", key),
                ("PublicKey.b64", key_64),
                ("pkey.bin", key),
                ("ImportToken.bin", token),
            ],
            Refused(2),
        ),
        Case::folder(
            "twins that differ",
            &[
                ("pkey.bin", key),
                ("token.b64", key_64),
                ("token.bin", token),
            ],
            Refused(2),
        ),
        Case::folder(
            "older names of two KMS keys",
            &[(&old_key, key), (&other, token)],
            Refused(4),
        ),
        Case::folder(
            "an empty token",
            &[("PublicKey.bin", key), ("ImportToken.bin", b"")],
            Refused(2),
        ),
        Case::folder(
            "an empty key",
            &[("PublicKey.bin", b""), ("ImportToken.bin", token)],
            Refused(2),
        ),
        Case::folder(
            "a token of line breaks",
            &[("PublicKey.bin", key), ("ImportToken.bin", b"\r\n\r\n")],
            Refused(2),
        ),
        Case::folder(
            "swapped",
            &[("PublicKey.bin", token), ("ImportToken.bin", key)],
            Refused(2),
        ),
        Case::folder(
            "the key twice",
            &[("PublicKey.bin", key), ("ImportToken.bin", key)],
            Refused(2),
        ),
        Case::folder(
            "a PEM key",
            &[("PublicKey.bin", &pem), ("ImportToken.bin", token)],
            Refused(2),
        ),
        Case::folder(
            "a certificate",
            &[("PublicKey.bin", certificate), ("ImportToken.bin", token)],
            Refused(2),
        ),
        Case::folder(
            "base64 for URLs",
            &[
                ("pkey.b64", key_64),
                (
                    "token.b64",
                    base64(token).replace('+', "-").replace('/', "_").as_bytes(),
                ),
            ],
            Refused(2),
        ),
        Case::folder(
            "base64 for URLs called .bin",
            &[
                ("pkey.b64", key_64),
                (
                    "token.bin",
                    base64(token).replace('+', "-").replace('/', "_").as_bytes(),
                ),
            ],
            Refused(2),
        ),
        Case::folder(
            "base64 once more",
            &[
                ("pkey.b64", key_64),
                ("token.b64", base64(token_64).as_bytes()),
            ],
            Refused(2),
        ),
        Case::folder(
            "base64 once more called .bin",
            &[
                ("pkey.bin", key),
                ("token.bin", base64(token_64).as_bytes()),
            ],
            Refused(2),
        ),
        Case::folder(
            "UTF-16 without a mark",
            &[("pkey.b64", key_64), ("token.bin", &wide[2..])],
            Refused(2),
        ),
        Case::folder(
            "a key with exponent 3",
            &[
                ("PublicKey.bin", &rsa_spki(2048, 3)),
                ("ImportToken.bin", token),
            ],
            Refused(4),
        ),
        Case::folder(
            "a key on a curve",
            &[("PublicKey.bin", &ec_spki()), ("ImportToken.bin", token)],
            Refused(2),
        ),
        Case::folder(
            "a long token",
            &[
                ("PublicKey.bin", key),
                ("ImportToken.bin", &vec![7; 40_000]),
            ],
            Refused(2),
        ),
        Case::folder(
            "a folder called as the token",
            &[("PublicKey.bin", key), ("ImportToken.bin/x", token)],
            Refused(2),
        ),
    ];
    let mut linked = Case::folder(
        "a link for the token",
        &[("PublicKey.bin", key)],
        Refused(2),
    );
    linked.files.push(("one/elsewhere".into(), token.to_vec()));
    linked
        .links
        .push(("one/ImportToken.bin".into(), "elsewhere".into()));
    cases.push(linked);
    let mut dangling = Case::folder("a link to nothing", &[("PublicKey.bin", key)], Refused(2));
    dangling
        .links
        .push(("one/ImportToken.bin".into(), "nowhere".into()));
    cases.push(dangling);
    cases
}

/// Links beside the parameters: the plan itself may name one, a folder holds none.
pub fn links(made: &Made) -> Vec<Case> {
    let [key, token] = made.pair();
    let link = |name: &str, to: &str, verdict| Case {
        links: vec![("a.json".into(), to.into())],
        ..Case::files(name, Vec::new(), "a.json", verdict)
    };
    let symbolic = RoomOnly("is a symbolic link");
    let mut cases = vec![
        link("to nothing", "nowhere", Refused(2)),
        link("to a device", "/dev/zero", Refused(2)),
        link("to a file", "../elsewhere/a.json", symbolic),
        link("to a folder", "../elsewhere", symbolic),
    ];
    let json = ("../elsewhere/a.json".to_owned(), made.json().into_bytes());
    cases[2].files = vec![json];
    let under = |(name, bytes)| (format!("../elsewhere/{name}"), bytes);
    cases[3].files = [key, token].into_iter().map(under).collect();
    cases
}

pub fn zips(made: &Made) -> Vec<Case> {
    let [key, token] = made.pair();
    let entry = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let with =
        |more: &[(String, Vec<u8>)]| zip_of(&[&[key.clone(), token.clone()][..], more].concat());
    let good = with(&[entry("README.txt", b"Use within 24 hours")]);
    let old = [
        entry("wrappingKey_1234abcd_1", &made.spki),
        entry("importToken_1234abcd_1", &made.token),
    ];
    let mixed = [old[0].clone(), entry("importToken_9999abcd_1", &made.token)];
    let in_folder = [
        entry("x/", b""),
        entry("x/PublicKey.bin", &made.spki),
        entry("x/ImportToken.bin", &made.token),
    ];
    let many: Vec<_> = (0..15).map(|i| entry(&format!("f{i}"), b"x")).collect();
    let streamed = include_bytes!("../../inputs/console-streamed.zip").to_vec();
    let by_zip = |args: &[&str], link: bool| {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in made.pair() {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        if link {
            std::os::unix::fs::symlink("ImportToken.bin", dir.path().join("link")).unwrap();
        }
        let names = ["ImportToken.bin", "WrappingPublicKey.bin"]
            .into_iter()
            .chain(link.then_some("link"));
        let made = std::process::Command::new("zip")
            .args(args)
            .arg("a.zip")
            .args(names)
            .current_dir(dir.path())
            .status();
        assert!(made.unwrap().success());
        std::fs::read(dir.path().join("a.zip")).unwrap()
    };
    let table: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("the console's", good.clone(), Taken),
        ("older names", zip_of(&old), Taken),
        ("in a folder", zip_of(&in_folder), Taken),
        ("streamed", streamed, Taken),
        ("by zip", by_zip(&["-q"], false), Taken),
        ("stored", by_zip(&["-q", "-0"], false), Taken),
        (
            "base64 inside",
            zip_of(&[
                entry("pkey.b64", base64(&made.spki).as_bytes()),
                entry("token.b64", base64(&made.token).as_bytes()),
            ]),
            Taken,
        ),
        ("16 files", with(&many[..14]), Taken),
        ("17 files", with(&many), Refused(2)),
        (
            "a large file",
            with(&[entry("x", &vec![0; 64 * 1024 + 1])]),
            Refused(2),
        ),
        ("no token", zip_of(std::slice::from_ref(&key)), Refused(2)),
        ("no key", zip_of(std::slice::from_ref(&token)), Refused(2)),
        (
            "two keys",
            with(&[entry("wrappingKey_a_1", &made.spki)]),
            Refused(2),
        ),
        (
            "one name twice",
            with(&[entry("x/ImportToken.bin", b"other")]),
            Refused(2),
        ),
        ("two KMS keys", zip_of(&mixed), Refused(4)),
        ("climbing", with(&[entry("../x", b"x")]), Refused(2)),
        ("absolute", with(&[entry("/etc/x", b"x")]), Refused(2)),
        ("a backslash", with(&[entry("a\\x", b"x")]), Refused(2)),
        (
            "with a password",
            by_zip(&["-q", "-P", "secret"], false),
            Refused(2),
        ),
        ("with a link", by_zip(&["-q", "-y"], true), Refused(2)),
        ("cut", good[..good.len() / 2].to_vec(), Refused(2)),
        ("no zip", b"PK\x03\x04 is no zip".to_vec(), Refused(2)),
        ("the letters PK", b"PK".to_vec(), Refused(2)),
        (
            "None for the token",
            zip_of(&[key.clone(), entry("ImportToken.bin", b"None\n")]),
            Refused(2),
        ),
        (
            "a key with exponent 3",
            zip_of(&[entry("PublicKey.bin", &rsa_spki(2048, 3)), token.clone()]),
            Refused(4),
        ),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, bytes, verdict)| Case {
            name: format!("{name}, zip"),
            ..Case::file("a.zip", bytes, verdict)
        })
        .collect();
    cases.push(Case {
        name: "a zip called .json".into(),
        ..Case::file("a.json", good, Taken)
    });
    cases.push(Case {
        name: "JSON called .zip".into(),
        ..Case::file("a.zip", made.json().into(), Taken)
    });
    cases
}

pub fn room_only(made: &Made) -> Vec<Case> {
    let named = |path: &str| {
        Case::file(
            path,
            made.json().into(),
            RoomOnly("give it a name of letters"),
        )
    };
    let pair = made.pair().to_vec();
    let filled = format!("{}{}", made.json(), " ".repeat(70_000));
    vec![
        named("eu west 1.json"),
        named("é.json"),
        Case::json("larger than 64 KiB", filled, RoomOnly("larger than 64 KiB")),
        Case::json(
            "a name in escapes",
            made.with("\\u00e9", "1"),
            RoomOnly("has a name in escapes"),
        ),
        Case::files(
            "key and token without a folder",
            pair,
            ".",
            RoomOnly("a folder of their own"),
        ),
    ]
}
