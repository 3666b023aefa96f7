"""What a run of a study would do and cost: `--dry-run`."""

from __future__ import annotations

from grokstudy.cli.show import Format, err, out, print_json, size
from grokstudy.spec.study import StudySpec
from grokstudy.study.progress_words import duration


def describe(spec: StudySpec, only_censored: bool, form: Format) -> None:
    """What a run of the study would do, without doing it."""
    import yaml

    from grokstudy.execution.executor import executor
    from grokstudy.study.document import to_yaml
    from grokstudy.study.estimate import at_most, estimate
    from grokstudy.study.run import plan_study, with_next_batch

    with executor(spec.cluster) as execution:
        slots, placed = execution.slots(), execution.placement()
    plan = with_next_batch(plan_study(spec, slots, only_censored=only_censored))
    cost = estimate(plan, slots)
    whole = at_most(plan, cost, slots)
    done = len(plan.trials) - len(plan.left)
    if form is Format.json:
        print_json(
            {
                "study": spec.name,
                "trials": plan.planned,
                "done": done,
                "packs": [len(job.trials) for job in plan.jobs],
                "slots": slots,
                "placement": {one.node: one.packs for one in placed},
                "steps": plan.updates,
                "seconds": whole.seconds,
                "bytes": whole.bytes,
                "settings": yaml.safe_load(to_yaml(plan.spec)),
            }
        )
        return
    out.print(to_yaml(spec), markup=False)
    sizes = [len(job.trials) for job in plan.jobs]
    adaptive = plan.asker is not None
    out.print(f"trials   {'at most ' if adaptive and not plan.over else ''}{plan.planned} ({done} done already)")
    if plan.over is not None:
        out.print(f"sampler  done: {plan.over}", markup=False)
    packs = "next " if adaptive else ""
    out.print(
        f"packs    {packs}{len(sizes)} of {min(sizes, default=0)}-{max(sizes, default=0)} trials, {slots} at a time"
    )
    for one in placed:
        out.print(f"         {one.node}: {one.packs} at a time", markup=False)
    if not any(one.packs for one in placed):
        out.print("         no node takes one yet: the study would wait for nodes")
    out.print(f"steps    {packs}{plan.updates:,}")
    if adaptive and plan.left:
        out.print(f"         about {cost.seconds * min(slots, len(plan.jobs)) / len(plan.left):.2g} s for one trial")
    out.print(f"time     {'at most ' if adaptive else ''}about {duration(whole.seconds)} of stepping on this machine")
    out.print(f"disk     at most {size(whole.bytes)}")
    err.print("Nothing was run or written.")
