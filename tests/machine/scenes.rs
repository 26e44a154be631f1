//! Steps that seldom follow each other by chance, and tell something only together.

use std::path::Path;

use proptest::prelude::*;

use crate::call::{Call, More, Relied, more, outer};
use crate::ops::Op;
use crate::step::{
    Act, Crash, Deed, End, HANDLES, Level, Loss, Manner, Step, Way, Work, about_quarantine, asked, crash, deed, early,
    level, moment, ops, path, plain, step,
};

/// A step, or some that belong together.
pub(crate) fn piece() -> BoxedStrategy<Vec<Step>> {
    prop_oneof![
        60 => step().prop_map(|step| vec![step]),
        1 => forgotten_guard(),
        1 => deferred_batch(),
        2 => quarantine(),
        1 => late_work(),
        1 => cut_sync(),
        2 => relied(),
        1 => taken(),
        2 => met(),
        1 => cut_more(),
    ]
    .boxed()
}

/// Somebody who lost it, or ends it.
fn end(who: usize) -> BoxedStrategy<Step> {
    let power = (0..3u8, any::<u64>()).prop_map(|(profile, seed)| Crash::Power(profile, seed));
    prop_oneof![
        3 => Just(Step::Crash(who, Crash::Kill)),
        2 => power.prop_map(move |power| Step::Crash(who, power)),
        1 => any::<bool>().prop_map(move |inner| Step::Do(who, Act::GuardEnd(inner, End::RollBack))),
    ]
    .boxed()
}

/// What a checkpoint settles beside a guard must not be the guard.
fn forgotten_guard() -> BoxedStrategy<Vec<Step>> {
    let settles = prop::sample::select(vec![Act::Checkpoint, Act::Checkpoint, Act::Beside, Act::Sync]);
    (0..HANDLES, asked(), (level(), ops()), settles, deed())
        .prop_flat_map(|(who, asked, (level, ops), settles, deed)| {
            end(who).prop_map(move |end| {
                vec![
                    Step::Do(who, Act::Guard(asked.clone())),
                    Step::Do(who, Act::Commit(level, Way::Begin, ops.clone())),
                    Step::Do(who, settles.clone()),
                    Step::Guarded(deed.clone()),
                    end,
                ]
            })
        })
        .boxed()
}

/// Deferred transactions one after another, and the power goes: in them, right after them, or after a sync.
fn deferred_batch() -> BoxedStrategy<Vec<Step>> {
    let power = || (0..3u8, any::<u64>()).prop_map(|(profile, seed)| Crash::Power(profile, seed));
    let act = || ops().prop_map(|ops| Act::Commit(Level::Deferred, Way::Batch, ops));
    prop_oneof![
        (0..HANDLES, act(), power()).prop_map(|(who, act, power)| vec![Step::Do(who, act), Step::Crash(who, power)]),
        (0..HANDLES, act(), moment(), power()).prop_map(|(who, act, at, power)| vec![Step::Cut(who, act, at, power)]),
        (0..HANDLES, act(), act(), power()).prop_map(|(who, one, other, power)| {
            vec![Step::Do(who, one), Step::Do(who, Act::Sync), Step::Do(who, other), Step::Crash(who, power)]
        }),
    ]
    .boxed()
}

/// Work that comes to quarantine, and what people do with it.
fn quarantine() -> BoxedStrategy<Vec<Step>> {
    let doing =
        (0..HANDLES, about_quarantine(), moment(), prop::option::of(crash())).prop_map(|(who, act, at, crash)| {
            let at = early(&act, at);
            crash.map_or(Step::Do(who, act.clone()), |crash| Step::Cut(who, act, at, crash))
        });
    let after = prop::collection::vec(prop_oneof![4 => doing, 1 => step()], 1..4);
    (lost(), after).prop_map(|(lost, after)| [lost].into_iter().chain(after).collect()).boxed()
}

pub(crate) fn lost() -> BoxedStrategy<Step> {
    let loss = prop::sample::select(vec![Loss::Tries, Loss::Tries, Loss::Abandon, Loss::Keep]);
    let work = prop_oneof![
        3 => (plain(), 4..14u64).prop_map(|(ops, at)| Work::Commit(ops, at)),
        2 => (asked(), prop::collection::vec(deed(), 1..4)).prop_map(|(asked, deeds)| Work::Guards(asked, deeds)),
    ];
    let cut = prop::option::of((1..40u64, crash()));
    (0..HANDLES, work, loss, cut).prop_map(|(who, work, loss, cut)| Step::Lost(who, work, loss, cut)).boxed()
}

