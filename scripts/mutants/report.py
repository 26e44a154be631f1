"""What is told of a run, and kept for the next one."""

import json


def levels(caught, names, *, alone):
    """What each level catches, and what it catches alone."""
    for level in names:
        mine = [name for name, by in caught.items() if level in by]
        only = [name for name in mine if alone and len(caught[name]) == 1]
        if mine:
            print(f"{level}: catches {len(mine)} of {len(caught)}" + (f", alone {', '.join(only)}" if only else ""))


def save(file, known, caught, order):
    """Adds what was noticed to what was known; mutants that are no more go."""
    both = {name: {**known.get(name, {}), **caught.get(name, {})} for name in order}
    with open(file, "w", encoding="utf-8") as target:
        json.dump({name: by for name, by in both.items() if by}, target, indent=1)
        target.write("\n")


def table(known, order, names):
    """Which level catches which mutant, as Markdown: what was noticed in all runs that were saved."""
    print("| level | catches | alone |\n|---|--:|--:|")
    for level in names:
        mine = [name for name in order if level in known.get(name, {})]
        print(f"| {level} | {len(mine)} | {sum(len(known[name]) == 1 for name in mine)} |")
    print("\n| mutant | caught by |\n|---|---|")
    for name in order:
        print(f"| {name} | {', '.join(known.get(name, {})) or '**nothing**'} |")
