//! What a guard or a snapshot is about: paths, names that patterns describe, and what is left out of both. Pure.

use std::ffi::OsStr;

use treewal_recovery::patterns::touches;
use treewal_vfs::RelPath;

use super::Claim;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Sorted, none inside another.
    paths: Vec<RelPath>,
    /// A directory, and a name in it with `*` for any run of characters.
    patterns: Vec<RelPath>,
    excludes: Vec<RelPath>,
}

impl Scope {
    pub(crate) fn new(paths: &[RelPath], patterns: &[RelPath], excludes: &[RelPath]) -> Self {
        let mut paths = paths.to_vec();
        paths.sort();
        // Sorting puts a directory right before everything beneath it.
        paths.dedup_by(|later, kept| later.starts_with(kept));
        Self { paths, patterns: patterns.to_vec(), excludes: excludes.to_vec() }
    }

    /// The path or pattern of this that a commit touches, or would if something were there.
    pub(crate) fn met_by(&self, claim: &Claim) -> Option<&RelPath> {
        claim.paths().find_map(|path| self.touched_by(path))
    }

    /// The path or pattern of this that one path is, or lies above or beneath.
    pub(crate) fn touched_by(&self, path: &RelPath) -> Option<&RelPath> {
        if self.leaves_out(path) {
            return None;
        }
        near(&self.paths, path).or_else(|| self.patterns.iter().find(|pattern| touches(pattern, path)))
    }

    /// The path or pattern of this, something of which belongs to the other, too.
    pub(crate) fn shared_with(&self, other: &Self) -> Option<&RelPath> {
        let ours = || self.paths.iter().filter(|path| !other.leaves_out(path));
        let our_patterns = || self.patterns.iter().filter(|pattern| !other.leaves_parent_out(pattern));
        let theirs: Vec<RelPath> = other.paths.iter().filter(|path| !self.leaves_out(path)).cloned().collect();
        let their_patterns: Vec<&RelPath> =
            other.patterns.iter().filter(|pattern| !self.leaves_parent_out(pattern)).collect();
        let path = ours()
            .find(|path| near(&theirs, path).is_some() || their_patterns.iter().any(|pattern| touches(pattern, path)));
        path.or_else(|| {
            our_patterns().find(|ours| {
                theirs.iter().any(|path| touches(ours, path))
                    || their_patterns.iter().any(|theirs| patterns_meet(ours, theirs))
            })
        })
    }

    /// The first path, or pattern.
    pub(crate) fn first(&self) -> Option<&RelPath> {
        self.paths.first().or_else(|| self.patterns.first())
    }

    /// Whether something belongs to both.
    #[cfg(test)]
    fn overlaps(&self, other: &Self) -> bool {
        self.shared_with(other).is_some()
    }

    /// Whether everything that another is about is part of this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let within = |path: &RelPath| self.has(path);
        let mut patterns = other.patterns.iter().filter(|pattern| !self.patterns.contains(pattern));
        let mut beneath = self.excludes.iter().filter(|left_out| other.is_beneath_own(left_out));
        other.paths.iter().all(within)
            && patterns.all(|pattern| pattern.parent().as_ref().is_some_and(within))
            && beneath.all(|left_out| other.leaves_out(left_out))
    }

    /// Whether a path is one of this, or lies beneath one; what patterns describe is not looked at.
    pub(crate) fn has(&self, path: &RelPath) -> bool {
        self.paths.iter().any(|ours| path.starts_with(ours)) && !self.leaves_out(path)
    }

    fn leaves_out(&self, path: &RelPath) -> bool {
        self.excludes.iter().any(|excluded| path.starts_with(excluded))
    }

    fn leaves_parent_out(&self, pattern: &RelPath) -> bool {
        pattern.parent().is_some_and(|parent| self.leaves_out(&parent))
    }

    fn is_beneath_own(&self, path: &RelPath) -> bool {
        let parents = self.patterns.iter().filter(|pattern| touches(pattern, path)).count();
        parents > 0 || self.paths.iter().any(|ours| path.starts_with(ours))
    }
}

/// The one of these, which are sorted and none inside another, that a path is, or lies above or beneath.
///
/// One above it comes right before it, since what lies between is beneath that one; one beneath it right behind.
fn near<'a>(paths: &'a [RelPath], path: &RelPath) -> Option<&'a RelPath> {
    let at = paths.partition_point(|one| one <= path);
    let before = at.checked_sub(1).and_then(|before| paths.get(before)).filter(|one| path.starts_with(one));
    before.or_else(|| paths.get(at).filter(|one| one.starts_with(path)))
}

/// Whether a path that one pattern describes can be one that another does, or lie above or beneath one.
fn patterns_meet(a: &RelPath, b: &RelPath) -> bool {
    let (Some((a_dir, a_name)), Some((b_dir, b_name))) = (a.split(), b.split()) else { return false };
    match a_dir.depth().cmp(&b_dir.depth()) {
        std::cmp::Ordering::Equal => a_dir == b_dir && both_match(a_name, b_name),
        std::cmp::Ordering::Less => touches(a, &b_dir),
        std::cmp::Ordering::Greater => touches(b, &a_dir),
    }
}

