"""The command `attn`: its verbs in the order of the help."""

import os
from collections.abc import Sequence

from cyclopts import App, Group, Parameter

from attnkit import __version__
from attnkit.cli.augment import augment
from attnkit.cli.bench import bench
from attnkit.cli.card import card
from attnkit.cli.check import check
from attnkit.cli.compare import compare
from attnkit.cli.curve import curve
from attnkit.cli.describe import describe
from attnkit.cli.diff import diff
from attnkit.cli.doctor import doctor
from attnkit.cli.ending import end
from attnkit.cli.errors import errors
from attnkit.cli.evaluate import evaluate
from attnkit.cli.explain import explain
from attnkit.cli.heads import heads
from attnkit.cli.info import info
from attnkit.cli.init import init
from attnkit.cli.kernels import kernels
from attnkit.cli.laws import laws
from attnkit.cli.learn import learn
from attnkit.cli.list import list_
from attnkit.cli.lr import lr
from attnkit.cli.plan import plan
from attnkit.cli.predict import predict
from attnkit.cli.pretrain import pretrain
from attnkit.cli.quickstart import quickstart
from attnkit.cli.runs import runs
from attnkit.cli.see import see
from attnkit.cli.serve import serve
from attnkit.cli.ship import ship
from attnkit.cli.shrink import shrink
from attnkit.cli.train import train
from attnkit.cli.tune import tune
from attnkit.cli.verify import verify

HELP = "Fit attention to your data: train it, tune it, see where it looks, and hold it to its laws."
NOTES = (
    "Each verb takes --json, and --help with examples. A wrong call ends with exit code 2, failed work with 1, "
    "a stop by Ctrl-C with 130, output into a closed pipe with 141; --debug shows the traceback."
)
VERBS = {
    "Begin": (quickstart, doctor),
    "The loop": (check, augment, init, lr, pretrain, train, tune, evaluate, predict),
    "Finding out": (compare, curve, errors),
    "Seeing": (see, heads, explain, diff),
    "Shrinking and shipping": (shrink, ship, verify, bench, card, serve, learn),
    "Attention": (list_, describe, laws, plan, kernels),
    "Looking after runs": (runs, info),
}


def make_app() -> App:
    """The application, with nothing run yet."""
    app = App(
        name="attn",
        help=HELP,
        help_epilogue=NOTES,
        help_format="plaintext",
        version=__version__,
        group_commands=Group("This command", sort_key=99),
        default_parameter=Parameter(negative=()),
        suppress_keyboard_interrupt=False,
    )
    for order, (title, verbs) in enumerate(VERBS.items()):
        group = Group(title, sort_key=order)
        for place, verb in enumerate(verbs):
            app.command(verb, name=verb.__name__.rstrip("_"), group=group, sort_key=place, help_epilogue="")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `attn` and give its exit code: 0 done, 1 failed, 2 wrong use, 130 stopped, 141 pipe closed."""
    # Threads that spin while they wait for one another starve themselves on a busy machine: wait briefly, then sleep.
    # Read by the OpenMP runtime when torch is imported, which no verb has done yet.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # What torch's processes log of one another's ends is said in one sentence; read when torch is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return end(make_app(), arguments)
