//! Words of a share, and their checksum RS1024 (SLIP-0039, "Checksum").

use crate::crypto::locked::Locked;
use crate::ground::error::Result;

const LIST: &str = include_str!("words.txt");

/// How many words the list has; a word stands for 10 bits.
pub const RADIX: u16 = 1024;

/// How many words of a share are checksum.
pub(crate) const CHECKSUM: usize = 3;

/// How many letters distinguish a word from every other.
pub(crate) const TELLING: usize = 4;

/// The words of one share, as numbers, in locked memory.
pub struct Words {
    buffer: Locked,
}

impl Words {
    /// `len` times the first word.
    ///
    /// # Errors
    /// Exit 5 if no locked memory is available.
    pub(crate) fn blank(len: usize) -> Result<Self> {
        Ok(Self {
            buffer: Locked::zeroed(len * 2)?,
        })
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // nobody asks
    pub fn len(&self) -> usize {
        self.buffer.len() / 2
    }

    /// The number of the word at `at`, counting from 0.
    pub fn number(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.buffer[at * 2], self.buffer[at * 2 + 1]])
    }

    /// Replaces a word.
    pub fn set(&mut self, at: usize, number: u16) {
        self.buffer[at * 2..at * 2 + 2].copy_from_slice(&number.to_le_bytes());
    }

    /// The word at `at`.
    pub fn word(&self, at: usize) -> &'static str {
        spelled(self.number(at))
    }

    /// All numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = u16> {
        (0..self.len()).map(|at| self.number(at))
    }

    /// `count` bits beginning with bit `start`, most significant first; at most 16.
    pub(super) fn bits(&self, start: usize, count: usize) -> u16 {
        (start..start + count).fold(0, |value, bit| {
            value << 1 | (self.number(bit / 10) >> (9 - bit % 10) & 1)
        })
    }

    /// Writes `count` bits of `value` beginning with bit `start`.
    pub(super) fn set_bits(&mut self, start: usize, count: usize, value: u16) {
        for (at, bit) in (start..start + count).enumerate() {
            let place = 9 - bit % 10;
            let on = value >> (count - 1 - at) & 1;
            let cleared = self.number(bit / 10) & !(1 << place);
            self.set(bit / 10, cleared | on << place);
        }
    }

    /// Fills in the last three words.
    pub(in crate::crypto::escrow) fn seal(&mut self, extendable: bool) {
        let end = self.len();
        (end - CHECKSUM..end).for_each(|at| self.set(at, 0));
        let checksum = polymod(extendable, self.numbers()) ^ 1;
        for at in 0..CHECKSUM {
            let number = checksum >> (10 * (CHECKSUM - 1 - at)) & 1023;
            self.set(end - CHECKSUM + at, number as u16);
        }
    }

    /// Whether the last three words fit the others.
    pub(super) fn holds(&self, extendable: bool) -> bool {
        polymod(extendable, self.numbers()) == 1
    }

    /// The rows, counting from 1, where one changed word, or an exchange with the next row, would make the words a
    /// share. byok never shows which words would do it.
    pub(super) fn suspects(&self, extendable: bool) -> Suspects {
        let zero_but =
            |at: usize, number: u16| (0..self.len()).map(move |i| if i == at { number } else { 0 });
        // The checksum is linear over XOR: what one changed word adds does not depend on the others, and words
        // that are all zero add nothing.
        let syndrome = polymod(extendable, self.numbers()) ^ 1;
        let explains =
            |at: usize| (1..RADIX).any(|change| polymod_from(0, zero_but(at, change)) == syndrome);
        let changed = (0..self.len())
            .filter(|at| explains(*at))
            .map(|at| at + 1)
            .collect();
        let exchanged = (1..self.len())
            .filter(|at| self.holds_exchanged(*at, extendable))
            .collect();
        Suspects { changed, exchanged }
    }

    fn holds_exchanged(&self, at: usize, extendable: bool) -> bool {
        let number = |i: usize| match i {
            i if i == at => self.number(at - 1),
            i if i + 1 == at => self.number(at),
            i => self.number(i),
        };
        self.number(at) != self.number(at - 1)
            && polymod(extendable, (0..self.len()).map(number)) == 1
    }
}

/// The mistakes that would explain why the words are not a share.
pub(crate) struct Suspects {
    /// Rows where one changed word would explain it.
    pub changed: Vec<usize>,
    /// Rows n whose exchange with row n + 1 would explain it.
    pub exchanged: Vec<usize>,
}

/// The word of a number below 1024.
pub fn spelled(number: u16) -> &'static str {
    LIST.lines().nth(number.into()).unwrap_or_default()
}

/// The number of a typed word: the whole word or at least its first four letters, in upper or lower case.
pub fn number_of(typed: &[u8]) -> Option<u16> {
    let fits = |word: &str| {
        let telling = typed.len() >= TELLING || typed.len() == word.len();
        telling
            && typed.len() <= word.len()
            && word.as_bytes()[..typed.len()].eq_ignore_ascii_case(typed)
    };
    LIST.lines().position(fits).map(|at| at as u16)
}

