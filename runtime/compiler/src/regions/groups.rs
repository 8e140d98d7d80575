//! The largest groups of nodes that can run as one.
//!
//! A group is *convex* where no path leaves it and comes back: otherwise its first node
//! would wait for its last. Two groups may not wait for each other either. Both hold when
//! the graph in which each group is one node has no cycle, and that is kept throughout:
//!
//! 1. The *depth* of a node is the number of times that a path from an input can come out
//!    of the rest into a candidate. Candidates of one depth that are joined by edges are a
//!    group: a path that leaves through the rest comes back at a greater depth.
//! 2. Two groups joined by an edge become one unless a path over others joins them too.
//!    This goes on until no two can be joined, so that every group is as large as it gets.
//!
//! DequantizeLinear is free: every group that reads one takes a copy (see [`super::part`]),
//! so that what lies between two groups is the 8-bit value. Where the rest reads it, it
//! belongs to the group that computes what it dequantizes, or is a group of its own.

use super::net::Net;
use std::collections::{HashMap, HashSet};

/// Groups of the nodes for which `candidate` is true, each sorted, in the order of their
/// first nodes.
pub fn groups(net: &Net<'_>, candidate: &[bool]) -> Vec<Vec<usize>> {
    let free = |node: usize| candidate[node] && net.is(node, "DequantizeLinear");
    // A free node reads one value, so that there is one node before it at most.
    let before: HashMap<usize, usize> = (net.edges.iter())
        .filter(|edge| free(edge.to))
        .map(|edge| (edge.to, edge.from))
        .collect();
    let edges: Vec<(usize, usize)> = (net.edges.iter())
        .filter(|edge| !free(edge.to))
        .filter_map(|edge| {
            let from = if free(edge.from) {
                *before.get(&edge.from)?
            } else {
                edge.from
            };
            Some((from, edge.to))
        })
        .collect();
    let grouped: Vec<bool> = (0..candidate.len())
        .map(|node| candidate[node] && !free(node))
        .collect();
    let depth = depths(&edges, &grouped);
    let mut partition = Partition::new(edges, &grouped);
    for (from, to) in partition.edges.clone() {
        if grouped[from] && grouped[to] && depth[from] == depth[to] {
            partition.join(from, to);
        }
    }
    while partition.join_neighbours() {}
    for node in (0..candidate.len()).filter(|&node| free(node)) {
        if net.is_read_by(node, |reader| !candidate[reader]) {
            if let Some(&from) = before.get(&node).filter(|&&from| grouped[from]) {
                partition.join(from, node);
            }
        } else {
            // Only copies of it are needed.
            partition.drop(node);
        }
    }
    let mut groups: Vec<Vec<usize>> = (partition.members.into_iter())
        .map(|mut members| {
            members.retain(|&node| candidate[node]);
            members.sort_unstable();
            members
        })
        .filter(|members| !members.is_empty())
        .collect();
    groups.sort_unstable();
    groups
}

/// The depth of every node; nodes come after those that they depend on, and edges in the
/// order of their ends.
fn depths(edges: &[(usize, usize)], grouped: &[bool]) -> Vec<usize> {
    let mut depth = vec![0; grouped.len()];
    for &(from, to) in edges {
        let enters = grouped[to] && !grouped[from];
        depth[to] = depth[to].max(depth[from] + usize::from(enters));
    }
    depth
}

/// Every node in one group; a node of the rest stays alone.
struct Partition<'n> {
    /// Pairs of a node and one that reads it.
    edges: Vec<(usize, usize)>,
    /// By node: the nodes that read it.
    readers: Vec<Vec<usize>>,
    candidate: &'n [bool],
    group: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl<'n> Partition<'n> {
    fn new(edges: Vec<(usize, usize)>, candidate: &'n [bool]) -> Self {
        let mut readers = vec![Vec::new(); candidate.len()];
        for &(from, to) in &edges {
            readers[from].push(to);
        }
        Partition {
            edges,
            readers,
            candidate,
            group: (0..candidate.len()).collect(),
            members: (0..candidate.len()).map(|node| vec![node]).collect(),
        }
    }

    /// Takes out a node that is alone.
    fn drop(&mut self, node: usize) {
        self.members[node].clear();
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.group[a], self.group[b]);
        if a != b {
            let moved = std::mem::take(&mut self.members[b]);
            for &node in &moved {
                self.group[node] = a;
            }
            self.members[a].extend(moved);
        }
    }

    /// Goes once over all edges and joins what can be joined; whether anything was.
    fn join_neighbours(&mut self) -> bool {
        let mut joined = false;
        let mut tried = HashSet::new();
        for (from, to) in self.edges.clone() {
            let pair = (self.group[from], self.group[to]);
            if self.candidate[from]
                && self.candidate[to]
                && pair.0 != pair.1
                && tried.insert(pair)
                && !self.joined_by_others(pair.0, pair.1)
            {
                self.join(from, to);
                joined = true;
            }
        }
        joined
    }

    /// Whether a path leads from group `from` to group `to` over other groups.
    fn joined_by_others(&self, from: usize, to: usize) -> bool {
        let after = |group: usize| {
            (self.members[group].iter())
                .flat_map(|&node| &self.readers[node])
                .map(|&node| self.group[node])
        };
        let mut open: Vec<usize> = after(from).filter(|&g| g != from && g != to).collect();
        let mut seen: HashSet<usize> = open.iter().copied().collect();
        while let Some(group) = open.pop() {
            for next in after(group) {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}
