//! What the tests do to a token without byok: a bare PKCS#11 program.
//!
//! ```text
//! test-token MODULE init  LABEL PIN           initialise a free slot
//! test-token MODULE list  LABEL PIN           every object: class, label, id, a line each
//! test-token MODULE plant LABEL PIN NAME [ID] make an AES key of that label
//! test-token MODULE pair  LABEL PIN NAME ID X make a P-256 key pair; X: yes or no, is it extractable
//! test-token MODULE have  LABEL PIN NAME ID KIND X   a key of somebody's own making: aes:BYTES, generic:BYTES,
//!                                             ec:PARAMS (hex) or rsa:BITS; X: yes or no, is it extractable. Of a
//!                                             pair the public half stays, and its point or modulus is printed
//! test-token MODULE rsa   LABEL PIN NAME ID   make an RSA-2048 key pair
//! test-token MODULE secret LABEL PIN NAME ID HEX  bring in a generic secret of these bytes
//! test-token MODULE sleep LABEL PIN           log in, say "ready", wait for standard input to end
//! test-token MODULE wrap  LABEL PIN NAME OUT  try to wrap that key with AES-KW under a key made here
//! test-token MODULE take  LABEL PIN NAME      print that key's bytes in hex, as any PIN holder can
//! test-token MODULE sign  LABEL PIN NAME HEX  sign that digest with that P-256 key: r and s in hex
//! test-token MODULE destroy LABEL PIN NAME    destroy every object of that label
//! ```
//!
//! A PIN of `-` is read from the first line of standard input, into memory that is wiped.

use std::io::Read as _;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroize as _;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [module, verb, label, pin, rest @ ..] = args.as_slice() else {
        panic!("see the top of this file")
    };
    let context = Pkcs11::new(Path::new(module)).unwrap();
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
    match (*verb, rest) {
        ("init", []) => init(&context, label, pin),
        ("list", []) => list(&log_in(&context, label, pin)),
        ("plant", [name, id @ ..]) => {
            plant(&log_in(&context, label, pin), name, id.first().copied())
        }
        ("pair", [name, id, extractable]) => pair(
            &log_in(&context, label, pin),
            name,
            id,
            *extractable == "yes",
        ),
        ("have", [name, id, kind, extractable]) => have(
            &log_in(&context, label, pin),
            name,
            id,
            kind,
            *extractable == "yes",
        ),
        ("rsa", [name, id]) => rsa(&log_in(&context, label, pin), name, id),
        ("secret", [name, id, bytes]) => secret(&log_in(&context, label, pin), name, id, bytes),
        ("sleep", []) => {
            let _session = log_in(&context, label, pin);
            println!("ready");
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        }
        ("wrap", [name, out]) => wrap(&log_in(&context, label, pin), name, out),
        ("take", [name]) => take(&log_in(&context, label, pin), name),
        ("sign", [name, digest]) => sign(&log_in(&context, label, pin), name, digest),
        ("destroy", [name]) => destroy(&log_in(&context, label, pin), name),
        _ => panic!("see the top of this file"),
    }
}

fn slot_of(context: &Pkcs11, label: &str) -> Slot {
    let slots = context.get_slots_with_token().unwrap();
    let named = |slot: &Slot| context.get_token_info(*slot).unwrap().label().trim_end() == label;
    slots.into_iter().find(named).unwrap()
}

fn log_in(context: &Pkcs11, label: &str, pin: &str) -> Session {
    let session = context.open_rw_session(slot_of(context, label)).unwrap();
    let pin = match pin {
        "-" => read_pin(),
        given => AuthPin::from(given.to_owned()),
    };
    session.login(UserType::User, Some(&pin)).unwrap();
    session
}

/// Reads a line byte by byte, past every buffer that would keep it. `AuthPin` wipes itself.
fn read_pin() -> AuthPin {
    let mut input = std::fs::File::open("/dev/stdin").unwrap();
    let mut pin = Vec::with_capacity(256);
    let mut byte = [0];
    while input.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        assert!(pin.len() < 256, "a longer PIN would be copied");
        pin.push(byte[0]);
    }
    let exact = AuthPin::from(std::str::from_utf8(&pin).unwrap());
    pin.zeroize();
    exact
}

fn init(context: &Pkcs11, label: &str, pin: &str) {
    let slots = context.get_slots_with_token().unwrap();
    let free = |slot: &Slot| !context.get_token_info(*slot).unwrap().token_initialized();
    let slot = slots.into_iter().find(free).unwrap();
    let pin = AuthPin::from(pin.to_owned());
    context.init_token(slot, &pin, label).unwrap();
    let session = context.open_rw_session(slot_of(context, label)).unwrap();
    session.login(UserType::So, Some(&pin)).unwrap();
    session.init_pin(&pin).unwrap();
}

fn list(session: &Session) {
    for handle in session.find_objects(&[]).unwrap() {
        let wanted = [
            AttributeType::Class,
            AttributeType::Label,
            AttributeType::Id,
        ];
        let (mut class, mut label, mut id) = (String::new(), String::new(), String::new());
        // of an object that was cut off while it was made, some modules tell nothing
        for attribute in session.get_attributes(handle, &wanted).unwrap_or_default() {
            match attribute {
                Attribute::Class(value) => class = value.to_string(),
                Attribute::Label(value) => label = String::from_utf8_lossy(&value).into_owned(),
                Attribute::Id(value) => {
                    id = value.iter().map(|byte| format!("{byte:02x}")).collect()
                }
                _ => {}
            }
        }
        // kryoptic shows an object for every mechanism (PKCS#11 v2.40 section 4.10): no keys of anybody's.
        if class != "CKO_MECHANISM" {
            println!("{class} {label} {id}");
        }
    }
}

