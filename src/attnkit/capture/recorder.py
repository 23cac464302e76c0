"""From calls as they are heard to the layers of a capture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern.base import Pattern
from attnkit.capture.captured import Capture, CapturedLayer, Kind, Wanted
from attnkit.capture.foreign import Before, Call, operator_of
from attnkit.capture.listen_modules import OTHER_TEXT, Frame, Running, in_backward
from attnkit.capture.stitch import Step, merged, stitched
from attnkit.layers import AttentionLayer, AttentionPooling
from attnkit.layers.taps import Seen

Heads = Sequence[int] | int | None
Focus = Mapping[str, Heads]
# measure(seen, kind, wanted, why the output is not that of the map)
Measure = Callable[[Seen, Kind, Wanted, str | None], CapturedLayer]

# Differences between the map's rows and the layer's output beyond what rounding leaves, in 32 and in 16 bits.
DOUBTFUL, DOUBTFUL_LOW = 0.01, 0.1
DROPPED = "dropout fell on the weights, and the map is that before it"


@dataclass(eq=False)
class Track:
    """One layer over the steps of a block: `keys` so far, which are real, and the last to know them again by."""

    name: str
    kind: Kind
    wanted: Wanted
    turn: int
    counted: list[CapturedLayer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    pattern: Pattern | None = None
    keep_BS: Tensor | None = None
    queries: int = 0
    keys: int = 0
    last_key: Tensor | None = None
    dropout: bool = False


class Recorder:
    """Names calls, says what they came to, counts them, and puts the steps of a generation together."""

    def __init__(
        self, running: Running, wanted: Wanted, focus: Focus | None, measure: Measure, capture: Capture
    ) -> None:
        self.running, self.wanted, self.focus, self.measure, self.capture = running, wanted, focus, measure, capture
        self.tracks: dict[str, Track] = {}
        self.silent: dict[str, str] = {}
        self.passed: set[str] = set()
        self.doubtful: dict[str, float] = {}
        self._query_keep: dict[str, Tensor | None] = {}

    def heard(self, call: Call, dropout: float, other_text: bool | None) -> None:
        """A call of torch's attention by the innermost module that is running."""
        frame = self.running.innermost()
        if frame is not None:
            self._foreign(frame, call, dropout, other_text)

    def told(self, module: nn.Module, call: Call, dropout: float) -> None:
        """A call that a module of transformers makes."""
        frame = self.running.frame_of(module)
        if frame is not None:
            self._foreign(frame, call, dropout, None)

    def missed(self, what: str, name: str | None = None) -> None:
        """Something that cannot be recorded ran in the module of that name, or the innermost."""
        name = self.running_name() if name is None else name
        if name:
            self.silent.setdefault(name, what)

    def running_name(self) -> str:
        """The innermost module that is running and more than a softmax; empty where none of the model's is."""
        frame = next((one for one in reversed(self.running.frames) if not isinstance(one.module, nn.Softmax)), None)
        return "" if frame is None else frame.name or type(frame.module).__name__

    def running_batch(self) -> int | None:
        """Texts that the innermost module was given, where its first argument says it."""
        frame = self.running.innermost()
        given = [] if frame is None else [*frame.args, *frame.kwargs.values()]
        return next((one.shape[0] for one in given if isinstance(one, Tensor) and one.dim() > 1), None)

    def seen(self, module: nn.Module, one: Seen) -> None:
        """A call of a layer of ours, or of an operator of ours in another library's module."""
        frame = self.running.frame_of(module)
        if in_backward() or (frame is None and not isinstance(module, AttentionLayer | AttentionPooling)):
            return
        name = self.running.name_of(module)
        T, S = one.where.T, one.where.S
        if isinstance(module, AttentionPooling):
            kind: Kind = "pooling"
        else:
            kind = self._kind(frame, None, T, S, causal=False)
        dropped = getattr(module, "dropout", 0.0)
        share = dropped if module.training and isinstance(dropped, float) else 0.0
        track = self._track(name, kind)
        if track is None:
            return
        forgotten = 0
        if kind == "self" and self.running.cached():
            tokens = self.running.held() + T
            one, forgotten = _first_keys(one, tokens), max(0, tokens - S)
        self._add(track, replace(one, name=name), forgotten, share > 0)

    def finish(self) -> None:
        """Put the layers into the capture, steps as one."""
        self.capture.layers[:] = [self._whole(track) for track in self.tracks.values()]

    def _foreign(self, frame: Frame, call: Call, dropout: float, other_text: bool | None) -> None:
        name = self.running.name_of(frame.module)
        kind = self._kind(frame, other_text, call.T, call.S, call.causal)
        track = self._track(name, kind)
        if track is None:
            return
        own_text = kind == "self"
        first = forgotten = 0
        if own_text and self.running.cached():
            tokens = self.running.held() + call.T
            call = call.first_keys(tokens)
            forgotten = max(0, tokens - call.S)
            first = forgotten + call.S - call.T
        elif not own_text:
            first = track.queries
        call = _lowered(call)
        stack = stack_of(name)
        known = None if own_text else self._query_keep.get(stack)
        if known is not None and known.shape[-1] != call.T:
            known = None
        before = None
        if track.pattern is not None and track.keys == first:
            before = Before(track.pattern, track.keep_BS, track.keys)
        try:
            asked = operator_of(
                call, own_text=own_text, first=first, forgotten=forgotten, before=before, query_keep=known
            )
        except ValueError as error:
            self.silent[name] = str(error)
            self.tracks.pop(name, None)
            return
        if own_text:
            self._query_keep[stack] = asked.where.query_keep
            track.pattern = asked.pattern
        q, k, v = call.q_BHTD, call.k_BGSD, call.v_BGSE
        self._add(
            track,
            Seen(name, asked.spec, q, k, v, asked.where, asked.params, None, call.out_BHTE),
            forgotten,
            dropout > 0,
        )

    def _kind(self, frame: Frame | None, other_text: bool | None, T: int, S: int, causal: bool) -> Kind:
        if other_text is None and frame is not None and frame.given(OTHER_TEXT) is not None:
            other_text = True
        if other_text is None:
            other_text = T != S and not causal and not self.running.cached()
        return "cross" if other_text else "self"

    def _track(self, name: str, kind: Kind) -> Track | None:
        """The layer's own, None where nobody wants it.

        Raises: ValueError where it was heard in an earlier call that this one does not continue.
        """
        found = self.tracks.get(name)
        if found is not None:
            if found.turn != self.running.turn and self.running.held() == 0:
                raise ValueError(
                    f"{name} ran a second time in one capture, on keys of no earlier step; open a block for each "
                    "input, and generate with a cache (use_cache=True)"
                )
            found.turn = self.running.turn
            return found
        wanted = self._wanted(name)
        if wanted is None:
            self.passed.add(name)
            return None
        self.tracks[name] = Track(name, kind, wanted, self.running.turn)
        return self.tracks[name]

    def _wanted(self, name: str) -> Wanted | None:
        if self.focus is None:
            return self.wanted
        for pattern, heads in self.focus.items():
            if name == pattern or fnmatchcase(name, pattern):
                if heads is None:
                    return self.wanted
                some = (heads,) if isinstance(heads, int) else tuple(heads)
                return replace(self.wanted, heads={name: some})
        return None

    def _add(self, track: Track, seen: Seen, forgotten: int, dropout: bool) -> None:
        asked = (track.wanted.heads or {}).get(track.name, ())
        H = seen.q_BHTD.shape[1]
        if any(not 0 <= head < H for head in asked):
            raise ValueError(f"focus asks for heads {list(asked)} of {track.name}, which has heads 0 to {H - 1}")
        if track.kind == "self":
            _check_keys(track, seen.k_BGSD, forgotten)
        track.keep_BS = _kept(track.keep_BS, seen, forgotten)
        track.queries += seen.where.T
        track.dropout |= dropout
        track.forgotten.append(forgotten)
        stepwise = self.running.cached() or self.running.held() > 0
        if self.wanted.level == "stats" or not stepwise:
            layer = self._counted(track, seen)
            track.counted.append(_without_lost_sink(layer, track.keep_BS, forgotten))
            if len(track.counted) == 1:
                self.capture.layers.append(layer)
            return
        # A static cache is written over by the next step.
        seen = replace(seen, k_BGSD=seen.k_BGSD.clone(), v_BGSE=seen.v_BGSE.clone())
        if forgotten == 0:
            # The last step's keys hold all before them.
            nothing = seen.k_BGSD[:, :, :0]
            track.steps = [replace(old, seen=replace(old.seen, k_BGSD=nothing, v_BGSE=nothing)) for old in track.steps]
        track.steps.append(Step(seen, forgotten))

    def _counted(self, track: Track, seen: Seen) -> CapturedLayer:
        with torch.inference_mode(False), torch.no_grad():
            why = DROPPED if track.dropout else None
            layer = self.measure(_outside_inference(seen), track.kind, track.wanted, why)
        error = layer.check.error
        if error is not None and error > (DOUBTFUL if seen.out_BHTE.dtype.itemsize > 2 else DOUBTFUL_LOW):
            self.doubtful.setdefault(track.name, error)
        return layer

    def _whole(self, track: Track) -> CapturedLayer:
        if track.steps:
            steps, track.steps = track.steps, []
            return self._counted(track, steps[0].seen if len(steps) == 1 else stitched(steps, track.keep_BS))
        if len(track.counted) == 1:
            return track.counted[0]
        return merged(track.counted, track.forgotten, track.keep_BS)