/// Somebody works where what is in quarantine belongs, and it is brought back.
fn late_work() -> BoxedStrategy<Vec<Step>> {
    let manner = prop::sample::select(vec![Manner::Plain, Manner::Force, Manner::Force]);
    let late = (0..3u8, any::<u8>());
    (0..HANDLES, plain(), 4..8u64, late, manner, prop::option::of((moment(), crash())))
        .prop_map(|(who, ops, at, (late, byte), manner, cut)| {
            let Call::Op(Op::Write(path, _)) = &ops[0] else { return Vec::new() };
            let commit = |ops: Vec<Op>| {
                let ops = ops.into_iter().map(Call::Op).collect();
                Step::Do(who, Act::Commit(Level::Journal, Way::Begin, ops))
            };
            let write = |path: &Path| Op::Write(path.to_owned(), vec![byte; 3]);
            let late = match late {
                0 => Step::Foreign(Deed::Replace(path.clone(), byte)),
                1 => commit(vec![write(path)]),
                // What is not empty goes for nobody.
                _ => commit(vec![Op::RemoveFile(path.clone()), Op::CreateDir(path.clone()), write(&path.join("a"))]),
            };
            let lost = Step::Lost(who, Work::Commit(ops.clone(), at), Loss::Tries, None);
            let retry = Act::Retry(0, manner);
            let retry = match cut {
                None => Step::Do(who, retry),
                Some((at, crash)) => Step::Cut(who, retry, at, crash),
            };
            vec![lost, late, retry]
        })
        .boxed()
}

/// A sync that has something to make durable.
fn cut_sync() -> BoxedStrategy<Vec<Step>> {
    (0..HANDLES, ops(), crash())
        .prop_map(|(who, ops, crash)| {
            let commit = Act::Commit(Level::Deferred, Way::Begin, ops);
            vec![Step::Do(who, commit), Step::Cut(who, Act::Sync, 1, crash)]
        })
        .boxed()
}

/// Another changes what a transaction relies on, or nobody does.
fn relied() -> BoxedStrategy<Vec<Step>> {
    let what = prop::sample::select(vec![Relied::Absent, Relied::Digest, Relied::Unchanged]);
    let how = (path(), prop::option::weighted(0.7, what));
    let meanwhile = (0..5u8, path(), any::<u8>());
    (0..HANDLES, 0..HANDLES, how, plain(), meanwhile)
        .prop_map(|(who, other, (path, what), mut ops, (late, elsewhere, byte))| {
            let unchanged = || More::WriteIfChanged(path.clone(), None);
            ops.insert(0, Call::More(what.map_or_else(unchanged, |what| More::Expect(path.clone(), what))));
            let commit = |op| Step::Do(other, Act::Commit(Level::Journal, Way::Begin, vec![Call::Op(op)]));
            let late = match late {
                0 => commit(Op::RemoveFile(path)),
                1 | 2 => commit(Op::Write(path, vec![byte; 3])),
                3 => Step::Foreign(Deed::Replace(path, byte)),
                _ => commit(Op::Write(elsewhere, vec![byte; 3])),
            };
            vec![Step::Begin(who, ops), late, Step::End(who)]
        })
        .boxed()
}

/// A transaction that is begun takes what stands outside, and ends in one way or another.
fn taken() -> BoxedStrategy<Vec<Step>> {
    let write = (path(), any::<u8>()).prop_map(|(path, byte)| Call::Op(Op::Write(path, vec![byte; 3])));
    let ends = (0..8u8, crash(), step());
    (0..HANDLES, outer(), prop::option::of(write), ends)
        .prop_map(|(who, outer, write, (end, crash, step))| {
            let begin = Step::Begin(who, write.into_iter().chain([Call::More(outer)]).collect());
            match end {
                0..=2 => vec![begin, Step::Crash(who, crash)],
                3 => vec![begin, Step::Close(who)],
                4 => vec![begin, step, Step::Crash(who, crash)],
                5 | 6 => vec![begin, step, Step::End(who)],
                _ => vec![begin, Step::End(who)],
            }
        })
        .boxed()
}

/// A guard, somebody at work in it, and another thread that meets it.
fn met() -> BoxedStrategy<Vec<Step>> {
    let deeds = prop::collection::vec(deed(), 0..2);
    let end = prop::sample::select(vec![End::Commit, End::RollBack]);
    let cut = prop::option::of((moment(), crash()));
    (0..HANDLES, asked(), deeds, (plain(), any::<u8>()), end, cut)
        .prop_map(|(who, asked, deeds, (mut ops, byte), end, cut)| {
            let path = asked.paths[0].clone();
            ops.insert(0, Call::Op(Op::Write(path.clone(), vec![byte; 3])));
            ops.insert(1, Call::Op(Op::Write(path.join("b"), vec![byte; 70])));
            let act = Act::Met(ops, end);
            let met = match cut {
                None => Step::Do(who, act),
                Some((at, crash)) => Step::Cut(who, act, 1 + at % 20, crash),
            };
            let guard = Step::Do(who, Act::Guard(asked));
            [guard].into_iter().chain(deeds.into_iter().map(Step::Guarded)).chain([met]).collect()
        })
        .boxed()
}

/// What only this test knows, ended in the middle.
fn cut_more() -> BoxedStrategy<Vec<Step>> {
    let way = prop::sample::select(vec![Way::Begin, Way::Closure, Way::Apply]);
    (0..HANDLES, level(), way, prop::collection::vec(more(), 1..4), 1..9u64, crash())
        .prop_map(|(who, level, way, more, at, crash)| {
            let ops = more.into_iter().map(Call::More).collect();
            vec![Step::Cut(who, Act::Commit(level, way, ops), at, crash)]
        })
        .boxed()
}
