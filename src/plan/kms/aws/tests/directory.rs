//! The directory form, and what stands at a path that is no plain file.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A new directory `eu` with these files.
fn directory(files: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("eu");
    fs::create_dir(&path).unwrap();
    for (name, content) in files {
        fs::write(path.join(name), content).unwrap();
    }
    (parent, path)
}

fn pair(
    key: &str,
    key_content: &[u8],
    token: &str,
    token_content: &[u8],
) -> Result<ImportParameters> {
    let (_parent, path) = directory(&[(key, key_content), (token, token_content)]);
    read(&path)
}

fn mkfifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).unwrap();
}

#[test]
fn every_naming_and_both_contents_are_read() {
    let (spki, token) = (real_spki(), token());
    let lines = |bytes: &[u8]| {
        base64(bytes)
            .as_bytes()
            .chunks(64)
            .collect::<Vec<_>>()
            .join(&b"\r\n"[..])
    };
    for (key_name, token_name) in [
        ("WrappingPublicKey.bin", "ImportToken.bin"),
        ("WrappingPublicKey.b64", "ImportToken.b64"),
        ("PublicKey.bin", "ImportToken.bin"),
        ("PublicKey.b64", "ImportToken.b64"),
        ("pkey.b64", "token.b64"),
        ("pkey.bin", "token.bin"),
        ("wrappingKey_a_1", "importToken_a_1"),
    ] {
        for (key_content, token_content) in [
            (spki.clone(), token.clone()),
            (base64(&spki).into_bytes(), base64(&token).into_bytes()),
            (lines(&spki), lines(&token)),
        ] {
            let parameters = pair(key_name, &key_content, token_name, &token_content).unwrap();
            assert_eq!(parameters.form, Form::Directory);
            assert_eq!(parameters.wrapping_key.spki_der(), spki);
            assert_eq!(parameters.import_token, token);
            let names: Vec<&str> = parameters
                .files
                .iter()
                .map(|file| file.name.as_str())
                .collect();
            assert_eq!(
                names,
                [format!("eu/{key_name}"), format!("eu/{token_name}")]
            );
            assert_eq!(parameters.files[0].sha256, words::sha256(&key_content));
            assert_eq!(parameters.files[1].sha256, words::sha256(&token_content));
        }
    }
}

#[test]
fn more_than_one_candidate_is_ambiguous() {
    let (spki, token) = (real_spki(), token());
    let (_parent, path) = directory(&[
        ("pkey.bin", &spki),
        ("PublicKey.bin", &spki),
        ("token.b64", &token),
        ("notes.txt", b""),
    ]);
    let what = "eu: is ambiguous: more than one public key (PublicKey.bin, pkey.bin)";
    refused(read(&path), Exit::Usage, what);
    fs::remove_file(path.join("PublicKey.bin")).unwrap();
    assert!(read(&path).is_ok());
    fs::write(path.join("ImportToken.bin"), &token).unwrap();
    let what = "eu: is ambiguous: more than one import token (ImportToken.bin, token.b64)";
    refused(read(&path), Exit::Usage, what);
}

#[test]
fn a_file_and_its_twin_in_base64_must_hold_the_same() {
    let (spki, token) = (real_spki(), token());
    let twin = base64(&spki).into_bytes();
    let (_parent, path) = directory(&[
        ("pkey.b64", &twin),
        ("pkey.bin", &spki),
        ("token.b64", &base64(&token).into_bytes()),
        ("token.bin", &token),
    ]);
    let parameters = read(&path).unwrap();
    assert_eq!(parameters.wrapping_key.spki_der(), spki);
    assert_eq!(parameters.files[0].name, "eu/pkey.bin");
    fs::write(path.join("token.b64"), base64(b"another token")).unwrap();
    let what = "eu: `token.bin` and `token.b64` hold different bytes";
    refused(read(&path), Exit::Usage, what);
}

