//! What the pages of the report are filled with.

use crate::paper::html::Html;
use crate::paper::template::facts;

facts! {
    FirstFacts {
        title: Html,
        kind: Html,
        opened: Html,
        ceremony: Html,
        rehearsal: bool,
        grade: Html,
        /// Whether it is one of the two worse grades.
        serious: bool,
        tiles: Vec<TileFacts>,
        natures: Vec<Named>,
        software: bool,
        /// The imports that were wrapped in this computer.
        wrapped_here: Html,
        from_files: Html,
        in_a_file: Html,
        from_token: Html,
        already_there: Html,
        /// What came so in an earlier ceremony.
        files_before: Html,
        token_before: Html,
        /// What no record here tells about.
        not_known: Html,
        escrow_key_here: bool,
        /// Whether the sign is the tick.
        unexposed: bool,
        /// Whether this computer held nothing that opens a data key.
        never: bool,
        from_elsewhere: bool,
        labels: Html,
        imports: Html,
        deadlines: Vec<Named>,
        /// Whose shares are.
        enough: Html,
        apart: Html,
        exceptions: Vec<ExceptionFacts>,
        exception_count: Html,
        wrong_answers: Html,
        plan_digest: Html,
        previous_head: Html,
        receipts_head: Html,
        anchors: Vec<Named>,
        interrupted: Html,
        attempts: Vec<AttemptFacts>,
    }
    /// Something that a reader would want to know first, and whether it is so.
    TileFacts { name: Html, said: Html, applies: bool, }
    ExceptionFacts { step: Html, when: Html, what: Html, }
    AttemptFacts { directory: Html, ceremony: Html, head: Html, }

    KeysFacts {
        holders: Html,
        keys: Vec<KeyFacts>,
        dealt: Vec<DealtFacts>,
        proved: Vec<ProvedFacts>,
        used: Vec<ShareFacts>,
        dissenting: Vec<Named>,
        superseded: Vec<SupersededFacts>,
        destroyed: Vec<DestroyedFacts>,
    }
    KeyFacts {
        label: Html,
        spec: Html,
        origin: Html,
        kept: Html,
        cka_id: Html,
        kcv: Html,
        fingerprint: Html,
        is_pair: bool,
        attributes: Html,
    }
    DealtFacts { enough: Html, labels: Html, shares: Vec<ShareFacts>, package: Html, }
    ProvedFacts { shares: Html, recombinations: Html, }
    ShareFacts { share: Html, custodian: Html, digest: Html, back: Html, }
    SupersededFacts { ceremony: Html, custodians: Html, }
    DestroyedFacts { what: Html, became: Html, }

    ImportsFacts { shared: Vec<Named>, has_deadline: bool, deadlines: Vec<Named>, timeline: Html, imports: Vec<ImportFacts>, }
    ImportFacts {
        label: Html,
        import: Html,
        kms: Html,
        arn: Html,
        place: Html,
        wrapping: Html,
        wrapping_key_spec: Html,
        wrapping_key_id: Html,
        wrapping_key: Html,
        compared: Html,
        path: Html,
        bytes: Html,
        digest: Html,
        before: Html,
        expires: Html,
        proof: Html,
        import_type: Html,
    }

    RoomFacts { told: Vec<ToldFacts>, byok: Html, byok_digest: Html, checks: Vec<CheckFacts>, }
    /// An event, member by member.
    ToldFacts { title: Html, members: Vec<MemberFacts>, seats: Vec<SeatFacts>, }
    MemberFacts { name: Html, value: Html, }
    SeatFacts { role: Html, seat: Html, name: Html, }
    CheckFacts { check: Html, wrapping: Html, wrapping_key_spec: Html, place: Html, import: Html, }

    FilesFacts { events: Vec<EventFacts>, files: Vec<FileFacts>, }
    /// Events of one name that follow each other.
    EventFacts { lines: Html, time: Html, told: Html, event: Html, times: Html, }
    FileFacts { path: Html, bytes: Html, digest: Html, }

    PackageFacts { lines: Vec<Named>, }
    Named { name: Html, }
}

impl Named {
    pub(super) fn all<T: Into<Html>>(names: impl IntoIterator<Item = T>) -> Vec<Self> {
        let named = |name: T| Self { name: name.into() };
        names.into_iter().map(named).collect()
    }
}