def _kept(before_BS: Tensor | None, seen: Seen, forgotten: int) -> Tensor | None:
    """Which of all keys so far are real, (B, S); None where all are."""
    keep = seen.where.keep
    if keep is None and before_BS is None:
        return None
    B = seen.q_BHTD.shape[0]
    real = seen.k_BGSD.new_ones(B, seen.where.S, dtype=torch.bool) if keep is None else keep.expand(B, -1)
    if forgotten == 0:
        return real
    lost = real.new_ones(B, forgotten) if before_BS is None else before_BS[:, :forgotten].expand(B, -1)
    return torch.cat([lost, real], dim=1)


def _first_keys(seen: Seen, count: int) -> Seen:
    """The same without the room of a static cache that no token has taken yet, which is hidden from all."""
    if count >= seen.where.S:
        return seen
    params = dict(seen.params)
    if "position.bias" in params:
        params["position.bias"] = params["position.bias"][..., :count]
    where = replace(seen.where.columns(0, count), count=None, aligned=False)
    return replace(seen, k_BGSD=seen.k_BGSD[:, :, :count], v_BGSE=seen.v_BGSE[:, :, :count], where=where, params=params)


def _without_lost_sink(layer: CapturedLayer, keep_BS: Tensor | None, forgotten: int) -> CapturedLayer:
    """No weight on the first real key where it is gone from a sliding cache: the first that is left is another."""
    if not forgotten or "sink" not in layer.statistics:
        return layer
    sink = layer.statistics["sink"]
    if keep_BS is not None:
        gone = keep_BS[:, :forgotten].any(-1).to(sink.device)
        sink = sink.masked_fill(gone[:, None, None], 0.0)
    else:
        sink = torch.zeros_like(sink)
    return replace(layer, statistics=layer.statistics | {"sink": sink})


