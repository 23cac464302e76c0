"""The training loop: batches, steps, evaluations, checkpoints, and an end that does not depend on interruptions."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.data.batches import bucket_batches
from attnkit.errors import FailedError, UsageError
from attnkit.model.settings import chosen
from attnkit.run.checkpoint import load_checkpoint, random_state, save_checkpoint, set_random_state
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.train.averaging import make_average
from attnkit.train.batching import batch_plan
from attnkit.train.budget import Budget, Pacer
from attnkit.train.events import Say
from attnkit.train.freezing import Freezing
from attnkit.train.interrupt import CtrlC
from attnkit.train.objective import Objective
from attnkit.train.optimizers import optimizer_state, set_optimizer_state
from attnkit.train.parallel.processes import ALONE, Processes
from attnkit.train.parallel.whole import gathered, spread, spread_state
from attnkit.train.precision import check_precision
from attnkit.train.preprocessing import Ids, Preprocessing
from attnkit.train.schedules import learning_rate
from attnkit.train.update import NotFiniteError, Rows, Update
from attnkit.train.watch import alarms, watched

Weights = dict[str, Tensor]


@dataclass
class Position:
    """How far training has come; plain values, kept in the checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_value: float | None = None
    best_loss: float = math.inf
    stale: int = 0
    finished: str = ""
    seconds: float = 0.0
    settled_steps: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """Trains `model` on `train`, choosing the weights that do best on `validation`.

    Batch order comes from (seed, epoch), all else random from torch's default generator, whose state is in the
    checkpoint; so a resumed run goes on exactly as if it had never stopped, on the same number of threads.

    Several processes do all of this alike; the first one alone speaks, and writes what all of them gathered.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        prepare: Preprocessing,
        train: Rows,
        validation: Rows,
        recipe: Recipe,
        checkpoint: Path,
        say: Say,
        budget: Budget | None = None,
    ) -> None:
        self.model, self.task, self.prepare, self.recipe = model, task, prepare, recipe
        self.settings = recipe.train
        self.train, self.validation = train, validation
        self.checkpoint, self.say = checkpoint, say
        objective = Objective(task, recipe, train.targets, train.lessons, train.unlabeled)
        # Before the update: what learns at first is known when processes begin to share gradients.
        self.freezing = Freezing(model, recipe.start)
        self.freezing.at(0)
        # Before the model is cut up for several processes: each holds the whole average.
        self.average = make_average(model, recipe)
        self.update = Update(model, objective, prepare, train, recipe)
        check_precision(self.settings.precision, self.update.rehearse)
        self.processes = self.update.processes
        self.at = Position()
        self.best: Weights = _copy(model)
        self.plan = batch_plan(prepare, train.items, recipe)
        self.epochs = chosen(self.settings.epochs)
        self.all_steps = self.plan.steps(self.epochs)
        self.steps_an_epoch = max(1, round(self.all_steps / max(1, self.epochs)))
        self.unwatched = ""
        self.budget = budget
        self.clock = budget.clock if budget is not None else time.monotonic
        self.started = self.clock()
        self.earlier_seconds = 0.0

    @property
    def steps(self) -> int:
        """Steps of all epochs together, or as many as fit into the time once that is known."""
        return self.at.settled_steps or self.all_steps

    def run(self, ctrl_c: CtrlC) -> bool:
        """Train to the end; False where Ctrl-C stopped it, after saving.

        Raises: FailedError where the loss or a gradient is not finite.
        """
        if self.processes.lead(self.checkpoint.exists):
            self._restore()
        else:
            if self.settings.evaluate_start and self.epochs:
                self._evaluate()
            self._save()
        if not self.epochs and not self.at.finished:
            self._evaluate()
            self.at.finished = "nothing was to be trained (train.epochs = 0)"
            self._save()
        pacer = self._pacer()
        ctrl_c.gentle = True
        while not self.at.finished:
            epoch, batches = self.at.epoch, self.batches(self.at.epoch)
            while self.at.epoch == epoch and not self.at.finished:
                self._free_layers(self.at.epoch + self.at.batch / len(batches))
                if self.processes.any(ctrl_c.asked):
                    self._save()
                    return False
                self._step(batches[self.at.batch])
                last = self.at.batch == len(batches)
                settled = pacer is not None and self._settle(self._told(pacer.after_step))
                every = self.settings.evaluate_every_steps
                if (every and self.at.step % every == 0) or (last and not every) or self._time_is_up:
                    begun = self.clock()
                    self._evaluate()
                    if pacer is not None:
                        self._settle(self._told(pacer.after_evaluation, self.clock() - begun))
                    if last:
                        self._next_epoch()
                    if self._time_is_up and not self.at.finished:
                        self.at.finished = f"the time is used, after {self.at.step:,} steps"
                    self._save()
                elif last:
                    self._next_epoch()
                    self._save()
                elif settled or self.at.step % self.settings.checkpoint_every_steps == 0:
                    self._save()
        ctrl_c.gentle = False
        return True

    @property
    def _time_is_up(self) -> bool:
        return 0 < self.at.settled_steps <= self.at.step

    def _pacer(self) -> Pacer | None:
        if self.budget is None:
            return None
        if self.earlier_seconds:
            self.budget = replace(self.budget, spent=self.budget.spent + self.earlier_seconds)
        some = list(self.validation.items)[:: max(1, len(self.validation) // 200)]
        begun = self.clock()
        predict_logits(self.model, self.prepare, some, processes=self.processes)
        reading = (self.clock() - begun) * len(self.validation) / len(some)
        return Pacer(self.budget, self.steps_an_epoch, self.settings.evaluate_every_steps, reading)

    def _told(self, ask: Callable[..., int], *more: float) -> int:
        """What the first process's clock says, in every process."""
        return self.processes.lead(lambda: ask(self.at.step, self.at.settled_steps, *more))

    def _settle(self, steps: int) -> bool:
        """Take `steps` for the number of steps in all, and tell whether that is new."""
        steps = min(steps, self.all_steps)
        if not steps or steps == self.at.settled_steps:
            return False
        self.at.settled_steps = steps
        epochs = steps / self.steps_an_epoch
        share = f"{epochs:.0%} of an epoch: not every training row is read" if epochs < 1 else f"{epochs:.1f} epochs"
        self.say("said", sentence=f"the time allows {steps:,} steps, {share}")
        return True

    def batches(self, epoch: int) -> list[list[int]]:
        """Row numbers of the training split in the batches of an epoch, the same whenever it is asked."""
        return self.plan.batches(epoch)

    def _next_epoch(self) -> None:
        self.at.epoch, self.at.batch = self.at.epoch + 1, 0
        if self.at.epoch == self.epochs and not self.at.finished:
            if self.at.loss_steps:
                self._evaluate()
            self.at.finished = f"all {self.epochs} epochs are done"

    def _free_layers(self, epochs: float) -> None:
        if freed := self.freezing.at(epochs):
            self.say("said", sentence=f"{freed} more weights learn from step {self.at.step} on")

    def _step(self, numbers: list[int]) -> None:
        better = [line["best"] for line in self.at.history]
        rate = learning_rate(self.recipe, self.at.step, self.steps, self.steps_an_epoch, better)
        try:
            value = self.update(numbers, self.at.step, rate)
        except NotFiniteError as error:
            raise self._failed(error) from None
        if self.average is not None:
            self.average.add(self.model, self.at.step, self.steps)
        self.at.batch, self.at.step = self.at.batch + 1, self.at.step + 1
        self.at.loss_sum, self.at.loss_steps = self.at.loss_sum + value, self.at.loss_steps + 1
        self.say("step", epoch=self.at.epoch + 1, step=self.at.step, steps=self.steps, loss=value, learning_rate=rate)

    def _failed(self, error: NotFiniteError) -> FailedError:
        places = ", ".join(self.train.places[number] for number in error.numbers[:8])
        more = f" and {len(error.numbers) - 8} more" if len(error.numbers) > 8 else ""
        return FailedError(
            f"{error.what} at epoch {self.at.epoch + 1}, batch {self.at.batch + 1} (rows {places}{more}); "
            f"{error.where}; lower train.learning_rate (now {chosen(self.settings.learning_rate)}) or look at those "
            "rows"
        )

    def _evaluate(self) -> None:
        model = self.average.model if self.average is not None else self.model
        logits = predict_logits(model, self.prepare, self.validation.items, processes=self.processes)
        value = self.task.selection_value(logits, self.validation.targets)
        loss = float(self.task.loss(logits, self.validation.targets))
        at, select = self.at, self.task.select
        # Small validation sets give many equal accuracies; the lower loss then decides.
        better = select.better(value, at.best_value) or (value == at.best_value and loss < at.best_loss)
        if better:
            at.best_value, at.best_loss, at.stale = value, loss, 0
            self.best = _copy(model)
        else:
            at.stale += 1
        line = {
            "epoch": at.epoch + 1 if at.batch else at.epoch,
            "step": at.step,
            "measure": select.measure,
            "value": value,
            "loss": loss,
            "train_loss": at.loss_sum / max(1, at.loss_steps),
            "best": better,
        }
        self._watch(model, line)
        at.history.append(line)
        at.loss_sum, at.loss_steps = 0.0, 0
        self.say("evaluation", **line, seconds=round(self.earlier_seconds + self.clock() - self.started, 2))
        if at.stale >= chosen(self.settings.patience):
            at.finished = f"{at.stale} evaluations in a row were no better than {select.measure} {at.best_value:.4f}"

    def _watch(self, model: nn.Module, line: dict[str, Any]) -> None:
        """Add what the attention does to the line of an evaluation, and say each alarm once."""
        items = [item for item in self.validation.items if item][: self.settings.watch_rows]
        if not items or self.unwatched:
            return
        try:
            line["attention"] = watched(model, self.prepare, items)
        except (ValueError, RuntimeError, LookupError) as error:
            # A run that can be trained is not stopped by what only looks at it.
            self.unwatched = str(error)
            self.say("said", sentence=f"the attention is not watched: {error}")
            return
        raised = {(what, where.partition(":")[0]) for old in self.at.history for what, where in old.get("alarms", [])}
        line["alarms"] = alarms(line["attention"])
        for what, where in line["alarms"]:
            if (what, where.partition(":")[0]) not in raised:
                self.say("said", sentence=f"{what} at step {self.at.step} in {where}")

    def take_best(self) -> None:
        """Give the model the weights that did best."""
        self._put(self.best)

    def _put(self, weights: Weights) -> None:
        self.model.load_state_dict(spread(weights, self.model.state_dict()))

    def _save(self) -> None:
        self.at.seconds = self.earlier_seconds + self.clock() - self.started
        groups = {"model": gathered(self.model.state_dict()), "best": self.best, "random": random_state()}
        groups["optimizer"] = gathered(optimizer_state(self.update.optimizer))
        if self.average is not None:
            groups["average"], groups["averaging"] = self.average.model.state_dict(), self.average.state()
        log_bytes = self.say.log.length_bytes() if self.say.log else 0
        facts = {**asdict(self.at), "log_bytes": log_bytes, "scaler": self.update.scaler.state_dict()}
        facts |= {"threads": torch.get_num_threads(), "processes": self.processes.size}
        # JSON has no infinity.
        facts["best_loss"] = None if math.isinf(self.at.best_loss) else self.at.best_loss
        self.processes.lead(lambda: save_checkpoint(self.checkpoint, groups, facts))

    def _restore(self) -> None:
        saved = load_checkpoint(self.checkpoint)
        facts = dict(saved.facts)
        try:
            log_bytes, threads = facts.pop("log_bytes"), facts.pop("threads")
            processes, scaler = facts.pop("processes", 1), facts.pop("scaler", {})
            facts["best_loss"] = math.inf if facts["best_loss"] is None else facts["best_loss"]
            self.at = Position(**facts)
            self.earlier_seconds = self.at.seconds
            self._put(saved.groups["model"])
            if self.average is not None:
                self.average.restore(saved.groups["average"], saved.groups.get("averaging", {}))
            if "optimizer" in saved.groups:
                held = spread_state(saved.groups["optimizer"], self.update.optimizer)
                set_optimizer_state(self.update.optimizer, held)
            if scaler:
                self.update.scaler.load_state_dict(scaler)
            self.best = saved.groups["best"]
            set_random_state(saved.groups["random"])
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise UsageError(
                f"{self.checkpoint} does not fit this model and recipe; delete the unfinished run and start again"
            ) from None
        if threads != torch.get_num_threads() and processes == self.processes.size:
            torch.set_num_threads(threads)
            self.say("said", sentence=f"computing with {threads} threads, as the run was begun: others round otherwise")
        if processes != self.processes.size:
            before = f"{processes} process{'es' if processes > 1 else ''}"
            self.say("said", sentence=f"{before} came so far, {self.processes.size} go on: sums round otherwise")
        if self.say.log is not None:
            self.say.log.cut(log_bytes)
        self.say("said", sentence=f"going on from step {self.at.step} of {self.steps}")


def predict_logits(
    model: nn.Module,
    prepare: Preprocessing,
    items: Sequence[Ids],
    batch_rows: int = 64,
    processes: Processes = ALONE,
) -> Tensor:
    """Logits (n, C) in the order of `items`, in float32, dropout off; `processes` share the batches."""
    if not items:
        raise UsageError("there are no texts to predict; give at least one")
    model.eval()
    batches = bucket_batches(prepare.lengths(items), batch_rows, shuffle=False)
    found: list[tuple[list[int], Tensor]] = []
    with torch.inference_mode() if processes.size == 1 else torch.no_grad():
        # Each process runs the model as often as the others, which may need its part of the weights.
        for start in range(0, len(batches), processes.size):
            mine = start + processes.rank
            numbers = batches[min(mine, len(batches) - 1)]
            rows = model(*prepare.collate([items[number] for number in numbers]))
            found.append((numbers if mine < len(batches) else [], rows))
        logits = found[0][1].new_zeros(len(items), found[0][1].shape[1])
        for numbers, rows in found:
            logits[numbers] = rows[: len(numbers)]
    return processes.summed(logits)


def _copy(model: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in gathered(model.state_dict()).items()}