fn unhex(id: &str) -> Vec<u8> {
    (0..id.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap())
        .collect()
}

/// Both halves with the attributes of a transcript signer, but for this one.
fn pair(session: &Session, name: &str, id: &str, extractable: bool) {
    let name = [
        Attribute::Token(true),
        Attribute::Label(name.into()),
        Attribute::Id(unhex(id)),
    ];
    let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let mut public = vec![Attribute::EcParams(p256.to_vec()), Attribute::Verify(true)];
    public.extend_from_slice(&name);
    let mut private = vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Copyable(false),
        Attribute::Extractable(extractable),
    ];
    private.extend_from_slice(&name);
    private.push(Attribute::Modifiable(false));
    session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .unwrap();
}

/// With the few attributes that its maker cared about.
fn have(session: &Session, name: &str, id: &str, kind: &str, extractable: bool) {
    let (kind, size) = kind.split_once(':').unwrap();
    let named = [
        Attribute::Token(true),
        Attribute::Label(name.into()),
        Attribute::Id(unhex(id)),
    ];
    let mut own = vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Sign(kind != "aes"),
    ];
    own.extend_from_slice(&named);
    let secret = |mechanism: Mechanism, mut template: Vec<Attribute>| {
        template.push(Attribute::Encrypt(kind == "aes"));
        template.push(Attribute::ValueLen(size.parse::<u64>().unwrap().into()));
        session.generate_key(&mechanism, &template).unwrap();
    };
    let pair = |mechanism: Mechanism, parameters: Vec<Attribute>, tells: AttributeType| {
        let mut public = vec![Attribute::Verify(true)];
        public.extend(parameters);
        public.extend_from_slice(&named);
        let (public, _) = session
            .generate_key_pair(&mechanism, &public, &own)
            .unwrap();
        let told = session.get_attributes(public, &[tells]).unwrap();
        let (Attribute::EcPoint(bytes) | Attribute::Modulus(bytes)) = &told[0] else {
            panic!("nothing told")
        };
        println!(
            "{}",
            bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
        );
    };
    match kind {
        "aes" => secret(Mechanism::AesKeyGen, own.clone()),
        "generic" => secret(Mechanism::GenericSecretKeyGen, own.clone()),
        "ec" => pair(
            Mechanism::EccKeyPairGen,
            vec![Attribute::EcParams(unhex(size))],
            AttributeType::EcPoint,
        ),
        "edwards" => pair(
            Mechanism::EccEdwardsKeyPairGen,
            vec![Attribute::EcParams(unhex(size))],
            AttributeType::EcPoint,
        ),
        "rsa" => pair(
            Mechanism::RsaPkcsKeyPairGen,
            vec![
                Attribute::ModulusBits(size.parse::<u64>().unwrap().into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ],
            AttributeType::Modulus,
        ),
        _ => panic!("{kind}"),
    }
}

fn rsa(session: &Session, name: &str, id: &str) {
    let public = [
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Verify(true),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Sign(true),
        Attribute::Label(name.into()),
        Attribute::Id(unhex(id)),
    ];
    session
        .generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)
        .unwrap();
}

fn secret(session: &Session, name: &str, id: &str, bytes: &str) {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Sign(true),
        Attribute::Label(name.into()),
        Attribute::Id(unhex(id)),
        Attribute::Value(unhex(bytes)),
    ];
    session.create_object(&template).unwrap();
}

fn plant(session: &Session, name: &str, id: Option<&str>) {
    let id = unhex(id.unwrap_or("00"));
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(name.into()),
        Attribute::Id(id),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap();
}

fn wrap(session: &Session, name: &str, out: &str) {
    let template = [
        Attribute::Token(false),
        Attribute::Wrap(true),
        Attribute::ValueLen(32.into()),
    ];
    let wrapping = session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap();
    let key = session
        .find_objects(&[Attribute::Label(name.into())])
        .unwrap()[0];
    let wrapped = session
        .wrap_key(&Mechanism::AesKeyWrap, wrapping, key)
        .unwrap();
    std::fs::write(out, wrapped).unwrap();
}

/// Wraps the key under an AES key of this session, and unwraps it again as a key that may be read.
fn take(session: &Session, name: &str) {
    let way = [
        Attribute::Token(false),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::ValueLen(32.into()),
    ];
    let way = session.generate_key(&Mechanism::AesKeyGen, &way).unwrap();
    let key = session
        .find_objects(&[Attribute::Label(name.into())])
        .unwrap()[0];
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, way, key).unwrap();
    let readable = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let readable = session
        .unwrap_key(&Mechanism::AesKeyWrap, way, &wrapped, &readable)
        .unwrap();
    let value = session
        .get_attributes(readable, &[AttributeType::Value])
        .unwrap();
    let [Attribute::Value(value)] = value.as_slice() else {
        panic!("no value")
    };
    println!(
        "{}",
        value.iter().map(|b| format!("{b:02x}")).collect::<String>()
    );
}

/// What every PIN holder can do: sign what they please, outside of any ceremony.
fn sign(session: &Session, name: &str, digest: &str) {
    let private = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Label(name.into()),
    ];
    let key = session.find_objects(&private).unwrap()[0];
    let signed = session.sign(&Mechanism::Ecdsa, key, &unhex(digest));
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    println!("{}", hex(signed.unwrap()));
}

fn destroy(session: &Session, name: &str) {
    let named = session.find_objects(&[Attribute::Label(name.into())]);
    for handle in named.unwrap() {
        session.destroy_object(handle).unwrap();
    }
}
