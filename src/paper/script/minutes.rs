//! How long things take in the room: one table for screens and paper. docs/escrow.md, README and the room scripts say the
//! same; a test compares them.

/// Writing the 33 words of a share on its form.
pub const WRITING: usize = 5;
/// Typing them back, or typing a share in a recovery.
pub const TYPING: usize = 3;
/// The whole time of one custodian who is dealt a share.
pub const DEALING: usize = WRITING + TYPING;
/// The whole time of one custodian who brings a share: with coming to the screen, and going.
pub const BRINGING: usize = TYPING + 1;
/// One custodian whose share is a file.
pub const FILE: usize = 2;

/// The approval, before step 1.
pub const APPROVAL: usize = 10;
/// Step 2.
pub const ROLL_CALL: usize = 5;
/// Step 3.
pub const MACHINE: usize = 2;
/// Step 4.
pub const OPEN_HSM: usize = 5;
/// Step 5, besides one minute for each import.
pub const PARAMETERS: usize = 4;
/// Step 6.
pub const PREFLIGHT: usize = 2;
/// Step 7 if the data keys are made, or found again in the HSM.
pub const DATA_KEYS: usize = 2;
/// Step 7 if they are brought back or destroyed, besides the shares.
pub const DATA_KEYS_OTHERWISE: usize = 5;
/// Step 8.
pub(crate) const WRAP: usize = 1;
/// Step 9 of an end: shares and packages are destroyed.
pub(crate) const TICKED_OFF: usize = 10;
/// Step 10.
pub(crate) const PROVE: usize = 1;
/// Step 13.
pub const NEXT: usize = 25;