/// This many words of the list in a row are hardly a sentence.
const LIKE_A_SHARE: usize = 5;

/// Whether a text may contain words of a share: five of the list in a row, whole or shortened, with anything but
/// letters between them.
pub fn looks_like_share(text: &[u8]) -> bool {
    let mut in_a_row = 0;
    text.split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .any(|word| {
            in_a_row = match number_of(word) {
                Some(_) => in_a_row + 1,
                None => 0,
            };
            in_a_row >= LIKE_A_SHARE
        })
}

/// RS1024 over the customization string and the words.
fn polymod(extendable: bool, words: impl Iterator<Item = u16>) -> u32 {
    let customization: &[u8] = if extendable {
        b"shamir_extendable"
    } else {
        b"shamir"
    };
    polymod_from(
        1,
        customization
            .iter()
            .map(|byte| u16::from(*byte))
            .chain(words),
    )
}

fn polymod_from(start: u32, values: impl Iterator<Item = u16>) -> u32 {
    const GENERATOR: [u32; 10] = [
        0x00e0_e040,
        0x01c1_c080,
        0x0383_8100,
        0x0707_0200,
        0x0e0e_0009,
        0x1c0c_2412,
        0x3808_6c24,
        0x3090_fc48,
        0x21b1_f890,
        0x03f3_f120,
    ];
    values.fold(start, |checksum, value| {
        let top = checksum >> 20;
        let appended = appended(checksum, value);
        GENERATOR
            .iter()
            .enumerate()
            .fold(appended, |checksum, (bit, generator)| {
                checksum ^ (generator & (top >> bit & 1).wrapping_neg())
            })
    })
}

/// The lower 20 bits of a checksum, followed by the ten bits of a word.
fn appended(checksum: u32, value: u16) -> u32 {
    (checksum & 0x000f_ffff) << 10 | u32::from(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_words_differ_in_their_first_four_letters() {
        assert_eq!(LIST.lines().count(), 1024);
        let telling: BTreeSet<_> = LIST.lines().map(|word| &word[..TELLING]).collect();
        assert_eq!(telling.len(), 1024);
        assert!(LIST.lines().is_sorted());
    }

    #[test]
    fn four_letters_are_enough_and_three_are_not() {
        assert_eq!(number_of(b"acad"), Some(0));
        assert_eq!(number_of(b"ACADEMIC"), Some(0));
        assert_eq!(number_of(b"aca"), None);
        assert_eq!(number_of(b"academia"), None);
        assert_eq!(number_of(b"academics"), None);
        assert_eq!(number_of(b""), None);
        assert_eq!(number_of(b"zero").map(spelled), Some("zero"));
    }

    #[test]
    fn what_byok_understands_while_a_share_is_typed_is_no_word_of_it() {
        for command in ["note", "stop", "back", "aside", "words"] {
            for len in 1..=command.len() {
                assert_eq!(number_of(&command.as_bytes()[..len]), None, "{command}");
            }
            let telling = &command[..TELLING];
            assert!(!LIST.lines().any(|word| word.starts_with(telling)));
        }
    }

    #[test]
    fn five_words_in_a_row_look_like_a_share() {
        for text in [
            "academic acid acne acquire acrobat",
            "row 1 ACAD, 2 ACID; 3 ACNE - acqu/acro and so on",
            "the words are academic\tacid  acne.acquire.acrobat",
        ] {
            assert!(looks_like_share(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "academic acid acne acquire and acrobat",
            "the form of Audit was wet, and row 12 had to be written again",
            "acad acid acne acqu acr",
            "支払い",
        ] {
            assert!(!looks_like_share(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn bits_read_back_as_they_were_written() {
        assert_eq!(Words::blank(0).unwrap().len(), 0);
        let mut words = Words::blank(4).unwrap();
        words.set_bits(3, 15, 0x5a5a);
        words.set_bits(18, 10, 0x2ff);
        assert_eq!(words.bits(3, 15), 0x5a5a);
        assert_eq!(words.bits(18, 10), 0x2ff);
        assert_eq!(words.bits(0, 3), 0);
        words.set_bits(3, 15, 0);
        assert_eq!((words.bits(3, 15), words.bits(18, 10)), (0, 0x2ff));
    }

    #[test]
    fn a_word_is_spelled_as_its_number_says() {
        let mut words = Words::blank(3).unwrap();
        words.set(1, 1023);
        words.set(2, 1);
        let spelled: Vec<&str> = (0..words.len()).map(|at| words.word(at)).collect();
        assert_eq!(spelled, ["academic", "zero", "acid"]);
    }

    #[test]
    fn sealed_words_are_sealed_anew_whatever_stood_at_their_end() {
        for extendable in [true, false] {
            let mut words = Words::blank(33).unwrap();
            words.seal(extendable);
            let sealed: Vec<u16> = words.numbers().collect();
            assert!(words.holds(extendable) && !words.holds(!extendable));
            (30..33).for_each(|at| words.set(at, 1023));
            assert!(!words.holds(extendable));
            words.seal(extendable);
            assert!(words.numbers().eq(sealed));
        }
    }
}