#[test]
fn what_is_missing_or_unusable_is_named() {
    let (_parent, path) = directory(&[("eu.json", b"{}")]);
    let error = refused(read(&path), Exit::Usage, "eu: holds no public key");
    assert!(
        error
            .hints
            .concat()
            .contains("name the file itself in the plan: eu.json")
    );
    let (spki, token) = (real_spki(), token());
    let pem = b"-----BEGIN PUBLIC KEY-----\n";
    for (key_content, token_content, what) in [
        (&spki[..], &b""[..], "eu: `token.b64` is empty"),
        (b"\"MIIB\"", &token, "eu: `pkey.b64` is not padded base64"),
        (&spki, b"\"AQEC\"", "eu: `token.b64` is not padded base64"),
        (pem, &token, "eu: the wrapping key is PEM text"),
        (&token, &spki, "eu: the import token is a public key"),
    ] {
        let result = pair("pkey.b64", key_content, "token.b64", token_content);
        refused(result, Exit::Usage, what);
    }
    let (_parent, path) = directory(&[]);
    for i in 0..300 {
        fs::write(path.join(format!("{i}")), b"").unwrap();
    }
    refused(read(&path), Exit::Usage, "eu: holds more than 256 files");
}

#[test]
fn only_regular_files_count_inside_a_directory() {
    let (parent, path) = directory(&[("pkey.bin", &real_spki())]);
    let token_path = path.join("token.bin");
    let outside = parent.path().join("outside");
    fs::write(&outside, token()).unwrap();
    symlink(&outside, &token_path).unwrap();
    let what = "eu/token.bin: is a symbolic link, not a regular file";
    refused(read(&path), Exit::Usage, what);
    fs::remove_file(&token_path).unwrap();
    mkfifo(&token_path);
    refused(
        read(&path),
        Exit::Usage,
        "eu/token.bin: is a FIFO, not a regular file",
    );
    fs::remove_file(&token_path).unwrap();
    fs::create_dir(&token_path).unwrap();
    refused(
        read(&path),
        Exit::Usage,
        "eu/token.bin: is a directory, not a regular file",
    );
    fs::remove_dir(&token_path).unwrap();
    fs::write(&token_path, vec![0; file::MAX_FILE_LEN + 1]).unwrap();
    refused(
        read(&path),
        Exit::Usage,
        "eu/token.bin: is larger than 1 MiB",
    );
}

#[test]
fn the_path_itself_may_be_a_link_to_a_file_but_nothing_stranger() {
    let (parent, path) = directory(&[("pkey.bin", &real_spki()), ("token.bin", &token())]);
    let at = |name: &str| parent.path().join(name);
    symlink(&path, at("link")).unwrap();
    assert_eq!(read(&at("link")).unwrap().files[0].name, "link/pkey.bin");
    assert_eq!(read(&path.join(".")).unwrap().files[0].name, "eu/pkey.bin");
    mkfifo(&at("fifo"));
    refused(
        read(&at("fifo")),
        Exit::Usage,
        "fifo: is a FIFO, not a regular file",
    );
    let device = read(Path::new("/dev/null"));
    refused(device, Exit::Usage, "null: is a device, not a regular file");
    let _listener = UnixListener::bind(at("socket")).unwrap();
    refused(
        read(&at("socket")),
        Exit::Usage,
        "socket: is a socket, not a regular file",
    );
    refused(
        read(&at("absent")),
        Exit::Usage,
        "absent: no such file or directory",
    );
    symlink("loop", at("loop")).unwrap();
    refused(read(&at("loop")), Exit::Machine, "loop: cannot be read: ");
    fs::write(at("huge"), vec![b' '; file::MAX_FILE_LEN + 1]).unwrap();
    refused(read(&at("huge")), Exit::Usage, "huge: is larger than 1 MiB");
    fs::write(at("full"), vec![b' '; file::MAX_FILE_LEN]).unwrap();
    refused(read(&at("full")), Exit::Usage, "full: is empty");
    fs::write(at("a\\b"), b"{}").unwrap();
    refused(read(&at("a\\b")), Exit::Usage, "has no plain file name");
}
