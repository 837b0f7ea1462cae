//! Which nodes of a graph are in circles, in one pass over its edges.

/// For each node that a way leads back to, the group that it is in: all that lead to each other. None for
/// every other node. `next` has the nodes that each one leads to.
pub(crate) fn groups(next: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut before = vec![Vec::new(); next.len()];
    for (from, leads) in next.iter().enumerate() {
        for &to in leads {
            before[to].push(from);
        }
    }
    let mut groups = vec![None; next.len()];
    let mut is_seen = vec![false; next.len()];
    // The last to be left leads to all of its group: what leads back to it, and is in no group yet, is of it.
    for start in left_in_order(next).into_iter().rev() {
        if is_seen[start] {
            continue;
        }
        is_seen[start] = true;
        let mut members = vec![start];
        let mut at = 0;
        while let Some(&member) = members.get(at) {
            at += 1;
            for &node in &before[member] {
                if !is_seen[node] {
                    is_seen[node] = true;
                    members.push(node);
                }
            }
        }
        if members.len() > 1 || next[start].contains(&start) {
            for member in members {
                groups[member] = Some(start);
            }
        }
    }
    groups
}

/// All nodes, each after all that it leads to have been left, as far as that can be.
fn left_in_order(next: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(next.len());
    let mut is_seen = vec![false; next.len()];
    for start in 0..next.len() {
        if is_seen[start] {
            continue;
        }
        is_seen[start] = true;
        // Each node, and how many of its ways were gone.
        let mut way = vec![(start, 0)];
        while let Some((node, gone)) = way.last_mut() {
            match next[*node].get(*gone) {
                Some(&to) => {
                    *gone += 1;
                    if !is_seen[to] {
                        is_seen[to] = true;
                        way.push((to, 0));
                    }
                }
                None => {
                    order.push(*node);
                    way.pop();
                }
            }
        }
    }
    order
}