def stack_of(name: str) -> str:
    """The stack of layers that a module stands in: its path up to the first number, or to itself."""
    parts = name.split(":")[0].split(".")
    number = next((place for place, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
    return ".".join(parts[:number])


def _check_keys(track: Track, k_BGSD: Tensor, forgotten: int) -> None:
    """Refuse steps whose cache was rearranged, as beam search does.

    Raises: ValueError where the last key of the step before is another one now.
    """
    place = track.keys - 1 - forgotten
    if track.last_key is not None and 0 <= place < k_BGSD.shape[2]:
        now = k_BGSD[:, :, place]
        if now.shape != track.last_key.shape or not torch.equal(now, track.last_key):
            raise ValueError(
                f"{track.name}: keys of earlier tokens changed between two steps, as in beam search, so that they are "
                "not the steps of one text; capture greedy or sampled generation"
            )
    track.keys = forgotten + k_BGSD.shape[2]
    track.last_key = k_BGSD[:, :, -1].clone()


def _lowered(call: Call) -> Call:
    """Queries, keys and values as autocast hands them to the kernel."""
    kind = call.q_BHTD.device.type
    if not torch.is_autocast_enabled(kind):
        return call
    target = torch.get_autocast_dtype(kind)
    q, k, v = (x.to(target) if x.dtype == torch.float32 else x for x in (call.q_BHTD, call.k_BGSD, call.v_BGSE))
    return replace(call, q_BHTD=q, k_BGSD=k, v_BGSE=v)


def _outside_inference(seen: Seen) -> Seen:
    """The same for who may want gradients on the way, which tensors of inference mode refuse."""
    if not seen.q_BHTD.is_inference() or (isinstance(seen.spec, Pairwise) and not seen.spec.refine):
        return seen

    def own(x: Tensor) -> Tensor:
        return x.clone() if x.is_inference() else x

    return replace(
        seen,
        q_BHTD=own(seen.q_BHTD),
        k_BGSD=own(seen.k_BGSD),
        v_BGSE=own(seen.v_BGSE),
        params={name: own(value) for name, value in seen.params.items()},
    )
