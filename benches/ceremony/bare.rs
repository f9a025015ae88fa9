//! The bare program: the PKCS#11 calls of `byok run`, its control key and its files, nothing else.
//!
//! It reads no plan and no import parameters, judges nothing, keeps no transcript while it works,
//! digests neither itself nor the module, and fsyncs each file once. Every file has the length that a
//! ceremony gave it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rsa::rand_core::UnwrapErr;
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, PrivateKey};
use sha1::Sha1;

use super::Result;

/// The hidden argument that makes this process the bare program.
pub const ARGUMENT: &str = "--bare";

/// Files of the scene: the modulus of the wrapping key, and what to write: `<length> <path>` a line.
pub const MODULUS: &str = "modulus";
pub const FILES: &str = "files";

/// The label of a data key.
pub fn label(at: usize) -> String {
    format!("data-key-{at:03}")
}

/// All of it, in a scene's directory.
pub fn run(module: &Path, scene: &Path) -> Result<()> {
    let modulus = fs::read(scene.join(MODULUS))?;
    let listed = fs::read_to_string(scene.join(FILES))?;
    let files: Vec<(usize, &str)> = listed.lines().map(listed_file).collect::<Result<_>>()?;
    let keys = files
        .iter()
        .filter(|(_, path)| path.ends_with(WRAPPED))
        .count();
    let records = scene.join("records");
    let working = records.join("bare.incomplete");
    make_directory(&records)?;
    make_directory(&working)?;
    step(1);
    let mut files = files.into_iter();
    let (len, path) = files.next().ok_or("no file listed")?;
    write(&working.join(path), &filler(len))?;
    step(4);
    let mut context = Pkcs11::new(module)?;
    let session = open(&mut context, scene, keys)?;
    step(6);
    let wrapping_keys = preflight(&session, &modulus, keys)?;
    step(7);
    let made = (0..keys).map(|at| generate_alone(&session, &label(at)));
    let made = made.collect::<Result<Vec<_>>>()?;
    step(8);
    let wrapped = wrapping_keys.iter().zip(&made);
    let wrapped = wrapped.map(|(under, key)| Ok(session.wrap_key(&oaep(), *under, *key)?));
    let mut wrapped = wrapped.collect::<Result<Vec<_>>>()?.into_iter();
    step(11);
    for (len, path) in files {
        if path == TRANSCRIPT {
            step(12);
        }
        let bytes = match path.ends_with(WRAPPED) {
            true => wrapped.next().ok_or("too few wrapped keys")?,
            false => filler(len),
        };
        write(&working.join(path), &bytes)?;
    }
    sync_tree(&working)?;
    fs::rename(&working, records.join("bare"))?;
    File::open(&records)?.sync_all()?;
    session.logout()?;
    Ok(())
}

const WRAPPED: &str = "/WrappedKeyMaterial.bin";
const TRANSCRIPT: &str = "transcript.jsonl";

fn listed_file(line: &str) -> Result<(usize, &str)> {
    let (len, path) = line.split_once(' ').ok_or("no length")?;
    Ok((len.parse()?, path))
}

/// Said as `byok` says it, so that both are measured alike.
fn step(number: usize) {
    eprintln!(" step {number:>2} of 13");
}

/// Step 4.
fn open(context: &mut Pkcs11, scene: &Path, keys: usize) -> Result<Session> {
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    context.get_library_info()?;
    let mut token = None;
    for slot in context.get_slots_with_token()? {
        if context.get_token_info(slot)?.token_initialized() {
            token = Some(slot);
        }
    }
    let token = token.ok_or("no token")?;
    let session = context.open_rw_session(token)?;
    context.get_slot_info(token)?; // hardware or software
    let pin = fs::read_to_string(scene.join("pin"))?;
    context.get_token_info(token)?; // how many tries are left
    session.login(UserType::User, Some(&AuthPin::from(pin)))?;
    for at in 0..keys {
        session.find_objects(&[Attribute::Label(label(at).into())])?;
    }
    Ok(session)
}

/// Step 6: the control, and a trial with the wrapping key of each import, which then stays loaded.
fn preflight(session: &Session, modulus: &[u8], keys: usize) -> Result<Vec<ObjectHandle>> {
    let throw_away = generate(session, None)?;
    let control_key = PrivateKey::new(&mut UnwrapErr(SysRng), modulus.len() * 8)?;
    let loaded = load(session, &control_key.n().to_be_bytes_trimmed_vartime())?;
    let wrapped = session.wrap_key(&oaep(), loaded, throw_away)?;
    session.destroy_object(loaded)?;
    if control_key.decrypt(Oaep::<Sha1>::new(), &wrapped)?.len() != 32 {
        return Err("the control did not open".into());
    }
    let mut wrapping_keys = Vec::with_capacity(keys);
    for _ in 0..keys {
        let loaded = load(session, modulus)?;
        session.wrap_key(&oaep(), loaded, throw_away)?;
        wrapping_keys.push(loaded);
    }
    session.destroy_object(throw_away)?;
    Ok(wrapping_keys)
}

/// A data key, and the look at whatever has its label now.
fn generate_alone(session: &Session, label: &str) -> Result<ObjectHandle> {
    let key = generate(session, Some(label))?;
    for found in session.find_objects(&[Attribute::Label(label.into())])? {
        session.get_attributes(found, &[AttributeType::Class, AttributeType::Id])?;
    }
    Ok(key)
}

/// A data key with a label and an id; without a label the throw-away key, whose first block also
/// shows that AES-ECB is there.
fn generate(session: &Session, label: Option<&str>) -> Result<ObjectHandle> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32.into()),
    ];
    if let Some(label) = label {
        let mut id = vec![0; 16];
        SysRng.try_fill_bytes(&mut id)?;
        template.extend([Attribute::Label(label.into()), Attribute::Id(id)]);
    }
    template.extend([
        Attribute::Token(label.is_some()),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
        Attribute::Destroyable(true),
    ]);
    let key = session.generate_key(&Mechanism::AesKeyGen, &template)?;
    if label.is_none() {
        session.encrypt(&Mechanism::AesEcb, key, &[0; 16])?;
    }
    let mut read = vec![];
    read.extend(template.iter().map(Attribute::attribute_type).skip(3));
    read.retain(|kind| !matches!(kind, AttributeType::Label | AttributeType::Id));
    read.extend([AttributeType::Local, AttributeType::AlwaysSensitive]);
    session.get_attributes(key, &read)?;
    for _ in 0..3 {
        session.encrypt(&Mechanism::AesEcb, key, &[0; 16])?; // key check value, fingerprint
    }
    Ok(key)
}

/// A wrapping key, read back.
fn load(session: &Session, modulus: &[u8]) -> Result<ObjectHandle> {
    let key = session.create_object(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Modulus(modulus.to_vec()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Token(false),
        Attribute::Wrap(true),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
    ])?;
    let read = [
        AttributeType::Token,
        AttributeType::Wrap,
        AttributeType::Encrypt,
        AttributeType::Verify,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    session.get_attributes(key, &read)?;
    Ok(key)
}

fn oaep() -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        MechanismType::SHA1,
        PkcsMgfType::MGF1_SHA1,
        PkcsOaepSource::empty(),
    ))
}

fn filler(len: usize) -> Vec<u8> {
    vec![b'x'; len]
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make_directory(path.parent().ok_or("no directory")?)?;
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

fn make_directory(path: &Path) -> Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => Ok(DirBuilder::new().recursive(true).mode(0o700).create(path)?),
    }
}

fn sync_tree(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    Ok(File::open(directory)?.sync_all()?)
}
