"""Which module is running: a stack kept by hooks, with what each was given."""

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# Arguments by which a module is given another text to look at, and those that hold the keys of earlier calls.
OTHER_TEXT = ("encoder_hidden_states", "key_value_states", "context_BSM", "context", "memory", "cross_attention_states")
CACHES = ("past_key_values", "past_key_value", "layer_past", "caches", "cache")


class Frame:
    """A module that is running, and its arguments."""

    def __init__(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self.module, self.args, self.kwargs = name, module, args, kwargs

    def given(self, names: tuple[str, ...]) -> Any:
        """The first of these arguments that is not None."""
        arguments = self.kwargs
        if self.args:
            try:
                bound = inspect.signature(self.module.forward).bind_partial(*self.args, **self.kwargs)
                arguments = arguments | bound.arguments
            except (TypeError, ValueError):
                # A forward that its own arguments do not fit fails by itself, and with the better message.
                pass
        return next((arguments[name] for name in names if arguments.get(name) is not None), None)


class Running:
    """The modules of a model that are running, the innermost last.

    `turn` counts the calls from outside (a forward of the model, or of one of its parts as `generate` makes them),
    `attended` the attentions of each module in this turn, `fed` holds the ids that modules were given, by name and
    argument, and `pixels` (height, width) of the images.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.frames: list[Frame] = []
        self.turn = 0
        self.attended: Counter[nn.Module] = Counter()
        self.fed: dict[tuple[str, str], list[Tensor]] = {}
        self.pixels: tuple[int, int] | None = None
        self._held: dict[int, tuple[Any, int]] = {}

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Keep the stack while the block runs."""
        hooks = []
        try:
            for module in self.names:
                # Added last and called first: arguments are seen as the caller gave them.
                hooks.append(module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True))
                hooks.append(module.register_forward_hook(self._leave, always_call=True))
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.frames.clear()
            self._held.clear()

    def innermost(self) -> Frame | None:
        """The module that is running, None where none of the model's is."""
        return self.frames[-1] if self.frames else None

    def frame_of(self, module: nn.Module) -> Frame | None:
        """The call of `module` that is running."""
        return next((frame for frame in reversed(self.frames) if frame.module is module), None)

    def name_of(self, module: nn.Module) -> str:
        """Its path in the model, with `:2` and so on where it attends more than once a turn; the class of the whole."""
        self.attended[module] += 1
        again = self.attended[module]
        name = self.names[module] or type(module).__name__
        return name if again == 1 else f"{name}:{again}"

    def cached(self) -> bool:
        """True where a module that is running was given a cache."""
        return any(self._cache(frame) is not None for frame in self.frames)

    def held(self) -> int:
        """Tokens that the caches of this turn held when it began."""
        return max((length for _, length in self._held.values()), default=0)

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if in_backward():
            return
        frame = Frame(self.names[module], module, args, kwargs)
        if not self.frames:
            self.turn += 1
            self.attended.clear()
            self._held.clear()
        self.frames.append(frame)
        cache = self._cache(frame)
        # Layer after layer fills the same cache: its length is that before the first of them.
        if cache is not None and id(cache) not in self._held:
            self._held[id(cache)] = (cache, cache_length(cache))
        self._feed(frame)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        for place in reversed(range(len(self.frames))):
            if self.frames[place].module is module:
                del self.frames[place:]
                return

    def _cache(self, frame: Frame) -> Any:
        whole = len(self.frames) == 1 and self.frames[0] is frame
        if whole:
            return frame.given(CACHES)
        return next((frame.kwargs[name] for name in CACHES if frame.kwargs.get(name) is not None), None)

    def _feed(self, frame: Frame) -> None:
        whole = frame.module is self.model
        for name in ("input_ids", "decoder_input_ids"):
            ids = frame.given((name,)) if whole else frame.kwargs.get(name)
            if isinstance(ids, Tensor) and _are_ids(ids):
                self.fed.setdefault((frame.name, name), []).append(ids.detach())
        if whole and ("", "input_ids") not in self.fed and frame.args and _are_ids(frame.args[0]):
            self.fed["", "input_ids"] = [frame.args[0].detach()]
        pixels = frame.kwargs.get("pixel_values", frame.args[0] if whole and frame.args else None)
        if isinstance(pixels, Tensor) and pixels.dim() == 4 and pixels.is_floating_point():
            self.pixels = (pixels.shape[-2], pixels.shape[-1])


def _are_ids(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() in (1, 2) and x.dtype in (torch.int64, torch.int32)


def cache_length(cache: Any) -> int:
    """Tokens that a cache of ours or of transformers holds, the most of any layer; 0 where it does not say."""
    if isinstance(cache, dict):
        return max((cache_length(one) for one in cache.values()), default=0)
    if isinstance(cache, list | tuple):
        return max((cache_length(one) for one in cache), default=0)
    if isinstance(cache, Tensor):
        return int(cache.shape[-2]) if cache.dim() == 4 else 0
    counted = getattr(cache, "get_seq_length", None)
    return int(counted() if callable(counted) else getattr(cache, "length", 0))


def in_backward() -> bool:
    """True where autograd is running, which calls modules again under checkpointing."""
    return torch._C._current_graph_task_id() != -1
