//! How much a run can cost at most, told before it runs.

use sanderling_plan::{Operator, Plan, Step};

/// An upper bound on the elementary operations (multiplications, comparisons, copied
/// elements) of one run of `plan`.
///
/// A plan that is valid can still ask for more than anyone wants to wait for: its cost is
/// bounded by the product of its sizes, not by their sum. Whoever runs plans of unknown
/// origin refuses those above a bound of their own.
pub fn work_bound<B: AsRef<[u8]>>(plan: &Plan<B>) -> u64 {
    plan.steps().fold(0u64, |sum, step| {
        sum.saturating_add(step_bound(plan, &step).unwrap_or(0))
    })
}

fn step_bound<B: AsRef<[u8]>>(plan: &Plan<B>, step: &Step) -> Option<u64> {
    let output = plan.tensor(step.output)?;
    let outputs = output.shape.elements() as u64;
    let input = step.inputs().first().and_then(|&id| plan.tensor(id));
    let inputs = input.map_or(0, |tensor| tensor.shape.elements() as u64);
    if let Operator::WinogradConv(_) = &step.operator {
        let bound = winograd_bound(input?.shape.nhwc()?, output.shape.nhwc()?);
        return Some(bound.saturating_add(inputs));
    }
    // Taps of a window over an image that lie inside it.
    let inside = |kernel_h: u32, kernel_w: u32| {
        let [_, h, w, _] = input
            .and_then(|tensor| tensor.shape.nhwc())
            .unwrap_or([1; 4]);
        u64::from(kernel_h.min(h)).saturating_mul(u64::from(kernel_w.min(w)))
    };
    let each = match &step.operator {
        Operator::Conv(p) | Operator::DepthwiseConv(p) => {
            let channels = input
                .and_then(|tensor| tensor.shape.nhwc())
                .map_or(1, |[.., c]| c);
            u64::from(p.kernel_h)
                .saturating_mul(u64::from(p.kernel_w))
                .saturating_mul(u64::from(channels / p.groups.max(1)))
                .saturating_add(1)
        }
        Operator::FullyConnected(_) => input.map_or(1, |tensor| u64::from(tensor.shape.last())),
        Operator::MaxPool(p) => inside(p.kernel_h, p.kernel_w).saturating_add(1),
        Operator::AveragePool(p) => inside(p.kernel_h, p.kernel_w).saturating_add(1),
        Operator::ActivatedConv(p) => {
            let channels = input
                .and_then(|tensor| tensor.shape.nhwc())
                .map_or(1, |[.., c]| c);
            u64::from(p.kernel_h)
                .saturating_mul(u64::from(p.kernel_w))
                .saturating_mul(u64::from(channels / p.groups.max(1)).saturating_add(1))
                .saturating_add(17)
        }
        Operator::RealConv(p) => {
            let channels = input
                .and_then(|tensor| tensor.shape.nhwc())
                .map_or(1, |[.., c]| c);
            u64::from(p.kernel_h)
                .saturating_mul(u64::from(p.kernel_w))
                .saturating_mul(u64::from(channels / p.groups.max(1)).saturating_add(1))
                .saturating_add(4)
        }
        Operator::RealProduct(_) => input.map_or(1, |tensor| u64::from(tensor.shape.last())),
        Operator::RealMean(p) => u64::from(p.reduce),
        // A quotient of two polynomials.
        Operator::RealMap(_) => 16,
        Operator::WideConv(p) => {
            let channels = input
                .and_then(|tensor| tensor.shape.nhwc())
                .map_or(1, |[.., c]| c);
            u64::from(p.kernel_h)
                .saturating_mul(u64::from(p.kernel_w))
                .saturating_mul(u64::from(channels / p.groups.max(1)).saturating_add(1))
                .saturating_add(1)
        }
        Operator::MatMul(_) => input.map_or(1, |tensor| u64::from(tensor.shape.last())),
        Operator::ArgMax(p) => u64::from(p.reduce),
        Operator::ResizeLinear(_) => 4,
        // Twice over the row, and an exponential of some 30 operations.
        Operator::LayerNorm(_) => 2,
        Operator::SoftmaxReal(_) => 32,
        _ => 1,
    };
    Some(outputs.saturating_mul(each).saturating_add(inputs))
}

/// Tiles are computed by threes, absent ones with them: 16 products for each channel and
/// output, outputs by twos and channels by fours, as many operations for the transform of
/// each channel and twice as many back.
fn winograd_bound([.., channels]: [u32; 4], [batch, h, w, outputs]: [u32; 4]) -> u64 {
    let tiles = u64::from(h.div_ceil(2)).saturating_mul(u64::from(w.div_ceil(2)));
    let tiles = (tiles.div_ceil(3).saturating_mul(3)).saturating_mul(u64::from(batch));
    let channels = u64::from(channels.div_ceil(4)) * 4;
    let outputs = u64::from(outputs.div_ceil(2)) * 2;
    let products = channels.saturating_add(2).saturating_mul(outputs);
    tiles
        .saturating_mul(16)
        .saturating_mul(products.saturating_add(2 * channels))
}