/// Whether there is a name that both patterns describe.
fn both_match(a: &OsStr, b: &OsStr) -> bool {
    let (a, b) = (a.as_encoded_bytes(), b.as_encoded_bytes());
    // For each rest of `b`, whether some name fits it and the rest of `a` at hand: from the end of `a` to its beginning.
    let mut fits: Vec<bool> = (0..=b.len()).map(|from| b[from..].iter().all(|byte| *byte == b'*')).collect();
    for byte in a.iter().rev() {
        let shorter = std::mem::take(&mut fits);
        fits = vec![false; b.len() + 1];
        for at in (0..=b.len()).rev() {
            let next = b.get(at).copied();
            fits[at] = match next {
                _ if *byte == b'*' => shorter[at] || next.is_some() && fits[at + 1],
                None => false,
                Some(b'*') => fits[at + 1] || shorter[at],
                Some(other) => other == *byte && shorter[at + 1],
            };
        }
    }
    fits.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use treewal_recovery::patterns::matches;

    fn paths(texts: &[&str]) -> Vec<RelPath> {
        texts.iter().map(|text| RelPath::new(text).unwrap()).collect()
    }

    fn scope(inside: &[&str], patterns: &[&str], outside: &[&str]) -> Scope {
        Scope::new(&paths(inside), &paths(patterns), &paths(outside))
    }

    #[test]
    fn two_that_share_nothing_do_not_overlap() {
        for (a, b, overlap) in [
            (scope(&["a"], &[], &[]), scope(&["b"], &[], &[]), false),
            (scope(&["a"], &[], &[]), scope(&["ab"], &[], &[]), false),
            (scope(&["a"], &[], &[]), scope(&["a/b"], &[], &[]), true),
            (scope(&["a", "a/c", "z"], &[], &[]), scope(&["a/b/c"], &[], &[]), true),
            (scope(&[""], &[], &["a"]), scope(&["a/b"], &[], &[]), false),
            (scope(&[""], &[], &["a/b"]), scope(&["a"], &[], &[]), true),
            (scope(&[""], &[], &["a"]), scope(&["b"], &[], &[]), true),
            (scope(&[], &["d/x*"], &[]), scope(&["d"], &[], &[]), true),
            (scope(&[], &["d/x*"], &[]), scope(&["d/xy/z"], &[], &[]), true),
            (scope(&[], &["d/x*"], &[]), scope(&["d/y", "x"], &[], &[]), false),
            (scope(&[], &["d/x*"], &[]), scope(&[""], &[], &["d"]), false),
            (scope(&[], &["d/x*"], &[]), scope(&[], &["d/*y"], &[]), true),
            (scope(&[], &["d/x*"], &[]), scope(&[], &["d/y*"], &[]), false),
            (scope(&[], &["d/x*"], &[]), scope(&[], &["d/xx/z*"], &[]), true),
            (scope(&[], &["d/x*"], &[]), scope(&[], &["x*"], &[]), false),
            (scope(&[], &["*"], &[]), scope(&[], &["d/x*"], &[]), true),
        ] {
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (overlap, overlap), "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_not_covered() {
        let outer = scope(&["a", "b"], &["c*"], &["a/out"]);
        for (inner, covered) in [
            (scope(&["a/x", "b"], &[], &[]), true),
            (scope(&["a"], &[], &[]), false),
            (scope(&["a"], &[], &["a/out"]), true),
            (scope(&["a/out/x"], &[], &[]), false),
            (scope(&["c"], &[], &[]), false),
            (scope(&[], &["c*"], &[]), true),
            (scope(&[], &["b/c*"], &[]), true),
            (scope(&[], &["a/o*"], &[]), false),
            (scope(&[], &["a/x*"], &[]), true),
            (scope(&[], &["cc*"], &[]), false),
        ] {
            assert_eq!(outer.covers(&inner), covered, "{inner:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_for_both_is_found_where_there_is_one(a in "[xy*]{0,5}", b in "[xy*]{0,5}", name in "[xy]{0,8}") {
            let (a, b, name): (&OsStr, &OsStr, &OsStr) = (a.as_ref(), b.as_ref(), name.as_ref());
            let both = both_match(a, b);
            prop_assert_eq!(both, both_match(b, a));
            prop_assert!(both || !(matches(a, name) && matches(b, name)), "{:?}", name);
        }

        #[test]
        fn no_name_is_told_of_where_there_is_none(a in "[xy*]{0,4}", b in "[xy*]{0,4}") {
            // Whatever both describe has a form that is no longer than both together.
            let mut names = vec![String::new()];
            for from in 0.. {
                let Some(name) = names.get(from).cloned().filter(|name| name.len() < 8) else { break };
                names.extend([format!("{name}x"), format!("{name}y")]);
            }
            let any = names.iter().any(|name| matches(a.as_ref(), name.as_ref()) && matches(b.as_ref(), name.as_ref()));
            prop_assert_eq!(both_match(a.as_ref(), b.as_ref()), any);
        }

        #[test]
        fn near_is_what_all_pairs_say(own in proptest::collection::vec("[ab](/[ab]){0,2}", 0..6), path in "[ab](/[abc]){0,3}") {
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            let path = RelPath::new(&path).unwrap();
            let pairs = paths(&own).iter().any(|one| one.starts_with(&path) || path.starts_with(one));
            let scope = scope(&own, &[], &[]);
            let found = near(&scope.paths, &path);
            prop_assert_eq!(found.is_some(), pairs);
            prop_assert!(found.is_none_or(|one| one.starts_with(&path) || path.starts_with(one)));
        }
    }
}
