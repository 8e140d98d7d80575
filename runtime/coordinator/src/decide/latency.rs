//! Latencies in buckets: eight to an octave, so a quantile is right to about 9 %.

/// The bucket of a latency in µs. Below 8 µs a bucket is one microsecond.
pub fn bucket(us: u32) -> u16 {
    if us < 8 {
        return us as u16;
    }
    let octave = us.ilog2();
    // The three bits after the leading one choose the eighth of the octave.
    let eighth = (us >> (octave - 3)) & 7;
    (8 * (octave - 2) + eighth) as u16
}

/// The largest latency in a bucket, in µs.
pub fn upper_bound(bucket: u16) -> u32 {
    let bucket = u32::from(bucket);
    if bucket < 8 {
        return bucket;
    }
    let octave = (bucket / 8 + 2).min(31);
    let eighth = u64::from(bucket % 8);
    let bound = ((8 + eighth + 1) << (octave - 3)) - 1;
    u32::try_from(bound).unwrap_or(u32::MAX)
}

/// The quantile `q` (0 to 1) of counts by bucket, in µs: the upper bound of the bucket that holds it.
pub fn quantile(counts: &[(u16, u64)], q: f64) -> Option<u32> {
    let total: u64 = counts.iter().map(|c| c.1).sum();
    if total == 0 {
        return None;
    }
    let rank = ((total as f64 * q).ceil() as u64).clamp(1, total);
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let mut seen = 0;
    sorted.into_iter().find_map(|(bucket, n)| {
        seen += n;
        (seen >= rank).then(|| upper_bound(bucket))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_without_gaps() {
        let mut last = 0;
        for us in (0..100_000).chain([1 << 20, 1 << 30, u32::MAX - 1, u32::MAX]) {
            let b = bucket(us);
            assert!(b == last || b == last + 1 || us >= 100_000, "{us}");
            assert!(upper_bound(b) >= us, "{us}");
            assert!(
                f64::from(upper_bound(b)) <= f64::from(us) * 1.125 + 1.0,
                "{us}"
            );
            assert_eq!(bucket(upper_bound(b)), b, "{us}");
            last = b;
        }
        assert_eq!(upper_bound(bucket(u32::MAX)), u32::MAX);
    }

    #[test]
    fn quantiles_take_the_bucket_that_holds_the_rank() {
        let counts = [(bucket(1000), 1), (bucket(100), 98), (bucket(10), 1)];
        assert_eq!(quantile(&counts, 0.5), Some(upper_bound(bucket(100))));
        assert_eq!(quantile(&counts, 0.0), Some(upper_bound(bucket(10))));
        assert_eq!(quantile(&counts, 0.99), Some(upper_bound(bucket(100))));
        assert_eq!(quantile(&counts, 1.0), Some(upper_bound(bucket(1000))));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
