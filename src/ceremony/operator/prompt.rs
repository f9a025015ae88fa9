//! What can be asked at a terminal, and which words typed there are byok's own.

/// What is going on at the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    Ceremony,
    /// One custodian checks one share: there is no transcript for notes, and `stop` is the check's own.
    Check,
    /// A verb that leaves nothing behind asks for a PIN.
    Verb,
}

/// What is asked for, which decides what byok itself understands there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompt {
    /// A text: `note` and `stop` are byok's.
    Open,
    /// A decision, where every answer but one ends the ceremony: only `note` is byok's.
    Decision,
    /// A word of a share: as a text.
    Word,
    /// A PIN: nothing typed is interpreted, nothing shown; what [belongs elsewhere](belongs_elsewhere) is asked about.
    Secret,
}

/// A word that belongs to byok, not to the question.
pub(super) enum Own<'t> {
    /// With what was typed behind it in the same line.
    Note(&'t [u8]),
    Stop,
}

impl Occasion {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ceremony => "the ceremony",
            Self::Check => "the check",
            Self::Verb => "byok",
        }
    }
}

impl Prompt {
    /// Which of byok's own words was typed, if it is understood here.
    pub(super) fn own(self, typed: &[u8], occasion: Occasion) -> Option<Own<'_>> {
        let typed = typed.trim_ascii();
        let is = |word: &[u8]| typed.eq_ignore_ascii_case(word);
        let note = typed.split_at_checked(4).filter(|(word, more)| {
            let ends = more
                .first()
                .is_none_or(|c| c.is_ascii_whitespace() || *c == b':');
            word.eq_ignore_ascii_case(b"note") && ends
        });
        let stops = matches!(self, Self::Open | Self::Word) && occasion == Occasion::Ceremony;
        match (self, note) {
            (Self::Secret, _) => None,
            (_, Some((_, text))) => Some(Own::Note(text.trim_ascii())),
            _ if stops && is(b"stop") => Some(Own::Stop),
            _ => None,
        }
    }
}

/// The words that questions of a ceremony take besides `note` and `stop`. A test finds them where they are taken.
const TAKEN: [&str; 16] = [
    "yes",
    "no",
    "last",
    "clock",
    "right",
    "absent",
    "because",
    "key",
    "none",
    "written",
    "words",
    "back",
    "aside",
    "again",
    "destroy",
    "destroyed",
];

/// Whether what was typed for a PIN is an answer to other questions, and would cost a try of the HSM.
pub(super) fn belongs_elsewhere(typed: &[u8]) -> bool {
    let is = |word: &&str| typed.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
    Prompt::Open.own(typed, Occasion::Ceremony).is_some() || TAKEN.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words with which an answer is compared in this source.
    fn compared(source: &str) -> Vec<&str> {
        let ways = ["eq_ignore_ascii_case(", "Some(", "== ", "!= "];
        let after = ways.iter().flat_map(|way| source.split(way).skip(1));
        after
            .filter_map(|text| {
                text.trim_start_matches('b')
                    .strip_prefix('"')?
                    .split('"')
                    .next()
            })
            .filter(|word| word.len() > 1 && word.bytes().all(|c| c.is_ascii_alphabetic()))
            .collect()
    }

    #[test]
    fn every_word_that_a_question_takes_is_known_where_a_pin_is_asked_for() {
        const NO_ANSWERS: [&str; 3] = ["pin", "dumb", "txt"];
        let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ceremony");
        let mut folders = vec![room];
        let mut found = std::collections::BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(path).unwrap();
                let code = source.split("#[cfg(test)]").next().unwrap_or_default();
                found.extend(compared(code).into_iter().map(str::to_lowercase));
            }
        }
        assert!(found.contains("aside"), "{found:?}");
        for word in found.iter().filter(|word| !NO_ANSWERS.contains(&&***word)) {
            assert!(belongs_elsewhere(word.as_bytes()), "{word}");
        }
        assert!(belongs_elsewhere(b" Note: the fan is loud"));
        for pin in [&b"4711"[..], b"notes", b"backwards", b""] {
            assert!(!belongs_elsewhere(pin));
        }
    }

    #[test]
    fn nothing_typed_for_a_pin_is_byok_s_and_a_decision_keeps_its_stop() {
        let own = |prompt: Prompt, typed: &[u8], occasion| match prompt.own(typed, occasion) {
            Some(Own::Note(b"")) => "note",
            Some(Own::Note(_)) => "noted",
            Some(Own::Stop) => "stop",
            None => "",
        };
        let at = |prompt| {
            [
                "note",
                " Note ",
                "note Audit is late",
                "stop",
                "STOP",
                "notes",
            ]
            .map(|typed| own(prompt, typed.as_bytes(), Occasion::Ceremony))
        };
        assert_eq!(at(Prompt::Secret), [""; 6]);
        assert_eq!(at(Prompt::Decision), ["note", "note", "noted", "", "", ""]);
        for prompt in [Prompt::Open, Prompt::Word] {
            assert_eq!(at(prompt), ["note", "note", "noted", "stop", "stop", ""]);
            assert_eq!(own(prompt, b"stop", Occasion::Check), "");
        }
    }
}
