//! Operators that only move elements: where each element of the result comes from.

use super::array::count;
use super::node::Attributes;

/// The result of a movement: its dimensions, and for each element its place among those that
/// went in, of several tensors one after the other.
pub struct Places {
    pub dims: Vec<usize>,
    pub from: Vec<usize>,
}

/// Operators that [`moves`] knows; only Concat reads several tensors.
pub const MOVEMENTS: &[&str] = &[
    "Concat",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// What a movement does with tensors of the dimensions `data`, for each of its outputs.
/// `constant` gives the integers of an input beside the data and their dimensions. `None` where
/// the node is not as ONNX has it, or would make more than `most` elements.
pub fn moves(
    node: &Attributes<'_>,
    data: &[Vec<usize>],
    constant: &dyn Fn(usize) -> Option<(Vec<usize>, Vec<i64>)>,
    most: usize,
) -> Option<Vec<Places>> {
    if node.operator() == "Concat" {
        return Some(vec![concat(node, data, most)?]);
    }
    let dims = data.first()?;
    let rank = dims.len();
    let list = |input: usize| constant(input).map(|(_, values)| values);
    // An input since some operator set, an attribute before.
    let given = |input: usize, name: &str| {
        if node.has_input(input) {
            list(input)
        } else {
            node.ints(name).map(<[i64]>::to_vec)
        }
    };
    let strides = strides(dims);
    let straight =
        |axis: usize| -> Vec<usize> { (0..dims[axis]).map(|i| i * strides[axis]).collect() };
    let one = |dims: Vec<usize>, axes: Vec<Vec<usize>>| Some(vec![separable(dims, &axes, most)?]);
    let same = |new: Vec<usize>| {
        let fits = count(&new)? == count(dims)? && count(&new)? <= most;
        let from = (0..count(dims)?).collect();
        fits.then_some(vec![Places { dims: new, from }])
    };
    match node.operator() {
        "Identity" => same(dims.clone()),
        "Reshape" => same(reshaped(dims, &list(1)?, node.int("allowzero") == Some(1))?),
        "Flatten" => {
            let axis = node.int("axis").unwrap_or(1);
            let at = if axis == rank as i64 {
                rank
            } else {
                place(axis, rank)?
            };
            same(vec![count(&dims[..at])?, count(&dims[at..])?])
        }
        "Squeeze" => {
            let drop = match given(1, "axes") {
                Some(axes) => (axes.iter())
                    .map(|&axis| place(axis, rank))
                    .collect::<Option<Vec<_>>>()?,
                None if node.has_input(1) => return None,
                None => (0..rank).filter(|&axis| dims[axis] == 1).collect(),
            };
            let kept = (0..rank).filter(|axis| !drop.contains(axis));
            same(kept.map(|axis| dims[axis]).collect())
        }
        "Unsqueeze" => {
            let axes = given(1, "axes")?;
            let wide = rank + axes.len();
            let new = (axes.iter())
                .map(|&axis| place(axis, wide))
                .collect::<Option<Vec<_>>>()?;
            let mut old = dims.iter();
            let next = |axis: usize| {
                if new.contains(&axis) {
                    Some(1)
                } else {
                    old.next().copied()
                }
            };
            same((0..wide).map(next).collect::<Option<Vec<_>>>()?)
        }
        "Transpose" => {
            let perm: Vec<usize> = match node.ints("perm") {
                Some(perm) => (perm.iter())
                    .map(|&axis| place(axis, rank))
                    .collect::<Option<Vec<_>>>()?,
                None => (0..rank).rev().collect(),
            };
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..rank) {
                return None;
            }
            let new = perm.iter().map(|&axis| dims[axis]).collect();
            one(new, perm.iter().map(|&axis| straight(axis)).collect())
        }
        "Expand" => {
            let wish = extents(&list(1)?)?;
            let wide = rank.max(wish.len());
            let mut new = Vec::with_capacity(wide);
            let mut axes = Vec::with_capacity(wide);
            for axis in 0..wide {
                let own = (axis + rank).checked_sub(wide);
                let extent = own.map_or(1, |own| dims[own]);
                let asked = (axis + wish.len())
                    .checked_sub(wide)
                    .map_or(1, |at| wish[at]);
                let long = match (extent, asked) {
                    (extent, 1) => extent,
                    (1, asked) => asked,
                    (extent, asked) if extent == asked => extent,
                    _ => return None,
                };
                let stride = own.filter(|_| extent > 1).map_or(0, |own| strides[own]);
                if long > most {
                    return None;
                }
                axes.push((0..long).map(|i| i * stride).collect());
                new.push(long);
            }
            one(new, axes)
        }
        "Tile" => {
            let repeats = extents(&list(1)?)?;
            if repeats.len() != rank {
                return None;
            }
            let new = (dims.iter().zip(&repeats))
                .map(|(&dim, &n)| dim.checked_mul(n).filter(|&long| long <= most))
                .collect::<Option<Vec<_>>>()?;
            let axes = (0..rank)
                .map(|axis| {
                    (0..new[axis])
                        .map(|i| i % dims[axis] * strides[axis])
                        .collect()
                })
                .collect();
            one(new, axes)
        }
        "Slice" => {
            let (starts, ends) = (given(1, "starts")?, given(2, "ends")?);
            let optional = |input: usize, name: &str, default: Vec<i64>| {
                if node.has_input(input) {
                    list(input)
                } else {
                    Some(node.ints(name).map_or(default, <[i64]>::to_vec))
                }
            };
            let axes = optional(3, "axes", (0..starts.len() as i64).collect())?;
            let steps = optional(4, "steps", vec![1; starts.len()])?;
            if ends.len() != starts.len()
                || axes.len() != starts.len()
                || steps.len() != starts.len()
            {
                return None;
            }
            let mut taken: Vec<Vec<usize>> = (0..rank).map(straight).collect();
            for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps)
            {
                let axis = place(axis, rank)?;
                taken[axis] = (slice(dims[axis], start, end, step)?.into_iter())
                    .map(|i| i * strides[axis])
                    .collect();
            }
            one(taken.iter().map(Vec::len).collect(), taken)
        }
        "Split" => {
            let axis = place(node.int("axis").unwrap_or(0), rank)?;
            let outputs = node.outputs();
            let parts = match given(1, "split") {
                Some(parts) => extents(&parts)?,
                None if node.has_input(1) || outputs == 0 => return None,
                None => {
                    // The last is smaller where they do not come out even.
                    let part = dims[axis].div_ceil(outputs);
                    let mut left = dims[axis];
                    (0..outputs)
                        .map(|_| {
                            let now = part.min(left);
                            left -= now;
                            now
                        })
                        .collect()
                }
            };
            if parts.len() != outputs || parts.iter().sum::<usize>() != dims[axis] {
                return None;
            }
            let mut first = 0;
            let mut places = Vec::with_capacity(outputs);
            for part in parts {
                let mut taken: Vec<Vec<usize>> = (0..rank).map(straight).collect();
                taken[axis] = (first..first + part).map(|i| i * strides[axis]).collect();
                places.push(separable(
                    taken.iter().map(Vec::len).collect(),
                    &taken,
                    most,
                )?);
                first += part;
            }
            Some(places)
        }
        "Gather" => {
            let axis = place(node.int("axis").unwrap_or(0), rank)?;
            let (shape, indices) = constant(1)?;
            let rows = (indices.iter())
                .map(|&index| place(index, dims[axis]).map(|row| row * strides[axis]))
                .collect::<Option<Vec<_>>>()?;
            let mut taken: Vec<Vec<usize>> = (0..rank).map(straight).collect();
            taken[axis] = rows;
            let flat = separable(taken.iter().map(Vec::len).collect(), &taken, most)?;
            let new = [&dims[..axis], &shape, &dims[axis + 1..]].concat();
            Some(vec![Places { dims: new, ..flat }])
        }
        _ => None,
    }
}

