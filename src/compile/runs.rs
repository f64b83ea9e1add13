//! When a `br_table` is a search: the decision of both tiers.

/// With no more runs of equal targets than this, comparisons take the place of a table. Where jumps are
/// foreseen, some direct ones are faster than an indirect one, by up to 40 % in an interpreter of ten
/// operations. Where they never are, at random indexes, more of them are foreseen wrongly: 6 % slower with
/// 6 targets, 26 % with 12, 39 % with 15.
const LARGEST_SEARCH: usize = 12;

/// From which index on a `br_table` has which target. The targets come in their order, the default last.
/// Returns whether these are so few that a search is better than a table; otherwise not all are found.
pub(super) fn find_runs<T: PartialEq>(
    targets: impl Iterator<Item = T>,
    runs: &mut Vec<(u32, T)>,
) -> bool {
    runs.clear();
    for (start, target) in (0..).zip(targets) {
        if runs.last().is_none_or(|(_, last)| *last != target) {
            if runs.len() == LARGEST_SEARCH {
                return false;
            }
            runs.push((start, target));
        }
    }
    true
}
