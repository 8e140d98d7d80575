//! Which chunks a robot gets for its request: those it asked for, in its order, up to its credit.

use sanderling_wire::{ChunkRange, Digest, Layout, Need, Refusal};

/// One request being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The release asked for.
    pub release: Digest,
    /// How it is cut.
    pub layout: Layout,
    ranges: Vec<ChunkRange>,
    at: usize,
    offset: u32,
    credit: u16,
}

impl Job {
    /// Checks a request against the size of the file that it names.
    pub fn new(need: &Need, size: u64) -> Result<Job, Refusal> {
        let layout = Layout::new(size, need.chunk_size).map_err(|_| Refusal::BadRange)?;
        if !need.ranges.iter().all(|r| layout.contains(*r)) {
            return Err(Refusal::BadRange);
        }
        Ok(Job {
            release: need.release,
            layout,
            ranges: need.ranges.to_vec(),
            at: 0,
            offset: 0,
            credit: need.credit,
        })
    }
}

/// The chunks still to be sent.
impl Iterator for Job {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let range = self.ranges.get(self.at)?;
        self.credit = self.credit.checked_sub(1)?;
        let index = range.first + self.offset;
        self.offset += 1;
        if self.offset == range.count {
            self.at += 1;
            self.offset = 0;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use sanderling_wire::Session;

    use super::*;

    fn need(credit: u16, ranges: &[(u32, u32)]) -> Need {
        Need {
            session: Session(1),
            release: Digest([1; 32]),
            chunk_size: 1000,
            credit,
            ranges: ranges
                .iter()
                .map(|&(first, count)| ChunkRange { first, count })
                .collect(),
        }
    }

    #[test]
    fn never_more_than_the_credit_and_never_unasked() {
        let sent = |credit, ranges: &[_]| {
            Job::new(&need(credit, ranges), 9500)
                .unwrap()
                .collect::<Vec<_>>()
        };
        assert_eq!(sent(99, &[(4, 2), (0, 1)]), [4, 5, 0]);
        assert_eq!(sent(2, &[(4, 2), (0, 1)]), [4, 5]);
        assert_eq!(sent(1, &[(4, 2)]), [4]);
        assert!(sent(0, &[(4, 2)]).is_empty());
        assert!(sent(9, &[]).is_empty());
        assert_eq!(sent(9, &[(9, 1)]), [9]);
    }

    #[test]
    fn ranges_past_the_end_are_refused() {
        assert_eq!(Job::new(&need(1, &[(9, 2)]), 9500), Err(Refusal::BadRange));
        assert_eq!(Job::new(&need(1, &[(0, 1)]), 0), Err(Refusal::BadRange));
    }

    /// A robot that asks for everything at once ties up no memory and is served by its credit.
    #[test]
    fn overlapping_ranges_cost_only_credit() {
        let job = Job::new(&need(3, &[(0, 10), (0, 10)]), 9500).unwrap();
        assert_eq!(job.collect::<Vec<_>>(), [0, 1, 2]);
    }
}
