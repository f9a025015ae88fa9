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
    /// A PIN: nothing typed is interpreted, nothing shown.
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

#[cfg(test)]
mod tests {
    use super::*;

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
