//! When something that was asked for is asked for again.

/// The first wait, in milliseconds.
const FIRST: u64 = 400;
/// The longest wait.
const LONGEST: u64 = 6_400;

/// A question that is repeated until it is answered, less and less often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    /// When it is due; at once where it was never asked.
    due: Option<u64>,
    asked: u32,
}

impl Retry {
    /// True where the question is to be asked now, which counts as asked.
    pub(crate) fn is_due(&mut self, now_ms: u64) -> bool {
        if self.due.is_some_and(|due| now_ms < due) {
            return false;
        }
        let wait = (FIRST << self.asked.min(8)).min(LONGEST);
        self.due = Some(now_ms.saturating_add(wait));
        self.asked = self.asked.saturating_add(1);
        true
    }

    /// How often it was asked.
    pub(crate) const fn asked(&self) -> u32 {
        self.asked
    }
}