fn concat(node: &Attributes<'_>, data: &[Vec<usize>], most: usize) -> Option<Places> {
    let first = data.first()?;
    let axis = place(node.int("axis")?, first.len())?;
    let alike = |dims: &Vec<usize>| {
        dims.len() == first.len() && (0..dims.len()).all(|at| at == axis || dims[at] == first[at])
    };
    if !data.iter().all(alike) {
        return None;
    }
    let long = data.iter().map(|dims| dims[axis]).sum();
    let mut new = first.clone();
    new[axis] = long;
    if count(&new)? > most {
        return None;
    }
    let inner = count(&first[axis + 1..])?;
    let mut from = Vec::with_capacity(count(&new)?);
    for outer in 0..count(&first[..axis])? {
        let mut before = 0;
        for dims in data {
            let run = dims[axis] * inner;
            from.extend((0..run).map(|i| before + outer * run + i));
            before += count(dims)?;
        }
    }
    Some(Places { dims: new, from })
}

/// Elements whose place is a sum of one number for each axis.
fn separable(dims: Vec<usize>, axes: &[Vec<usize>], most: usize) -> Option<Places> {
    if count(&dims)? > most {
        return None;
    }
    let mut from = vec![0usize];
    for places in axes {
        from = (from.iter())
            .flat_map(|at| places.iter().map(move |place| at + place))
            .collect();
    }
    Some(Places { dims, from })
}

/// ONNX's Reshape: 0 keeps a dimension (unless zeros are meant), -1 takes what is left.
fn reshaped(dims: &[usize], wish: &[i64], zeros: bool) -> Option<Vec<usize>> {
    let mut new = Vec::with_capacity(wish.len());
    let mut open = None;
    for (axis, &extent) in wish.iter().enumerate() {
        new.push(match extent {
            0 if !zeros => *dims.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            extent => usize::try_from(extent).ok()?,
        });
    }
    if let Some(axis) = open {
        let (all, known) = (count(dims)?, count(&new)?);
        if known == 0 || all % known != 0 {
            return None;
        }
        new[axis] = all / known;
    }
    Some(new)
}

/// The indices that a slice of one axis takes.
fn slice(extent: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let long = i64::try_from(extent).ok()?;
    let counted = |index: i64| {
        if index < 0 {
            index.saturating_add(long)
        } else {
            index
        }
    };
    let mut taken = Vec::new();
    if extent == 0 {
        return Some(taken);
    }
    if step > 0 {
        let end = counted(end).clamp(0, long);
        let mut at = counted(start).clamp(0, long);
        while at < end {
            taken.push(at as usize);
            at = at.saturating_add(step);
        }
    } else if step < 0 {
        let end = counted(end).clamp(-1, long - 1);
        let mut at = counted(start).clamp(0, long - 1);
        while at > end {
            taken.push(usize::try_from(at).ok()?);
            at = at.saturating_add(step);
        }
    } else {
        return None;
    }
    Some(taken)
}

fn extents(values: &[i64]) -> Option<Vec<usize>> {
    values.iter().map(|&v| usize::try_from(v).ok()).collect()
}

/// An axis or index, counted from the end where negative.
pub fn place(index: i64, extent: usize) -> Option<usize> {
    let long = i64::try_from(extent).ok()?;
    let counted = if index < 0 {
        index.checked_add(long)?
    } else {
        index
    };
    usize::try_from(counted).ok().filter(|&at| at < extent)
}

/// Elements between two indices of each axis.
fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
    }
    strides
}
