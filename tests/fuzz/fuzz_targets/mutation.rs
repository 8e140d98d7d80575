//! Plans near a valid one: what random bytes alone would hardly ever reach.

#[path = "../../../runtime/plan/tests/every_operator/mod.rs"]
mod every_operator;

pub use every_operator::Aligned;
use std::sync::LazyLock;

static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| every_operator::plan(|_| vec![0; 12]));

/// The plan that the fuzzer's bytes stand for: the bytes themselves when the first is
/// even, else a valid plan of every operator in which they change words. Each change
/// takes six bytes: where (`u16`, in words) and what (`u32`).
pub fn plan(data: &[u8]) -> Aligned {
    let Some((mode, rest)) = data.split_first() else {
        return Aligned::new(data);
    };
    if mode.is_multiple_of(2) {
        return Aligned::new(rest);
    }
    let mut bytes = VALID.clone();
    for change in rest.chunks_exact(6) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % (bytes.len() / 4) * 4;
        bytes[at..at + 4].copy_from_slice(&change[2..]);
    }
    Aligned::new(&bytes)
}
