"""attn doctor: is this machine sound, and what to do where it is not."""

from attnkit.cli.options import Json
from attnkit.cli.terminal import complain, say, show_json, show_table


def doctor(*, json: Json = False) -> int:
    """Examine this machine: versions, cores, kernels, and packages that break others.

    For example:

        attn doctor
        attn doctor --json
    """
    from attnkit.run.doctor import PROBLEM, examine

    findings = examine()
    problems = [finding for finding in findings if finding.state == PROBLEM]
    if json:
        show_json({"sound": not problems, "findings": [finding.to_dict() for finding in findings]})
    else:
        show_table(("what", "state", "seen"), [(f.name, f.state, f.seen) for f in findings])
        say("", *(f"{f.name}: {f.seen}. What to do: {f.todo}." for f in problems), style="bold")
    if problems:
        return complain(f"To put right: {', '.join(finding.name for finding in problems)}; what to do stands above.")
    if not json:
        say("Everything is sound.")
    return 0
