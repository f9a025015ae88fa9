//! Secrets that no generator drew: text, counting, repetition. It is a doubt, not a proof; a generator gives any
//! of this less than once in a million years.

use std::fmt;

/// A generator does not give this many equal bytes in a row.
const RUN: usize = 8;

/// What bytes look like if they do not look random. Nothing of them is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// One byte again and again.
    Same,
    /// Each byte is equally far from the one before it.
    Counts,
    /// Hex digits: half as long as it seems.
    Hex {
        /// How many bits they can hold.
        bits: usize,
    },
    /// A UUID in text.
    Uuid,
    /// The characters of base64.
    Base64 {
        /// How many bits they can hold.
        bits: usize,
    },
    /// Printable characters.
    Text,
    /// Text with two bytes a character.
    Utf16,
    /// A shorter block again and again.
    Block {
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// Eight or more equal bytes in a row.
    Run,
    /// Few different bytes.
    Few,
}

impl Doubt {
    /// What a secret of at least 16 bytes looks like; `None`: like random bytes.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
        let steps = bytes.windows(2).map(step);
        match bytes {
            [] | [_] => return None,
            [first, second, ..] => {
                let all = second.wrapping_sub(*first);
                if steps.clone().all(|step| step == all) {
                    return Some(if all == 0 { Self::Same } else { Self::Counts });
                }
            }
        }
        if let Some(text) = Self::of_text(bytes) {
            return Some(text);
        }
        let is_block = |len: &usize| bytes.iter().zip(&bytes[*len..]).all(|(a, b)| a == b);
        if let Some(bytes) = (1..=bytes.len() / 2).find(is_block) {
            return Some(Self::Block { bytes });
        }
        let same = |run: &[u8]| run.iter().all(|byte| *byte == run[0]);
        if bytes.windows(RUN).any(same) {
            return Some(Self::Run);
        }
        let different = (0..=u8::MAX).filter(|byte| bytes.contains(byte)).count();
        (different <= bytes.len().min(128) / 4).then_some(Self::Few)
    }

    fn of_text(bytes: &[u8]) -> Option<Self> {
        let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
        let every_second = |start: usize| bytes.iter().skip(start).step_by(2);
        let zeros = |start: usize| every_second(start).all(|byte| *byte == 0);
        if [0, 1]
            .into_iter()
            .any(|start| zeros(start) && every_second(1 - start).all(printable))
        {
            return Some(Self::Utf16);
        }
        if !bytes.iter().all(printable) {
            return None;
        }
        let text = bytes.trim_ascii();
        let digits = text.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        let dashes = |at: usize| text.get(at) == Some(&b'-');
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\r\n".contains(byte);
        Some(if digits == text.len() {
            Self::Hex { bits: digits * 4 }
        } else if digits == 32 && text.len() == 36 && [8, 13, 18, 23].into_iter().all(dashes) {
            Self::Uuid
        } else if text.iter().all(is_base64) {
            let held = text.iter().filter(|byte| !b"=\r\n".contains(byte)).count();
            Self::Base64 { bits: held * 6 }
        } else {
            Self::Text
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("all its bytes are the same"),
            Self::Counts => f.write_str("its bytes count up or down"),
            Self::Hex { bits } => write!(f, "it is hex text, which holds at most {bits} bits"),
            Self::Uuid => f.write_str("it is a UUID as text, which holds at most 122 bits"),
            Self::Base64 { bits } => {
                write!(f, "it is base64 text, which holds at most {bits} bits")
            }
            Self::Text => f.write_str("it is printable text"),
            Self::Utf16 => f.write_str("it is UTF-16 text"),
            Self::Block { bytes } => write!(f, "it repeats a block of {bytes} bytes"),
            Self::Run => write!(f, "it holds {RUN} or more equal bytes in a row"),
            Self::Few => f.write_str("it has few different bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_generator_draws_is_named() {
        let count = |step: u8| {
            (0..32)
                .map(|n: u8| n.wrapping_mul(step))
                .collect::<Vec<u8>>()
        };
        let block: Vec<u8> = b"\x80\x03\xf1\x9c\x55\x27\xee\x40\x0b\xd6".repeat(4)[..32].to_vec();
        let run = [&[0; 8][..], &block[..10], &[7, 9, 200]].concat();
        for (bytes, doubt) in [
            (vec![0; 32], Doubt::Same),
            (vec![0xff; 16], Doubt::Same),
            (count(1), Doubt::Counts),
            (count(255), Doubt::Counts),
            (count(8), Doubt::Counts),
            (
                b"6c1f09d2e84b7a35f0c2d91e6b8a4730".to_vec(),
                Doubt::Hex { bits: 128 },
            ),
            (
                b"6C1F09D2E84B7A35F0C2D91E6B8A473\n".to_vec(),
                Doubt::Hex { bits: 124 },
            ),
            (
                b"6c1f09d2-e84b-4a35-b0c2-d91e6b8a4730".to_vec(),
                Doubt::Uuid,
            ),
            (
                b"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ".to_vec(),
                Doubt::Base64 { bits: 192 },
            ),
            (
                b"q83vEjRWeJCrze8SNFZ4kKvN7xI0Vn==".to_vec(),
                Doubt::Base64 { bits: 180 },
            ),
            (b"correct horse battery staple and".to_vec(), Doubt::Text),
            (
                b"6\0c\x001\0f\x000\x009\0d\x002\0e\x008\x004\0b\x007\0a\x003\x005\0".to_vec(),
                Doubt::Utf16,
            ),
            (block, Doubt::Block { bytes: 10 }),
            (run, Doubt::Run),
            (
                [&[1, 2, 1, 3, 2, 2][..], &[3, 1, 9].repeat(8), &[2, 1]].concat(),
                Doubt::Few,
            ),
        ] {
            assert_eq!(Doubt::of(&bytes), Some(doubt), "{bytes:?}");
        }
    }

    #[test]
    fn what_a_generator_draws_is_not_doubted() {
        for len in [16, 28, 32, 64, 128] {
            for _ in 0..200 {
                let mut bytes = vec![0; len];
                crate::crypto::random::fill(&mut bytes, "a test").unwrap();
                assert_eq!(Doubt::of(&bytes), None, "{bytes:?}");
            }
        }
    }
}
